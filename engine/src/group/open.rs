//! Opening a message: the mirror of [`super::seal`].

use super::event::{Continuity, Event, GroupMessage, Recovered, Sender};
use super::message_id::MessageId;
use super::pending::Pending;
use super::receive::ReceiveError;
use super::seal::{Binding, LABEL, MessageKeys, link_of, tag};
use super::sender_key::PeerSender;
use super::state::Group;
use crate::aead;
use crate::kdf;
use crate::limits::MAX_SKIPPED_PER_GROUP;
use crate::padding;
use crate::record::Changes;
use conclave_wire::entry::Entry;
use conclave_wire::ids::Timestamp;
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;
use conclave_wire::message::{Link, MessageView};
use std::collections::BTreeSet;

impl Group {
    pub(super) fn receive_message(
        &mut self,
        entry: &Entry,
        now: Timestamp,
        recovered: &mut Vec<Recovered>,
        changes: &mut Changes,
    ) -> Result<Event, ReceiveError> {
        let message = MessageView::parse(&entry.body.0)?;
        let header = message.header;
        if header.epoch != self.epoch() {
            return Err(ReceiveError::Epoch { current: self.epoch(), found: header.epoch });
        }
        let leaf = self.roster().leaf(header.leaf).ok_or(ReceiveError::NotMember)?;
        let (device, since) = (leaf.device.id(), leaf.since);
        let sender = Sender { account: leaf.account, device, leaf: header.leaf };
        if device == self.me.device {
            return self.receive_own(&entry.body.0, changes);
        }
        if self.init.is_none() {
            return Err(ReceiveError::NeedWelcome);
        }
        let binding_group = (self.id(), self.public.head());
        let state = self.senders.get_mut(&device).filter(|state| state.since == since);
        let need = || ReceiveError::NeedSenderKey { device, generation: header.generation };
        let state = state.ok_or_else(need)?;
        if header.generation < state.generation {
            let (current, found) = (state.generation, header.generation);
            return Err(ReceiveError::OldGeneration { current, found });
        }
        let PeerSender { key: Some(key), link: expected, pending, .. } = state else { return Err(need()) };
        if header.generation != key.generation() {
            return Err(need());
        }

        let advance = key.chain.peek(&kdf::CHAIN, header.index, MAX_MESSAGES_PER_CHAIN)?;
        let (group, head) = binding_group;
        let binding = Binding { group, head, certificate: key.certificate.hash() };
        let keys = MessageKeys::derive(advance.key());
        let digest = digest(&binding, &message, &keys);
        let authentic = key.verifying.verify(LABEL, &digest, &message.signature).is_ok();
        let (id, content) = match (decrypt(&message, &keys), authentic) {
            (Some(plaintext), _) => plaintext,
            (None, true) => return Err(ReceiveError::Undecryptable),
            (None, false) => return Err(ReceiveError::Signature),
        };
        let (seq, index, link, own_link) = (entry.seq, header.index, *message.link, link_of(&digest));
        if !authentic {
            pending.push(Pending { seq, index, link, own_link, id, content });
            self.put_sender_chain(&device, changes);
            return Ok(Event::Pending { sender });
        }

        // Everything has been checked.
        key.chain.apply(advance, now);
        let mut last = *expected;
        for vouched in pending.accept(link) {
            let Ok(advance) = key.chain.peek(&kdf::CHAIN, vouched.index, MAX_MESSAGES_PER_CHAIN) else {
                continue;
            };
            key.chain.apply(advance, now);
            let continuity = continuity(last, &vouched.link);
            last = Some(vouched.own_link);
            let (id, content) = (vouched.id, vouched.content.clone());
            let message = GroupMessage { sender, id, content, continuity };
            recovered.push(Recovered { seq: vouched.seq, vouched_by: entry.seq, message });
        }
        let continuity = continuity(last, &link);
        *expected = Some(own_link);
        let skipped = key.chain.skipped() > 0;
        if skipped {
            self.bound_skipped_keys(changes);
        }
        self.put_sender_chain(&device, changes);
        Ok(Event::Message(GroupMessage { sender, id, content, continuity }))
    }

    pub(super) fn receive_own(
        &mut self,
        message: &[u8],
        changes: &mut Changes,
    ) -> Result<Event, ReceiveError> {
        let tag = tag(message);
        if let Some(id) = self.own.confirm(&tag) {
            self.put_own_state(changes);
            self.put_own_past(changes);
            return Ok(Event::Sent { id });
        }
        if !self.own.past.contains(&tag) {
            return Err(ReceiveError::NotOurs);
        }
        // Posted twice after a broken connection, or too late: everybody else refuses it just so.
        let header = MessageView::parse(message)?.header;
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

/// What the signature covers.
pub(super) fn digest(binding: &Binding, message: &MessageView<'_>, keys: &MessageKeys) -> [u8; 32] {
    binding.digest(&message.header, message.link, message.hedge, &keys.commitment, message.ciphertext)
}

/// Message id and content. `None` if the ciphertext is not one of this key.
pub(super) fn decrypt(message: &MessageView<'_>, keys: &MessageKeys) -> Option<(MessageId, Vec<u8>)> {
    let mut bytes = aead::open_message(&keys.key, &keys.nonce(message.hedge), message.ciphertext).ok()?;
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

/// Whether a message with this link follows the sender's last one.
pub(super) fn continuity(last: Option<Link>, link: &Link) -> Continuity {
    match last {
        None => Continuity::First,
        Some(last) if last == *link => Continuity::Linked,
        Some(_) => Continuity::Gap,
    }
}
