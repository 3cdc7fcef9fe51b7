//! What the operations of a commit do to a roster, with every rule about operations checked (R32)-(R36).

use crate::authority;
use crate::commit::Operation;
use crate::commit_error::CommitError;
use crate::ids::{AccountId, DeviceId, DeviceKey, Epoch, LeafIndex, RosterHash, Timestamp};
use crate::limits::{CLOCK_SKEW, MAX_MANIFEST_AGE, MAX_OPERATIONS};
use crate::manifest::Manifest;
use crate::roster::{FreeLeaves, Leaf, LeafChange, Role, Roster, RosterStep};
use std::collections::{BTreeMap, BTreeSet};

/// What operations do to a roster.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub(crate) roster: RosterStep,
    added: Vec<(LeafIndex, Leaf)>,
    removed: Vec<(LeafIndex, Leaf)>,
}

impl Outcome {
    /// Makes `operations` by the device on `author` beside the roster.
    pub(crate) fn of_operations(
        roster: &Roster,
        author: &Leaf,
        operations: &[Operation],
        epoch: Epoch,
        time: Timestamp,
    ) -> Result<Self, CommitError> {
        if operations.is_empty() || operations.len() > MAX_OPERATIONS {
            return Err(CommitError::Operations);
        }
        let mut draft = Draft::new(roster, epoch);
        for operation in operations {
            draft.apply(author, operation, time)?;
        }
        draft.finish()
    }

    /// The genesis: one account, as owner, in an empty roster.
    pub(crate) fn of_genesis(manifest: &Manifest, time: Timestamp) -> Result<Self, CommitError> {
        let empty = Roster::default();
        let mut draft = Draft::new(&empty, Epoch(0));
        draft.add(manifest, Role::Owner, time)?;
        draft.finish()
    }

    /// The devices of the old roster that stay, but the author, in leaf order (R38).
    pub(crate) fn recipients<'a>(
        &'a self,
        roster: &'a Roster,
        author: &'a DeviceId,
    ) -> impl Iterator<Item = (LeafIndex, &'a Leaf)> + 'a {
        let removed: BTreeSet<LeafIndex> = self.removed.iter().map(|(index, _)| *index).collect();
        let author = roster.index_of(author);
        roster.devices().filter(move |(index, _)| !removed.contains(index) && Some(*index) != author)
    }

    /// Hash of the roster that results.
    pub fn roster_hash(&self) -> RosterHash {
        self.roster.hash()
    }

    /// Devices that come in, in leaf order.
    pub fn added(&self) -> &[(LeafIndex, Leaf)] {
        &self.added
    }

    /// Devices that go, in leaf order.
    pub fn removed(&self) -> &[(LeafIndex, Leaf)] {
        &self.removed
    }

    /// Leaves that change, each once.
    pub fn leaf_changes(&self) -> &[LeafChange] {
        self.roster.changes()
    }
}

/// A roster with the operations of one commit made one by one.
struct Draft<'a> {
    roster: &'a Roster,
    epoch: Epoch,
    changes: BTreeMap<LeafIndex, Option<Leaf>>,
    free: FreeLeaves<'a>,
    touched: BTreeSet<AccountId>,
    new_devices: BTreeSet<DeviceKey>,
    added: BTreeSet<LeafIndex>,
    removed: Vec<(LeafIndex, Leaf)>,
}

impl<'a> Draft<'a> {
    fn new(roster: &'a Roster, epoch: Epoch) -> Self {
        Self {
            roster,
            epoch,
            changes: BTreeMap::new(),
            free: roster.free_leaves(),
            touched: BTreeSet::new(),
            new_devices: BTreeSet::new(),
            added: BTreeSet::new(),
            removed: Vec::new(),
        }
    }

    fn apply(&mut self, author: &Leaf, operation: &Operation, time: Timestamp) -> Result<(), CommitError> {
        match operation {
            Operation::Add { role, manifest } => {
                authority::may_add(author.role, *role)?;
                let manifest = Manifest::decode_and_verify(&manifest.0)?;
                self.touch(manifest.account())?;
                self.add(&manifest, *role, time)
            }
            Operation::Remove { account } => {
                self.touch(*account)?;
                if *account == author.account {
                    return Err(CommitError::SelfRemoval);
                }
                let role = self.roster.role(account).ok_or(CommitError::NotMember)?;
                authority::may_remove(author.role, role)?;
                for index in self.roster.leaves_of(account) {
                    if let Some(leaf) = self.roster.leaf(*index) {
                        self.removed.push((*index, leaf.clone()));
                    }
                    self.changes.insert(*index, None);
                    self.free.release(*index);
                }
                Ok(())
            }
            Operation::SetRole { account, role } => {
                self.touch(*account)?;
                authority::may_set_role(author.role)?;
                if self.roster.role(account).is_none() {
                    return Err(CommitError::NotMember);
                }
                for index in self.roster.leaves_of(account) {
                    if let Some(leaf) = self.roster.leaf(*index) {
                        self.changes.insert(*index, Some(Leaf { role: *role, ..leaf.clone() }));
                    }
                }
                Ok(())
            }
        }
    }

    /// (R35) No account is changed twice in one commit.
    fn touch(&mut self, account: AccountId) -> Result<(), CommitError> {
        if self.touched.insert(account) { Ok(()) } else { Err(CommitError::Operations) }
    }

    /// (R36)
    fn add(&mut self, manifest: &Manifest, role: Role, time: Timestamp) -> Result<(), CommitError> {
        let body = manifest.body();
        if body.time > time.plus(CLOCK_SKEW) || time.since(body.time) > MAX_MANIFEST_AGE + CLOCK_SKEW {
            return Err(CommitError::ManifestAge);
        }
        if !self.roster.leaves_of(&body.account).is_empty() {
            return Err(CommitError::AlreadyMember);
        }
        for device in &body.devices {
            // A device that another account of the group claims is refused, even if that account leaves just now.
            if self.roster.index_of(&device.id()).is_some() || !self.new_devices.insert(*device) {
                return Err(CommitError::AlreadyMember);
            }
            let index = self.free.take().ok_or(CommitError::TooLarge)?;
            let leaf = Leaf {
                account: body.account,
                role,
                pinned: None,
                manifest: manifest.hash(),
                manifest_version: body.version,
                device: *device,
                since: self.epoch,
            };
            self.changes.insert(index, Some(leaf));
            self.added.insert(index);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Outcome, CommitError> {
        self.check_owner()?;
        self.removed.sort_by_key(|(index, _)| *index);
        let added =
            self.added.iter().filter_map(|index| Some((*index, self.changes.get(index)?.clone()?))).collect();
        let roster = self.roster.step(self.changes.into_iter().collect());
        Ok(Outcome { roster, added, removed: self.removed })
    }

    /// (R34) An owner remains: one that the commit does not touch, or one that it makes.
    fn check_owner(&self) -> Result<(), CommitError> {
        let made = self.changes.values().flatten().any(|leaf| leaf.role == Role::Owner);
        let kept = || {
            self.roster.devices().any(|(i, leaf)| leaf.role == Role::Owner && !self.changes.contains_key(&i))
        };
        if made || kept() { Ok(()) } else { Err(CommitError::LastOwner) }
    }
}
