//! Runs between two devices: seal, open, and their primitives in the same minute, for each message.

use super::messages::Bench;
use super::results::{RunRow, Side};
use crate::failure::Failure;
use conclave_engine::wire::limits::MESSAGE_OVERHEAD;
use conclave_report::Spread;
use conclave_village::{Stopwatch, content, stored_bytes};
use rand::rngs::StdRng;
use std::hint::black_box;
use std::time::Duration;

/// Messages of a run.
const RUN: usize = 64;

const RUN_U32: u32 = 64;
const _: () = assert!(RUN_U32 as usize == RUN);

/// What one repetition took, for each message.
struct Sample {
    seal: Duration,
    open: Duration,
    seal_primitives: Duration,
    open_primitives: Duration,
}

/// Runs of messages of `size` bytes: each is in the log before the next is sealed.
pub(super) fn measure(
    bench: &mut Bench,
    size: usize,
    repetitions: usize,
    rng: &mut StdRng,
) -> Result<RunRow, Failure> {
    let mut samples = Vec::with_capacity(repetitions);
    let (mut wire, mut seal_stored, mut open_stored) = (0, 0, 0);
    // Padding depends on the length alone: as much as a message of this size has.
    let Bench { pair, primitives } = bench;
    let alone = content(size, rng);
    let single = pair.seal(&alone, rng)?.output;
    pair.confirm(&single)?;
    pair.open(&single, &alone)?;
    let padded = vec![vec![7; single.body.0.len().saturating_sub(MESSAGE_OVERHEAD)]; RUN];
    // The first one warms caches and is not kept.
    for repetition in 0..=repetitions {
        pair.prepare(RUN_U32, rng)?;
        let contents: Vec<_> = (0..RUN).map(|_| content(size, rng)).collect();
        let sealed = pair.seal_run(&contents, rng)?;
        (wire, seal_stored) = (sealed.output.body.0.len(), stored_bytes(&sealed.changes));
        let opened = pair.open_run(&sealed.output, &contents)?;
        open_stored = stored_bytes(&opened.changes);
        let (seal, open) = (sealed.spent, opened.spent);
        let begun = Stopwatch::start();
        let made = primitives.seal_run(black_box(&padded));
        let seal_primitives = begun.elapsed();
        let made = made?;
        let begun = Stopwatch::start();
        let opened = primitives.open_run(black_box(&made));
        let open_primitives = begun.elapsed();
        if opened? != padded {
            return Err(Failure::Wrong("the primitives did not give back what they were given".into()));
        }
        if repetition > 0 {
            let [seal, open] = [seal, open].map(|spent| spent / RUN_U32);
            let [seal_primitives, open_primitives] =
                [seal_primitives, open_primitives].map(|spent| spent / RUN_U32);
            samples.push(Sample { seal, open, seal_primitives, open_primitives });
        }
    }
    let spread = |of: fn(&Sample) -> Duration| {
        let spent: Vec<_> = samples.iter().map(of).collect();
        Spread::of(&spent).ok_or_else(|| Failure::Wrong("nothing was measured".into()))
    };
    Ok(RunRow {
        content_bytes: size,
        messages: RUN,
        wire_bytes: wire,
        seal: Side::of(spread(|s| s.seal)?, spread(|s| s.seal_primitives)?, seal_stored),
        open: Side::of(spread(|s| s.open)?, spread(|s| s.open_primitives)?, open_stored),
    })
}
