//! Leases: an admin whose removal lost its race goes first for a moment, so that nobody starves it by changing the group
//! all the time.
//!
//! They are this node's, in memory: a race that is lost on another node is held there.

use crate::limits::{LEASE, LEASE_PAUSE, MAX_LEASES};
use conclave_wire::ids::{AccountId, GroupId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who goes first where.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<HashMap<GroupId, Lease>>);

#[derive(Debug)]
struct Lease {
    holder: AccountId,
    /// When it was given. It ends after [`LEASE`], and another one is given after [`LEASE_PAUSE`] more.
    given: Instant,
}

impl Leases {
    /// How long somebody else than `account` goes first in a group.
    pub(crate) fn bars(&self, group: &GroupId, account: &AccountId, now: Instant) -> Option<Duration> {
        let leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = leases.get(group).filter(|lease| lease.holder != *account)?;
        let left = LEASE.saturating_sub(now.saturating_duration_since(lease.given));
        (!left.is_zero()).then_some(left)
    }

    /// An admin's removal has lost its race. Gives a lease, unless there was one just now, or there are too many.
    pub(crate) fn lost(&self, group: GroupId, account: AccountId, now: Instant) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_past = |lease: &Lease| now.saturating_duration_since(lease.given) >= LEASE + LEASE_PAUSE;
        if leases.len() >= MAX_LEASES {
            leases.retain(|_, lease| !is_past(lease));
        }
        if leases.get(&group).is_none_or(is_past) && leases.len() < MAX_LEASES {
            leases.insert(group, Lease { holder: account, given: now });
        }
    }

    /// The holder has changed the group: everybody may again. The pause until the next lease still runs.
    pub(crate) fn used(&self, group: &GroupId, account: &AccountId, now: Instant) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = leases.get_mut(group).filter(|lease| lease.holder == *account) {
            lease.given = lease.given.min(now.checked_sub(LEASE).unwrap_or(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId::from_bytes([1; 32]);
    const ADMIN: AccountId = AccountId::from_bytes([2; 32]);
    const OTHER: AccountId = AccountId::from_bytes([3; 32]);

    #[test]
    fn one_goes_first_for_a_moment() {
        let (leases, start) = (Leases::default(), Instant::now() + LEASE * 2);
        leases.lost(GROUP, ADMIN, start);
        assert_eq!(leases.bars(&GROUP, &OTHER, start), Some(LEASE));
        assert_eq!(leases.bars(&GROUP, &ADMIN, start), None);
        assert_eq!(leases.bars(&GroupId::from_bytes([9; 32]), &OTHER, start), None);
        // Nobody takes it over, and it ends by itself.
        leases.lost(GROUP, OTHER, start);
        assert_eq!(leases.bars(&GROUP, &ADMIN, start), None);
        assert_eq!(leases.bars(&GROUP, &OTHER, start + LEASE), None);
        // Not one after the other.
        leases.lost(GROUP, ADMIN, start + LEASE);
        assert_eq!(leases.bars(&GROUP, &OTHER, start + LEASE), None);
        let next = start + LEASE + LEASE_PAUSE;
        leases.lost(GROUP, OTHER, next);
        assert_eq!(leases.bars(&GROUP, &ADMIN, next), Some(LEASE));
        // Used, it ends, and the pause begins.
        leases.used(&GROUP, &ADMIN, next);
        assert_eq!(leases.bars(&GROUP, &ADMIN, next), Some(LEASE), "it is another's");
        leases.used(&GROUP, &OTHER, next);
        assert_eq!(leases.bars(&GROUP, &ADMIN, next), None);
        leases.lost(GROUP, OTHER, next + LEASE_PAUSE / 2);
        assert_eq!(leases.bars(&GROUP, &ADMIN, next + LEASE_PAUSE / 2), None);
    }

    #[test]
    fn bounded() {
        let (leases, start) = (Leases::default(), Instant::now());
        let group = |n: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            GroupId::from_bytes(id)
        };
        (0..=MAX_LEASES).for_each(|n| leases.lost(group(n), ADMIN, start));
        assert_eq!(leases.bars(&group(MAX_LEASES), &OTHER, start), None);
        let later = start + LEASE + LEASE_PAUSE;
        leases.lost(group(MAX_LEASES), ADMIN, later);
        assert_eq!(leases.bars(&group(MAX_LEASES), &OTHER, later), Some(LEASE));
        assert_eq!(leases.0.lock().unwrap().len(), 1);
    }
}
