//! Sealing a message: one chain step, one AEAD ([`super::message_keys`]), one signature ([`super::digest`]).

use super::digest::{Binding, LABEL, link_of};
use super::event::GroupState;
use super::message_id::MessageId;
use super::message_keys::MessageKeys;
use super::sender_key::{OwnKey, Tag, Unconfirmed, first_link};
use super::state::Group;
use crate::aead::TAG;
use crate::kdf;
use crate::limits::{MAX_CONTENT, MAX_MESSAGES_PER_SENDER_KEY, MAX_UNCONFIRMED};
use crate::padding::padded_length;
use crate::ratchet::Chain;
use crate::record::Changes;
use conclave_wire::hash::Context;
use conclave_wire::ids::MessageIndex;
use conclave_wire::limits::{MAX_MESSAGES_PER_CHAIN, MAX_RUN, MAX_RUN_PADDED, MIN_RUN};
use conclave_wire::message::{self, Header, Hedge, Link};
use conclave_wire::signature;
use rand_core::CryptoRng;
use thiserror::Error;

static OWN_MESSAGE: Context = Context::new("conclave v1 own message");

/// Why a message or a run cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// This device was removed, or lacks the epoch's secrets.
    #[error("this device cannot send to the group: it was removed, or must be welcomed again first")]
    NotActive(GroupState),
    /// There is no sender key, or it is used up, or will be within the run: distribute a new one first.
    #[error("this device needs a new sender key in the group first")]
    SenderKeyDue,
    /// Nothing to say.
    #[error("the message is empty")]
    Empty,
    /// Longer than [`MAX_CONTENT`].
    #[error("the message has {0} bytes, the limit is {MAX_CONTENT}")]
    TooLong(usize),
    /// [`MAX_UNCONFIRMED`] messages have not been seen in the log, or would not have been with those of the run.
    #[error("{MAX_UNCONFIRMED} messages wait to be accepted; send them first")]
    TooManyUnconfirmed,
    /// Not the number of messages that a run may have.
    #[error("a run has {MIN_RUN} to {MAX_RUN} messages, not {0}; seal one alone, and more in several runs")]
    RunCount(usize),
    /// Longer, when padded, than [`MAX_RUN_PADDED`].
    #[error(
        "the run's messages have {0} bytes when padded, the limit is {MAX_RUN_PADDED}; seal fewer at once"
    )]
    RunTooLong(usize),
}

/// A sealed message.
#[derive(Debug)]
pub struct Sealed {
    /// To post, after the changes are stored.
    pub message: Vec<u8>,
    /// Its name.
    pub id: MessageId,
    /// To store first, together with the message: its key is gone and it cannot be sealed again under it.
    pub changes: Changes,
}

impl Group {
    /// Seals `content` under a new message id.
    pub fn seal(&mut self, content: &[u8], rng: &mut impl CryptoRng) -> Result<Sealed, SealError> {
        self.seal_again(MessageId::random(rng), content, rng)
    }

    /// Seals `content` under an id that it was sealed under before, because the epoch or the sender key changed before
    /// the server accepted it. Receivers show an id once.
    pub fn seal_again(
        &mut self,
        id: MessageId,
        content: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed, SealError> {
        check_content(content)?;
        let Sealing { key, header, link, binding } = self.sealing(1)?;
        let (message_key, chain) = key.secrets.chain.peek(&kdf::CHAIN).ok_or(SealError::SenderKeyDue)?;
        let keys = MessageKeys::derive(&message_key);
        let hedge = random_hedge(rng);
        let length = padded_length(MessageId::SIZE + content.len()) + TAG;
        let mut message = message::begin(&header, &link, &hedge, length);
        keys.seal_onto(&mut message, &hedge, &id, content);
        let ciphertext = message.get(message::PREFIX..).unwrap_or_default();
        let digest = binding.digest(&header, &link, &hedge, &keys.commitment, ciphertext);
        let signature = signature::sign(&key.signing, LABEL, &digest);
        message.extend_from_slice(signature.as_bytes());
        let unconfirmed = Unconfirmed { tag: tag(&message), ids: vec![id], link: link_of(&digest) };
        Ok(Sealed { message, id, changes: self.sealed(chain, unconfirmed) })
    }

    /// Whether a message sealed under `id` is still good to be posted: sealed in this epoch under the present sender
    /// key, and not seen in the log. If not, and it was never shown, [`seal_again`](Self::seal_again).
    pub fn is_unconfirmed(&self, id: &MessageId) -> bool {
        self.own.unconfirmed.iter().any(|sent| sent.ids.contains(id))
    }

    /// Checks that so many messages can be sealed now. Changes nothing.
    pub(super) fn sealing(&mut self, count: u16) -> Result<Sealing<'_>, SealError> {
        if self.state() != GroupState::Active {
            return Err(SealError::NotActive(self.state()));
        }
        if self.own.unconfirmed_messages() + usize::from(count) > MAX_UNCONFIRMED {
            return Err(SealError::TooManyUnconfirmed);
        }
        let leaf = self.own_leaf().ok_or(SealError::NotActive(GroupState::Removed))?;
        let (group, head, epoch) = (self.id(), self.public.head(), self.epoch());
        let link = self.own.link;
        let key = self.own.active.as_mut().ok_or(SealError::SenderKeyDue)?;
        let index = key.secrets.chain.index();
        let sealed = key.sealed.saturating_add(u32::from(count));
        let MessageIndex(end) = MessageIndex(index.0.saturating_add(count));
        if sealed > MAX_MESSAGES_PER_SENDER_KEY || end > MAX_MESSAGES_PER_CHAIN {
            return Err(SealError::SenderKeyDue);
        }
        let certificate = key.certificate.hash();
        let header = Header { epoch, leaf, generation: key.certificate.body().generation, index };
        let link = link.unwrap_or_else(|| first_link(&certificate));
        Ok(Sealing { key, header, link, binding: Binding { group, head, certificate } })
    }

    /// Moves on to where sealing took the chain.
    pub(super) fn sealed(&mut self, chain: Chain, unconfirmed: Unconfirmed) -> Changes {
        if let Some(key) = &mut self.own.active {
            key.secrets.chain = chain;
            key.sealed += u32::try_from(unconfirmed.ids.len()).unwrap_or(u32::MAX);
        }
        self.own.link = Some(unconfirmed.link);
        self.own.unconfirmed.push_back(unconfirmed);
        let mut changes = Changes::default();
        self.put_own_state(&mut changes);
        changes
    }
}

/// What the next message is sealed with.
pub(super) struct Sealing<'a> {
    pub(super) key: &'a mut OwnKey,
    pub(super) header: Header,
    pub(super) link: Link,
    pub(super) binding: Binding,
}

pub(super) fn check_content(content: &[u8]) -> Result<(), SealError> {
    match content.len() {
        0 => Err(SealError::Empty),
        len if len > MAX_CONTENT => Err(SealError::TooLong(len)),
        _ => Ok(()),
    }
}

pub(super) fn random_hedge(rng: &mut impl CryptoRng) -> Hedge {
    let mut hedge = Hedge::default();
    rng.fill_bytes(&mut hedge);
    hedge
}

/// Recognises what we sealed in the log.
pub(super) fn tag(message: &[u8]) -> Tag {
    let mut tag = Tag::default();
    OWN_MESSAGE.fill(&[message], &mut tag);
    tag
}
