//! Groups that grow.

use super::{Bench, nothing};
use crate::Failure;
use crate::compare::{Samples, by_turns};
use crate::peer::{MLS_RS, MlsRsGroup, OPENMLS, OpenMlsGroup};
use crate::results::{Goal, Row};
use conclave_village::{Contact, Plan, Trouble, Village};
use std::time::Duration;

/// Devices that one commit adds, on every side.
const AT_ONCE: usize = 125;

/// With `--large`: how far ours goes, and how far mls-rs goes with it.
const LARGE: [usize; 2] = [10_000, 100_000];
const MLS_RS_GOES: usize = 10_000;

/// Steps of a very large group take seconds.
const LARGE_REPETITIONS: usize = 3;

impl Bench {
    pub(super) fn growth(&mut self, large: bool) -> Result<(), Failure> {
        let devices = self.scale.devices;
        let sizes = [devices / 4, devices / 2, devices];
        for size in sizes {
            let ours = self.grow(size)?.grown;
            let progress = &self.progress;
            let say = |what: &str| progress.say(format!("an MLS group of {size}: {what}"));
            let mls_rs = MlsRsGroup::fresh(size, AT_ONCE, &say)?.grown;
            let openmls = OpenMlsGroup::fresh(size, AT_ONCE, &say)?.grown;
            self.grown(size, ours, &[(MLS_RS, mls_rs), (OPENMLS, openmls)])?;
        }
        for size in LARGE.into_iter().filter(|_| large) {
            let village = self.grow(size)?;
            let mut peers = Vec::new();
            if size <= MLS_RS_GOES {
                let progress = &self.progress;
                let say = |what: &str| progress.say(format!("an MLS group of {size}: {what}"));
                peers.push((MLS_RS, MlsRsGroup::fresh(size, AT_ONCE, &say)?.grown));
            }
            self.grown(size, village.grown, &peers)?;
            self.large_removal(size, &village)?;
        }
        Ok(())
    }

    fn grow(&mut self, devices: usize) -> Result<Village, Failure> {
        self.settle(Plan { at_once: AT_ONCE, ..Plan::new(devices, 0) })
    }

    fn grown(
        &mut self,
        size: usize,
        ours: Duration,
        peers: &[(&'static str, Duration)],
    ) -> Result<(), Failure> {
        let mut samples = Samples::new(peers.len());
        samples.push(ours, peers.iter().map(|(_, theirs)| *theirs));
        let work = || format!("grow to {size}, {AT_ONCE} at once");
        if peers.is_empty() {
            self.add([Row::times(work(), samples.ours().ok_or_else(nothing)?)])?;
        }
        for (index, (name, _)) in peers.iter().enumerate() {
            self.add([Row::times(work(), samples.beside(index, name).ok_or_else(nothing)?)])?;
        }
        Ok(())
    }

    fn large_removal(&mut self, size: usize, village: &Village) -> Result<(), Failure> {
        let work = format!("remove 1 of {size}");
        let rng = &mut self.rng;
        match village.remove(Contact::Known, rng) {
            Ok(_) => {}
            Err(Trouble::NotPossible(why)) => return self.add([Row::not_possible(work, why)]),
            Err(trouble) => return Err(trouble.into()),
        }
        let ours = || Ok(village.remove_and_apply(rng)?.spent);
        let samples = by_turns(LARGE_REPETITIONS, Box::new(ours), Vec::new())?;
        let row = Row::times(work, samples.ours().ok_or_else(nothing)?);
        self.add([if size >= 100_000 { row.goal(Goal::Us(300_000.0)) } else { row }])
    }
}
