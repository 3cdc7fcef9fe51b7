//! Staging a commit: everything about it is made and kept here, and takes effect when the log shows it.

use super::epoch::EpochSecrets;
use super::event::GroupState;
use super::renewal::Renewal;
use super::sender_key::OwnKey;
use super::state::{Group, Staged};
use super::unverified::ForgedMember;
use super::welcome::{self, WELCOME_SENDER_BYTES, Welcome, WelcomeSender};
use crate::addressee::Addressee;
use crate::device::Device;
use crate::envelope::{CommittedSecret, EnvelopeContext, Purpose};
use crate::limits::{MAX_NOTE, MAX_WELCOME_SENDERS};
use crate::pairwise::{Dispatch, Upload};
use crate::prekeys::{PrekeyBook, Reach};
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::certificate::Certificate;
use conclave_wire::codec;
use conclave_wire::commit::{Commit, CommitBody, Operation};
use conclave_wire::ids::{DeviceId, Opaque, Timestamp};
use conclave_wire::limits::MAX_FRAME;
use conclave_wire::public_group::{CommitError, Outcome};
use conclave_wire::request::WelcomeFor;
use rand_core::CryptoRng;
use std::collections::BTreeSet;
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a commit cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StageError {
    /// This device was removed, or lacks the epoch's secrets.
    #[error("this device cannot change the group: it was removed, or must be welcomed again first")]
    NotActive(GroupState),
    /// A commit of ours is under way; process the log until its fate is known.
    #[error("a change of this device is under way; wait until the log shows what became of it")]
    AlreadyStaged,
    /// The commit would break a rule.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// [`Device::begin_heal`] has not been called since the device's last heal in this group, or these are not its
    /// prekeys: to pin prekeys that a thief may hold would heal nothing.
    #[error("begin the heal of this device first: new prekeys, the old ones erased")]
    HealNotBegun,
    /// The note is longer than [`MAX_NOTE`].
    #[error("the note to newcomers is longer than {MAX_NOTE} bytes")]
    Note,
    /// A device that would get the commit's secret is not its account's.
    #[error(transparent)]
    Forged(#[from] ForgedMember),
    /// The commit does not fit a frame, or what would be uploaded is more than the transport
    /// [takes](Group::allow_uploads_of).
    #[error("the change is too large for one upload; make it in several steps")]
    TooLarge,
}

/// What is uploaded, as [`conclave_wire::request::Request::Commit`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitUpload {
    /// The encoded commit.
    pub commit: Vec<u8>,
    /// The commit secret for each recipient.
    pub deliveries: Vec<Opaque>,
    /// Whom the deliveries are for, in the same order.
    pub recipients: Vec<DeviceId>,
    /// For each newcomer.
    pub welcomes: Vec<WelcomeFor>,
}

/// A staged commit.
#[derive(Debug)]
pub struct StagedCommit {
    /// To upload, after the changes are stored.
    pub upload: CommitUpload,
    /// Devices that got nothing because their prekeys cannot be used; they must be welcomed later.
    pub unreachable: Vec<DeviceId>,
    /// To store first.
    pub changes: Changes,
}

/// Of how many devices a commit takes account, and how.
#[derive(Clone, Copy)]
struct Sending {
    wraps: usize,
    initial: usize,
    newcomers: usize,
    /// Named in the commit: nothing can be sent to them.
    out_of_reach: usize,
}

/// A wrap in an upload, with its CBOR head.
const WRAP_SIZE: usize = 42;
/// An initial envelope of a 32-byte payload or the start of a welcome, in an upload, at most.
const INITIAL_SIZE: usize = 1900;

