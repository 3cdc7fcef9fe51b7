//! Which groups anybody here is subscribed to: what other nodes write matters only for these.

use conclave_wire::ids::GroupId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// For each group, how many hubs have members of it.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    hubs: Mutex<HashMap<GroupId, usize>>,
}

impl Interest {
    /// Whether anybody is subscribed to a group.
    pub(crate) fn has(&self, group: &GroupId) -> bool {
        self.lock().contains_key(group)
    }

    /// All groups that somebody is subscribed to.
    pub(crate) fn all(&self) -> Vec<GroupId> {
        self.lock().keys().copied().collect()
    }

    /// A hub has its first member of a group.
    pub(super) fn begin(&self, group: GroupId) {
        *self.lock().entry(group).or_default() += 1;
    }

    /// A hub has no member of a group any more.
    pub(super) fn end(&self, group: &GroupId) {
        let mut hubs = self.lock();
        if let Some(count) = hubs.get_mut(group) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                hubs.remove(group);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<GroupId, usize>> {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
