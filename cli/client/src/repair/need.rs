//! What is needed, and when it is asked for next.

use conclave_engine::Need as Shown;
use conclave_wire::codec::Structure;
use conclave_wire::ids::{DeviceId, GroupId, Timestamp};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after a question the next one is asked at the earliest: longer than the engine asks for, so that it does not
/// refuse.
const FIRST_PAUSE: Duration = Duration::from_secs(11 * 60);

/// Pauses double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Questions after which it is given up: six days of them.
const MAX_ASKED: u32 = 12;

/// Needs that are remembered. Beyond it the group is in such disorder that nothing asked by itself mends it.
const MAX_NEEDS: usize = 1024;

/// Something that this device needs in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) enum Need {
    /// A device's sender key.
    #[n(0)]
    SenderKey(#[n(0)] DeviceId),
    /// The secrets of the epoch.
    #[n(1)]
    Welcome,
    /// The pairwise chain on which a device sends.
    #[n(2)]
    Chain(#[n(0)] DeviceId),
}

impl Need {
    /// Distinguishes it from every other need of a group.
    pub(crate) fn key(&self) -> [u8; 33] {
        let (kind, device) = match self {
            Self::SenderKey(device) => (0, *device.as_bytes()),
            Self::Welcome => (1, [0; 32]),
            Self::Chain(device) => (2, *device.as_bytes()),
        };
        let mut key = [kind; 33];
        key[1..].copy_from_slice(&device);
        key
    }

    pub(crate) fn of(need: &Shown) -> Option<Self> {
        match need {
            Shown::SenderKey { device, .. } => Some(Self::SenderKey(*device)),
            Shown::Welcome => Some(Self::Welcome),
            Shown::Initial { device } => Some(Self::Chain(*device)),
            _ => None,
        }
    }
}

/// A need as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct NeedRow {
    #[n(0)]
    pub(crate) group: GroupId,
    #[n(1)]
    pub(crate) need: Need,
    /// How often it was asked for.
    #[n(2)]
    pub(crate) asked: u32,
    /// When it is asked for next.
    #[n(3)]
    pub(crate) next: Timestamp,
}

impl Structure for NeedRow {
    const NAME: &'static str = "need";
    const MAX_BYTES: usize = 128;
}

impl NeedRow {
    pub(crate) fn new(group: GroupId, need: Need) -> Self {
        Self { group, need, asked: 0, next: Timestamp::default() }
    }

    /// The same after it was asked for; `None` if it is given up.
    pub(super) fn asked(self, now: Timestamp) -> Option<Self> {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.asked.min(16)).min(LONGEST_PAUSE);
        let asked = self.asked.saturating_add(1);
        (asked < MAX_ASKED).then_some(Self { asked, next: now.plus(pause), ..self })
    }

    /// The same, not to be asked for before.
    pub(super) fn postponed(self, until: Timestamp) -> Self {
        Self { next: until, ..self }
    }
}

/// Everything that is needed.
#[derive(Debug, Default)]
pub(crate) struct Needs(BTreeMap<(GroupId, Need), NeedRow>);

impl Needs {
    pub(crate) fn new(rows: Vec<NeedRow>) -> Self {
        Self(rows.into_iter().map(|row| ((row.group, row.need), row)).collect())
    }

    /// Whether this is new and can be remembered.
    pub(crate) fn would_add(&self, group: GroupId, need: Need) -> bool {
        !self.0.contains_key(&(group, need)) && self.0.len() < MAX_NEEDS
    }

    pub(crate) fn has(&self, group: GroupId, need: Need) -> bool {
        self.0.contains_key(&(group, need))
    }

    pub(crate) fn set(&mut self, row: NeedRow) {
        self.0.insert((row.group, row.need), row);
    }

    pub(crate) fn remove(&mut self, group: GroupId, need: Need) {
        self.0.remove(&(group, need));
    }

    /// What is to be asked for now. A clock that was set back asks at once.
    pub(super) fn due(&self, now: Timestamp) -> Vec<NeedRow> {
        let is_due = |row: &&NeedRow| row.next <= now || row.next > now.plus(LONGEST_PAUSE);
        self.0.values().filter(is_due).copied().collect()
    }

    /// How long until something is to be asked for.
    pub(super) fn next(&self, now: Timestamp) -> Option<Duration> {
        self.0.values().map(|row| row.next.since(now).min(LONGEST_PAUSE)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const GROUP: GroupId = GroupId::from_bytes([1; 32]);

    #[test]
    fn asked_ever_more_seldom_and_given_up() {
        let mut needs = Needs::default();
        assert!(needs.would_add(GROUP, Need::Welcome));
        needs.set(NeedRow::new(GROUP, Need::Welcome));
        assert!(!needs.would_add(GROUP, Need::Welcome));
        let (mut now, mut times, mut pauses) = (NOW, 0, Vec::new());
        while let Some(row) = needs.due(now).first().copied() {
            times += 1;
            let Some(asked) = row.asked(now) else { break };
            needs.set(asked);
            assert_eq!(needs.due(now), []);
            let pause = needs.next(now).unwrap();
            pauses.push(pause);
            now = now.plus(pause);
        }
        assert_eq!((times, pauses.len()), (MAX_ASKED, 11));
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE && pauses[10] == LONGEST_PAUSE);
        // Days before, by a clock that was set right since.
        let set_back = Timestamp(NOW.0 - 30 * 24 * 3600 * 1000);
        assert_eq!(needs.due(set_back).len(), 1);
        needs.remove(GROUP, Need::Welcome);
        assert_eq!(needs.next(now), None);
    }

    #[test]
    fn bounded() {
        let mut needs = Needs::default();
        for n in 0..MAX_NEEDS {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            assert!(needs.would_add(GROUP, Need::SenderKey(DeviceId::from_bytes(id))));
            needs.set(NeedRow::new(GROUP, Need::SenderKey(DeviceId::from_bytes(id))));
        }
        assert!(!needs.would_add(GROUP, Need::Welcome));
    }
}
