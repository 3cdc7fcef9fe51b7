//! Message keys that were skipped and may still be needed.

use super::chain::MessageKey;
use crate::limits::{MAX_SKIPPED_AGE, MAX_SKIPPED_PER_CHAIN};
use conclave_wire::ids::{MessageIndex, Timestamp};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Skipped keys of one chain, at most [`MAX_SKIPPED_PER_CHAIN`]: the last ones. Never an old chain key, from which a
/// thief would have all.
#[derive(Debug, Default, PartialEq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct SkippedKeys(#[n(0)] BTreeMap<MessageIndex, Skipped>);

#[derive(Debug, PartialEq, Encode, Decode)]
struct Skipped {
    #[n(0)]
    key: MessageKey,
    #[n(1)]
    since: Timestamp,
}

impl SkippedKeys {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn key(&self, index: MessageIndex) -> Option<&MessageKey> {
        self.0.get(&index).map(|skipped| &skipped.key)
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &MessageKey> {
        self.0.values().map(|skipped| &skipped.key)
    }

    pub(crate) fn remove(&mut self, index: MessageIndex) {
        self.0.remove(&index);
    }

    /// Adds keys, then forgets what is too old or too much.
    pub(crate) fn insert(&mut self, keys: Vec<(MessageIndex, MessageKey)>, now: Timestamp) {
        self.0.extend(keys.into_iter().map(|(index, key)| (index, Skipped { key, since: now })));
        self.0.retain(|_, skipped| now.since(skipped.since) <= MAX_SKIPPED_AGE);
        while self.0.len() > MAX_SKIPPED_PER_CHAIN {
            self.0.pop_first();
        }
    }

    /// Forgets the oldest key.
    pub(crate) fn evict(&mut self) {
        self.0.pop_first();
    }
}
