//! Resetting a group whose secrets nobody can follow any more.

use super::stage::{StageError, StagedCommit};
use super::state::Group;
use crate::device::Device;
use crate::prekeys::PrekeyBook;
use conclave_wire::commit::Operation;
use conclave_wire::ids::Timestamp;
use rand_core::CryptoRng;

impl Group {
    /// Stages a reset, as an admin or owner, together with other operations: for instance the removal of whoever made
    /// the group unusable. It is the one commit that a device which needs a welcome can make.
    ///
    /// The epoch's secrets begin anew from a fresh secret that goes by initial envelopes only; all sender keys and all
    /// pairwise chains of the group end. The book must hold the prekeys of all other devices of the group. Everybody
    /// who opens the secret is active again, and needs a new sender key.
    pub fn reset(
        &mut self,
        device: &Device,
        mut operations: Vec<Operation>,
        book: &PrekeyBook,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<StagedCommit, StageError> {
        operations.push(Operation::Reset);
        self.commit(device, operations, b"", book, now, rng)
    }
}
