//! Looking up the keys of several indices in a row, as a run of messages needs them: all or none.

use super::chain::{Chain, MessageKey};
use super::receiving::{ChainError, ReceivingChain};
use crate::limits::MAX_SKIPPED_PER_CHAIN;
use conclave_wire::hash::Context;
use conclave_wire::ids::{MessageIndex, Timestamp};
use std::collections::VecDeque;

/// Keys that were looked up, and what taking them would change.
pub(crate) struct RunAdvance {
    first: MessageIndex,
    keys: Vec<MessageKey>,
    /// The chain after them and the keys passed over on the way, the last [`MAX_SKIPPED_PER_CHAIN`]; `None` if all were
    /// among the skipped keys.
    ahead: Option<(Chain, VecDeque<(MessageIndex, MessageKey)>)>,
}

impl RunAdvance {
    /// In the order of their indices.
    pub(crate) fn keys(&self) -> &[MessageKey] {
        &self.keys
    }
}

impl ReceivingChain {
    /// Looks up the keys of `count` indices from `first` on; changes nothing. Costs one derivation for each index up to
    /// the last, of which there are fewer than `end`.
    pub(crate) fn peek_run(
        &self,
        context: &Context,
        first: MessageIndex,
        count: u16,
        end: u16,
    ) -> Result<RunAdvance, ChainError> {
        let last = first.0.saturating_add(count.saturating_sub(1));
        if last >= end {
            return Err(ChainError::TooFar(MessageIndex(last)));
        }
        let beyond = last + 1;
        let mut keys = Vec::with_capacity(usize::from(count));
        for index in (first.0..beyond.min(self.chain.index().0)).map(MessageIndex) {
            let key = self.skipped.key(index).ok_or(ChainError::Consumed(index))?;
            keys.push(MessageKey(key.0.duplicate()));
        }
        if beyond <= self.chain.index().0 {
            return Ok(RunAdvance { first, keys, ahead: None });
        }
        let (mut chain, mut passed) = (self.chain.duplicate(), VecDeque::new());
        while chain.index().0 < beyond {
            let at = chain.index();
            let (key, next) = chain.peek(context).ok_or(ChainError::TooFar(at))?;
            chain = next;
            if at >= first {
                keys.push(key);
                continue;
            }
            if passed.len() == MAX_SKIPPED_PER_CHAIN {
                passed.pop_front();
            }
            passed.push_back((at, key));
        }
        Ok(RunAdvance { first, keys, ahead: Some((chain, passed)) })
    }

    /// Takes keys that this chain looked up.
    pub(crate) fn apply_run(&mut self, advance: RunAdvance, now: Timestamp) {
        for index in (advance.first.0..).take(advance.keys.len()) {
            self.skipped.remove(MessageIndex(index));
        }
        if let Some((chain, passed)) = advance.ahead {
            self.chain = chain;
            self.skipped.insert(passed.into(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kdf;
    use crate::secret::Secret;

    const END: u16 = 5000;

    fn chain() -> ReceivingChain {
        ReceivingChain::new(Chain::new(Secret::from_bytes([1; 32]), MessageIndex(0)))
    }

    fn peek(chain: &ReceivingChain, index: u16) -> Result<MessageKey, ChainError> {
        let advance = chain.peek(&kdf::CHAIN, MessageIndex(index), END)?;
        Ok(MessageKey(advance.key().0.duplicate()))
    }

    fn take_run(chain: &mut ReceivingChain, first: u16, count: u16) -> Result<Vec<MessageKey>, ChainError> {
        let advance = chain.peek_run(&kdf::CHAIN, MessageIndex(first), count, END)?;
        let keys = advance.keys().iter().map(|key| MessageKey(key.0.duplicate())).collect();
        chain.apply_run(advance, Timestamp(0));
        Ok(keys)
    }

    /// Ahead, behind, and across the chain's position: the same keys as one at a time, and gone afterwards.
    #[test]
    fn the_keys_are_those_of_the_indices() {
        let keys: Vec<_> = (0..9).map(|index| peek(&chain(), index).unwrap()).collect();
        let mut runs = chain();
        assert_eq!(take_run(&mut runs, 4, 2).unwrap(), keys[4..6]);
        assert_eq!(take_run(&mut runs, 1, 2).unwrap(), keys[1..3]);
        let advance = runs.peek(&kdf::CHAIN, MessageIndex(6), END).unwrap();
        assert_eq!(advance.key(), &keys[6]);
        assert!(peek(&runs, 0).is_ok() && peek(&runs, 3).is_ok());
        for index in [1, 2, 4, 5] {
            assert_eq!(peek(&runs, index), Err(ChainError::Consumed(MessageIndex(index))));
        }
        assert_eq!(runs.skipped(), 2);
        let mut across = chain();
        take_run(&mut across, 5, 1).unwrap();
        let skip = across.peek(&kdf::CHAIN, MessageIndex(7), END).unwrap();
        across.apply(skip, Timestamp(0));
        assert_eq!(take_run(&mut across, 6, 1).unwrap(), keys[6..7]);
        take_run(&mut across, 0, 4).unwrap();
        assert_eq!(across.skipped(), 1);
        assert_eq!(take_run(&mut across, 8, 1).unwrap(), keys[8..]);
    }

    /// One that is gone, or lies beyond the end, and none is given.
    #[test]
    fn all_or_none() {
        let mut used = chain();
        take_run(&mut used, 5, 1).unwrap();
        let consumed = Err(ChainError::Consumed(MessageIndex(5)));
        assert_eq!(take_run(&mut used, 3, 4), consumed);
        assert_eq!(take_run(&mut used, 5, 2), consumed);
        assert_eq!(take_run(&mut used, 4, 1).unwrap().len(), 1, "it was not consumed by what was refused");
        for (first, count, last) in [(END - 1, 2, END), (END, 1, END), (0, END + 1, END)] {
            assert_eq!(take_run(&mut used, first, count), Err(ChainError::TooFar(MessageIndex(last))));
        }
        let overflow = take_run(&mut used, u16::MAX, 2);
        assert_eq!(overflow, Err(ChainError::TooFar(MessageIndex(u16::MAX))));
        assert!(take_run(&mut used, END - 2, 2).is_ok());
        assert_eq!(used.skipped(), MAX_SKIPPED_PER_CHAIN);
    }
}
