//! A chain key that steps forward and never back.
//!
//! ```text
//!     message key ‖ chain key' = KDF(context, chain key)
//! ```
//!
//! Source: Marlinspike and Perrin, "The Double Ratchet Algorithm", section 2.2 (symmetric-key ratchet).

use crate::kdf::derive_pair;
use crate::secret::Secret;
use conclave_wire::hash::Context;
use conclave_wire::ids::MessageIndex;
use minicbor::{Decode, Encode};

/// What one step of a chain yields, for one message.
#[derive(Debug, PartialEq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct MessageKey(#[n(0)] pub(crate) Secret<32>);

/// A chain at its next index.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(crate) struct Chain {
    #[n(0)]
    key: Secret<32>,
    #[n(1)]
    index: MessageIndex,
}

impl Chain {
    /// A chain that stands at `index`.
    pub(crate) fn new(key: Secret<32>, index: MessageIndex) -> Self {
        Self { key, index }
    }

    /// The index of the next message key.
    pub(crate) fn index(&self) -> MessageIndex {
        self.index
    }

    /// The chain key, for handing the chain to a newcomer.
    pub(crate) fn key(&self) -> &Secret<32> {
        &self.key
    }

    /// The key at the present index, and the chain after it; `None` at the end of the index's range. The old chain is
    /// the caller's to drop, when the step is known to count.
    pub(crate) fn peek(&self, context: &Context) -> Option<(MessageKey, Self)> {
        let index = self.index.next()?;
        let (message_key, key) = derive_pair(context, &[self.key.as_bytes()]);
        Some((MessageKey(message_key), Self { key, index }))
    }

    /// A second holder of the same chain; the welcome and the bench of staged keys need one.
    pub(crate) fn duplicate(&self) -> Self {
        Self { key: self.key.duplicate(), index: self.index }
    }
}
