//! How long a group's log is kept.

use crate::clock;
use crate::limits::KEEP_KEYS;
use crate::store::Keep;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long messages are kept. Whole days, from 1 to 36,500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepMessages(Duration);

/// How many bytes of messages are kept of one group. At least 64 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepBytes(u64);

/// What is kept of a group's log: messages as long as both bounds allow. Commits are kept for ever; distributions, and what hangs
/// on an entry for a device, for 400 days, or as long as messages if that is longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long.
    pub messages: KeepMessages,
    /// How much.
    pub group_bytes: KeepBytes,
}

impl Default for KeepMessages {
    /// 90 days.
    fn default() -> Self {
        Self(90 * DAY)
    }
}

impl Default for KeepBytes {
    /// 1 GiB.
    fn default() -> Self {
        Self(1 << 30)
    }
}

impl Retention {
    /// What is kept now.
    pub(crate) fn now(&self) -> Keep {
        let keys = self.messages.0.max(KEEP_KEYS);
        Keep {
            messages: clock::ago(self.messages.0),
            keys: clock::ago(keys),
            group_bytes: self.group_bytes.0,
        }
    }
}

/// Not a time to keep messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write days, as in 90d, from 1d to 36500d")]
pub struct NoTerm;

/// Not an amount of messages to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write a whole number of MiB, GiB or TiB, as in 1GiB, from 64MiB to 1024TiB")]
pub struct NoAmount;

impl FromStr for KeepMessages {
    type Err = NoTerm;

    fn from_str(text: &str) -> Result<Self, NoTerm> {
        let days = text.strip_suffix('d').and_then(number).ok_or(NoTerm)?;
        let days = u32::try_from(days).ok().filter(|days| (1..=36_500).contains(days)).ok_or(NoTerm)?;
        Ok(Self(DAY * days))
    }
}

impl FromStr for KeepBytes {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let units = [("MiB", 20), ("GiB", 30), ("TiB", 40)];
        let (count, shift) = units
            .iter()
            .find_map(|(unit, shift)| Some((number(text.strip_suffix(unit)?)?, shift)))
            .ok_or(NoAmount)?;
        let bytes = count.checked_mul(1 << shift).ok_or(NoAmount)?;
        if (64 << 20..=1 << 50).contains(&bytes) { Ok(Self(bytes)) } else { Err(NoAmount) }
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_and_amounts() {
        assert_eq!("90d".parse(), Ok(KeepMessages::default()));
        assert_eq!("1d".parse(), Ok(KeepMessages(DAY)));
        assert_eq!("36500d".parse(), Ok(KeepMessages(36_500 * DAY)));
        for text in ["", "d", "0d", "36501d", "12h", "-1d", "+1d", "1 d", "1.5d", "99999999999999999999d"] {
            assert_eq!(text.parse::<KeepMessages>(), Err(NoTerm), "{text}");
        }
        assert_eq!("1GiB".parse(), Ok(KeepBytes::default()));
        assert_eq!("64MiB".parse(), Ok(KeepBytes(64 << 20)));
        assert_eq!("1024TiB".parse(), Ok(KeepBytes(1 << 50)));
        for text in ["", "GiB", "63MiB", "1025TiB", "1GB", "1073741824", "+1GiB", "18446744073709551615TiB"] {
            assert_eq!(text.parse::<KeepBytes>(), Err(NoAmount), "{text}");
        }
    }

    #[test]
    fn keys_are_never_kept_for_less_than_messages() {
        let keep = Retention::default().now();
        assert_eq!(keep.messages.since(keep.keys), 310 * DAY);
        let keep = Retention { messages: KeepMessages(1000 * DAY), ..Retention::default() }.now();
        assert!(keep.messages.since(keep.keys) < DAY && keep.keys.since(keep.messages) < DAY);
    }
}
