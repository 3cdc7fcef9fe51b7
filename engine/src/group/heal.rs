//! Healing this device in a group, after its state may have been copied.

use super::stage::{StageError, StagedCommit};
use super::state::Group;
use crate::device::Device;
use crate::prekeys::PrekeyBook;
use conclave_wire::commit::Operation;
use conclave_wire::ids::Timestamp;
use rand_core::CryptoRng;

impl Group {
    /// Whether a heal that [`Device::begin_heal`] has begun is still to be committed in this group.
    pub fn heal_due(&self, device: &Device) -> bool {
        let Some((_, leaf)) = self.roster().device(&self.me.device) else { return false };
        device.healing().is_some_and(|begun| leaf.pinned.is_none_or(|pin| pin.time < begun))
    }

    /// Stages a heal of this device: its new prekeys are pinned, its certificates from before become void, the chains to
    /// and from it end, and the new epoch's secret goes by initial envelopes only. [`Device::begin_heal`] comes first, in
    /// a transaction of its own, and its prekeys are published.
    ///
    /// The book must hold the prekeys of all other devices of the group. When the log shows the heal, this device needs
    /// a new sender key ([`sender_key_due`](Self::sender_key_due)). One that lost its race is staged again.
    pub fn heal(
        &mut self,
        device: &Device,
        book: &PrekeyBook,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<StagedCommit, StageError> {
        let prekeys = device.prekeys().ok_or(StageError::HealNotBegun)?;
        let heal = Operation::Heal { prekeys: prekeys.hash(), time: prekeys.body().time };
        self.commit(device, vec![heal], b"", book, now, rng)
    }

    /// Refuses to pin prekeys that a thief may hold: those of a heal that was not begun, or others than this device's.
    pub(super) fn check_heal(&self, device: &Device, operations: &[Operation]) -> Result<(), StageError> {
        let ours = |hash| device.prekeys().is_some_and(|prekeys| prekeys.hash() == hash);
        let begun = |operation: &Operation| match operation {
            Operation::Heal { prekeys, .. } => self.heal_due(device) && ours(*prekeys),
            _ => true,
        };
        if operations.iter().all(begun) { Ok(()) } else { Err(StageError::HealNotBegun) }
    }
}
