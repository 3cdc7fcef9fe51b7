//! What a heal or a reset erases at every device when the log shows it (R48), (R49).
//!
//! Nothing goes before that: a heal that loses its race against a removal must still be able to open the removal's
//! secret, which comes on the chains of before.

use super::epoch::EpochSecrets;
use super::receive_distribution::is_too_old;
use super::state::Group;
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::ids::DeviceId;
use conclave_wire::public_group::Outcome;

/// Whose sender keys and pairwise chains end with a commit, although the devices stay.
pub(super) struct Renewal {
    all: bool,
    healed: Option<DeviceId>,
}

impl Renewal {
    pub(super) fn of(outcome: &Outcome) -> Self {
        Self { all: outcome.resets(), healed: outcome.healed().copied() }
    }

    /// Whether this device's sender key ends.
    pub(super) fn covers(&self, device: &DeviceId) -> bool {
        self.all || self.healed.as_ref() == Some(device)
    }
}

impl Group {
    /// What the epoch after a commit derives from: nothing that anybody knew, if it resets.
    pub(super) fn init_before(&self, resets: bool) -> Option<Secret<32>> {
        if resets { Some(Secret::zeroed()) } else { self.init.as_ref().map(Secret::duplicate) }
    }

    /// Erases pairwise chains, before those that the commit itself brings come in their place.
    pub(super) fn renew_chains(&mut self, renewal: &Renewal, changes: &mut Changes) {
        if renewal.covers(&self.me.device) {
            self.pairwise.renew_all(changes);
        } else if let Some(healed) = &renewal.healed {
            self.pairwise.forget(std::slice::from_ref(healed), changes);
        }
    }

    /// Brings every sender key into the epoch that has begun, and drops those that end with it.
    pub(super) fn step_senders(
        &mut self,
        renewal: &Renewal,
        secrets: Option<&EpochSecrets>,
        changes: &mut Changes,
    ) {
        let epoch = self.public.epoch();
        let mut renewed = Vec::new();
        for (device, sender) in &mut self.senders {
            let (ends, awaited) = (renewal.covers(device), sender.awaits());
            if ends {
                sender.await_next();
            }
            sender.step(secrets);
            if renewal.healed.as_ref() == Some(device) {
                sender.since = epoch;
            }
            if sender.key.as_ref().is_some_and(|key| is_too_old(&self.public, key.certificate.body())) {
                sender.drop_key();
            }
            if ends || awaited != sender.awaits() {
                renewed.push(*device);
            }
        }
        for device in renewed {
            self.put_sender_key(&device, changes);
        }
        self.own.step(secrets);
        if renewal.covers(&self.me.device) {
            self.own.active = None;
        }
        self.own.active.take_if(|key| is_too_old(&self.public, key.certificate.body()));
    }
}
