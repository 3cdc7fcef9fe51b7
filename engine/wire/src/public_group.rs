//! What everybody can check of a group: its id, epoch, head commit and roster, and whether a commit may follow.
//!
//! Clients, newcomers walking from the genesis, and the server run the same code: [`PublicGroup::check`] says whether a
//! commit is valid on top of this state and computes a [`Step`]; [`PublicGroup::advance`] makes it. Secrets play no
//! part: a valid commit advances the roster even where its secret cannot be read (R43).

use crate::commit::{Commit, CommitBody, Operation, UnverifiedCommit};
pub use crate::commit_error::CommitError;
use crate::draft::Setting;
use crate::endorsement::{Endorsement, Endorsements};
use crate::ids::{CommitHash, DeviceId, Epoch, GroupId, LeafIndex, Timestamp};
use crate::listing::{Listing, Verifying};
use crate::manifest::{Manifest, ManifestError};
pub use crate::outcome::Outcome;
use crate::roster::{Leaf, Role, Roster};
use std::collections::BTreeSet;

/// A group as everybody can check it.
#[derive(Clone, Debug)]
pub struct PublicGroup {
    id: GroupId,
    epoch: Epoch,
    head: CommitHash,
    head_time: Timestamp,
    roster: Roster,
    endorsements: Endorsements,
}

/// A valid commit with what it changes, not yet made.
#[derive(Clone, Debug)]
pub struct Step {
    commit: Commit,
    outcome: Outcome,
}

impl Step {
    /// The commit, its signature verified.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// What its operations do.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

impl PublicGroup {
    /// Checks a genesis and begins its group (R30).
    pub fn from_genesis(genesis: UnverifiedCommit) -> Result<(Self, Step), CommitError> {
        let body = genesis.claimed();
        let [Operation::Add { role: Role::Owner, manifest }] = body.operations.as_slice() else {
            return Err(CommitError::Genesis);
        };
        let manifest = Manifest::decode_and_verify(&manifest.0)?;
        let author =
            manifest.body().devices.iter().find(|key| key.id() == body.author).ok_or(CommitError::Genesis)?;
        if body.epoch != Epoch(0)
            || body.previous != CommitHash::from_bytes([0; 32])
            || body.last_distribution.0 != 0
            || body.commitment.is_none()
        {
            return Err(CommitError::Genesis);
        }
        let commit = genesis.verify(author).map_err(|_| CommitError::Signature)?;
        let empty = Roster::default();
        let (group, time) = (GroupId::from(commit.hash()), commit.body().time);
        let setting = Setting { group, epoch: Epoch(0), time, verifying: Verifying::Now };
        let outcome = Outcome::of_genesis(&Listing::from(&manifest), setting)?;
        check_resulting(&empty, commit.body(), &outcome)?;
        let mut group = Self {
            id: GroupId::from(commit.hash()),
            epoch: Epoch(0),
            head: commit.hash(),
            head_time: commit.body().time,
            roster: empty,
            endorsements: Endorsements::default(),
        };
        group.roster.advance(outcome.roster.clone());
        Ok((group, Step { commit, outcome }))
    }

    /// Rebuilds a group that was checked before it was stored.
    pub fn from_storage(
        id: GroupId,
        epoch: Epoch,
        head: CommitHash,
        head_time: Timestamp,
        roster: Roster,
    ) -> Self {
        Self { id, epoch, head, head_time, roster, endorsements: Endorsements::default() }
    }

    /// Adds what was [left to verify](Self::unverified) when the group was stored.
    pub fn with_endorsements(
        mut self,
        endorsements: impl IntoIterator<Item = (LeafIndex, Endorsement)>,
    ) -> Self {
        self.endorsements = endorsements.into_iter().collect();
        self
    }

    /// The group's id.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// The current epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Hash of the commit that began it.
    pub fn head(&self) -> CommitHash {
        self.head
    }

    /// Time of that commit, as its author says.
    pub fn head_time(&self) -> Timestamp {
        self.head_time
    }

    /// The current roster.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Checks a commit against this state, which it leaves as it is.
    pub fn check(&self, commit: UnverifiedCommit) -> Result<Step, CommitError> {
        self.check_with(commit, Verifying::Now)
    }

    /// As [`check`](Self::check), for a newcomer on its way through the past: the manifests inside the commit are read
    /// and not verified. Devices that they list are [unverified](Self::unverified) until
    /// [`verify_device`](Self::verify_device) has been asked about them, as this does about the commit's author (R73).
    pub fn check_past(&self, commit: UnverifiedCommit) -> Result<Step, CommitError> {
        self.check_with(commit, Verifying::Later)
    }

