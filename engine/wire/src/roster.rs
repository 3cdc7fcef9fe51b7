//! The roster: who is in a group, with which devices, in which role.
//!
//! ```text
//!     leaf          version ‖ CBOR [ account: bstr 32, role: uint, pinned: null / [ prekeys: bstr 32, time: uint ],
//!                                    manifest: bstr 32, manifest version: uint, device key: bstr 32, since: uint ]
//!     leaf hash     H("roster leaf", leaf)                  32 zero bytes where a leaf is blank
//!     node          H("roster node", left ‖ right)
//!     roster hash   H("roster", leaf count: u32 big endian ‖ top node)
//! ```
//!
//! One leaf per device. A removed device leaves a blank, which the next added device takes, lowest first (R21); what is
//! remembered about a device is keyed by the device and `since`, never by the leaf alone. Blank leaves at the end stay
//! counted: the leaf count never shrinks.

use crate::codec::{self, Structure};
use crate::hash;
use crate::ids::{
    AccountId, DeviceId, DeviceKey, Epoch, LeafIndex, ManifestHash, ManifestVersion, PrekeysHash, RosterHash,
    Timestamp,
};
use crate::limits::MAX_LEAVES;
use crate::merkle::{MerkleTree, Patch};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet, HashMap, btree_set};
use std::iter::Peekable;

/// What an account may do in a group; see [`crate::authority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Sends and reads.
    #[n(0)]
    Member,
    /// Adds members, removes members and admins.
    #[n(1)]
    Admin,
    /// Does everything.
    #[n(2)]
    Owner,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        })
    }
}

/// Prekeys that a heal pinned: older ones of the device are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PinnedPrekeys {
    /// The prekeys that the heal published.
    #[n(0)]
    pub hash: PrekeysHash,
    /// Their time.
    #[n(1)]
    pub time: Timestamp,
}

/// One device of one account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Leaf {
    /// The account that the device belongs to.
    #[n(0)]
    pub account: AccountId,
    /// The account's role, the same in all its leaves.
    #[n(1)]
    pub role: Role,
    /// The prekeys of the device's last heal.
    #[n(2)]
    pub pinned: Option<PinnedPrekeys>,
    /// The manifest that lists the device.
    #[n(3)]
    pub manifest: ManifestHash,
    /// Its version, so that an older one is seen to be older.
    #[n(4)]
    pub manifest_version: ManifestVersion,
    /// The device.
    #[n(5)]
    pub device: DeviceKey,
    /// Epoch in which the device was added, or healed last.
    #[n(6)]
    pub since: Epoch,
}

impl Structure for Leaf {
    const NAME: &'static str = "roster leaf";
    const MAX_BYTES: usize = 256;
}

/// A leaf's new value, `None` to blank it.
pub type LeafChange = (LeafIndex, Option<Leaf>);

/// All leaves of a group at one epoch.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    leaves: Vec<Option<Leaf>>,
    tree: MerkleTree,
    blanks: BTreeSet<LeafIndex>,
    devices: HashMap<DeviceId, LeafIndex>,
    accounts: BTreeMap<AccountId, Vec<LeafIndex>>,
}

/// A roster change that has been computed and not yet made.
#[derive(Clone, Debug)]
pub struct RosterStep {
    changes: Vec<LeafChange>,
    patch: Patch,
    hash: RosterHash,
}

impl RosterStep {
    /// Hash of the roster after the step.
    pub fn hash(&self) -> RosterHash {
        self.hash
    }

    /// The leaves that change.
    pub fn changes(&self) -> &[LeafChange] {
        &self.changes
    }
}

/// Leaves that new devices take: blanks, lowest first, then new ones at the end (R21).
pub(crate) struct FreeLeaves<'a> {
    blanks: Peekable<btree_set::Iter<'a, LeafIndex>>,
    /// Blanked by the commit that takes them.
    released: BTreeSet<LeafIndex>,
    end: u32,
}

impl FreeLeaves<'_> {
    /// Gives back a leaf that an operation blanked.
    pub(crate) fn release(&mut self, index: LeafIndex) {
        self.released.insert(index);
    }

    /// The next one, or `None` when the roster is full.
    pub(crate) fn take(&mut self) -> Option<LeafIndex> {
        let released = self.released.first();
        if let Some(blank) = self.blanks.next_if(|blank| released.is_none_or(|released| *blank < released)) {
            return Some(*blank);
        }
        if let Some(released) = self.released.pop_first() {
            return Some(released);
        }
        let index = self.end;
        self.end = index.checked_add(1)?;
        ((index as usize) < MAX_LEAVES).then_some(LeafIndex(index))
    }
}

