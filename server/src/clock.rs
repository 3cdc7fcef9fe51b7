//! The server's clock, for refusing what claims to be from the future.
//!
//! The age of certificates is measured against the time of the head commit (R60). A commit from a year ahead would void
//! every sender key of its group, and a certificate from a year ahead would outlive its term by as much; no client can
//! tell, because a client that reads later has another clock. So the server refuses both (R39b).

use conclave_wire::ids::Timestamp;
use conclave_wire::limits::CLOCK_SKEW;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

#[cfg(test)]
mod tests {
    use super::*;

    /// (R39b)
    #[test]
    fn ten_minutes_are_forgiven() {
        assert!(!is_ahead(now()));
        assert!(!is_ahead(now().plus(CLOCK_SKEW - Duration::from_secs(30))));
        assert!(is_ahead(now().plus(CLOCK_SKEW + Duration::from_secs(30))));
    }
}
