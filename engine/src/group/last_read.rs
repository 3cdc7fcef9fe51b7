//! What is remembered of the entry of a sender that was read last: enough to tell a repeat from a second, different one
//! under the same keys, which are gone.
//!
//! An honest device seals once under each index. A second authentic entry under an index that was used shows that two
//! hold the sender's signing key and chain: the device itself equivocates, or its state was copied or restored (R142).
//! Key commitments are public by their nature, so keeping them gives nothing away.

use conclave_wire::ids::MessageIndex;

/// The last message or run of a sender that was read in this epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastRead {
    /// Index of the message, or of the first one of the run.
    pub(crate) first: MessageIndex,
    /// Of each of its keys; at most [`MAX_RUN`](conclave_wire::limits::MAX_RUN).
    pub(crate) commitments: Vec<[u8; 32]>,
    /// What was signed.
    pub(crate) digest: [u8; 32],
}

impl LastRead {
    /// The commitments from this index on; empty if the entry did not use it.
    pub(crate) fn commitments_from(&self, index: MessageIndex) -> &[[u8; 32]] {
        let skipped = index.0.checked_sub(self.first.0);
        skipped.and_then(|skipped| self.commitments.get(usize::from(skipped)..)).unwrap_or_default()
    }

    /// Becomes that of a single message, in the room that it has.
    pub(crate) fn set(&mut self, index: MessageIndex, commitment: [u8; 32], digest: [u8; 32]) {
        self.commitments.clear();
        self.commitments.push(commitment);
        (self.first, self.digest) = (index, digest);
    }
}
