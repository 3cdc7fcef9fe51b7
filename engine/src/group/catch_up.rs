//! Reading a backlog at the speed of memory: one signature for each chain of links.
//!
//! Messages of one sender that stand in the order of their indices, each linking to the one before, are vouched for by
//! the signature of the last. So a stretch of messages between two other entries is first opened without looking at
//! the signatures in between, and nothing is released or changed until the last one of each sender has been verified.
//! If anything is not as it should be, the stretch is read again one by one, as live reading does: what is accepted
//! is the same either way (R68). The following itself is in [`super::thread`].
//!
//! Signatures are never verified as a batch: batch verification of Ed25519 can disagree with single verification
//! (Chalkias et al., "Taming the many EdDSAs").

use super::digest::Binding;
use super::event::{Event, GroupState, Recovered, Sender};
use super::receive::ReceiveError;
use super::state::Group;
use super::thread::Thread;
use crate::device::Device;
use crate::record::Changes;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{LeafIndex, Seq, Timestamp};
use conclave_wire::message_entry::MessageEntry;
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
                && MessageEntry::parse(&entry.body.0).is_ok_and(|message| Some(message.header().leaf) != me)
        };
        for stretch in entries.chunk_by(|a, b| others(a) && others(b)) {
            if self.open_stretch(stretch, now, &mut caught_up).is_none() {
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
    fn open_stretch(&mut self, stretch: &[Entry], now: Timestamp, caught_up: &mut CaughtUp) -> Option<()> {
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
            let message = MessageEntry::parse(&entry.body.0).ok()?;
            let leaf = message.header().leaf;
            let thread = match opened.entry(leaf) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(new) => new.insert(self.thread(leaf)?),
            };
            events.push((entry.seq, Ok(thread.open(&message)?)));
        }
        let mut followed = Vec::with_capacity(opened.len());
        for thread in opened.into_values() {
            followed.push(thread.finish()?);
        }

        // Everything has been checked.
        let mut moved = Vec::with_capacity(followed.len());
        for followed in followed {
            let sender = self.senders.get_mut(&followed.device)?;
            let key = sender.key.as_mut()?;
            sender.link = Some(followed.link);
            key.chain.follow(followed.chain, now);
            key.last_read = Some(followed.last_read);
            moved.push(followed.device);
        }
        self.put_chains_of(&moved, &mut caught_up.changes);
        self.pass(last, &mut caught_up.changes);
        caught_up.events.extend(events);
        Some(())
    }

    /// A sender whose messages can be followed by their links. One that is heard of for the first time is verified by live
    /// reading (R73).
    fn thread(&self, leaf: LeafIndex) -> Option<Thread<'_>> {
        let found = self.roster().leaf(leaf).filter(|_| self.public.endorsement(leaf).is_none())?;
        let device = found.device.id();
        let state = self.senders.get(&device).filter(|state| state.since == found.since)?;
        let key = state.key.as_ref().filter(|_| state.pending.is_empty())?;
        let (group, head) = (self.id(), self.public.head());
        let sender = Sender { account: found.account, device, leaf };
        let binding = Binding { group, head, certificate: key.certificate.hash() };
        Some(Thread::new(sender, self.epoch(), key, binding, state.link))
    }
}
