//! Wraps: one 32-byte secret for one device, by exclusive or with a pad from a pairwise chain.
//!
//! ```text
//!     pad = KDF("wrap", chain step 32 ‖ purpose 1 ‖ group 32 ‖ epoch 4 ‖ sender 32 ‖ recipient 32 ‖ commitment 32)
//! ```
//!
//! No tag: the secret is committed to in a signed structure and checked on arrival. The commitment is in the pad, so
//! two different secrets never share one (R56).

use super::context::EnvelopeContext;
use crate::kdf;
use crate::pairwise::ChainId;
use crate::ratchet::MessageKey;
use crate::secret::Secret;
use conclave_wire::ids::{Commitment, DeviceId, MessageIndex};

/// A wrapped secret: with version and form, 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrap {
    pub(crate) chain: ChainId,
    pub(crate) index: MessageIndex,
    pub(crate) masked: [u8; 32],
}

/// Bytes of a wrap behind version and form.
pub(crate) const WRAP_BYTES: usize = 4 + 2 + 32;

/// The secret under its pad, and out of it: the two are one.
pub(crate) fn wrap_pad(
    step: &MessageKey,
    context: &EnvelopeContext,
    sender: &DeviceId,
    recipient: &DeviceId,
    commitment: &Commitment,
    secret: &[u8; 32],
) -> Secret<32> {
    let mut pad: Secret<32> = kdf::derive(
        &kdf::WRAP,
        &[
            step.0.as_bytes(),
            &[context.purpose.byte()],
            context.group.as_bytes(),
            &context.epoch.0.to_be_bytes(),
            sender.as_bytes(),
            recipient.as_bytes(),
            commitment.as_bytes(),
        ],
    );
    for (pad, byte) in pad.as_bytes_mut().iter_mut().zip(secret) {
        *pad ^= byte;
    }
    pad
}
