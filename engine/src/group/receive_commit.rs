//! Taking a commit: the roster advances if it is valid, the secrets if we can read its secret.

use super::epoch::EpochSecrets;
use super::event::{Event, Origin};
use super::receive::ReceiveError;
use super::renewal::Renewal;
use super::sender_key::OwnSender;
use super::state::Group;
use super::summary::Summary;
use crate::device::Device;
use crate::envelope::{EnvelopeContext, OpenError, Purpose};
use crate::pairwise::{Opened, Upload};
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::entry::Entry;
use conclave_wire::ids::{DeviceId, Epoch, LeafIndex, Timestamp};
use conclave_wire::public_group::Step;
use conclave_wire::roster::Leaf;

impl Group {
    pub(super) fn receive_commit(
        &mut self,
        device: &mut Device,
        entry: &Entry,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<Event, ReceiveError> {
        let commit = UnverifiedCommit::decode(&entry.body.0)?;
        if self.epoch() == Epoch(0) && commit.hash() == self.public.head() {
            return Ok(Event::Founded);
        }
        let step = self.public.check(commit)?;
        let author = self
            .roster()
            .device(&step.commit().body().author)
            .map(|(_, leaf)| leaf.account)
            .ok_or(ReceiveError::NotMember)?;
        if step.outcome().removed().iter().any(|(_, leaf)| leaf.device.id() == self.me.device) {
            self.erase(step, changes);
            return Ok(Event::Removed { by: author });
        }

        let mut lost_chain = None;
        let (cs, opened) = match self.commit_secret(device, &step, entry) {
            Ok(secret) => secret,
            Err(error) => {
                lost_chain = (error == OpenError::Chain).then_some(step.commit().body().author);
                (CommitSecret::Lost, None)
            }
        };
        let secrets = self.next_secrets(&step, &cs);
        let renewal = Renewal::of(step.outcome());
        self.renew_chains(&renewal, changes);
        if let Some(opened) = opened {
            self.pairwise.accept(device, opened, now, changes);
        }
        let staged = self.staged.take().is_some_and(|staged| staged.hash == step.commit().hash());
        if staged {
            self.pairwise.install(Upload::Commit, changes);
        }
        let origin = match (staged, step.commit().body().author == self.me.device) {
            (true, _) => Origin::Ours,
            (false, true) => Origin::NotOurs,
            (false, false) => Origin::Other,
        };
        let summary = Summary::of(self.roster(), &step);
        self.drop_senders(step.outcome().removed(), changes);
        self.put_leaves(step.outcome(), changes);
        let unverified = self.endorsement_pages(&step);
        self.confirmation = *step.commit().confirmation();
        self.public.advance(step);
        self.put_endorsement_pages(unverified, changes);
        self.pairwise.discard(Upload::Commit, changes);
        self.pairwise.discard(Upload::Distribution, changes);
        self.step_senders(&renewal, secrets.as_ref(), changes);
        self.init = secrets.map(|secrets| secrets.init);
        self.put_head(changes);
        self.put_own_keys(changes);
        self.put_own_state(changes);
        self.put_own_past(changes);
        self.put_sender_chains(changes);
        let (epoch, state) = (self.epoch(), self.state());
        let Summary { added, removed, roles, devices_added, devices_removed, healed, reset } = summary;
        Ok(Event::EpochChanged {
            epoch,
            author,
            added,
            removed,
            roles,
            devices_added,
            devices_removed,
            healed,
            reset,
            origin,
            state,
            lost_chain,
        })
    }

    /// The commit's secret, and what opening it consumes: that is consumed even where the secret leads nowhere, because
    /// the author goes on from there.
    fn commit_secret(
        &self,
        device: &Device,
        step: &Step,
        entry: &Entry,
    ) -> Result<(CommitSecret, Option<Opened>), OpenError> {
        let body = step.commit().body();
        let Some(commitment) = &body.commitment else { return Ok((CommitSecret::None, None)) };
        if let Some(staged) = self.staged.as_ref().filter(|staged| staged.hash == step.commit().hash()) {
            let secret = staged.secret.as_ref().map(Secret::duplicate);
            return Ok((secret.map_or(CommitSecret::Lost, CommitSecret::Known), None));
        }
        let context = EnvelopeContext { purpose: Purpose::CommitSecret, group: self.id(), epoch: body.epoch };
        let delivery = entry.delivery.as_ref().map(|delivery| delivery.0.as_slice());
        let (secret, opened) = if step.outcome().needs_initial() {
            self.pairwise.open_initial_secret(device, delivery, &body.author, context, commitment)
        } else {
            self.pairwise.open_secret(device, delivery, &body.author, context, commitment)
        }?;
        Ok((CommitSecret::Known(secret), Some(opened)))
    }

    /// The secrets of the epoch that `step` begins. `None` if they cannot be had: the roster advances all the same, and
    /// this device needs a welcome (R43).
    fn next_secrets(&self, step: &Step, cs: &CommitSecret) -> Option<EpochSecrets> {
        let cs = match cs {
            CommitSecret::None => None,
            CommitSecret::Known(secret) => Some(secret),
            CommitSecret::Lost => return None,
        };
        let init = self.init_before(step.outcome().resets())?;
        let secrets = EpochSecrets::derive(&init, cs, step.commit().body_hash());
        (secrets.confirmation == *step.commit().confirmation()).then_some(secrets)
    }

    /// This device was removed: nothing secret of the group stays.
    fn erase(&mut self, step: Step, changes: &mut Changes) {
        self.put_leaves(step.outcome(), changes);
        self.confirmation = *step.commit().confirmation();
        let senders: Vec<DeviceId> = self.senders.keys().copied().collect();
        self.delete_senders(&senders, changes);
        self.pairwise.forget_all(changes);
        let unverified = self.endorsement_pages(&step);
        self.public.advance(step);
        self.put_endorsement_pages(unverified, changes);
        self.removed = true;
        self.init = None;
        self.staged = None;
        self.own = OwnSender { next_generation: self.own.next_generation, ..OwnSender::default() };
        self.put_head(changes);
        self.put_own_keys(changes);
        self.put_own_state(changes);
        self.put_own_past(changes);
    }

    /// Chains and skipped keys of removed devices are erased with the commit.
    fn drop_senders(&mut self, removed: &[(LeafIndex, Leaf)], changes: &mut Changes) {
        let removed: Vec<DeviceId> = removed.iter().map(|(_, leaf)| leaf.device.id()).collect();
        self.pairwise.forget(&removed, changes);
        // The pages are written when all senders have entered the epoch.
        self.forget_senders(&removed, changes);
    }
}

/// The secret that a commit mixes in.
enum CommitSecret {
    /// It has none.
    None,
    /// This one.
    Known(Secret<32>),
    /// It has one that this device could not be given.
    Lost,
}
