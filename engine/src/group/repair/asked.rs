//! What this device has asked for: so that it does not ask too often, and takes no answer that it did not ask for.
//!
//! ```text
//!     record  version ‖ CBOR [* [about: uint, target: null / bstr 32, time: uint ms, open: bool]]
//! ```

use crate::limits::{MAX_ASKED, MAX_REQUEST_AGE, REPAIR_INTERVAL};
use conclave_wire::codec::Structure;
use conclave_wire::ids::{DeviceId, Timestamp};
use conclave_wire::limits::CLOCK_SKEW;
use conclave_wire::repair::Question;
use minicbor::{Decode, Encode};

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum About {
    #[n(0)]
    SenderKey,
    #[n(1)]
    Welcome,
    #[n(2)]
    Initial,
}

impl About {
    pub(crate) fn of(question: &Question) -> Self {
        match question {
            Question::SenderKey { .. } => Self::SenderKey,
            Question::Welcome { .. } => Self::Welcome,
            Question::Initial { .. } => Self::Initial,
        }
    }
}

/// A question that was asked.
#[derive(Debug, PartialEq, Encode, Decode)]
struct AskedQuestion {
    #[n(0)]
    about: About,
    /// Who was asked; `None` for everybody.
    #[n(1)]
    target: Option<DeviceId>,
    #[n(2)]
    time: Timestamp,
    /// Whether an answer is still wanted.
    #[n(3)]
    open: bool,
}

/// Questions that were asked, one for each target, at most [`MAX_ASKED`], the latest last; also their record.
#[derive(Debug, Default, PartialEq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct Asked(#[n(0)] Vec<AskedQuestion>);

impl Structure for Asked {
    const NAME: &'static str = "asked questions record";
    const MAX_BYTES: usize = MAX_ASKED * 64;
}

/// Why a question must not be asked now.
pub(super) enum TooMany {
    /// The same was asked at this time.
    Same(Timestamp),
    /// As many as are remembered were asked lately.
    All,
}

impl Asked {
    /// Checks whether one may ask now; changes nothing.
    pub(super) fn check(
        &self,
        about: About,
        target: Option<DeviceId>,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        let recent = self.0.iter().filter(|asked| is_recent(asked.time, now));
        let mut count = 0;
        for asked in recent {
            if (asked.about, asked.target) == (about, target) {
                return Err(TooMany::Same(asked.time));
            }
            count += 1;
        }
        if count >= MAX_ASKED { Err(TooMany::All) } else { Ok(()) }
    }

    /// Notes a question that was checked.
    pub(super) fn note(&mut self, about: About, target: Option<DeviceId>, now: Timestamp) {
        self.0.retain(|asked| {
            (asked.about, asked.target) != (about, target) && now.since(asked.time) <= MAX_REQUEST_AGE
        });
        while self.0.len() >= MAX_ASKED {
            self.0.remove(0);
        }
        self.0.push(AskedQuestion { about, target, time: now, open: true });
    }

    /// Whether an answer about this by `device` is wanted.
    pub(super) fn wants(&self, about: About, device: DeviceId) -> bool {
        self.0.iter().any(|asked| asked.open && asked.concerns(about, device))
    }

    /// An answer about this by `device` was taken: another is not wanted.
    pub(super) fn close(&mut self, about: About, device: DeviceId) {
        for asked in self.0.iter_mut().filter(|asked| asked.concerns(about, device)) {
            asked.open = false;
        }
    }
}

impl AskedQuestion {
    fn concerns(&self, about: About, device: DeviceId) -> bool {
        self.about == about && self.target.is_none_or(|target| target == device)
    }
}

/// Whether something of this time bars another now. A clock that ran far ahead and was set right bars nothing.
pub(super) fn is_recent(time: Timestamp, now: Timestamp) -> bool {
    now.since(time) < REPAIR_INTERVAL && time <= now.plus(CLOCK_SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::START;
    use conclave_wire::codec;
    use std::time::Duration;

    fn device(n: usize) -> Option<DeviceId> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Some(DeviceId::from_bytes(bytes))
    }

    /// (R113) One question for each target in ten minutes, and no more than are remembered.
    #[test]
    fn bounded() {
        let mut asked = Asked::default();
        for n in 0..MAX_ASKED {
            assert!(asked.check(About::SenderKey, device(n), START).is_ok());
            asked.note(About::SenderKey, device(n), START);
        }
        let again = asked.check(About::SenderKey, device(0), START);
        assert!(matches!(again, Err(TooMany::Same(START))));
        assert!(matches!(asked.check(About::Welcome, None, START), Err(TooMany::All)));
        assert!(codec::encode(&asked).len() <= Asked::MAX_BYTES, "it fits its record");
        let later = START.plus(REPAIR_INTERVAL);
        assert!(asked.check(About::SenderKey, device(0), later).is_ok());
        asked.note(About::Welcome, None, later);
        assert_eq!(asked.0.len(), MAX_ASKED, "the oldest makes room");
        assert!(asked.wants(About::Welcome, DeviceId::from_bytes([9; 32])), "from anybody");
        assert!(!asked.wants(About::SenderKey, device(0).unwrap()), "it made room");
        let old = later.plus(MAX_REQUEST_AGE).plus(Duration::from_millis(1));
        asked.note(About::Initial, None, old);
        assert_eq!(asked.0.len(), 1, "what nobody answers any more is forgotten");
    }
}
