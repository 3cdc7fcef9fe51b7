//! A large group: removing, taking the removal, joining, and what a member stores.

use super::{Bench, COMMITS, SENDERS, nothing};
use crate::Failure;
use crate::compare::{Work, by_turns};
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
        self.joining(&quiet, &peers, true)?;
        self.joining(&busy, &peers, false)?;
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
        for (index, peer) in peers.iter().enumerate() {
            let figures = samples.beside(index, peer.name()).ok_or_else(nothing)?;
            let work = format!("remove 1 of {}, S = {senders}", self.scale.devices);
            self.add([Row::times(work, figures).goal(Goal::Us(2000.0)).note("the peers' trees are warm")])?;
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
        for (index, peer) in peers.iter().enumerate() {
            let figures = samples.beside(index, peer.name()).ok_or_else(nothing)?;
            let row = Row::times(format!("process that removal, S = {senders}"), figures);
            self.add([if peer.name() == MLS_RS { row.goal(Goal::Ratio(0.2)) } else { row }])?;
        }
        Ok(())
    }

    /// The founder, who adds the newcomer, holds no sender keys, so that the welcome brings none. The goal is for a short
    /// history.
    fn joining(
        &mut self,
        village: &Village,
        peers: &[&dyn LargeGroup],
        has_goal: bool,
    ) -> Result<(), Failure> {
        self.say("joining");
        let ours = || Ok(village.join()?.spent);
        let theirs = peers.iter().map(|peer| -> Work<'_> { Box::new(|| peer.join()) });
        let samples = by_turns(self.scale.group_repetitions, Box::new(ours), theirs.collect())?;
        let commits = village.commits.len();
        for (index, peer) in peers.iter().enumerate() {
            let figures = samples.beside(index, peer.name()).ok_or_else(nothing)?;
            let work = format!("join {} members, {commits} commits old", self.scale.devices);
            let (row, is_goal) = (Row::times(work, figures), has_goal && peer.name() == MLS_RS);
            self.add([if is_goal { row.goal(Goal::Ratio(0.25)) } else { row }])?;
        }
        Ok(())
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
