//! Messages between two devices: seal, open, and their primitives in the same minute.

use super::person::{NOW, Person, entry, stored_bytes};
use super::primitives::Primitives;
use super::results::{MessageRow, OutstandingRow, Side};
use super::village;
use crate::failure::Failure;
use crate::spread::Spread;
use conclave_engine::limits::{MAX_MESSAGES_PER_SENDER_KEY, MAX_UNCONFIRMED};
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::Seq;
use conclave_engine::wire::limits::MESSAGE_OVERHEAD;
use conclave_engine::{Changes, Device, Event, Group, PrekeyBook};
use rand::Rng;
use rand::rngs::StdRng;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Messages of one repetition, each timed by itself; their mean is the repetition's sample.
pub(super) const BLOCK: usize = 32;

const BLOCK_U32: u32 = 32;
const _: () = assert!(BLOCK_U32 as usize == BLOCK);

/// Most messages of one repetition.
const ONE_ROUND: u32 = 256;
const _: () = assert!(ONE_ROUND as usize == WAITING + BLOCK);

/// Messages that [`Pair::measure_outstanding`] leaves waiting before it times a block.
const WAITING: usize = MAX_UNCONFIRMED - BLOCK;

/// Two devices in a group, one of which sends.
pub(super) struct Pair {
    alice: Person,
    bob: Person,
    book: PrekeyBook,
    seq: Seq,
    /// Messages under the present sender key.
    sealed: u32,
    primitives: Primitives,
}

/// Time spent in each of the things compared.
#[derive(Default)]
struct Samples {
    seal: Vec<Duration>,
    open: Vec<Duration>,
    seal_primitives: Vec<Duration>,
    open_primitives: Vec<Duration>,
}

impl Pair {
    /// A new group of two.
    pub(super) fn new(rng: &mut StdRng) -> Result<Self, Failure> {
        let village::Two { alice, bob, book, seq } = village::two(rng)?;
        Ok(Self { alice, bob, book, seq, sealed: 0, primitives: Primitives::new(rng) })
    }

    /// Messages of `size` bytes, one at a time: each is in the log before the next is sealed.
    pub(super) fn measure(
        &mut self,
        size: usize,
        repetitions: usize,
        rng: &mut StdRng,
    ) -> Result<MessageRow, Failure> {
        let mut samples = Samples::default();
        let (mut wire, mut seal_stored, mut open_stored) = (0, 0, 0);
        // The first block warms caches and is not kept.
        for repetition in 0..=repetitions {
            self.sender_key(rng)?;
            let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
            let mut contents = Vec::with_capacity(BLOCK);
            let mut entries = Vec::with_capacity(BLOCK);
            for _ in 0..BLOCK {
                let content = content(size, rng);
                let (entry, spent, changes) = self.seal(&content, rng)?;
                seal += spent;
                (wire, seal_stored) = (entry.body.0.len(), stored_bytes(&changes));
                self.confirm(&entry)?;
                contents.push(content);
                entries.push(entry);
            }
            for (content, entry) in contents.iter().zip(&entries) {
                let (spent, changes) = self.open(entry, content)?;
                open += spent;
                open_stored = stored_bytes(&changes);
            }
            let padded = vec![7; wire.saturating_sub(MESSAGE_OVERHEAD)];
            let (seal_primitives, open_primitives) = self.primitives(&padded)?;
            if repetition > 0 {
                samples.seal.push(seal / BLOCK_U32);
                samples.open.push(open / BLOCK_U32);
                samples.seal_primitives.push(seal_primitives / BLOCK_U32);
                samples.open_primitives.push(open_primitives / BLOCK_U32);
            }
        }
        let side = |work: &[Duration], primitives: &[Duration], stored| {
            Some(Side::of(Spread::of(work)?, Spread::of(primitives)?, stored))
        };
        let none = || Failure::Wrong("nothing was measured".into());
        let seal: Option<Side> = side(&samples.seal, &samples.seal_primitives, seal_stored);
        let open: Option<Side> = side(&samples.open, &samples.open_primitives, open_stored);
        Ok(MessageRow {
            content_bytes: size,
            wire_bytes: wire,
            overhead_bytes: wire.saturating_sub(size),
            seal: seal.ok_or_else(none)?,
            open: open.ok_or_else(none)?,
        })
    }

