//! A roster with the operations of one commit made one by one, each against the rules (R32)-(R36), (R100)-(R105).

use crate::authority;
use crate::commit::Operation;
use crate::commit_error::CommitError;
use crate::endorsement::Endorsement;
use crate::ids::{AccountId, DeviceId, DeviceKey, Epoch, GroupId, LeafIndex, Opaque, Timestamp};
use crate::leave;
use crate::limits::{CLOCK_SKEW, MAX_MANIFEST_AGE};
use crate::listing::{Listing, Verifying};
use crate::outcome::Outcome;
use crate::roster::{FreeLeaves, Leaf, PinnedPrekeys, Role, Roster};
use crate::update::ManifestChain;
use std::collections::{BTreeMap, BTreeSet};

/// What operations depend on, beside the roster and their author.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) group: GroupId,
    /// The epoch that the commit begins.
    pub(crate) epoch: Epoch,
    /// When the author made it.
    pub(crate) time: Timestamp,
    /// When its manifests are verified.
    pub(crate) verifying: Verifying,
}

/// A roster on the way from one epoch to the next.
pub(crate) struct Draft<'a> {
    roster: &'a Roster,
    setting: Setting,
    changes: BTreeMap<LeafIndex, Option<Leaf>>,
    free: FreeLeaves<'a>,
    touched: BTreeSet<AccountId>,
    new_devices: BTreeSet<DeviceKey>,
    added: BTreeSet<LeafIndex>,
    endorsements: BTreeMap<LeafIndex, Endorsement>,
    removed: Vec<(LeafIndex, Leaf)>,
    healed: Option<DeviceId>,
    resets: bool,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(roster: &'a Roster, setting: Setting) -> Self {
        Self {
            roster,
            setting,
            changes: BTreeMap::new(),
            free: roster.free_leaves(),
            touched: BTreeSet::new(),
            new_devices: BTreeSet::new(),
            added: BTreeSet::new(),
            endorsements: BTreeMap::new(),
            removed: Vec::new(),
            healed: None,
            resets: false,
        }
    }

    /// Makes one operation by the device on `author`.
    pub(crate) fn apply(
        &mut self,
        author: (LeafIndex, &Leaf),
        operation: &Operation,
    ) -> Result<(), CommitError> {
        let (_, by) = author;
        match operation {
            Operation::Add { role, manifest } => {
                authority::may_add(by.role, *role)?;
                let manifest = self.setting.verifying.read(&manifest.0)?;
                self.touch(manifest.account())?;
                self.add(&manifest, *role)
            }
            Operation::Remove { account } => {
                self.touch(*account)?;
                if *account == by.account {
                    return Err(CommitError::SelfRemoval);
                }
                let role = self.roster.role(account).ok_or(CommitError::NotMember)?;
                authority::may_remove(by.role, role)?;
                self.remove(account);
                Ok(())
            }
            Operation::SetRole { account, role } => {
                self.touch(*account)?;
                authority::may_set_role(by.role)?;
                if self.roster.role(account).is_none() {
                    return Err(CommitError::NotMember);
                }
                self.revise(account, |leaf| Leaf { role: *role, ..leaf });
                Ok(())
            }
            Operation::UpdateDevices { manifests } => self.update(manifests),
            Operation::Heal { prekeys, time } => {
                self.touch(by.account)?;
                self.heal(author, PinnedPrekeys { hash: *prekeys, time: *time })
            }
            Operation::Reset => {
                authority::may_reset(by.role)?;
                if std::mem::replace(&mut self.resets, true) { Err(CommitError::Operations) } else { Ok(()) }
            }
            Operation::Leave { request } => {
                let Setting { group, time, .. } = self.setting;
                let account = leave::leaving(self.roster, &group, &request.0, time)?;
                self.touch(account)?;
                if account == by.account {
                    return Err(CommitError::SelfRemoval);
                }
                self.remove(&account);
                Ok(())
            }
        }
    }

    /// (R35) No account is changed twice in one commit.
    fn touch(&mut self, account: AccountId) -> Result<(), CommitError> {
        if self.touched.insert(account) { Ok(()) } else { Err(CommitError::Operations) }
    }

    /// (R36)
    pub(crate) fn add(&mut self, manifest: &Listing, role: Role) -> Result<(), CommitError> {
        self.check_age(manifest)?;
        if !self.roster.leaves_of(&manifest.account()).is_empty() {
            return Err(CommitError::AlreadyMember);
        }
        manifest.body().devices.iter().try_for_each(|device| self.place(*device, manifest, role))
    }

    fn check_age(&self, manifest: &Listing) -> Result<(), CommitError> {
        let (signed, time) = (manifest.body().time, self.setting.time);
        let old = time.since(signed) > MAX_MANIFEST_AGE + CLOCK_SKEW;
        if signed > time.plus(CLOCK_SKEW) || old { Err(CommitError::ManifestAge) } else { Ok(()) }
    }

    /// Gives a new device a leaf.
    fn place(&mut self, device: DeviceKey, manifest: &Listing, role: Role) -> Result<(), CommitError> {
        // A device that another account of the group claims is refused, even if that account leaves just now.
        if self.roster.index_of(&device.id()).is_some() || !self.new_devices.insert(device) {
            return Err(CommitError::AlreadyMember);
        }
        let index = self.free.take().ok_or(CommitError::TooLarge)?;
        let leaf = Leaf {
            account: manifest.account(),
            role,
            pinned: None,
            manifest: manifest.hash(),
            manifest_version: manifest.body().version,
            device,
            since: self.setting.epoch,
        };
        self.changes.insert(index, Some(leaf));
        self.added.insert(index);
        manifest.note_endorsement(index, &device, &mut self.endorsements);
        Ok(())
    }

    fn remove(&mut self, account: &AccountId) {
        let roster = self.roster;
        roster.leaves_of(account).iter().for_each(|index| self.blank(*index));
    }

    fn blank(&mut self, index: LeafIndex) {
        if let Some(leaf) = self.roster.leaf(index) {
            self.removed.push((index, leaf.clone()));
        }
        self.changes.insert(index, None);
        self.free.release(index);
    }

    fn revise(&mut self, account: &AccountId, change: impl Fn(Leaf) -> Leaf) {
        for index in self.roster.leaves_of(account) {
            if let Some(leaf) = self.roster.leaf(*index) {
                self.changes.insert(*index, Some(change(leaf.clone())));
            }
        }
    }

    /// (R100) (R101) Devices that stay keep their leaf and `since`; those that go make room before new ones come.
    fn update(&mut self, manifests: &[Opaque]) -> Result<(), CommitError> {
        let chain = ManifestChain::read(manifests, self.setting.verifying)?;
        let account = chain.account();
        self.touch(account)?;
        let leaves = self.roster.leaves_of(&account);
        let recorded =
            leaves.first().and_then(|index| self.roster.leaf(*index)).ok_or(CommitError::NotMember)?;
        let role = recorded.role;
        let manifest = chain.following(recorded.manifest, recorded.manifest_version)?;
        let (hash, version) = (manifest.hash(), manifest.body().version);
        self.revise(&account, |leaf| Leaf { manifest: hash, manifest_version: version, ..leaf });
        let listed: BTreeSet<&DeviceKey> = manifest.body().devices.iter().collect();
        let mut present = BTreeSet::new();
        for index in leaves {
            let Some(leaf) = self.roster.leaf(*index) else { continue };
            if listed.contains(&leaf.device) {
                present.insert(leaf.device);
                manifest.note_endorsement(*index, &leaf.device, &mut self.endorsements);
            } else {
                self.blank(*index);
            }
        }
        let new: Vec<DeviceKey> =
            manifest.body().devices.iter().filter(|device| !present.contains(device)).copied().collect();
        if !new.is_empty() {
            self.check_age(&manifest)?;
        }
        new.into_iter().try_for_each(|device| self.place(device, &manifest, role))
    }

    /// (R102)
    fn heal(&mut self, (index, leaf): (LeafIndex, &Leaf), pin: PinnedPrekeys) -> Result<(), CommitError> {
        let Setting { epoch, time, .. } = self.setting;
        if pin.time > time.plus(CLOCK_SKEW) || leaf.pinned.is_some_and(|earlier| pin.time <= earlier.time) {
            return Err(CommitError::Heal);
        }
        self.changes.insert(index, Some(Leaf { pinned: Some(pin), since: epoch, ..leaf.clone() }));
        self.healed = Some(leaf.device.id());
        Ok(())
    }

    /// What all operations together do.
    pub(crate) fn finish(mut self, author: Option<LeafIndex>) -> Result<Outcome, CommitError> {
        if self.removed.iter().any(|(index, _)| Some(*index) == author) {
            return Err(CommitError::AuthorGone);
        }
        self.check_owner()?;
        self.removed.sort_by_key(|(index, _)| *index);
        let added =
            self.added.iter().filter_map(|index| Some((*index, self.changes.get(index)?.clone()?))).collect();
        let roster = self.roster.step(self.changes.into_iter().collect());
        let Self { removed, healed, resets, endorsements, .. } = self;
        Ok(Outcome { roster, added, removed, healed, resets, endorsements })
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