impl Roster {
    /// Builds a roster from stored leaves, blanks included up to `leaf_count`. Leaves beyond it are ignored.
    pub fn from_leaves(leaf_count: usize, leaves: impl IntoIterator<Item = (LeafIndex, Leaf)>) -> Self {
        let leaf_count = leaf_count.min(MAX_LEAVES);
        let mut roster = Self::default();
        let mut changes: Vec<LeafChange> = leaves
            .into_iter()
            .filter(|(index, _)| (index.0 as usize) < leaf_count)
            .map(|(index, leaf)| (index, Some(leaf)))
            .collect();
        let last = LeafIndex(u32::try_from(leaf_count.saturating_sub(1)).unwrap_or(u32::MAX));
        if leaf_count > 0 && !changes.iter().any(|(index, _)| *index == last) {
            changes.push((last, None));
        }
        let step = roster.step(changes);
        roster.advance(step);
        roster
    }

    /// Hash of the roster.
    pub fn hash(&self) -> RosterHash {
        roster_hash(self.leaves.len(), self.tree.top())
    }

    /// Leaves, blanks included.
    pub fn leaf_count(&self) -> usize {
        self.leaves.len()
    }

    /// Devices, which is leaves that are not blank.
    pub fn device_count(&self) -> usize {
        self.devices.len()
    }

    /// The leaf at `index`.
    pub fn leaf(&self, index: LeafIndex) -> Option<&Leaf> {
        self.leaves.get(index.0 as usize)?.as_ref()
    }

    /// Where a device stands.
    pub fn index_of(&self, device: &DeviceId) -> Option<LeafIndex> {
        self.devices.get(device).copied()
    }

    /// A device's leaf.
    pub fn device(&self, device: &DeviceId) -> Option<(LeafIndex, &Leaf)> {
        let index = self.index_of(device)?;
        Some((index, self.leaf(index)?))
    }

    /// Devices in leaf order.
    pub fn devices(&self) -> impl Iterator<Item = (LeafIndex, &Leaf)> {
        (0..).map(LeafIndex).zip(&self.leaves).filter_map(|(index, leaf)| Some((index, leaf.as_ref()?)))
    }

    /// Accounts with their roles, in order of their ids.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, Role)> + '_ {
        self.accounts.keys().filter_map(|account| Some((*account, self.role(account)?)))
    }

    /// Leaves of an account; empty if it is not in the group.
    pub fn leaves_of(&self, account: &AccountId) -> &[LeafIndex] {
        self.accounts.get(account).map_or(&[], Vec::as_slice)
    }

    /// An account's role; `None` if it is not in the group.
    pub fn role(&self, account: &AccountId) -> Option<Role> {
        let first = self.leaves_of(account).first()?;
        Some(self.leaf(*first)?.role)
    }

    /// The leaves that new devices may take, before any change.
    pub(crate) fn free_leaves(&self) -> FreeLeaves<'_> {
        let end = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        FreeLeaves { blanks: self.blanks.iter().peekable(), released: BTreeSet::new(), end }
    }

    /// Computes what changes when these leaves take these values.
    pub fn step(&self, changes: Vec<LeafChange>) -> RosterStep {
        let count =
            changes.iter().map(|(index, _)| index.0 as usize + 1).max().unwrap_or(0).max(self.leaves.len());
        let hashes: Vec<_> = changes
            .iter()
            .map(|(index, leaf)| {
                let hash = leaf.as_ref().map(|leaf| hash::ROSTER_LEAF.hash(&[&codec::encode(leaf)]));
                (index.0 as usize, hash)
            })
            .collect();
        let patch = self.tree.patch(&hashes, count);
        let hash = roster_hash(count, patch.top());
        RosterStep { changes, patch, hash }
    }

    /// Makes a step that this roster computed.
    pub fn advance(&mut self, step: RosterStep) {
        self.tree.apply(step.patch);
        for (index, leaf) in step.changes {
            self.set(index, leaf);
        }
    }

    fn set(&mut self, index: LeafIndex, leaf: Option<Leaf>) {
        let at = index.0 as usize;
        while self.leaves.len() <= at {
            self.blanks.insert(LeafIndex(u32::try_from(self.leaves.len()).unwrap_or(u32::MAX)));
            self.leaves.push(None);
        }
        let Some(slot) = self.leaves.get_mut(at) else { return };
        let old = std::mem::replace(slot, leaf.clone());
        if let Some(old) = old {
            self.devices.remove(&old.device.id());
            if let Some(leaves) = self.accounts.get_mut(&old.account) {
                leaves.retain(|i| *i != index);
                if leaves.is_empty() {
                    self.accounts.remove(&old.account);
                }
            }
        }
        match leaf {
            Some(leaf) => {
                self.blanks.remove(&index);
                self.devices.insert(leaf.device.id(), index);
                let leaves = self.accounts.entry(leaf.account).or_default();
                leaves.push(index);
                leaves.sort_unstable();
            }
            None => {
                self.blanks.insert(index);
            }
        }
    }
}

fn roster_hash(leaves: usize, top: [u8; 32]) -> RosterHash {
    let count = u32::try_from(leaves).unwrap_or(u32::MAX).to_be_bytes();
    RosterHash::from_bytes(hash::ROSTER.hash(&[&count, &top]))
}
