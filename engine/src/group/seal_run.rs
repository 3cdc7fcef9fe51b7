//! Sealing a run: a chain step and an AEAD for each message, one signature for all ([`super::digest`]).

use super::digest::{RUN_LABEL, before_first, link_of};
use super::message_id::MessageId;
use super::message_keys::MessageKeys;
use super::seal::{SealError, Sealing, check_content, random_hedge, tag};
use super::sender_key::Unconfirmed;
use super::state::Group;
use crate::kdf;
use crate::padding::padded_length;
use crate::record::Changes;
use conclave_wire::limits::{MAX_RUN, MAX_RUN_PADDED, MIN_RUN};
use conclave_wire::message::Header;
use conclave_wire::run::RunWriter;
use conclave_wire::signature;
use rand_core::CryptoRng;

/// A sealed run.
#[derive(Debug)]
pub struct SealedRun {
    /// To post as one message, after the changes are stored.
    pub entry: Vec<u8>,
    /// The messages' names, in their order.
    pub ids: Vec<MessageId>,
    /// To store first, together with the entry: its keys are gone and it cannot be sealed again under them.
    pub changes: Changes,
}

impl Group {
    /// Seals several messages into one entry of the log, under new message ids: 2 to [`MAX_RUN`], each up to
    /// [`MAX_CONTENT`](crate::limits::MAX_CONTENT), together up to [`MAX_RUN_PADDED`] when padded. They arrive together or
    /// not at all, in this order, and cost one signature.
    ///
    /// [`SealError::SenderKeyDue`] may come before [`sender_key_due`](Self::sender_key_due) says so: the sender key
    /// must last for the whole run.
    pub fn seal_run(&mut self, contents: &[&[u8]], rng: &mut impl CryptoRng) -> Result<SealedRun, SealError> {
        check_count(contents.len())?;
        let messages: Vec<_> = contents.iter().map(|content| (MessageId::random(rng), *content)).collect();
        self.seal_run_again(&messages, rng)
    }

    /// The same under ids that the messages were sealed under before, in a run or alone, as with
    /// [`seal_again`](Self::seal_again).
    pub fn seal_run_again(
        &mut self,
        messages: &[(MessageId, &[u8])],
        rng: &mut impl CryptoRng,
    ) -> Result<SealedRun, SealError> {
        let count = check_count(messages.len())?;
        messages.iter().try_for_each(|(_, content)| check_content(content))?;
        let padded = messages.iter().map(|(_, content)| padded_length(MessageId::SIZE + content.len())).sum();
        if padded > MAX_RUN_PADDED {
            return Err(SealError::RunTooLong(padded));
        }
        let Sealing { key, header, link, binding } = self.sealing(count)?;
        let hedge = random_hedge(rng);
        let mut run = RunWriter::new(&header, &link, &hedge, count, padded);
        let mut chain = key.secrets.chain.duplicate();
        let mut digest = before_first(&link);
        for (id, content) in messages {
            let header = Header { index: chain.index(), ..header };
            let (message_key, next) = chain.peek(&kdf::CHAIN).ok_or(SealError::SenderKeyDue)?;
            chain = next;
            let keys = MessageKeys::derive(&message_key);
            let ciphertext = run.message(|out| keys.seal_onto(out, &hedge, id, content));
            digest = binding.digest_in_run(&header, &digest, &hedge, &keys.commitment, ciphertext);
        }
        let entry = run.finish(&signature::sign(&key.signing, RUN_LABEL, &digest));
        let ids: Vec<_> = messages.iter().map(|(id, _)| *id).collect();
        let unconfirmed = Unconfirmed { tag: tag(&entry), ids: ids.clone(), link: link_of(&digest) };
        Ok(SealedRun { entry, ids, changes: self.sealed(chain, unconfirmed) })
    }
}

fn check_count(count: usize) -> Result<u16, SealError> {
    let refused = SealError::RunCount(count);
    if !(MIN_RUN..=MAX_RUN).contains(&count) {
        return Err(refused);
    }
    u16::try_from(count).map_err(|_| refused)
}
