//! What senders posted, where receivers look up when it was: one ring of messages on their way for each sender.

use super::check::Sent;
use super::drive::Wake;
use conclave_engine::wire::ids::LeafIndex;
use conclave_engine::wire::limits::MAX_MESSAGES_PER_CHAIN;
use conclave_engine::wire::message::Header;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// Messages of one sender that may be on their way at once. Beyond it an open-loop sender falls behind, which its
/// latency shows.
pub(super) const RING: usize = 1024;

/// One group's messages.
pub(super) struct GroupLedger {
    pub(super) senders: Vec<SenderLedger>,
    members: usize,
}

/// One sender's messages.
pub(super) struct SenderLedger {
    /// Where the sender stands in the roster, and its first sender key: a message's header gives its ordinal.
    leaf: LeafIndex,
    first_generation: u32,
    slots: Vec<Slot>,
    accepted: AtomicU64,
    unanswered: AtomicU64,
    /// The server refused one.
    broken: AtomicBool,
    /// Tells the sender that a message has reached everybody.
    wake: UnboundedSender<Wake>,
    seat: usize,
}

#[derive(Default)]
struct Slot {
    ordinal: AtomicU64,
    intended: AtomicU64,
    /// Members that do not have the message yet.
    remaining: AtomicUsize,
}

impl GroupLedger {
    /// Nothing on its way.
    pub(super) fn new(members: usize, senders: Vec<SenderLedger>) -> Self {
        Self { senders, members }
    }

    /// Which sender's message this is, and its ordinal.
    pub(super) fn locate(&self, header: &Header) -> Option<(usize, u64)> {
        let sender = self.senders.iter().position(|sender| sender.leaf == header.leaf)?;
        let generation = header.generation.0.checked_sub(self.senders.get(sender)?.first_generation)?;
        let before = u64::from(generation) * u64::from(MAX_MESSAGES_PER_CHAIN);
        Some((sender, before + u64::from(header.index.0)))
    }

    /// Whether there is room for a sender's message.
    pub(super) fn has_room(&self, sender: usize, ordinal: u64) -> bool {
        self.slot(sender, ordinal).is_some_and(|(_, slot)| slot.remaining.load(Ordering::Acquire) == 0)
    }

    /// A message is about to be posted that should have been at `intended`.
    pub(super) fn post(&self, sender: usize, ordinal: u64, intended: u64) {
        if let Some((ledger, slot)) = self.slot(sender, ordinal) {
            ledger.unanswered.fetch_add(1, Ordering::AcqRel);
            slot.ordinal.store(ordinal, Ordering::Relaxed);
            slot.intended.store(intended, Ordering::Relaxed);
            slot.remaining.store(self.members, Ordering::Release);
        }
    }

    /// The server has it; when it should have been posted.
    pub(super) fn accepted(&self, sender: usize, ordinal: u64) -> Option<u64> {
        let (ledger, slot) = self.slot(sender, ordinal)?;
        ledger.unanswered.fetch_sub(1, Ordering::AcqRel);
        ledger.accepted.fetch_add(1, Ordering::AcqRel);
        Some(slot.intended.load(Ordering::Relaxed))
    }

    /// The server refused it: nobody will have it.
    pub(super) fn refused(&self, sender: usize, ordinal: u64) {
        if let Some((ledger, slot)) = self.slot(sender, ordinal) {
            ledger.unanswered.fetch_sub(1, Ordering::AcqRel);
            ledger.broken.store(true, Ordering::Release);
            slot.remaining.store(0, Ordering::Release);
            ledger.completed();
        }
    }

    /// When a message that is on its way should have been posted.
    pub(super) fn intended(&self, sender: usize, ordinal: u64) -> Option<u64> {
        let (_, slot) = self.slot(sender, ordinal)?;
        let expected = slot.remaining.load(Ordering::Acquire) > 0;
        let known = expected && slot.ordinal.load(Ordering::Relaxed) == ordinal;
        known.then(|| slot.intended.load(Ordering::Relaxed))
    }

    /// One more member is done with a message that is on its way.
    pub(super) fn arrived(&self, sender: usize, ordinal: u64) {
        if let Some((ledger, slot)) = self.slot(sender, ordinal)
            && slot.remaining.fetch_sub(1, Ordering::AcqRel) == 1
        {
            ledger.completed();
        }
    }

    /// Whether each of a sender's messages was taken by the server, so that its links hang together.
    pub(super) fn is_unbroken(&self, sender: usize) -> bool {
        self.senders.get(sender).is_some_and(|ledger| !ledger.broken.load(Ordering::Acquire))
    }

    fn slot(&self, sender: usize, ordinal: u64) -> Option<(&SenderLedger, &Slot)> {
        let ledger = self.senders.get(sender)?;
        let place = usize::try_from(ordinal % RING as u64).ok()?;
        Some((ledger, ledger.slots.get(place)?))
    }
}

impl SenderLedger {
    /// For the sender on `leaf`, whose connection listens to `wake` and knows the group as `seat`.
    pub(super) fn new(
        leaf: LeafIndex,
        first_generation: u32,
        wake: UnboundedSender<Wake>,
        seat: usize,
    ) -> Self {
        let slots = (0..RING).map(|_| Slot::default()).collect();
        let (accepted, unanswered) = (AtomicU64::new(0), AtomicU64::new(0));
        let broken = AtomicBool::new(false);
        Self { leaf, first_generation, slots, accepted, unanswered, broken, wake, seat }
    }

    /// What the server said of this sender's messages.
    pub(super) fn sent(&self) -> Sent {
        Sent {
            accepted: self.accepted.load(Ordering::Acquire),
            unanswered: self.unanswered.load(Ordering::Acquire),
        }
    }

    /// Whether a message is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) > 0
            || self.slots.iter().any(|slot| slot.remaining.load(Ordering::Acquire) > 0)
    }

    fn completed(&self) {
        // A sender whose connection ended needs no news.
        let _ = self.wake.send(Wake::Completed { seat: self.seat });
    }
}
