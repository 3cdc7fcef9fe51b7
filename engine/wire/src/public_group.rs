//! What everybody can check of a group: its id, epoch, head commit and roster, and whether a commit may follow.
//!
//! Clients, newcomers walking from the genesis, and the server run the same code: [`PublicGroup::check`] says whether a
//! commit is valid on top of this state and computes a [`Step`]; [`PublicGroup::advance`] makes it. Secrets play no
//! part: a valid commit advances the roster even where its secret cannot be read (R43).

use crate::authority::AuthorityError;
use crate::commit::{Commit, CommitBody, Operation, UnverifiedCommit};
use crate::ids::{CommitHash, DeviceId, Epoch, GroupId, LeafIndex, Timestamp};
use crate::limits::{MAX_LEAVES, MAX_OPERATIONS};
use crate::manifest::{Manifest, ManifestError};
pub use crate::outcome::Outcome;
use crate::roster::{Leaf, Role, Roster};
use std::collections::BTreeSet;
use thiserror::Error;

/// Why a commit may not follow. Each variant is one numbered rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// (R31) For another group.
    #[error("the commit is for another group")]
    Group,
    /// (R31) Not the epoch after the head's.
    #[error("the commit begins epoch {found}, not {expected}")]
    Epoch {
        /// The epoch that would follow.
        expected: u64,
        /// The epoch that it begins.
        found: Epoch,
    },
    /// (R31) Not on top of the head.
    #[error("the commit does not follow the group's head")]
    Previous,
    /// (R30) Not exactly one owner added, by a device of that account.
    #[error("the genesis must add exactly its author's account, as owner, with a secret")]
    Genesis,
    /// (R31) The author is not in the group.
    #[error("the commit's author is not in the group")]
    Author,
    /// (R31) The author did not sign it.
    #[error("the commit's signature is not valid")]
    Signature,
    /// (R35) None, too many, or two for one account.
    #[error("a commit has 1 to {MAX_OPERATIONS} operations, each for another account")]
    Operations,
    /// (R32) The author's role does not allow it.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// (R33) The author removes their own account.
    #[error("nobody removes their own account: ask another member's device to do it")]
    SelfRemoval,
    /// (R34) No owner would remain.
    #[error("a group always has an owner: make another account owner first")]
    LastOwner,
    /// (R36) The manifest of an added account is invalid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// (R36) The manifest of an added account is too old or from the future.
    #[error(
        "the added account's device manifest is more than 30 days old or from the future; one of its devices must come online to sign it again"
    )]
    ManifestAge,
    /// (R36) The added account, or one of its devices, is in the group already.
    #[error("the account or one of its devices is in the group already")]
    AlreadyMember,
    /// (R36) The account to remove or change is not in the group.
    #[error("the account is not in the group")]
    NotMember,
    /// (R37) A secret where there must be none, or none where there must be one.
    #[error("a commit has a secret exactly if it removes an account")]
    Secret,
    /// (R38) Unreachable devices unsorted, twice, or not among the recipients.
    #[error("the commit's list of unreachable devices is not valid")]
    Unreachable,
    /// (R39) Not the roster that results.
    #[error("the commit names another roster than the one that results")]
    Roster,
    /// (R39) More leaves than any roster may have.
    #[error("the group would have more than {MAX_LEAVES} leaves")]
    TooLarge,
}

/// A group as everybody can check it.
#[derive(Clone, Debug)]
pub struct PublicGroup {
    id: GroupId,
    epoch: Epoch,
    head: CommitHash,
    head_time: Timestamp,
    roster: Roster,
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
        let outcome = Outcome::of_genesis(&manifest, commit.body().time)?;
        check_resulting(&empty, commit.body(), &outcome)?;
        let mut group = Self {
            id: GroupId::from(commit.hash()),
            epoch: Epoch(0),
            head: commit.hash(),
            head_time: commit.body().time,
            roster: empty,
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
        Self { id, epoch, head, head_time, roster }
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
        let (_, author) = self.roster.device(&body.author).ok_or(CommitError::Author)?;
        let commit = commit.verify(&author.device).map_err(|_| CommitError::Signature)?;
        let body = commit.body();
        let outcome = self.outcome(&body.author, &body.operations, body.time)?;
        check_resulting(&self.roster, body, &outcome)?;
        Ok(Step { commit, outcome })
    }

    /// Makes a step that this state checked.
    pub fn advance(&mut self, step: Step) {
        debug_assert_eq!(step.commit.body().previous, self.head);
        self.epoch = step.commit.body().epoch;
        self.head = step.commit.hash();
        self.head_time = step.commit.body().time;
        self.roster.advance(step.outcome.roster);
    }

    /// What `operations` by `author` would do, with every rule about operations checked (R32)-(R36).
    pub fn outcome(
        &self,
        author: &DeviceId,
        operations: &[Operation],
        time: Timestamp,
    ) -> Result<Outcome, CommitError> {
        let (_, author) = self.roster.device(author).ok_or(CommitError::Author)?;
        let epoch = self.epoch.next().ok_or(CommitError::TooLarge)?;
        Outcome::of_operations(&self.roster, author, operations, epoch, time)
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
