//! The messages and runs of one sender in a stretch of the log, followed by their links.
//!
//! A run is always verified by its own signature, which vouches for the messages before it too: live reading never
//! keeps one pending, so nothing that comes later may vouch for it.

use super::digest::{Binding, LABEL, RUN_LABEL, link_of};
use super::event::{Continuity, Event, GroupMessage, Sender};
use super::last_read::LastRead;
use super::message_id::MessageId;
use super::message_keys::MessageKeys;
use super::open::digest;
use super::open_run;
use super::reading::continuity;
use super::sender_key::PeerKey;
use crate::kdf;
use crate::limits::{MAX_PENDING, MAX_PENDING_BYTES};
use crate::ratchet::Chain;
use conclave_wire::ids::{DeviceId, Epoch};
use conclave_wire::limits::MAX_MESSAGES_PER_CHAIN;
use conclave_wire::message::{Header, Link, MessageView};
use conclave_wire::message_entry::MessageEntry;
use conclave_wire::run::RunView;
use conclave_wire::signature::Signature;

/// A sender whose messages are opened one after the other, and their signatures not all looked at.
pub(super) struct Thread<'a> {
    sender: Sender,
    epoch: Epoch,
    key: &'a PeerKey,
    binding: Binding,
    chain: Chain,
    /// Link that the next message must have.
    link: Option<Link>,
    /// The last message or run opened.
    last: Option<Last>,
    /// Messages since the last signature that was verified.
    unverified_count: usize,
    /// Their content.
    unverified_bytes: usize,
}

/// What was opened last, and its signature.
struct Last {
    read: LastRead,
    signature: Signature,
}

/// Where a thread ended.
pub(super) struct Followed {
    pub(super) device: DeviceId,
    pub(super) chain: Chain,
    pub(super) link: Link,
    pub(super) last_read: LastRead,
}

impl<'a> Thread<'a> {
    pub(super) fn new(
        sender: Sender,
        epoch: Epoch,
        key: &'a PeerKey,
        binding: Binding,
        link: Option<Link>,
    ) -> Self {
        let chain = key.chain.chain().duplicate();
        let (unverified_count, unverified_bytes) = (0, 0);
        Self { sender, epoch, key, binding, chain, link, last: None, unverified_count, unverified_bytes }
    }

    /// Opens what comes next. `None` if it cannot be followed; the thread is then of no use any more.
    pub(super) fn open(&mut self, message: &MessageEntry<'_>) -> Option<Event> {
        match message {
            MessageEntry::Single(message) => self.open_message(message).map(Event::Message),
            MessageEntry::Run(run) => self.open_run(run).map(Event::Run),
        }
    }

    fn open_message(&mut self, message: &MessageView<'_>) -> Option<GroupMessage> {
        let continuity = self.follow(&message.header, message.link)?;
        let keys = self.step()?;
        let digest = digest(&self.binding, message, &keys.commitment);
        let (id, content) = keys.open(message.hedge, message.ciphertext)?;
        self.link = Some(link_of(&digest));
        // As many as live reading would keep pending, and no more.
        self.unverified_bytes += content.len();
        if self.unverified_count + 1 >= MAX_PENDING || self.unverified_bytes > MAX_PENDING_BYTES {
            self.key.verifying.verify(LABEL, &digest, &message.signature).ok()?;
            (self.unverified_count, self.unverified_bytes) = (0, 0);
        } else {
            self.unverified_count += 1;
        }
        let mut read = self.last.take().map(|last| last.read).unwrap_or_default();
        read.set(message.header.index, keys.commitment, digest);
        self.last = Some(Last { read, signature: message.signature });
        Some(self.message(id, content, continuity))
    }

    fn open_run(&mut self, run: &RunView<'_>) -> Option<Vec<GroupMessage>> {
        let continuity = self.follow(&run.header, run.link)?;
        let first = run.header.index;
        if run.last_index().0 >= MAX_MESSAGES_PER_CHAIN {
            return None;
        }
        let mut keys = Vec::with_capacity(usize::from(run.count()));
        for _ in 0..run.count() {
            keys.push(self.step()?);
        }
        let commitments: Vec<_> = keys.iter().map(|keys| keys.commitment).collect();
        let digest = open_run::digest(&self.binding, run, &commitments);
        self.key.verifying.verify(RUN_LABEL, &digest, &run.signature).ok()?;
        (self.unverified_count, self.unverified_bytes) = (0, 0);
        let plaintexts = open_run::decrypt(run, &keys)?;
        self.link = Some(link_of(&digest));
        let read = LastRead { first, commitments, digest };
        self.last = Some(Last { read, signature: run.signature });
        let continuities = std::iter::once(continuity).chain(std::iter::repeat(Continuity::Linked));
        let messages = plaintexts.into_iter().zip(continuities);
        Some(messages.map(|((id, content), continuity)| self.message(id, content, continuity)).collect())
    }

    /// Whether an entry stands where the chain does, and links to the one before: within the stretch only an exact link
    /// vouches; before its first entry there may be a gap.
    fn follow(&self, header: &Header, link: &Link) -> Option<Continuity> {
        let in_order = header.epoch == self.epoch
            && header.generation == self.key.generation()
            && header.index == self.chain.index()
            && header.index.0 < MAX_MESSAGES_PER_CHAIN;
        let follows = self.last.is_none() || self.link == Some(*link);
        (in_order && follows).then(|| continuity(self.link, link))
    }

    fn step(&mut self) -> Option<MessageKeys> {
        let (message_key, chain) = self.chain.peek(&kdf::CHAIN)?;
        self.chain = chain;
        Some(MessageKeys::derive(&message_key))
    }

    fn message(&self, id: MessageId, content: Vec<u8>, continuity: Continuity) -> GroupMessage {
        GroupMessage { sender: self.sender, id, content, continuity }
    }

    /// Verifies the last signature, if that is still to be done.
    pub(super) fn finish(self) -> Option<Followed> {
        let Last { read, signature } = self.last?;
        if self.unverified_count > 0 {
            // A run has none that are unverified.
            self.key.verifying.verify(LABEL, &read.digest, &signature).ok()?;
        }
        Some(Followed { device: self.sender.device, chain: self.chain, link: self.link?, last_read: read })
    }
}
