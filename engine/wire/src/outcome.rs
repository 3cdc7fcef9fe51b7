//! What the operations of a commit do to a roster, with every rule about operations checked.

use crate::commit::Operation;
use crate::commit_error::CommitError;
use crate::draft::{Draft, Setting};
use crate::endorsement::Endorsement;
use crate::ids::{DeviceId, LeafIndex, RosterHash};
use crate::limits::MAX_OPERATIONS;
use crate::listing::Listing;
use crate::roster::{Leaf, LeafChange, Role, Roster, RosterStep};
use std::collections::{BTreeMap, BTreeSet};

/// What operations do to a roster.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub(crate) roster: RosterStep,
    pub(crate) added: Vec<(LeafIndex, Leaf)>,
    pub(crate) removed: Vec<(LeafIndex, Leaf)>,
    pub(crate) healed: Option<DeviceId>,
    pub(crate) resets: bool,
    /// What is left to verify of devices whose manifests were read and not verified.
    pub(crate) endorsements: BTreeMap<LeafIndex, Endorsement>,
}

impl Outcome {
    /// Makes `operations` by the device on `author` beside the roster.
    pub(crate) fn of_operations(
        roster: &Roster,
        author: (LeafIndex, &Leaf),
        operations: &[Operation],
        setting: Setting,
    ) -> Result<Self, CommitError> {
        if operations.is_empty() || operations.len() > MAX_OPERATIONS {
            return Err(CommitError::Operations);
        }
        let mut draft = Draft::new(roster, setting);
        for operation in operations {
            draft.apply(author, operation)?;
        }
        draft.finish(Some(author.0))
    }

    /// The genesis: one account, as owner, in an empty roster.
    pub(crate) fn of_genesis(manifest: &Listing, setting: Setting) -> Result<Self, CommitError> {
        let empty = Roster::default();
        let mut draft = Draft::new(&empty, setting);
        draft.add(manifest, Role::Owner)?;
        draft.finish(None)
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

    /// The device that the commit heals: its author.
    pub fn healed(&self) -> Option<&DeviceId> {
        self.healed.as_ref()
    }

    /// Whether the group's secrets begin anew.
    pub fn resets(&self) -> bool {
        self.resets
    }

    /// Whether the commit's secret goes by initial envelopes only (R47).
    pub fn needs_initial(&self) -> bool {
        self.resets || self.healed.is_some()
    }

    /// Leaves that change, each once.
    pub fn leaf_changes(&self) -> &[LeafChange] {
        self.roster.changes()
    }
}
