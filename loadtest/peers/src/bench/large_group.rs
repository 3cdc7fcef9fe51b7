//! A large group: removing, taking the removal, joining, and what a member stores.

use super::{Bench, COMMITS, SENDERS, nothing};
use crate::Failure;
use crate::compare::{Samples, Work, by_turns};
use crate::peer::{
    self, LargeGroup, MLS_RS, MlsRsGroup, Olm, OpenMlsGroup, VODOZEMAC, exported_session_bytes,
};
use crate::results::{Goal, Row};
use conclave_village::{Contact, MAX_SENDERS, Plan, Village};

impl Bench {
    pub(super) fn large_group(&mut self) -> Result<(), Failure> {
        let devices = self.scale.devices;
        let senders = SENDERS.min(MAX_SENDERS).min(devices / 2);
        let busy = self.settle(Plan::new(devices, senders))?;
        let at_once = devices.div_ceil(COMMITS - 2);
        let quiet = self.settle(Plan { at_once, ..Plan::new(devices, 0) })?;
        let progress = &self.progress;
        let say = |what: &str| progress.say(format!("an MLS group of {devices}: {what}"));
        let mls_rs = MlsRsGroup::warm(devices, &say)?;
        let openmls = OpenMlsGroup::warm(devices, &say)?;
        let fresh = MlsRsGroup::fresh(devices, at_once, &say)?;
        let peers: [&dyn LargeGroup; 2] = [&mls_rs, &openmls];
        self.removal(&busy, &peers, senders)?;
        self.removal_in_a_fresh_tree(&busy, &fresh, senders)?;
        self.removal_by_every_sender(&busy, senders)?;
        self.taking_the_removal(&busy, &peers, senders)?;
        self.joining(&quiet, &peers, 0)?;
        self.joining(&busy, &peers, senders)?;
        self.walking_further(&quiet)?;
        self.stored(&busy, &quiet, &peers, senders)
    }

