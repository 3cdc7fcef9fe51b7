//! Opening a run: the mirror of [`super::seal_run`].
//!
//! The signature is looked at first: a run is never pending, so nothing of it is decrypted before. It is accepted whole
//! or refused whole (R69).

use super::digest::{Binding, RUN_LABEL, before_first};
use super::event::{Continuity, GroupMessage, Recovered};
use super::last_read::LastRead;
use super::message_id::MessageId;
use super::message_keys::MessageKeys;
use super::reading::{At, Reading};
use super::receive::ReceiveError;
use crate::kdf;
use crate::ratchet::ChainError;
use conclave_wire::ids::MessageIndex;
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;
use conclave_wire::run::RunView;

impl Reading<'_> {
    /// All messages of the run, in their order.
    pub(super) fn open_run(
        &mut self,
        run: &RunView<'_>,
        at: At,
        recovered: &mut Vec<Recovered>,
    ) -> Result<Vec<GroupMessage>, ReceiveError> {
        let first = run.header.index;
        let advance = match self.key.chain.peek_run(&kdf::CHAIN, first, run.count(), MAX_MESSAGES_PER_CHAIN) {
            Ok(advance) => advance,
            Err(error) => return Err(self.second_run(run, error)),
        };
        let keys: Vec<_> = advance.keys().iter().map(MessageKeys::derive).collect();
        let commitments: Vec<_> = keys.iter().map(|keys| keys.commitment).collect();
        let digest = digest(&self.binding, run, &commitments);
        self.key.verifying.verify(RUN_LABEL, &digest, &run.signature).map_err(|_| self.unauthentic())?;
        let plaintexts = decrypt(run, &keys).ok_or(ReceiveError::Undecryptable)?;

        // Everything has been checked.
        self.key.chain.apply_run(advance, at.now);
        let continuity = self.accept(run.link, LastRead { first, commitments, digest }, at, recovered);
        let continuities = std::iter::once(continuity).chain(std::iter::repeat(Continuity::Linked));
        let messages = plaintexts
            .into_iter()
            .zip(continuities)
            .map(|((id, content), continuity)| GroupMessage { sender: self.sender, id, content, continuity });
        Ok(messages.collect())
    }

    /// Why a run is refused whose keys are not all there: a repeat, unless it is another authentic entry that begins
    /// at an index of the last one.
    fn second_run(&self, run: &RunView<'_>, error: ChainError) -> ReceiveError {
        let Some(last) = &self.key.last_read else { return error.into() };
        let Some(commitments) = self.known_commitments(run, last) else { return error.into() };
        let digest = digest(&self.binding, run, &commitments);
        if digest == last.digest || self.key.verifying.verify(RUN_LABEL, &digest, &run.signature).is_err() {
            return error.into();
        }
        ReceiveError::Equivocation { device: self.sender.device, index: run.header.index }
    }

    /// The key commitments of a run, some of which are remembered and the rest lie ahead.
    fn known_commitments(&self, run: &RunView<'_>, last: &LastRead) -> Option<Vec<[u8; 32]>> {
        let (first, count) = (run.header.index, run.count());
        let known = last.commitments_from(first);
        let known = known.get(..usize::from(count)).unwrap_or(known);
        let known_count = u16::try_from(known.len()).ok().filter(|known| *known > 0)?;
        let mut commitments = Vec::with_capacity(usize::from(count));
        commitments.extend_from_slice(known);
        if known_count < count {
            let (next, rest) = (MessageIndex(first.0.checked_add(known_count)?), count - known_count);
            let ahead = self.key.chain.peek_run(&kdf::CHAIN, next, rest, MAX_MESSAGES_PER_CHAIN).ok()?;
            commitments.extend(ahead.keys().iter().map(|key| MessageKeys::derive(key).commitment));
        }
        Some(commitments)
    }
}

/// What the signature covers: the digest of the last message.
pub(super) fn digest(binding: &Binding, run: &RunView<'_>, commitments: &[[u8; 32]]) -> [u8; 32] {
    let messages = run.messages().zip(commitments);
    messages.fold(before_first(run.link), |before, ((header, ciphertext), commitment)| {
        binding.digest_in_run(&header, &before, run.hedge, commitment, ciphertext)
    })
}

/// Message ids and contents. `None` if one of the ciphertexts is not one of its key.
pub(super) fn decrypt(run: &RunView<'_>, keys: &[MessageKeys]) -> Option<Vec<(MessageId, Vec<u8>)>> {
    run.messages().zip(keys).map(|((_, ciphertext), keys)| keys.open(run.hedge, ciphertext)).collect()
}