    /// Sealing behind as many messages as the engine lets wait for the log to show them.
    pub(super) fn measure_outstanding(
        &mut self,
        size: usize,
        repetitions: usize,
        rng: &mut StdRng,
    ) -> Result<OutstandingRow, Failure> {
        let mut samples = Vec::new();
        let mut stored = 0;
        for repetition in 0..=repetitions {
            self.sender_key(rng)?;
            let mut entries = Vec::with_capacity(MAX_UNCONFIRMED);
            let mut spent = Duration::ZERO;
            for waiting in 0..WAITING + BLOCK {
                let content = content(size, rng);
                let (entry, took, changes) = self.seal(&content, rng)?;
                if waiting >= WAITING {
                    spent += took;
                    stored = stored_bytes(&changes);
                }
                entries.push((entry, content));
            }
            for (entry, content) in &entries {
                self.confirm(entry)?;
                let _ = self.open(entry, content)?;
            }
            if repetition > 0 {
                samples.push(spent / BLOCK_U32);
            }
        }
        let seal_us = Spread::of(&samples).ok_or_else(|| Failure::Wrong("nothing was measured".into()))?;
        Ok(OutstandingRow { content_bytes: size, waiting: WAITING, seal_us, stored_bytes: stored })
    }

    pub(super) fn seal(
        &mut self,
        content: &[u8],
        rng: &mut StdRng,
    ) -> Result<(Entry, Duration, Changes), Failure> {
        let group = self.alice.group.as_mut().ok_or_else(no_group)?;
        let begun = Instant::now();
        let sealed = group.seal(content, rng);
        let spent = begun.elapsed();
        let sealed = sealed.map_err(Failure::engine("to seal"))?;
        let id = group.id();
        self.seq = self.seq.next().unwrap_or(self.seq);
        self.sealed += 1;
        Ok((entry(id, self.seq, EntryKind::Message, &sealed.message, None), spent, sealed.changes))
    }

    fn open(&mut self, entry: &Entry, content: &[u8]) -> Result<(Duration, Changes), Failure> {
        let group = self.bob.group.as_mut().ok_or_else(no_group)?;
        let begun = Instant::now();
        let received = group.receive(&mut self.bob.device, entry, NOW);
        let spent = begun.elapsed();
        let received = received.map_err(Failure::engine("to open"))?;
        match received.event {
            Event::Message(message) if message.content == content => Ok((spent, received.changes)),
            _ => Err(Failure::Wrong("a message did not come out as it went in".into())),
        }
    }

    pub(super) fn confirm(&mut self, entry: &Entry) -> Result<(), Failure> {
        match self.alice.receive(entry)? {
            Event::Sent { .. } => Ok(()),
            _ => Err(Failure::Wrong("the sender does not know her own message".into())),
        }
    }

    /// The device that reads, and its group.
    pub(super) fn reader(&mut self) -> Result<(&mut Device, &mut Group), Failure> {
        let group = self.bob.group.as_mut().ok_or_else(no_group)?;
        Ok((&mut self.bob.device, group))
    }

    fn primitives(&self, padded: &[u8]) -> Result<(Duration, Duration), Failure> {
        let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..BLOCK {
            let begun = Instant::now();
            let made = self.primitives.seal(black_box(padded));
            seal += begun.elapsed();
            let made = made?;
            let begun = Instant::now();
            let plaintext = self.primitives.open(black_box(&made));
            open += begun.elapsed();
            if plaintext? != padded {
                return Err(Failure::Wrong("the primitives did not give back what they were given".into()));
            }
        }
        Ok((seal, open))
    }

    /// A sender key that lasts for the next block, made outside of what is timed.
    fn sender_key(&mut self, rng: &mut StdRng) -> Result<(), Failure> {
        if self.sealed + ONE_ROUND <= MAX_MESSAGES_PER_SENDER_KEY {
            return Ok(());
        }
        self.sealed = 0;
        village::sender_key(&mut self.alice, &mut [&mut self.bob], &self.book, &mut self.seq, rng)
    }
}

pub(super) fn content(size: usize, rng: &mut StdRng) -> Vec<u8> {
    let mut content = vec![0; size];
    rng.fill_bytes(&mut content);
    content
}

fn no_group() -> Failure {
    Failure::Wrong("a device without its group".into())
}
