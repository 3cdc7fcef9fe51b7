//! Reading a backlog at the speed of memory: one signature for each chain of links.
//!
//! Messages of one sender that stand in the order of their indices, each linking to the one before, are vouched for by
//! the signature of the last. So a stretch of messages between two other entries is first opened without looking at
//! the signatures in between, and nothing is released or changed until the last one of each sender has been verified.
//! If anything is not as it should be, the stretch is read again one by one, as live reading does: what is accepted
//! is the same either way (R68).
//!
//! Signatures are never verified as a batch: batch verification of Ed25519 can disagree with single verification
//! (Chalkias et al., "Taming the many EdDSAs").

use super::event::{Event, GroupMessage, GroupState, Recovered, Sender};
use super::open::{continuity, decrypt, digest};
use super::receive::ReceiveError;
use super::seal::{Binding, LABEL, MessageKeys, link_of};
use super::sender_key::PeerKey;
use super::state::Group;
use crate::device::Device;
use crate::kdf;
use crate::limits::{MAX_PENDING, MAX_PENDING_BYTES};
use crate::ratchet::Chain;
use crate::record::Changes;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{DeviceId, Epoch, LeafIndex, Seq, Timestamp};
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;
use conclave_wire::message::{Link, MessageView};
use conclave_wire::signature::Signature;
use std::collections::{BTreeMap, btree_map};

/// What [`Group::receive_all`] returns.
#[derive(Debug)]
pub struct CaughtUp {
    /// What became of each entry, in log order. An entry that was refused has been stepped over.
    pub events: Vec<(Seq, Result<Event, ReceiveError>)>,
    /// Messages that were pending and have been vouched for.
    pub recovered: Vec<Recovered>,
    /// To store.
    pub changes: Changes,
}

impl Group {
    /// Processes many entries at once, from the one after the cursor on. Stops before an entry that does not follow the
    /// one before it, and after one that removes this device.
    ///
    /// Ends in the same state as [`receive`](Self::receive) for each entry, with [`skip`](Self::skip) for those that
    /// are refused.
    pub fn receive_all(&mut self, device: &mut Device, entries: &[Entry], now: Timestamp) -> CaughtUp {
        let mut caught_up =
            CaughtUp { events: Vec::new(), recovered: Vec::new(), changes: Changes::default() };
        let me = self.own_leaf();
        // Our own messages were not sealed for us: they are recognised one by one.
        let others = |entry: &Entry| {
            entry.kind == EntryKind::Message
                && MessageView::parse(&entry.body.0).is_ok_and(|message| Some(message.header.leaf) != me)
        };
        for stretch in entries.chunk_by(|a, b| others(a) && others(b)) {
            if self.open_stretch(stretch, &mut caught_up).is_none() {
                for entry in stretch {
                    if self.receive_or_skip(device, entry, now, &mut caught_up).is_none() {
                        return caught_up;
                    }
                }
            }
        }
        caught_up
    }

    /// One entry, as live reading takes it. `None` if nothing can follow.
    fn receive_or_skip(
        &mut self,
        device: &mut Device,
        entry: &Entry,
        now: Timestamp,
        caught_up: &mut CaughtUp,
    ) -> Option<()> {
        let result = match self.receive(device, entry, now) {
            Ok(received) => {
                caught_up.changes.extend(received.changes);
                caught_up.recovered.extend(received.recovered);
                Ok(received.event)
            }
            Err(error) => {
                caught_up.changes.extend(self.skip(entry).ok()?);
                Err(error)
            }
        };
        let end = matches!(result, Ok(Event::Removed { .. }) | Err(ReceiveError::Removed));
        caught_up.events.push((entry.seq, result));
        (!end).then_some(())
    }

