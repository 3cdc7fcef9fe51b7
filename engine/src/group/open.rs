//! Opening a message: the mirror of [`super::seal`].

use super::digest::{Binding, LABEL, link_of};
use super::event::{Event, GroupMessage, Recovered, Sender};
use super::last_read::LastRead;
use super::message_keys::MessageKeys;
use super::pending::Pending;
use super::reading::{At, Reading};
use super::receive::ReceiveError;
use super::seal::tag;
use super::sender_key::PeerSender;
use super::state::Group;
use crate::kdf;
use crate::limits::MAX_SKIPPED_PER_GROUP;
use crate::ratchet::ChainError;
use crate::record::Changes;
use conclave_wire::entry::Entry;
use conclave_wire::ids::Timestamp;
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;
use conclave_wire::message::{Header, MessageView};
use conclave_wire::message_entry::MessageEntry;
use std::collections::BTreeSet;

impl Group {
    /// A message, or a run of them.
    pub(super) fn receive_message(
        &mut self,
        entry: &Entry,
        now: Timestamp,
        recovered: &mut Vec<Recovered>,
        changes: &mut Changes,
    ) -> Result<Event, ReceiveError> {
        let message = MessageEntry::parse(&entry.body.0)?;
        let header = message.header();
        if header.epoch != self.epoch() {
            return Err(ReceiveError::other_epoch(self.epoch(), header.epoch));
        }
        let leaf = self.roster().leaf(header.leaf).ok_or(ReceiveError::NotMember)?;
        let (device, since) = (leaf.device.id(), leaf.since);
        let sender = Sender { account: leaf.account, device, leaf: header.leaf };
        if device == self.me.device {
            return self.receive_own(&entry.body.0, header, changes);
        }
        if self.init.is_none() {
            return Err(ReceiveError::NeedWelcome);
        }
        self.verify_device(header.leaf)?;
        let mut reading = self.reading(sender, since, header)?;
        let at = At { seq: entry.seq, now };
        let event = match &message {
            MessageEntry::Single(message) => reading.open(message, at, recovered)?,
            MessageEntry::Run(run) => Event::Run(reading.open_run(run, at, recovered)?),
        };
        if reading.key.chain.skipped() > 0 {
            self.bound_skipped_keys(changes);
        }
        self.put_sender_chain(&device, changes);
        self.settle(&[header.leaf], changes);
        Ok(event)
    }

    fn receive_own(
        &mut self,
        message: &[u8],
        header: &Header,
        changes: &mut Changes,
    ) -> Result<Event, ReceiveError> {
        let tag = tag(message);
        if let Some(ids) = self.own.confirm(&tag) {
            self.put_own_state(changes);
            self.put_own_past(changes);
            return Ok(match *ids {
                [id] => Event::Sent { id },
                _ => Event::SentRun { ids },
            });
        }
        if !self.own.past.contains(&tag) {
            return Err(ReceiveError::NotOurs);
        }
        // Posted twice after a broken connection, or too late: everybody else refuses it just so.
        let current = self.own.active.as_ref().map(|key| key.certificate.body().generation);
        match current {
            Some(current) if header.generation < current => {
                Err(ReceiveError::OldGeneration { current, found: header.generation })
            }
            _ => Err(ReceiveError::Repeated(header.index)),
        }
    }

    /// Keeps the group's skipped keys within [`MAX_SKIPPED_PER_GROUP`], at the cost of who holds most.
    fn bound_skipped_keys(&mut self, changes: &mut Changes) {
        let skipped = |sender: &PeerSender| sender.key.as_ref().map_or(0, |key| key.chain.skipped());
        let mut total: usize = self.senders.values().map(skipped).sum();
        let mut evicted = BTreeSet::new();
        while total > MAX_SKIPPED_PER_GROUP {
            let most = self.senders.iter_mut().max_by_key(|(_, sender)| skipped(sender));
            let Some((device, key)) = most.and_then(|(id, sender)| Some((*id, sender.key.as_mut()?))) else {
                break;
            };
            key.chain.evict();
            total -= 1;
            evicted.insert(device);
        }
        let evicted: Vec<_> = evicted.into_iter().collect();
        self.put_chains_of(&evicted, changes);
    }
}

impl Reading<'_> {
    fn open(
        &mut self,
        message: &MessageView<'_>,
        at: At,
        recovered: &mut Vec<Recovered>,
    ) -> Result<Event, ReceiveError> {
        let (sender, index) = (self.sender, message.header.index);
        let advance = match self.key.chain.peek(&kdf::CHAIN, index, MAX_MESSAGES_PER_CHAIN) {
            Ok(advance) => advance,
            Err(error) => return Err(self.second_message(message, error)),
        };
        let keys = MessageKeys::derive(advance.key());
        let digest = digest(&self.binding, message, &keys.commitment);
        let authentic = self.key.verifying.verify(LABEL, &digest, &message.signature).is_ok();
        let (id, content) = match (keys.open(message.hedge, message.ciphertext), authentic) {
            (Some(plaintext), _) => plaintext,
            (None, true) => return Err(ReceiveError::Undecryptable),
            (None, false) => return Err(self.unauthentic()),
        };
        if !authentic {
            let (seq, link, own_link) = (at.seq, *message.link, link_of(&digest));
            self.hold_back(Pending { seq, index, link, own_link, id, content });
            return Ok(Event::Pending { sender });
        }

        // Everything has been checked.
        self.key.chain.apply(advance, at.now);
        let read = LastRead { first: index, commitments: vec![keys.commitment], digest };
        let continuity = self.accept(message.link, read, at, recovered);
        Ok(Event::Message(GroupMessage { sender, id, content, continuity }))
    }

    /// Why a message is refused whose key is gone: a repeat, unless it is another authentic one under the key that was
    /// used last.
    fn second_message(&self, message: &MessageView<'_>, error: ChainError) -> ReceiveError {
        let index = message.header.index;
        let commitment = |last: &LastRead| last.commitments_from(index).first().copied();
        let second = self.key.last_read.as_ref().and_then(|last| Some((last, commitment(last)?)));
        let Some((last, commitment)) = second else { return error.into() };
        let digest = digest(&self.binding, message, &commitment);
        if digest == last.digest || self.key.verifying.verify(LABEL, &digest, &message.signature).is_err() {
            return error.into();
        }
        ReceiveError::Equivocation { device: self.sender.device, index }
    }
}

/// What the signature covers.
pub(super) fn digest(binding: &Binding, message: &MessageView<'_>, commitment: &[u8; 32]) -> [u8; 32] {
    binding.digest(&message.header, message.link, message.hedge, commitment, message.ciphertext)
}
