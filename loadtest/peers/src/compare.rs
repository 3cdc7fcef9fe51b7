//! Ours and theirs by turns, so that what else the machine does falls on both.

use crate::Failure;
use crate::results::{Beside, Figures};
use conclave_report::Spread;
use std::time::Duration;

/// One repetition of something.
pub(crate) type Work<'a> = Box<dyn FnMut() -> Result<Duration, Failure> + 'a>;

/// What each repetition of ours and of each peer took.
pub(crate) struct Samples {
    ours: Vec<Duration>,
    peers: Vec<Vec<Duration>>,
}

impl Samples {
    /// For so many peers.
    pub(crate) fn new(peers: usize) -> Self {
        Self { ours: Vec::new(), peers: vec![Vec::new(); peers] }
    }

    /// Notes one repetition: ours, then each peer's.
    pub(crate) fn push(&mut self, ours: Duration, peers: impl IntoIterator<Item = Duration>) {
        self.ours.push(ours);
        for (samples, sample) in self.peers.iter_mut().zip(peers) {
            samples.push(sample);
        }
    }

    /// Of ours alone.
    pub(crate) fn ours(&self) -> Option<Figures> {
        Some(Figures { ours: Spread::of(&self.ours)?, beside: None })
    }

    /// Of ours and a peer. The ratio is the median of the ratios of single repetitions.
    pub(crate) fn beside(&self, peer: usize, name: &'static str) -> Option<Figures> {
        let theirs = self.peers.get(peer)?;
        let ratio = |(ours, theirs): (&Duration, &Duration)| ours.as_secs_f64() / theirs.as_secs_f64();
        let mut ratios: Vec<f64> = self.ours.iter().zip(theirs).map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios.get((ratios.len() - 1) / 2)?, ratios.get(ratios.len() / 2)?);
        let beside = Beside {
            peer: name,
            us: Spread::of(theirs)?,
            ratio: (low + high) / 2.0,
            ratio_min: *ratios.first()?,
            ratio_max: *ratios.last()?,
        };
        Some(Figures { ours: Spread::of(&self.ours)?, beside: Some(beside) })
    }

    /// The peer whose median is lowest.
    pub(crate) fn best_peer(&self) -> Option<usize> {
        let medians = self.peers.iter().filter_map(|samples| Spread::of(samples));
        let best = medians.enumerate().min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
        best.map(|(peer, _)| peer)
    }
}

/// Takes turns. The first turn warms caches and is not kept.
pub(crate) fn by_turns(
    repetitions: usize,
    mut ours: Work<'_>,
    mut peers: Vec<Work<'_>>,
) -> Result<Samples, Failure> {
    let mut samples = Samples::new(peers.len());
    for repetition in 0..=repetitions {
        let our = ours()?;
        let theirs = peers.iter_mut().map(|peer| peer()).collect::<Result<Vec<_>, _>>()?;
        if repetition > 0 {
            samples.push(our, theirs);
        }
    }
    Ok(samples)
}