    /// Opens a stretch of messages by their links. `None`, with nothing changed, if that is not possible.
    fn open_stretch(&mut self, stretch: &[Entry], caught_up: &mut CaughtUp) -> Option<()> {
        let [first, .., last] = stretch else { return None };
        self.check_position(first).ok()?;
        if self.state() != GroupState::Active || first.kind != EntryKind::Message {
            return None;
        }
        let mut opened: BTreeMap<LeafIndex, Thread<'_>> = BTreeMap::new();
        let mut events = Vec::with_capacity(stretch.len());
        for (entry, seq) in stretch.iter().zip(first.seq.0..) {
            if entry.group != self.id() || entry.seq != Seq(seq) {
                return None;
            }
            let message = MessageView::parse(&entry.body.0).ok()?;
            let leaf = message.header.leaf;
            let thread = match opened.entry(leaf) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(new) => new.insert(self.thread(leaf)?),
            };
            events.push((entry.seq, Ok(Event::Message(thread.open(&message)?))));
        }
        let mut followed = Vec::with_capacity(opened.len());
        for thread in opened.into_values() {
            followed.push(thread.finish()?);
        }

        // Everything has been checked.
        let mut moved = Vec::with_capacity(followed.len());
        for (device, chain, link) in followed {
            let sender = self.senders.get_mut(&device)?;
            sender.link = Some(link);
            sender.key.as_mut()?.chain.follow(chain);
            moved.push(device);
        }
        self.put_chains_of(&moved, &mut caught_up.changes);
        self.pass(last, &mut caught_up.changes);
        caught_up.events.extend(events);
        Some(())
    }

    /// A sender whose messages can be followed by their links.
    fn thread(&self, leaf: LeafIndex) -> Option<Thread<'_>> {
        let found = self.roster().leaf(leaf)?;
        let device = found.device.id();
        let sender = self.senders.get(&device).filter(|sender| sender.since == found.since)?;
        let key = sender.key.as_ref().filter(|_| sender.pending.is_empty())?;
        let (group, head) = (self.id(), self.public.head());
        Some(Thread {
            sender: Sender { account: found.account, device, leaf },
            epoch: self.epoch(),
            key,
            binding: Binding { group, head, certificate: key.certificate.hash() },
            chain: key.chain.chain().duplicate(),
            last: sender.link,
            unverified: None,
            unverified_count: 0,
            unverified_bytes: 0,
        })
    }
}

/// The messages of one sender in a stretch, opened one after the other.
struct Thread<'a> {
    sender: Sender,
    epoch: Epoch,
    key: &'a PeerKey,
    binding: Binding,
    chain: Chain,
    /// Link that the next message must have.
    last: Option<Link>,
    /// The last message opened, if its signature has not been looked at.
    unverified: Option<([u8; 32], Signature)>,
    /// Messages since the last signature that was verified.
    unverified_count: usize,
    /// Their content.
    unverified_bytes: usize,
}

impl Thread<'_> {
    fn open(&mut self, message: &MessageView<'_>) -> Option<GroupMessage> {
        let header = message.header;
        let in_order = header.epoch == self.epoch
            && header.generation == self.key.generation()
            && header.index == self.chain.index()
            && header.index.0 < MAX_MESSAGES_PER_CHAIN;
        // Within the stretch only an exact link vouches; before its first message there may be a gap.
        if !in_order || (self.unverified.is_some() && self.last != Some(*message.link)) {
            return None;
        }
        let (message_key, chain) = self.chain.peek(&kdf::CHAIN)?;
        let keys = MessageKeys::derive(&message_key);
        let digest = digest(&self.binding, message, &keys);
        let (id, content) = decrypt(message, &keys)?;
        let continuity = continuity(self.last, message.link);
        self.chain = chain;
        self.last = Some(link_of(&digest));
        // As many as live reading would keep pending, and no more.
        self.unverified_bytes += content.len();
        if self.unverified_count + 1 >= MAX_PENDING || self.unverified_bytes > MAX_PENDING_BYTES {
            self.verify(&digest, &message.signature)?;
        } else {
            self.unverified_count += 1;
        }
        self.unverified = Some((digest, message.signature));
        Some(GroupMessage { sender: self.sender, id, content, continuity })
    }

    fn verify(&mut self, digest: &[u8; 32], signature: &Signature) -> Option<()> {
        self.key.verifying.verify(LABEL, digest, signature).ok()?;
        (self.unverified_count, self.unverified_bytes) = (0, 0);
        Some(())
    }

    fn finish(mut self) -> Option<(DeviceId, Chain, Link)> {
        let (digest, signature) = self.unverified.take()?;
        if self.unverified_count > 0 {
            self.verify(&digest, &signature)?;
        }
        Some((self.sender.device, self.chain, self.last?))
    }
}
