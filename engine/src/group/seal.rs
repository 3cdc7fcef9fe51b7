//! Sealing a message: one chain step, one AEAD, one signature.
//!
//! ```text
//!     mk ‖ ck'                      = KDF("chain", ck)
//!     key 32 ‖ commitment 32 ‖ nonce base 24 = KDF("message", mk)
//!     nonce                         = base with its last 8 bytes xor hedge
//!     plaintext                     = pad(message id 16 ‖ content)
//!     ciphertext                    = AEAD(key, nonce, no associated data, plaintext)
//!     digest                        = H("group message", header 16 ‖ group 32 ‖ head commit 32 ‖ certificate 32
//!                                        ‖ key commitment 32 ‖ link 16 ‖ hedge 8 ‖ ciphertext)
//!     signature                     = Ed25519(generation key, label ‖ digest)
//!     link of the next message      = first 16 bytes of digest
//! ```
//!
//! Head commit, certificate and key commitment are covered and not sent: a receiver with another view of the group or
//! another key fails the verification (R62). The AEAD has no associated data because the digest covers everything.

use super::event::GroupState;
use super::message_id::MessageId;
use super::sender_key::{Tag, Unconfirmed, first_link};
use super::state::Group;
use crate::aead;
use crate::kdf;
use crate::limits::{MAX_CONTENT, MAX_MESSAGES_PER_SENDER_KEY, MAX_UNCONFIRMED};
use crate::padding;
use crate::ratchet::MessageKey;
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::hash::{Context, GROUP_MESSAGE};
use conclave_wire::ids::{CertificateHash, CommitHash, GroupId};
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;
use conclave_wire::message::{self, Header, Hedge, Link};
use conclave_wire::signature::{self, Label};
use rand_core::CryptoRng;
use thiserror::Error;

pub(super) const LABEL: Label = Label("conclave v1 sign group message");
static OWN_MESSAGE: Context = Context::new("conclave v1 own message");

/// Why a message cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// This device was removed, or lacks the epoch's secrets.
    #[error("this device cannot send to the group: it was removed, or must be welcomed again first")]
    NotActive(GroupState),
    /// There is no sender key, or it is used up: distribute a new one first.
    #[error("this device needs a new sender key in the group first")]
    SenderKeyDue,
    /// Nothing to say.
    #[error("the message is empty")]
    Empty,
    /// Longer than [`MAX_CONTENT`].
    #[error("the message has {0} bytes, the limit is {MAX_CONTENT}")]
    TooLong(usize),
    /// [`MAX_UNCONFIRMED`] messages have not been seen in the log.
    #[error("{MAX_UNCONFIRMED} messages wait to be accepted; send them first")]
    TooManyUnconfirmed,
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
        if self.state() != GroupState::Active {
            return Err(SealError::NotActive(self.state()));
        }
        match content.len() {
            0 => return Err(SealError::Empty),
            len if len > MAX_CONTENT => return Err(SealError::TooLong(len)),
            _ => {}
        }
        if self.own.unconfirmed.len() >= MAX_UNCONFIRMED {
            return Err(SealError::TooManyUnconfirmed);
        }
        let leaf = self.own_leaf().ok_or(SealError::NotActive(GroupState::Removed))?;
        let key = self.own.active.as_mut().ok_or(SealError::SenderKeyDue)?;
        let index = key.secrets.chain.index();
        if key.sealed >= MAX_MESSAGES_PER_SENDER_KEY || index.0 >= MAX_MESSAGES_PER_CHAIN {
            return Err(SealError::SenderKeyDue);
        }
        let (message_key, chain) = key.secrets.chain.peek(&kdf::CHAIN).ok_or(SealError::SenderKeyDue)?;

        let certificate = key.certificate.hash();
        let generation = key.certificate.body().generation;
        let header = Header { epoch: self.public.epoch(), leaf, generation, index };
        let link = self.own.link.unwrap_or_else(|| first_link(&certificate));
        let mut hedge = Hedge::default();
        rng.fill_bytes(&mut hedge);
        let keys = MessageKeys::derive(&message_key);
        let plaintext = padding::pad(&[id.as_bytes(), content]);
        let ciphertext = aead::seal(&keys.key, &keys.nonce(&hedge), &[], plaintext);
        let view = Binding { group: self.public.id(), head: self.public.head(), certificate };
        let digest = view.digest(&header, &link, &hedge, &keys.commitment, &ciphertext);
        let signature = signature::sign(&key.signing, LABEL, &digest);
        let message = message::assemble(&header, &link, &hedge, &ciphertext, &signature);

        key.secrets.chain = chain;
        key.sealed += 1;
        let link = link_of(&digest);
        self.own.link = Some(link);
        self.own.unconfirmed.push_back(Unconfirmed { tag: tag(&message), id, link });
        let mut changes = Changes::default();
        self.put_own_state(&mut changes);
        Ok(Sealed { message, id, changes })
    }

    /// Whether a message sealed under `id` is still good to be posted: sealed in this epoch under the present sender
    /// key, and not seen in the log. If not, and it was never shown, [`seal_again`](Self::seal_again).
    pub fn is_unconfirmed(&self, id: &MessageId) -> bool {
        self.own.unconfirmed.iter().any(|sent| sent.id == *id)
    }
}

/// What a message key is used for.
pub(super) struct MessageKeys {
    pub(super) key: Secret<32>,
    pub(super) commitment: [u8; 32],
    nonce_base: [u8; 24],
}

impl MessageKeys {
    pub(super) fn derive(message_key: &MessageKey) -> Self {
        let wide: Secret<88> = kdf::derive(&kdf::MESSAGE, &[message_key.0.as_bytes()]);
        let (mut key, mut commitment, mut nonce_base) = (Secret::zeroed(), [0; 32], [0; 24]);
        let (first, rest) = wide.as_bytes().split_at(32);
        let (second, third) = rest.split_at(32);
        key.as_bytes_mut().copy_from_slice(first);
        commitment.copy_from_slice(second);
        nonce_base.copy_from_slice(third);
        Self { key, commitment, nonce_base }
    }

    pub(super) fn nonce(&self, hedge: &Hedge) -> [u8; 24] {
        let mut nonce = self.nonce_base;
        for (byte, hedge) in nonce.iter_mut().skip(16).zip(hedge) {
            *byte ^= hedge;
        }
        nonce
    }
}

/// What a message's digest covers and the message does not carry.
pub(super) struct Binding {
    pub(super) group: GroupId,
    pub(super) head: CommitHash,
    pub(super) certificate: CertificateHash,
}

impl Binding {
    pub(super) fn digest(
        &self,
        header: &Header,
        link: &Link,
        hedge: &Hedge,
        commitment: &[u8; 32],
        ciphertext: &[u8],
    ) -> [u8; 32] {
        GROUP_MESSAGE.hash(&[
            &header.encode(),
            self.group.as_bytes(),
            self.head.as_bytes(),
            self.certificate.as_bytes(),
            commitment,
            link,
            hedge,
            ciphertext,
        ])
    }
}

/// What the sender's next message links to.
pub(super) fn link_of(digest: &[u8; 32]) -> Link {
    let mut link = Link::default();
    let (first, _) = digest.split_at(link.len());
    link.copy_from_slice(first);
    link
}

/// Recognises our own message in the log.
pub(super) fn tag(message: &[u8]) -> Tag {
    let mut tag = Tag::default();
    OWN_MESSAGE.fill(&[message], &mut tag);
    tag
}
