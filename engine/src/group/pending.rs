//! Messages that wait for a later one to vouch for them.
//!
//! A message whose own signature fails but which decrypts is *pending*: it is shown as nothing and its key stays. The
//! sender's next authentic message accepts it if it links to it, and drops it otherwise (R68). So what is accepted
//! depends on the log alone and not on whether it was read live or in bulk, where only the last signature of a chain
//! of links is looked at.

use super::message_id::MessageId;
use crate::limits::{MAX_PENDING, MAX_PENDING_BYTES};
use conclave_wire::ids::{MessageIndex, Seq};
use conclave_wire::message::Link;
use std::collections::VecDeque;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A message without a valid signature of its own.
#[derive(Debug, PartialEq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Pending {
    #[zeroize(skip)]
    pub(crate) seq: Seq,
    #[zeroize(skip)]
    pub(crate) index: MessageIndex,
    /// What it links to.
    #[zeroize(skip)]
    pub(crate) link: Link,
    /// What a message that vouches for it links to.
    #[zeroize(skip)]
    pub(crate) own_link: Link,
    #[zeroize(skip)]
    pub(crate) id: MessageId,
    pub(crate) content: Vec<u8>,
}

/// The pending messages of one sender in one epoch, in log order, bounded: the oldest is dropped.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PendingMessages(VecDeque<Pending>);

impl PendingMessages {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.0.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn push(&mut self, pending: Pending) {
        self.0.push_back(pending);
        let bytes = |all: &VecDeque<Pending>| all.iter().map(|p| p.content.len()).sum::<usize>();
        while self.0.len() > MAX_PENDING || bytes(&self.0) > MAX_PENDING_BYTES {
            self.0.pop_front();
        }
    }

    /// Takes out those that `link`, of an authentic message, vouches for, directly or through each other, in log order
    /// of the links. The others are dropped: the authentic message shows that they are not what the sender sent.
    pub(crate) fn accept(&mut self, link: Link) -> Vec<Pending> {
        let mut accepted = VecDeque::new();
        let mut link = link;
        while let Some(position) = self.0.iter().rposition(|pending| pending.own_link == link) {
            let Some(pending) = self.0.remove(position) else { break };
            link = pending.link;
            accepted.push_front(pending);
        }
        self.clear();
        accepted.into()
    }
}

impl FromIterator<Pending> for PendingMessages {
    fn from_iter<T: IntoIterator<Item = Pending>>(pending: T) -> Self {
        Self(pending.into_iter().collect())
    }
}
