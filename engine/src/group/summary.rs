//! What a commit changed, as a user is told it.

use conclave_wire::commit::Operation;
use conclave_wire::ids::{AccountId, DeviceId, LeafIndex};
use conclave_wire::public_group::Step;
use conclave_wire::roster::{Leaf, Role, Roster};
use std::collections::{BTreeMap, BTreeSet};

/// Accounts in and out, roles changed, and what became of devices of accounts that stay.
pub(super) struct Summary {
    pub(super) added: Vec<AccountId>,
    pub(super) removed: Vec<AccountId>,
    pub(super) roles: Vec<(AccountId, Role)>,
    pub(super) devices_added: Vec<(AccountId, DeviceId)>,
    pub(super) devices_removed: Vec<(AccountId, DeviceId)>,
    pub(super) healed: Vec<DeviceId>,
    pub(super) reset: bool,
}

impl Summary {
    /// What `step` changes in the roster before it.
    pub(super) fn of(before: &Roster, step: &Step) -> Self {
        let outcome = step.outcome();
        let is_new = |account: &AccountId| before.leaves_of(account).is_empty();
        let renewed: BTreeSet<AccountId> = outcome.added().iter().map(|(_, leaf)| leaf.account).collect();
        let mut lost: BTreeMap<AccountId, usize> = BTreeMap::new();
        for (_, leaf) in outcome.removed() {
            *lost.entry(leaf.account).or_default() += 1;
        }
        let is_gone = |account: &AccountId| {
            lost.get(account) == Some(&before.leaves_of(account).len()) && !renewed.contains(account)
        };
        let roles = step.commit().body().operations.iter().filter_map(|operation| match operation {
            Operation::SetRole { account, role } => Some((*account, *role)),
            _ => None,
        });
        Self {
            added: renewed.iter().filter(|account| is_new(account)).copied().collect(),
            removed: lost.keys().filter(|account| is_gone(account)).copied().collect(),
            roles: roles.collect(),
            devices_added: devices(outcome.added(), |account| !is_new(account)),
            devices_removed: devices(outcome.removed(), |account| !is_gone(account)),
            healed: outcome.healed().into_iter().copied().collect(),
            reset: outcome.resets(),
        }
    }
}

fn devices(leaves: &[(LeafIndex, Leaf)], of: impl Fn(&AccountId) -> bool) -> Vec<(AccountId, DeviceId)> {
    let devices = leaves.iter().filter(|(_, leaf)| of(&leaf.account));
    devices.map(|(_, leaf)| (leaf.account, leaf.device.id())).collect()
}
