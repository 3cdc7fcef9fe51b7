//! Answers on their way: initial envelopes that open no pairwise chain.
//!
//! An answer hangs on no entry of the log, so nothing says when its sender may use a chain that it opened, and the chain
//! is dropped on both sides (R58), (R121). What opens twice is as dangerous as in any other initial envelope, and each one
//! that is accepted is spent like them (R54), (R59).

use crate::addressee::Addressee;
use crate::device::Device;
use crate::envelope::{
    EnvelopeContext, InitialOpening, OpenError, Recipient, Sender, SpentEnvelope, seal_initial,
};
use crate::prekeys::Reach;
use crate::record::Changes;
use conclave_wire::codec;
use conclave_wire::ids::DeviceId;
use conclave_wire::roster::{Leaf, PinnedPrekeys};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// An answer, opened; nothing has changed.
pub(super) struct OpenedAnswer {
    pub(super) sender: DeviceId,
    pub(super) context: EnvelopeContext,
    pub(super) payload: Zeroizing<Vec<u8>>,
    spent: SpentEnvelope,
}

impl OpenedAnswer {
    pub(super) fn open(at: &Device, answer: &[u8]) -> Result<Self, OpenError> {
        let envelope = codec::decode(answer).map_err(OpenError::Decode)?;
        let InitialOpening { sender, context, payload, spent, chain: _ } = at.open_initial(&envelope)?;
        Ok(Self { sender, context, payload, spent })
    }

    /// Notes that the answer was taken, so that it never opens again.
    pub(super) fn spend(self, at: &mut Device, changes: &mut Changes) {
        at.spend(self.spent, changes);
    }
}

/// Seals an answer to a device of the roster that named its newest prekeys. `None` if the book has none that are neither
/// too old nor older than these or than the ones that the roster pins.
pub(super) fn seal(
    from: &Device,
    to: &Leaf,
    newest: &PinnedPrekeys,
    payload: &[u8],
    context: EnvelopeContext,
    reach: Reach<'_>,
    rng: &mut impl CryptoRng,
) -> Option<Vec<u8>> {
    let to = Addressee::from(to);
    let named = Addressee { pinned: Some(*newest), ..to };
    let prekeys = reach.prekeys(&to).and(reach.prekeys(&named))?;
    let sender =
        Sender { account: from.account(), manifest: from.manifest().hash(), key: from.signing_key() };
    let one_time = reach.give_one_time(&to.device);
    let recipient = Recipient { account: to.account, device: to.device, prekeys, one_time, payload };
    let (envelope, _) = seal_initial(&sender, vec![recipient], context, rng).pop()?;
    Some(codec::encode(&envelope))
}