impl Group {
    /// Stages a commit of `operations`. `note` goes to newcomers inside their welcomes, for instance the group's name.
    ///
    /// The book must hold the prekeys of newcomers' devices, for a commit with a secret those of
    /// [`unknown_peers`](Self::unknown_peers), and for a heal or reset those of all other devices; a device without
    /// usable prekeys is named unreachable and cannot block the commit.
    pub fn commit(
        &mut self,
        device: &Device,
        operations: Vec<Operation>,
        note: &[u8],
        book: &PrekeyBook,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<StagedCommit, StageError> {
        let resets = operations.contains(&Operation::Reset);
        let init = match (self.init_before(resets), self.state()) {
            (Some(init), GroupState::Active | GroupState::NeedWelcome) => init,
            (_, state) => return Err(StageError::NotActive(state)),
        };
        if self.staged.is_some() {
            return Err(StageError::AlreadyStaged);
        }
        if note.len() > MAX_NOTE {
            return Err(StageError::Note);
        }
        self.check_heal(device, &operations)?;
        let outcome = self.public.outcome(&self.me.device, &operations, now)?;
        let epoch = self.epoch().next().ok_or(CommitError::TooLarge)?;
        let needs_secret = operations.iter().any(Operation::needs_secret);
        let committed = needs_secret.then(|| CommittedSecret::for_commit(rng));
        let recipients: Vec<Addressee> = match &committed {
            None => Vec::new(),
            Some(_) => self
                .public
                .recipients(&outcome, &self.me.device)
                .map(|(_, leaf)| Addressee::from(leaf))
                .collect(),
        };
        let verified = self.verify_devices(recipients.iter().map(|to| to.device))?;
        let newcomers: Vec<Addressee> =
            outcome.added().iter().map(|(_, leaf)| Addressee::from(leaf)).collect();
        let initial = outcome.needs_initial();
        let reach = Reach { book, now };
        let continued = |to: &Addressee| !initial && self.pairwise.can_continue(&to.device, now);
        let out_of_reach = |to: &&Addressee| !continued(to) && reach.prekeys(to).is_none();
        let wraps = recipients.iter().filter(|to| continued(to)).count();
        self.check_size(
            &operations,
            Sending {
                wraps,
                initial: recipients.len() - wraps,
                newcomers: newcomers.len(),
                out_of_reach: recipients.iter().chain(&newcomers).filter(out_of_reach).count(),
            },
        )?;

        // From here on nothing fails.
        let mut changes = Changes::default();
        let group = self.id();
        let dispatch = |purpose| {
            let context = EnvelopeContext { purpose, group, epoch };
            Dispatch { from: device, context, upload: Upload::Commit, reach }
        };
        self.settle(&verified, &mut changes);
        self.pairwise.discard(Upload::Commit, &mut changes);
        let deliveries = match &committed {
            Some(secret) => {
                let dispatch = dispatch(Purpose::CommitSecret);
                if initial {
                    self.pairwise.deliver_initial(secret, &recipients, dispatch, rng, &mut changes)
                } else {
                    self.pairwise.deliver(secret, &recipients, dispatch, rng, &mut changes)
                }
            }
            None => Vec::new(),
        };
        let unreached = recipients.iter().zip(&deliveries).filter(|(_, delivery)| delivery.is_none());
        let unwelcome = newcomers.iter().filter(|to| !self.pairwise.can_reach(to, reach));
        let mut unreachable: Vec<DeviceId> =
            unreached.map(|(to, _)| to.device).chain(unwelcome.map(|to| to.device)).collect();
        unreachable.sort_unstable();
        let body = CommitBody {
            group: self.id(),
            epoch,
            previous: self.public.head(),
            last_distribution: self.last_distribution,
            author: self.me.device,
            commitment: committed.as_ref().map(|secret| secret.commitment),
            operations,
            roster: outcome.roster_hash(),
            unreachable: unreachable.clone(),
            time: now,
        };
        let cs = committed.map(|committed| committed.secret);
        let secrets = EpochSecrets::derive(&init, cs.as_ref(), &body.hash());
        let commit = Commit::sign(body, secrets.confirmation, device.signing_key());
        let mut welcomes = Vec::new();
        if !newcomers.is_empty() {
            let welcome = self.welcome(&commit, &outcome, secrets, note);
            let welcome = Zeroizing::new(codec::encode(&welcome));
            let dispatch = dispatch(Purpose::Welcome);
            welcomes = self.seal_welcomes(&newcomers, &welcome, dispatch, rng, &mut changes);
        }
        self.staged = Some(Staged { hash: commit.hash(), secret: cs });
        self.put_head(&mut changes);
        let delivered = recipients.iter().zip(deliveries);
        let (recipients, deliveries) =
            delivered.filter_map(|(to, delivery)| Some((to.device, Opaque(delivery?)))).unzip();
        let upload = CommitUpload { commit: commit.encode(), deliveries, recipients, welcomes };
        Ok(StagedCommit { upload, unreachable, changes })
    }

    fn seal_welcomes(
        &mut self,
        newcomers: &[Addressee],
        welcome: &[u8],
        dispatch: Dispatch<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<WelcomeFor> {
        let sealed = self.pairwise.seal_to(newcomers, welcome, dispatch, rng, changes);
        let addressed = newcomers.iter().zip(sealed);
        addressed
            .filter_map(|(to, welcome)| Some(WelcomeFor { device: to.device, welcome: Opaque(welcome?) }))
            .collect()
    }

    /// Refuses before anything is stepped what could not be uploaded.
    fn check_size(&self, operations: &[Operation], sending: Sending) -> Result<(), StageError> {
        let Sending { wraps, initial, newcomers, out_of_reach } = sending;
        let encoded = |manifest: &Opaque| manifest.0.len() + 16;
        let size = |operation: &Operation| match operation {
            Operation::Add { manifest, .. } => encoded(manifest),
            Operation::UpdateDevices { manifests } => 16 + manifests.iter().map(encoded).sum::<usize>(),
            Operation::Leave { request } => encoded(request),
            _ => 64,
        };
        let operations: usize = operations.iter().map(size).sum();
        let deliveries = wraps * WRAP_SIZE + initial * INITIAL_SIZE;
        let senders = self.senders.len().min(MAX_WELCOME_SENDERS) + 1;
        let welcome = senders * WELCOME_SENDER_BYTES + MAX_NOTE + 128;
        let welcomes = newcomers * (welcome + welcome / 8 + INITIAL_SIZE);
        let commit = 2048 + operations + 34 * out_of_reach;
        if commit > MAX_FRAME || commit + deliveries + welcomes > self.max_upload {
            return Err(StageError::TooLarge);
        }
        Ok(())
    }

    /// The welcome into the epoch that `commit` begins.
    fn welcome(&self, commit: &Commit, outcome: &Outcome, secrets: EpochSecrets, note: &[u8]) -> Welcome {
        let removed: BTreeSet<DeviceId> =
            outcome.removed().iter().map(|(_, leaf)| leaf.device.id()).collect();
        let renewal = Renewal::of(outcome);
        let stays = |id: &DeviceId| !removed.contains(id) && !renewal.covers(id);
        let own = self.own.active.iter().filter(|_| stays(&self.me.device));
        let own = own.map(|OwnKey { certificate, secrets, .. }| (certificate, &secrets.seed));
        let others = self.senders.iter().filter(|(id, _)| stays(id)).map(|(_, sender)| sender);
        let others = welcome::handed_on(others).map(|key| (&key.certificate, &key.seed));
        let senders =
            own.chain(others).map(|(certificate, seed)| welcome_sender(&secrets, certificate, seed));
        Welcome {
            head: commit.hash(),
            senders: senders.collect(),
            note: Opaque(note.to_vec()),
            init: secrets.init,
        }
    }
}

fn welcome_sender(secrets: &EpochSecrets, certificate: &Certificate, seed: &Secret<32>) -> WelcomeSender {
    let stepped = secrets.step(seed);
    WelcomeSender {
        certificate: Opaque(certificate.encode()),
        chain: stepped.chain.key().duplicate(),
        index: stepped.chain.index(),
        seed: stepped.seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DistributeError;
    use crate::support::{Person, SeedRng, gather};
    use conclave_wire::roster::Role;

    /// What the transport takes bounds the whole upload; a frame bounds what everybody downloads, whatever it takes.
    #[test]
    fn sizes() {
        let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
        let (_, keys) = gather(&mut [&mut alice, &mut bob], &[Role::Member]);
        let before = alice.snapshot();
        alice.group().allow_uploads_of(2000);
        let remove = vec![bob.remove_operation()];
        let (group, now) = (alice.group.as_mut().unwrap(), alice.now);
        let refused = group.distribute(&alice.device, &keys, now, &mut SeedRng::new(1)).map(drop);
        assert_eq!(refused, Err(DistributeError::TooLarge));
        let heal = group.check_size(&[], Sending { wraps: 0, initial: 1, newcomers: 0, out_of_reach: 0 });
        assert_eq!(heal, Err(StageError::TooLarge));
        assert_eq!(alice.snapshot(), before);

        let group = alice.group();
        group.allow_uploads_of(usize::MAX);
        let all = |out_of_reach| Sending { wraps: 100_000, initial: 100_000, newcomers: 100, out_of_reach };
        assert_eq!(group.check_size(&remove, all(0)), Ok(()));
        assert_eq!(group.check_size(&remove, all(40_000)), Err(StageError::TooLarge));
        alice.stage_key(&keys);
    }
}
