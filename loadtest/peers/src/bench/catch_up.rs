//! Catching up with a backlog of one sender.

use super::{Bench, nothing};
use crate::Failure;
use crate::compare::Samples;
use crate::peer::{Megolm, MlsRsPair, OpenMlsPair, Padding, Talk};
use crate::results::{Goal, Row};
use conclave_engine::Event;
use conclave_village::{NOW, Pair, Stopwatch, content};
use std::time::Duration;

const SIZE: usize = 256;

/// Entries handed to the engine at once, as many as a page of the server holds.
const PAGE: usize = 256;

impl Bench {
    pub(super) fn catch_up(&mut self) -> Result<(), Failure> {
        let backlog = self.scale.backlog;
        let mut samples = Samples::new(3);
        let mut names = Vec::new();
        for repetition in 0..=self.scale.backlog_repetitions {
            self.say(&format!("a backlog, {repetition} of {}", self.scale.backlog_repetitions));
            let contents: Vec<_> = (0..backlog).map(|_| content(SIZE, &mut self.rng)).collect();
            let ours = self.our_backlog(&contents)?;
            // Chains of a fresh session each: nobody reads from where the last repetition ended.
            let mut peers: [Box<dyn Talk>; 3] = [
                Box::new(Megolm::new()),
                Box::new(MlsRsPair::new(Padding::Default)?),
                Box::new(OpenMlsPair::new()?),
            ];
            names = peers.iter().map(|peer| peer.name()).collect();
            let theirs = peers
                .iter_mut()
                .map(|peer| Ok(their_backlog(&mut **peer, &contents)? / backlog))
                .collect::<Result<Vec<_>, Failure>>()?;
            if repetition > 0 {
                samples.push(ours / backlog, theirs);
            }
        }
        let best = samples.best_peer();
        for (index, name) in names.into_iter().enumerate() {
            let figures = samples.beside(index, name).ok_or_else(nothing)?;
            let row = Row::times(format!("catch up {backlog} × 256 B, a message"), figures);
            // The goal is beside the best of them.
            self.add([if best == Some(index) { row.goal(Goal::Ratio(0.1)) } else { row }])?;
        }
        Ok(())
    }

    fn our_backlog(&mut self, contents: &[Vec<u8>]) -> Result<Duration, Failure> {
        let mut pair = Pair::new(&mut self.rng)?;
        let mut entries = Vec::with_capacity(contents.len());
        for content in contents {
            let entry = pair.seal(content, &mut self.rng)?.output;
            pair.confirm(&entry)?;
            entries.push(entry);
        }
        let (device, group) = pair.reader()?;
        let mut spent = Duration::ZERO;
        let mut read = Vec::with_capacity(contents.len());
        for page in entries.chunks(PAGE) {
            let begun = Stopwatch::start();
            let caught_up = group.receive_all(device, page, NOW);
            spent += begun.elapsed();
            for (_, event) in caught_up.events {
                match event {
                    Ok(Event::Message(message)) => read.push(message.content),
                    _ => return Err("a message of the backlog did not come out".into()),
                }
            }
        }
        if read != contents { Err("the backlog did not come out as it went in".into()) } else { Ok(spent) }
    }
}

fn their_backlog(peer: &mut dyn Talk, contents: &[Vec<u8>]) -> Result<Duration, Failure> {
    let messages = contents.iter().map(|content| peer.seal(content)).collect::<Result<Vec<_>, _>>()?;
    let mut read = Vec::with_capacity(contents.len());
    let begun = Stopwatch::start();
    for message in &messages {
        read.push(peer.open(message)?);
    }
    let spent = begun.elapsed();
    if read != contents {
        return Err(format!("{}: the backlog did not come out as it went in", peer.name()).into());
    }
    Ok(spent)
}
