//! The server's clock, for refusing what claims to be from the future.
//!
//! The age of certificates is measured against the time of the head commit (R60). A commit from a year ahead would void
//! every sender key of its group, and a certificate from a year ahead would outlive its term by as much; no client can
//! tell, because a client that reads later has another clock. So the server refuses both (R39b).

use conclave_wire::ids::Timestamp;
use conclave_wire::limits::CLOCK_SKEW;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far two clocks come apart before one is said to have jumped. Machines that are corrected drift by seconds.
const JUMP: Duration = Duration::from_secs(3600);

/// How long a clock that has jumped is not believed: its owner has a day to see to it.
const DISTRUST_CLOCK: Duration = Duration::from_secs(24 * 3600);

/// Whether `time` is further ahead than two honest clocks may differ.
pub(crate) fn is_ahead(time: Timestamp) -> bool {
    time > now().plus(CLOCK_SKEW)
}

/// This long ago.
pub(crate) fn ago(age: Duration) -> Timestamp {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Timestamp(now().0.saturating_sub(age))
}

/// The present.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(0).plus(since)
}

/// Two clocks that should go at the same pace: the time of day, and one that never jumps.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What both showed when they were last set beside each other.
    set: (Instant, Timestamp),
    distrusted: Option<Instant>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { set: (Instant::now(), now()), distrusted: None }
    }

    /// Whether the time of day is fit to delete by: it has not jumped for a day.
    pub(crate) fn is_steady(&mut self) -> bool {
        self.judge(Instant::now(), now())
    }

    fn judge(&mut self, steady: Instant, day: Timestamp) -> bool {
        let (set, at) = self.set;
        let expected = at.plus(steady.saturating_duration_since(set));
        if day.since(expected).max(expected.since(day)) > JUMP {
            if self.distrusted.is_none() {
                tracing::warn!("the clock has jumped; nothing is trimmed for a day: see that it is right");
            }
            self.set = (steady, day);
            self.distrusted = Some(steady);
        }
        self.distrusted =
            self.distrusted.filter(|since| steady.saturating_duration_since(*since) < DISTRUST_CLOCK);
        self.distrusted.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_is_not_believed_for_a_day() {
        let (start, hour) = (Instant::now(), Duration::from_secs(3600));
        let day = Timestamp(1_700_000_000_000);
        for jump in [365 * 24 * hour, 2 * hour] {
            for back in [false, true] {
                let mut pace = Pace { set: (start, day), distrusted: None };
                assert!(pace.judge(start + 1000 * hour, day.plus(1000 * hour + hour / 2)));
                // Set beside each other at the start only: what adds up counts.
                let shown = |hours: u32| {
                    let right = day.plus(hours * hour);
                    let jump_ms = u64::try_from(jump.as_millis()).unwrap();
                    if back { Timestamp(right.0 - jump_ms) } else { right.plus(jump) }
                };
                assert!(!pace.judge(start + 1001 * hour, shown(1001)));
                assert!(!pace.judge(start + 1024 * hour, shown(1024)));
                assert!(pace.judge(start + 1026 * hour, shown(1026)));
                // Set right again, which is a jump as well.
                assert!(!pace.judge(start + 1027 * hour, day.plus(1027 * hour)));
                assert!(pace.judge(start + 1052 * hour, day.plus(1052 * hour)));
            }
        }
    }

    /// (R39b)
    #[test]
    fn ten_minutes_are_forgiven() {
        assert!(!is_ahead(now()));
        assert!(!is_ahead(now().plus(CLOCK_SKEW - Duration::from_secs(30))));
        assert!(is_ahead(now().plus(CLOCK_SKEW + Duration::from_secs(30))));
    }
}
