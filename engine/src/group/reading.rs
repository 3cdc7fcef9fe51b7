//! A sender of whom a message or a run is about to be read, and what reading it changes.

use super::digest::{Binding, link_of};
use super::event::{Continuity, GroupMessage, Recovered, Sender};
use super::last_read::LastRead;
use super::pending::{Pending, PendingMessages};
use super::receive::ReceiveError;
use super::sender_key::{PeerKey, PeerSender};
use super::state::Group;
use crate::kdf;
use conclave_wire::ids::{Epoch, Seq, Timestamp};
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;
use conclave_wire::message::{Header, Link};

/// Where an entry stands and when it is read.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) seq: Seq,
    pub(super) now: Timestamp,
}

/// A sender whose key for the entry is known.
pub(super) struct Reading<'a> {
    pub(super) sender: Sender,
    pub(super) binding: Binding,
    pub(super) key: &'a mut PeerKey,
    expected: &'a mut Option<Link>,
    pending: &'a mut PendingMessages,
}

impl Group {
    /// The sender of an entry of the present epoch, if we have the key of its generation.
    pub(super) fn reading(
        &mut self,
        sender: Sender,
        since: Epoch,
        header: &Header,
    ) -> Result<Reading<'_>, ReceiveError> {
        let (group, head) = (self.id(), self.public.head());
        let need = || ReceiveError::NeedSenderKey { device: sender.device, generation: header.generation };
        let state = self.senders.get_mut(&sender.device).filter(|state| state.since == since);
        let state = state.ok_or_else(need)?;
        if header.generation < state.generation {
            let (current, found) = (state.generation, header.generation);
            return Err(ReceiveError::OldGeneration { current, found });
        }
        let PeerSender { key: Some(key), link: expected, pending, .. } = state else { return Err(need()) };
        if header.generation != key.generation() {
            return Err(need());
        }
        let binding = Binding { group, head, certificate: key.certificate.hash() };
        Ok(Reading { sender, binding, key, expected, pending })
    }
}

impl Reading<'_> {
    /// What an entry is that neither verifies nor could wait for one that vouches for it.
    pub(super) fn unauthentic(&self) -> ReceiveError {
        ReceiveError::Unauthentic { device: self.sender.device, generation: self.key.generation() }
    }

    /// Keeps a message back until a later one vouches for it.
    pub(super) fn hold_back(&mut self, message: Pending) {
        self.pending.push(message);
    }

    /// Notes an entry that was authentic, with this link, and whose keys have been taken: it vouches for pending messages
    /// that it links to, and drops the others. Returns how it follows.
    pub(super) fn accept(
        &mut self,
        link: &Link,
        read: LastRead,
        at: At,
        recovered: &mut Vec<Recovered>,
    ) -> Continuity {
        let (sender, mut last) = (self.sender, *self.expected);
        for vouched in self.pending.accept(*link) {
            let Ok(advance) = self.key.chain.peek(&kdf::CHAIN, vouched.index, MAX_MESSAGES_PER_CHAIN) else {
                continue;
            };
            self.key.chain.apply(advance, at.now);
            let continuity = continuity(last, &vouched.link);
            last = Some(vouched.own_link);
            let (id, content) = (vouched.id, vouched.content.clone());
            let message = GroupMessage { sender, id, content, continuity };
            recovered.push(Recovered { seq: vouched.seq, vouched_by: at.seq, message });
        }
        *self.expected = Some(link_of(&read.digest));
        self.key.last_read = Some(read);
        continuity(last, link)
    }
}

/// Whether a message with this link follows the sender's last one.
pub(super) fn continuity(last: Option<Link>, link: &Link) -> Continuity {
    match last {
        None => Continuity::First,
        Some(last) if last == *link => Continuity::Linked,
        Some(_) => Continuity::Gap,
    }
}
