//! Test vectors of envelopes and wraps. See [`crate::vectors`].

mod initial;
mod pairwise;

use super::{EnvelopeContext, Purpose};
use crate::vectors::array;
use conclave_wire::ids::{Epoch, GroupId};
use serde_json::Value;

/// The context that a vector states.
fn context(vector: &Value) -> EnvelopeContext {
    let purposes = [Purpose::CommitSecret, Purpose::ContentKey, Purpose::Welcome];
    let number = |name: &str| vector[name].as_u64().unwrap();
    EnvelopeContext {
        purpose: purposes[usize::try_from(number("purpose")).unwrap()],
        group: GroupId::from_bytes(array(&vector["group"])),
        epoch: Epoch(u32::try_from(number("epoch")).unwrap()),
    }
}