    fn removal(
        &mut self,
        village: &Village,
        peers: &[&dyn LargeGroup],
        senders: usize,
    ) -> Result<(), Failure> {
        self.say("removing a member");
        let rng = &mut self.rng;
        let ours = || Ok(village.remove_and_apply(rng)?.spent);
        let theirs = peers.iter().map(|peer| -> Work<'_> { Box::new(|| Ok(peer.remove()?.0)) });
        let samples = by_turns(self.scale.group_repetitions, Box::new(ours), theirs.collect())?;
        let work = format!("remove 1 of {}, S = {senders}", self.scale.devices);
        let row = |row: Row, _: &str| row.goal(Goal::Us(2000.0)).note("the peers' trees are warm");
        self.beside_each(&work, peers, &samples, row)
    }

    /// A row for each peer; `finish` adds what is to be said beside its name.
    fn beside_each(
        &mut self,
        work: &str,
        peers: &[&dyn LargeGroup],
        samples: &Samples,
        finish: impl Fn(Row, &str) -> Row,
    ) -> Result<(), Failure> {
        for (index, peer) in peers.iter().enumerate() {
            let figures = samples.beside(index, peer.name()).ok_or_else(nothing)?;
            self.add([finish(Row::times(work.to_owned(), figures), peer.name())])?;
        }
        Ok(())
    }

    fn removal_in_a_fresh_tree(
        &mut self,
        village: &Village,
        fresh: &MlsRsGroup,
        senders: usize,
    ) -> Result<(), Failure> {
        let rng = &mut self.rng;
        let ours = || Ok(village.remove_and_apply(rng)?.spent);
        let theirs: Work<'_> = Box::new(|| Ok(fresh.remove()?.0));
        let samples = by_turns(self.scale.group_repetitions, Box::new(ours), vec![theirs])?;
        let work = format!("remove 1 of {}, S = {senders}, tree fresh", self.scale.devices);
        self.add([Row::times(work, samples.beside(0, MLS_RS).ok_or_else(nothing)?)])
    }

    /// Olm and Megolm have no group secret: after a removal every sender hands out a new key.
    fn removal_by_every_sender(&mut self, village: &Village, senders: usize) -> Result<(), Failure> {
        let mut olm = Olm::new(self.scale.devices - 1)?;
        let all = u32::try_from(senders)?;
        let rng = &mut self.rng;
        let ours = || Ok(village.remove_and_apply(rng)?.spent);
        let theirs: Work<'_> = Box::new(move || Ok(olm.hand_out(peer::Contact::Known)?.0 * all));
        let samples = by_turns(self.scale.group_repetitions, Box::new(ours), vec![theirs])?;
        let work = format!("remove 1 of {}, S = {senders}", self.scale.devices);
        self.add([Row::times(work, samples.beside(0, VODOZEMAC).ok_or_else(nothing)?).note(
            "vodozemac: one sender's new key to all known devices, times S; work of all senders together",
        )])
    }

    fn taking_the_removal(
        &mut self,
        village: &Village,
        peers: &[&dyn LargeGroup],
        senders: usize,
    ) -> Result<(), Failure> {
        self.say("taking a removal");
        let upload = village.remove(Contact::Known, &mut self.rng)?.output;
        let ours = || Ok(village.take_removal(&upload)?.spent);
        let mut theirs: Vec<Work<'_>> = Vec::new();
        for peer in peers {
            let (_, commit) = peer.remove()?;
            theirs.push(Box::new(move || peer.take_removal(&commit)));
        }
        let samples = by_turns(self.scale.group_repetitions, Box::new(ours), theirs)?;
        let work = format!("process that removal, S = {senders}");
        self.beside_each(&work, peers, &samples, beside_mls_rs(Goal::Ratio(0.2)))
    }

    /// The welcome brings this many sender keys; MLS has none to bring.
    fn joining(
        &mut self,
        village: &Village,
        peers: &[&dyn LargeGroup],
        senders: usize,
    ) -> Result<(), Failure> {
        self.say("joining");
        let ours = || Ok(village.join()?.spent);
        let theirs = peers.iter().map(|peer| -> Work<'_> { Box::new(|| peer.join()) });
        let samples = by_turns(self.scale.group_repetitions, Box::new(ours), theirs.collect())?;
        let commits = village.commits.len();
        let work = format!("join {} members, {commits} commits old, S = {senders}", self.scale.devices);
        self.beside_each(&work, peers, &samples, beside_mls_rs(Goal::Ratio(0.25)))
    }

    fn walking_further(&mut self, village: &Village) -> Result<(), Failure> {
        let rng = &mut self.rng;
        let further = || Ok(village.walk_further(rng)?.spent);
        let samples = by_turns(self.scale.group_repetitions, Box::new(further), Vec::new())?;
        let figures = samples.ours().ok_or_else(nothing)?;
        self.add([Row::times("join: each further commit", figures).goal(Goal::Us(60.0))])
    }

    fn stored(
        &mut self,
        busy: &Village,
        quiet: &Village,
        peers: &[&dyn LargeGroup],
        senders: usize,
    ) -> Result<(), Failure> {
        let (all, none) = (busy.bob.group_bytes(), quiet.bob.group_bytes());
        let each = all.saturating_sub(none).div_ceil(senders.max(1));
        self.add([Row::bytes(
            "stored for each group and sender",
            each,
            Some((VODOZEMAC, exported_session_bytes())),
        )
        .goal(Goal::Bytes(200))])?;
        for peer in peers {
            let work = format!("a member's store, {} devices, S = {senders}", self.scale.devices);
            self.add([Row::bytes(work, all, Some((peer.name(), peer.stored_bytes()?)))])?;
        }
        Ok(())
    }
}

/// The goal stands beside mls-rs alone.
fn beside_mls_rs(goal: Goal) -> impl Fn(Row, &str) -> Row {
    move |row, peer| if peer == MLS_RS { row.goal(goal) } else { row }
}
