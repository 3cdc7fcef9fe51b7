//! What a message key is used for.
//!
//! ```text
//!     mk ‖ ck'                               = KDF("chain", ck)
//!     key 32 ‖ commitment 32 ‖ nonce base 24 = KDF("message", mk)
//!     nonce                                  = base with its last 8 bytes xor hedge
//!     plaintext                              = pad(message id 16 ‖ content)
//!     ciphertext                             = AEAD(key, nonce, no associated data, plaintext)
//! ```
//!
//! The AEAD has no associated data because the [digest](super::digest) covers everything.

use super::message_id::MessageId;
use crate::aead;
use crate::kdf;
use crate::padding;
use crate::ratchet::MessageKey;
use crate::secret::Secret;
use conclave_wire::message::Hedge;

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

    /// Appends the ciphertext of a message and its tag to bytes with room for them.
    pub(super) fn seal_onto(&self, out: &mut Vec<u8>, hedge: &Hedge, id: &MessageId, content: &[u8]) {
        let from = out.len();
        padding::pad_onto(out, &[id.as_bytes(), content]);
        aead::seal_tail(&self.key, &self.nonce(hedge), out, from);
    }

    /// Message id and content. `None` if the ciphertext is not one of this key, or says nothing.
    pub(super) fn open(&self, hedge: &Hedge, ciphertext: &[u8]) -> Option<(MessageId, Vec<u8>)> {
        let mut bytes = aead::open_message(&self.key, &self.nonce(hedge), ciphertext).ok()?;
        let (id, content) = padding::unpad(&bytes).ok()?.split_first_chunk()?;
        let (id, length) = (MessageId::from_bytes(*id), content.len());
        if length == 0 {
            return None;
        }
        // What is left after the padding and the id is moved to the front, not copied elsewhere.
        bytes.truncate(MessageId::SIZE + length);
        bytes.drain(..MessageId::SIZE);
        Some((id, bytes))
    }

    pub(super) fn nonce(&self, hedge: &Hedge) -> [u8; 24] {
        let mut nonce = self.nonce_base;
        for (byte, hedge) in nonce.iter_mut().skip(16).zip(hedge) {
            *byte ^= hedge;
        }
        nonce
    }
}
