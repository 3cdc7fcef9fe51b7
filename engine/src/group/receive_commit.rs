//! Taking a commit: the roster advances if it is valid, the secrets if we can read its secret.

use super::epoch::EpochSecrets;
use super::event::Event;
use super::receive::ReceiveError;
use super::sender_key::OwnSender;
use super::state::Group;
use crate::device::{Device, Opened};
use crate::envelope::{EnvelopeContext, Purpose};
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::commit::{Operation, UnverifiedCommit};
use conclave_wire::entry::Entry;
use conclave_wire::ids::{AccountId, DeviceId, Epoch, LeafIndex, Timestamp};
use conclave_wire::public_group::{Outcome, Step};
use conclave_wire::roster::{Leaf, Role};

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

        let secrets = self.next_secrets(device, &step, entry);
        let (secrets, opened) = match secrets {
            Some((secrets, opened)) => (Some(secrets), opened),
            None => (None, None),
        };
        if let Some(opened) = opened {
            device.accept(opened, now, changes);
        }
        if step.commit().body().author == self.me.device {
            device.confirm_chains(step.commit().hash().as_bytes(), changes);
            if let Some(commitment) = &step.commit().body().commitment {
                device.confirm_chains(commitment.as_bytes(), changes);
            }
        }
        let own = self.staged.take().is_some_and(|staged| staged.hash == step.commit().hash());
        let (added, removed, roles) = summary(step.commit().body().operations.as_slice(), step.outcome());
        self.drop_senders(step.outcome().removed(), changes);
        self.put_leaves(step.outcome(), changes);
        self.public.advance(step);
        for sender in self.senders.values_mut() {
            sender.step(secrets.as_ref());
        }
        self.own.step(secrets.as_ref());
        self.init = secrets.map(|secrets| secrets.init);
        self.put_head(changes);
        self.put_own_keys(changes);
        self.put_own_state(changes);
        self.put_sender_chains(changes);
        Ok(Event::EpochChanged {
            epoch: self.epoch(),
            author,
            added,
            removed,
            roles,
            own,
            state: self.state(),
        })
    }

    /// The secrets of the epoch that `step` begins, with what opening them consumes. `None` if they cannot be had: the
    /// roster advances all the same, and this device needs a welcome (R43).
    fn next_secrets(
        &self,
        device: &Device,
        step: &Step,
        entry: &Entry,
    ) -> Option<(EpochSecrets, Option<Opened>)> {
        let (commit, body) = (step.commit(), step.commit().body());
        let init = self.init.as_ref()?;
        let staged = self.staged.as_ref().filter(|staged| staged.hash == commit.hash());
        let (cs, opened): (Option<Secret<32>>, _) = match (&body.commitment, staged) {
            (None, _) => (None, None),
            (Some(_), Some(staged)) => (Some(staged.secret.as_ref()?.duplicate()), None),
            (Some(commitment), None) => {
                let context =
                    EnvelopeContext { purpose: Purpose::CommitSecret, group: self.id(), epoch: body.epoch };
                let delivery = entry.delivery.as_ref().map(|delivery| delivery.0.as_slice());
                let (cs, opened) = device.open_secret(delivery, &body.author, context, commitment).ok()?;
                (Some(cs), Some(opened))
            }
        };
        let secrets = EpochSecrets::derive(init, cs.as_ref(), commit.body_hash());
        (secrets.confirmation == *commit.confirmation()).then_some((secrets, opened))
    }

    /// This device was removed: nothing secret of the group stays.
    fn erase(&mut self, step: Step, changes: &mut Changes) {
        self.put_leaves(step.outcome(), changes);
        let senders: Vec<DeviceId> = self.senders.keys().copied().collect();
        for sender in senders {
            self.delete_sender(&sender, changes);
        }
        self.senders.clear();
        self.public.advance(step);
        self.removed = true;
        self.init = None;
        self.staged = None;
        self.own = OwnSender { next_generation: self.own.next_generation, ..OwnSender::default() };
        self.put_head(changes);
        self.put_own_keys(changes);
        self.put_own_state(changes);
    }

    /// Chains and skipped keys of removed devices are erased with the commit.
    fn drop_senders(&mut self, removed: &[(LeafIndex, Leaf)], changes: &mut Changes) {
        for device in removed.iter().map(|(_, leaf)| leaf.device.id()) {
            if self.senders.remove(&device).is_some() {
                self.delete_sender(&device, changes);
            }
        }
    }
}

/// Accounts in, accounts out, and roles changed.
fn summary(
    operations: &[Operation],
    outcome: &Outcome,
) -> (Vec<AccountId>, Vec<AccountId>, Vec<(AccountId, Role)>) {
    let accounts = |leaves: &[(LeafIndex, Leaf)]| {
        let mut accounts: Vec<AccountId> = leaves.iter().map(|(_, leaf)| leaf.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    };
    let roles = operations.iter().filter_map(|operation| match operation {
        Operation::SetRole { account, role } => Some((*account, *role)),
        _ => None,
    });
    (accounts(outcome.added()), accounts(outcome.removed()), roles.collect())
}
