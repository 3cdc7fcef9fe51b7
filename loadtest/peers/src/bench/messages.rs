//! Messages one at a time: time to seal and to open, bytes on the wire.

use super::{Bench, nothing};
use crate::Failure;
use crate::compare::Samples;
use crate::peer::{MLS_RS, Megolm, MlsRsPair, OpenMlsPair, Padding, Talk, VODOZEMAC};
use crate::results::{Goal, Row};
use conclave_engine::limits::MAX_CONTENT;
use conclave_engine::wire::limits::MESSAGE_OVERHEAD;
use conclave_village::{Pair, Stopwatch, content};
use std::time::Duration;

/// A small message.
const SMALL: usize = 256;

/// Messages of one repetition.
const BLOCK: u32 = 32;

/// Messages of a run.
const RUN: u32 = 64;

/// What a block of messages took, for each.
struct Block {
    seal: Duration,
    open: Duration,
}

impl Bench {
    pub(super) fn messages(&mut self) -> Result<(), Failure> {
        let mut pair = Pair::new(&mut self.rng)?;
        let mut peers = peers()?;
        for (size, title) in [(SMALL, "256 B"), (MAX_CONTENT, "64 KiB")] {
            self.say(&format!("messages of {size} bytes"));
            let (seal, open) = self.blocks(&mut pair, &mut peers, size)?;
            for (index, peer) in peers.iter().enumerate() {
                let name = peer.name();
                let sealing =
                    Row::times(format!("seal {title}"), seal.beside(index, name).ok_or_else(nothing)?);
                let opening =
                    Row::times(format!("open {title}"), open.beside(index, name).ok_or_else(nothing)?);
                self.add(match (name, size) {
                    (VODOZEMAC, SMALL) => [sealing.goal(Goal::Ratio(1.0)), opening.goal(Goal::Ratio(0.9))],
                    (VODOZEMAC, _) => [sealing.goal(Goal::Ratio(0.25)), opening],
                    (MLS_RS, SMALL) if cfg!(feature = "accelerated") => {
                        [sealing.goal(Goal::Ratio(0.75)), opening]
                    }
                    _ => [sealing, opening],
                })?;
            }
        }
        self.runs(&mut pair)?;
        self.bytes(&mut pair)
    }

    /// Runs, against what Megolm takes for as many messages one by one.
    fn runs(&mut self, pair: &mut Pair) -> Result<(), Failure> {
        self.say("runs");
        let mut megolm = Megolm::new();
        let (mut seal, mut open) = (Samples::new(1), Samples::new(1));
        for repetition in 0..=self.scale.message_repetitions {
            pair.prepare(RUN, &mut self.rng)?;
            let contents: Vec<_> = (0..RUN).map(|_| content(SMALL, &mut self.rng)).collect();
            let sealed = pair.seal_run(&contents, &mut self.rng)?;
            let opened = pair.open_run(&sealed.output, &contents)?;
            let theirs = block(&mut megolm, &contents)?;
            if repetition > 0 {
                seal.push(sealed.spent / RUN, [theirs.seal / RUN]);
                open.push(opened.spent / RUN, [theirs.open / RUN]);
            }
        }
        let title = |what| format!("{what} 256 B in a run of {RUN}, a message");
        let seal = Row::times(title("seal"), seal.beside(0, VODOZEMAC).ok_or_else(nothing)?);
        let open = Row::times(title("open"), open.beside(0, VODOZEMAC).ok_or_else(nothing)?);
        self.add([seal.goal(Goal::Ratio(0.15)), open])
    }

    fn blocks(
        &mut self,
        pair: &mut Pair,
        peers: &mut [Box<dyn Talk>],
        size: usize,
    ) -> Result<(Samples, Samples), Failure> {
        let (mut seal, mut open) = (Samples::new(peers.len()), Samples::new(peers.len()));
        // The first turn warms caches and is not kept.
        for repetition in 0..=self.scale.message_repetitions {
            pair.prepare(BLOCK, &mut self.rng)?;
            let contents: Vec<_> = (0..BLOCK).map(|_| content(size, &mut self.rng)).collect();
            let ours = self.our_block(pair, &contents)?;
            let theirs =
                peers.iter_mut().map(|peer| block(&mut **peer, &contents)).collect::<Result<Vec<_>, _>>()?;
            if repetition > 0 {
                seal.push(ours.seal / BLOCK, theirs.iter().map(|block| block.seal / BLOCK));
                open.push(ours.open / BLOCK, theirs.iter().map(|block| block.open / BLOCK));
            }
        }
        Ok((seal, open))
    }

    fn our_block(&mut self, pair: &mut Pair, contents: &[Vec<u8>]) -> Result<Block, Failure> {
        let mut block = Block { seal: Duration::ZERO, open: Duration::ZERO };
        let mut entries = Vec::with_capacity(contents.len());
        for content in contents {
            let sealed = pair.seal(content, &mut self.rng)?;
            block.seal += sealed.spent;
            pair.confirm(&sealed.output)?;
            entries.push(sealed.output);
        }
        for (content, entry) in contents.iter().zip(&entries) {
            block.open += pair.open(entry, content)?.spent;
        }
        Ok(block)
    }

    fn bytes(&mut self, pair: &mut Pair) -> Result<(), Failure> {
        pair.prepare(1, &mut self.rng)?;
        let content = content(SMALL, &mut self.rng);
        let sealed = pair.seal(&content, &mut self.rng)?.output;
        pair.confirm(&sealed)?;
        pair.open(&sealed, &content)?;
        let wire = sealed.body.0.len();
        let mut bare: [Box<dyn Talk>; 3] = [
            Box::new(Megolm::new()),
            Box::new(MlsRsPair::new(Padding::None)?),
            Box::new(OpenMlsPair::new()?),
        ];
        for peer in &mut bare {
            let theirs = peer.seal(&content)?.len().saturating_sub(SMALL);
            let row = Row::bytes("around a message", MESSAGE_OVERHEAD, Some((peer.name(), theirs)));
            self.add([row.goal(Goal::Bytes(120))])?;
        }
        for peer in &mut peers()? {
            let theirs = peer.seal(&content)?.len();
            self.add([Row::bytes("256 B on the wire", wire, Some((peer.name(), theirs))).note(
                "padded as each library does by itself; ours hides the length to 12 % and carries an id",
            )])?;
        }
        Ok(())
    }
}

fn peers() -> Result<Vec<Box<dyn Talk>>, Failure> {
    Ok(vec![
        Box::new(Megolm::new()),
        Box::new(MlsRsPair::new(Padding::Default)?),
        Box::new(OpenMlsPair::new()?),
    ])
}

fn block(peer: &mut dyn Talk, contents: &[Vec<u8>]) -> Result<Block, Failure> {
    let mut block = Block { seal: Duration::ZERO, open: Duration::ZERO };
    let mut messages = Vec::with_capacity(contents.len());
    for content in contents {
        let begun = Stopwatch::start();
        let message = peer.seal(content);
        block.seal += begun.elapsed();
        messages.push(message?);
    }
    for (content, message) in contents.iter().zip(&messages) {
        let begun = Stopwatch::start();
        let opened = peer.open(message);
        block.open += begun.elapsed();
        if opened? != *content {
            return Err(format!("{}: a message did not come out as it went in", peer.name()).into());
        }
    }
    Ok(block)
}