    fn check_with(&self, commit: UnverifiedCommit, verifying: Verifying) -> Result<Step, CommitError> {
        let body = commit.claimed();
        if body.group != self.id {
            return Err(CommitError::Group);
        }
        let expected = u64::from(self.epoch.0) + 1;
        if u64::from(body.epoch.0) != expected {
            return Err(CommitError::Epoch { expected, found: body.epoch });
        }
        if body.previous != self.head {
            return Err(CommitError::Previous);
        }
        let (index, author) = self.roster.device(&body.author).ok_or(CommitError::Author)?;
        let commit = commit.verify(&author.device).map_err(|_| CommitError::Signature)?;
        self.verify_device(index)?;
        let body = commit.body();
        let outcome = self.outcome_with(&body.author, &body.operations, body.time, verifying)?;
        check_resulting(&self.roster, body, &outcome)?;
        Ok(Step { commit, outcome })
    }

    /// Makes a step that this state checked.
    pub fn advance(&mut self, step: Step) {
        debug_assert_eq!(step.commit.body().previous, self.head);
        self.epoch = step.commit.body().epoch;
        self.head = step.commit.hash();
        self.head_time = step.commit.body().time;
        if let Some(author) = self.roster.index_of(&step.commit.body().author) {
            self.endorsements.remove(author);
        }
        let Outcome { roster, endorsements, .. } = step.outcome;
        self.endorsements.advance(roster.changes(), |index| self.roster.leaf(index), endorsements);
        self.roster.advance(roster);
    }

    /// What `operations` by `author` would do, with every rule about operations checked (R32)-(R36), (R100)-(R105).
    pub fn outcome(
        &self,
        author: &DeviceId,
        operations: &[Operation],
        time: Timestamp,
    ) -> Result<Outcome, CommitError> {
        self.outcome_with(author, operations, time, Verifying::Now)
    }

    fn outcome_with(
        &self,
        author: &DeviceId,
        operations: &[Operation],
        time: Timestamp,
        verifying: Verifying,
    ) -> Result<Outcome, CommitError> {
        let author = self.roster.device(author).ok_or(CommitError::Author)?;
        let epoch = self.epoch.next().ok_or(CommitError::TooLarge)?;
        let setting = Setting { group: self.id, epoch, time, verifying };
        Outcome::of_operations(&self.roster, author, operations, setting)
    }

    /// Verifies, if that is still to be done, that the device on a leaf is its account's (R73).
    pub fn verify_device(&self, index: LeafIndex) -> Result<(), ManifestError> {
        match (self.endorsements.get(index), self.roster.leaf(index)) {
            (Some(endorsement), Some(leaf)) => endorsement.verify(leaf),
            _ => Ok(()),
        }
    }

    /// Notes that [`verify_device`](Self::verify_device) has said yes; says whether there was anything to note.
    pub fn settle(&mut self, index: LeafIndex) -> bool {
        self.endorsements.remove(index)
    }

    /// The leaves whose devices have not been verified yet.
    pub fn unverified(&self) -> impl Iterator<Item = LeafIndex> + '_ {
        self.endorsements.leaves()
    }

    /// What is left to verify of the device on a leaf.
    pub fn endorsement(&self, index: LeafIndex) -> Option<&Endorsement> {
        self.endorsements.get(index)
    }

    /// The devices to which a commit's secret goes, in leaf order: those that stay, but the author (R38). A commit's
    /// upload has one delivery for each that the commit does not name unreachable, in this order.
    pub fn recipients<'a>(
        &'a self,
        outcome: &'a Outcome,
        author: &'a DeviceId,
    ) -> impl Iterator<Item = (LeafIndex, &'a Leaf)> + 'a {
        outcome.recipients(&self.roster, author)
    }
}

/// (R37) (R38) (R39)
fn check_resulting(roster: &Roster, body: &CommitBody, outcome: &Outcome) -> Result<(), CommitError> {
    let genesis = body.epoch == Epoch(0);
    let needs_secret = genesis || body.operations.iter().any(Operation::needs_secret);
    if body.commitment.is_some() != needs_secret {
        return Err(CommitError::Secret);
    }
    if !body.unreachable.is_empty() {
        let reachable: BTreeSet<DeviceId> = outcome
            .recipients(roster, &body.author)
            .filter(|_| needs_secret)
            .map(|(_, leaf)| leaf)
            .chain(outcome.added().iter().map(|(_, leaf)| leaf))
            .map(|leaf| leaf.device.id())
            .filter(|device| *device != body.author)
            .collect();
        if !body.unreachable.is_sorted_by(|a, b| a < b)
            || !body.unreachable.iter().all(|d| reachable.contains(d))
        {
            return Err(CommitError::Unreachable);
        }
    }
    if body.roster != outcome.roster_hash() {
        return Err(CommitError::Roster);
    }
    Ok(())
}
