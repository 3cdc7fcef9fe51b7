//! The receiving side of a chain: looks up the key of an index without consuming anything until the message that
//! claims the index has been authenticated.

use super::chain::{Chain, MessageKey};
use super::skipped_keys::SkippedKeys;
use crate::limits::MAX_SKIPPED_PER_CHAIN;
use crate::secret::Secret;
use conclave_wire::hash::Context;
use conclave_wire::ids::{MessageIndex, Timestamp};
use minicbor::{Decode, Encode};
use std::collections::VecDeque;
use thiserror::Error;

/// Why an index has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum ChainError {
    /// The key was used, or skipped so long ago that it was forgotten.
    #[error("message key {0} was used before, or forgotten")]
    Consumed(MessageIndex),
    /// Beyond what one chain may have.
    #[error("message index {0} is beyond the end of any chain")]
    TooFar(MessageIndex),
}

/// A chain and the keys that it skipped.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(crate) struct ReceivingChain {
    #[n(0)]
    pub(super) chain: Chain,
    #[n(1)]
    pub(super) skipped: SkippedKeys,
}

/// A key that was looked up, and what taking it would change.
pub(crate) enum Advance {
    /// It was among the skipped keys.
    Skipped(MessageIndex, MessageKey),
    /// It lies ahead.
    Forward {
        /// The key.
        key: MessageKey,
        /// The chain after it.
        chain: Chain,
        /// Keys passed over on the way: the last [`MAX_SKIPPED_PER_CHAIN`].
        passed: VecDeque<(MessageIndex, MessageKey)>,
    },
}

impl Advance {
    pub(crate) fn key(&self) -> &MessageKey {
        match self {
            Self::Skipped(_, key) | Self::Forward { key, .. } => key,
        }
    }
}

impl ReceivingChain {
    pub(crate) fn new(chain: Chain) -> Self {
        Self { chain, skipped: SkippedKeys::default() }
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(crate) fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// Every secret in it.
    #[cfg(test)]
    pub(crate) fn secrets(&self) -> Vec<[u8; 32]> {
        self.skipped.keys().map(|key| &key.0).chain([self.chain.key()]).map(|key| *key.as_bytes()).collect()
    }

    #[cfg(test)]
    pub(crate) fn skipped_key(&self, index: MessageIndex) -> Option<&MessageKey> {
        self.skipped.key(index)
    }

    pub(crate) fn evict(&mut self) {
        self.skipped.evict();
    }

    /// Looks up the key of `index`; changes nothing. Costs one derivation for each index between, of which there are
    /// fewer than `end`.
    pub(crate) fn peek(
        &self,
        context: &Context,
        index: MessageIndex,
        end: u16,
    ) -> Result<Advance, ChainError> {
        if index.0 >= end {
            return Err(ChainError::TooFar(index));
        }
        if index < self.chain.index() {
            let key = self.skipped.key(index).ok_or(ChainError::Consumed(index))?;
            return Ok(Advance::Skipped(index, MessageKey(Secret::duplicate(&key.0))));
        }
        let mut passed = VecDeque::new();
        let mut chain = self.chain.duplicate();
        loop {
            let at = chain.index();
            let (key, next) = chain.peek(context).ok_or(ChainError::TooFar(index))?;
            chain = next;
            if at == index {
                return Ok(Advance::Forward { key, chain, passed });
            }
            if passed.len() == MAX_SKIPPED_PER_CHAIN {
                passed.pop_front();
            }
            passed.push_back((at, key));
        }
    }

    /// Moves on to where this chain was followed without skipping anything.
    pub(crate) fn follow(&mut self, chain: Chain, now: Timestamp) {
        debug_assert!(chain.index() >= self.chain.index());
        self.chain = chain;
        // As each single step would: what is forgotten does not depend on how the log was read.
        self.skipped.insert(Vec::new(), now);
    }

    /// Takes a key that this chain looked up.
    pub(crate) fn apply(&mut self, advance: Advance, now: Timestamp) {
        match advance {
            Advance::Skipped(index, _) => self.skipped.remove(index),
            Advance::Forward { chain, passed, .. } => {
                self.chain = chain;
                self.skipped.insert(passed.into(), now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kdf;

    const END: u16 = 5000;

    fn chain() -> ReceivingChain {
        ReceivingChain::new(Chain::new(Secret::from_bytes([1; 32]), MessageIndex(0)))
    }

    fn take(chain: &mut ReceivingChain, index: u16) -> Result<[u8; 32], ChainError> {
        let advance = chain.peek(&kdf::CHAIN, MessageIndex(index), END)?;
        let key = *advance.key().0.as_bytes();
        chain.apply(advance, Timestamp(0));
        Ok(key)
    }

    #[test]
    fn order_does_not_matter_and_each_key_comes_once() {
        let (mut forward, mut shuffled) = (chain(), chain());
        let keys: Vec<_> = (0..5).map(|i| take(&mut forward, i).unwrap()).collect();
        for index in [3, 0, 4, 1, 2] {
            assert_eq!(take(&mut shuffled, index), Ok(keys[index as usize]));
            assert_eq!(take(&mut shuffled, index), Err(ChainError::Consumed(MessageIndex(index))));
        }
        assert_eq!(forward, shuffled);
    }

    #[test]
    fn looking_changes_nothing() {
        let looked = chain();
        assert!(looked.peek(&kdf::CHAIN, MessageIndex(7), END).is_ok());
        assert_eq!(looked, chain());
    }

    /// (R64) The last 1,000 skipped keys stay, older ones and indices beyond the end do not.
    #[test]
    fn bounds() {
        let mut jumped = chain();
        take(&mut jumped, 1500).unwrap();
        assert_eq!(jumped.skipped(), MAX_SKIPPED_PER_CHAIN);
        assert_eq!(take(&mut jumped, 499), Err(ChainError::Consumed(MessageIndex(499))));
        assert!(take(&mut jumped, 500).is_ok());
        assert_eq!(take(&mut jumped, END), Err(ChainError::TooFar(MessageIndex(END))));
    }

    #[test]
    fn skipped_keys_grow_old() {
        let mut old = chain();
        take(&mut old, 2).unwrap();
        let late = Timestamp(0).plus(crate::limits::MAX_SKIPPED_AGE).plus(std::time::Duration::from_secs(1));
        let advance = old.peek(&kdf::CHAIN, MessageIndex(3), END).unwrap();
        old.apply(advance, late);
        assert_eq!(take(&mut old, 0), Err(ChainError::Consumed(MessageIndex(0))));
    }
}
