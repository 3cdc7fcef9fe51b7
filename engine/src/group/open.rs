//! Opening a message: the mirror of [`super::seal`].

use super::event::{Continuity, Event, GroupMessage, Sender};
use super::message_id::MessageId;
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
use conclave_wire::message::MessageView;

impl Group {
    pub(super) fn receive_message(
        &mut self,
        entry: &Entry,
        now: Timestamp,
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
        let PeerSender { key: Some(key), link: expected, .. } = state else { return Err(need()) };
        if header.generation != key.generation() {
            return Err(need());
        }

        let advance = key.chain.peek(&kdf::CHAIN, header.index, MAX_MESSAGES_PER_CHAIN)?;
        let keys = MessageKeys::derive(advance.key());
        let (group, head) = binding_group;
        let binding = Binding { group, head, certificate: key.certificate.hash() };
        let digest =
            binding.digest(&header, message.link, message.hedge, &keys.commitment, message.ciphertext);
        key.verifying.verify(LABEL, &digest, &message.signature)?;
        let padded = aead::open(&keys.key, &keys.nonce(message.hedge), &[], message.ciphertext)
            .map_err(|_| ReceiveError::Undecryptable)?;
        let plaintext = padding::unpad(&padded).map_err(|_| ReceiveError::Undecryptable)?;
        let (id, content) = plaintext.split_first_chunk().ok_or(ReceiveError::Undecryptable)?;
        let continuity = match expected {
            None => Continuity::First,
            Some(expected) if expected == message.link => Continuity::Linked,
            Some(_) => Continuity::Gap,
        };

        // Everything has been checked.
        key.chain.apply(advance, now);
        *expected = Some(link_of(&digest));
        let (id, content) = (MessageId::from_bytes(*id), content.to_vec());
        self.put_sender_chain(&device, changes);
        self.bound_skipped_keys(changes);
        Ok(Event::Message(GroupMessage { sender, id, content, continuity }))
    }

    fn receive_own(&mut self, message: &[u8], changes: &mut Changes) -> Result<Event, ReceiveError> {
        let tag = tag(message);
        if let Some(id) = self.own.confirm(&tag) {
            self.put_own_state(changes);
            return Ok(Event::Sent { id });
        }
        if self.own.confirmed.contains(&tag) {
            // Posted twice after a broken connection: everybody else refuses the second one just so.
            let index = MessageView::parse(message)?.header.index;
            return Err(ReceiveError::Repeated(index));
        }
        Err(ReceiveError::Cloned)
    }

    /// Keeps the group's skipped keys within [`MAX_SKIPPED_PER_GROUP`], at the cost of who holds most.
    fn bound_skipped_keys(&mut self, changes: &mut Changes) {
        let skipped = |sender: &PeerSender| sender.key.as_ref().map_or(0, |key| key.chain.skipped());
        let mut total: usize = self.senders.values().map(skipped).sum();
        while total > MAX_SKIPPED_PER_GROUP {
            let most = self.senders.iter_mut().max_by_key(|(_, sender)| skipped(sender));
            let Some((device, key)) = most.and_then(|(id, sender)| Some((*id, sender.key.as_mut()?))) else {
                return;
            };
            key.chain.evict();
            total -= 1;
            self.put_sender_chain(&device, changes);
        }
    }
}
