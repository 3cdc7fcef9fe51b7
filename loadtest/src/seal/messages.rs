//! Messages between two devices: seal, open, and their primitives in the same minute.

use super::results::{MessageRow, OutstandingRow, Side};
use crate::failure::Failure;
use conclave_engine::limits::MAX_UNCONFIRMED;
use conclave_engine::wire::limits::MESSAGE_OVERHEAD;
use conclave_report::Spread;
use conclave_village::{Pair, Primitives, Stopwatch, content, stored_bytes};
use rand::rngs::StdRng;
use std::hint::black_box;
use std::time::Duration;

/// Messages of one repetition, each timed by itself; their mean is the repetition's sample.
const BLOCK: usize = 32;

const BLOCK_U32: u32 = 32;
const _: () = assert!(BLOCK_U32 as usize == BLOCK);

/// Most messages of one repetition.
const ONE_ROUND: u32 = 256;
const _: () = assert!(ONE_ROUND as usize == WAITING + BLOCK);

/// Messages that [`Bench::measure_outstanding`] leaves waiting before it times a block.
const WAITING: usize = MAX_UNCONFIRMED - BLOCK;

/// Two devices that talk, and the primitives of what they do.
pub(super) struct Bench {
    pub(super) pair: Pair,
    pub(super) primitives: Primitives,
}

/// Time spent in each of the things compared.
#[derive(Default)]
struct Samples {
    seal: Vec<Duration>,
    open: Vec<Duration>,
    seal_primitives: Vec<Duration>,
    open_primitives: Vec<Duration>,
}

impl Bench {
    /// A new group of two.
    pub(super) fn new(rng: &mut StdRng) -> Result<Self, Failure> {
        Ok(Self { pair: Pair::new(rng)?, primitives: Primitives::new(rng) })
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
            self.pair.prepare(ONE_ROUND, rng)?;
            let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
            let mut contents = Vec::with_capacity(BLOCK);
            let mut entries = Vec::with_capacity(BLOCK);
            for _ in 0..BLOCK {
                let content = content(size, rng);
                let sealed = self.pair.seal(&content, rng)?;
                seal += sealed.spent;
                (wire, seal_stored) = (sealed.output.body.0.len(), stored_bytes(&sealed.changes));
                self.pair.confirm(&sealed.output)?;
                contents.push(content);
                entries.push(sealed.output);
            }
            for (content, entry) in contents.iter().zip(&entries) {
                let opened = self.pair.open(entry, content)?;
                open += opened.spent;
                open_stored = stored_bytes(&opened.changes);
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
            self.pair.prepare(ONE_ROUND, rng)?;
            let mut entries = Vec::with_capacity(MAX_UNCONFIRMED);
            let mut spent = Duration::ZERO;
            for waiting in 0..WAITING + BLOCK {
                let content = content(size, rng);
                let sealed = self.pair.seal(&content, rng)?;
                if waiting >= WAITING {
                    spent += sealed.spent;
                    stored = stored_bytes(&sealed.changes);
                }
                entries.push((sealed.output, content));
            }
            for (entry, content) in &entries {
                self.pair.confirm(entry)?;
                let _ = self.pair.open(entry, content)?;
            }
            if repetition > 0 {
                samples.push(spent / BLOCK_U32);
            }
        }
        let seal_us = Spread::of(&samples).ok_or_else(|| Failure::Wrong("nothing was measured".into()))?;
        Ok(OutstandingRow { content_bytes: size, waiting: WAITING, seal_us, stored_bytes: stored })
    }

    fn primitives(&self, padded: &[u8]) -> Result<(Duration, Duration), Failure> {
        let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..BLOCK {
            let begun = Stopwatch::start();
            let made = self.primitives.seal(black_box(padded));
            seal += begun.elapsed();
            let made = made?;
            let begun = Stopwatch::start();
            let plaintext = self.primitives.open(black_box(&made));
            open += begun.elapsed();
            if plaintext? != padded {
                return Err(Failure::Wrong("the primitives did not give back what they were given".into()));
            }
        }
        Ok((seal, open))
    }
}
