//! Catching up: a backlog of one sender, read in pages, with one signature for each chain of links.

use super::results::CatchUpRow;
use crate::failure::Failure;
use conclave_engine::Event;
use conclave_report::Spread;
use conclave_village::{NOW, Pair, Stopwatch, content};
use rand::rngs::StdRng;
use std::time::Duration;

/// Messages of 256 bytes that wait, as many as one sender key seals.
const BACKLOG: u32 = 10_000;
const QUICK_BACKLOG: u32 = 600;

/// Entries handed to the engine at once, as many as a page of the server holds.
const PAGE: usize = 256;

/// A backlog is long: a few of them say enough.
const MOST_REPETITIONS: usize = 9;

/// Seals a backlog, and times its reading; everything read is compared with what was sealed.
pub(super) fn measure(repetitions: usize, quick: bool, rng: &mut StdRng) -> Result<CatchUpRow, Failure> {
    let (backlog, size) = (if quick { QUICK_BACKLOG } else { BACKLOG }, 256);
    let mut samples = Vec::new();
    // The first backlog warms caches and is not kept.
    for repetition in 0..=repetitions.min(MOST_REPETITIONS) {
        let mut pair = Pair::new(rng)?;
        let mut sealed = Vec::new();
        for _ in 0..backlog {
            let content = content(size, rng);
            let entry = pair.seal(&content, rng)?.output;
            pair.confirm(&entry)?;
            sealed.push((entry, content));
        }
        let (entries, contents): (Vec<_>, Vec<_>) = sealed.into_iter().unzip();
        let mut spent = Duration::ZERO;
        let mut read = Vec::with_capacity(contents.len());
        let (device, group) = pair.reader()?;
        for page in entries.chunks(PAGE) {
            let begun = Stopwatch::start();
            let caught_up = group.receive_all(device, page, NOW);
            spent += begun.elapsed();
            for (_, event) in caught_up.events {
                match event {
                    Ok(Event::Message(message)) => read.push(message.content),
                    _ => return Err(Failure::Wrong("a message of the backlog did not come out".into())),
                }
            }
        }
        if read != contents {
            return Err(Failure::Wrong("the backlog did not come out as it went in".into()));
        }
        if repetition > 0 {
            samples.push(spent / backlog);
        }
    }
    let us = Spread::of(&samples).ok_or_else(|| Failure::Wrong("nothing was measured".into()))?;
    Ok(CatchUpRow { content_bytes: size, backlog, page: PAGE, us, per_second: us.per_second() })
}
