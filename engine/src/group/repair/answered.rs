//! What this device has answered: so that nobody makes it work, and no request is answered twice.
//!
//! ```text
//!     record  version ‖ CBOR [* [about: uint, asker: bstr 32, asked: uint ms, answered: uint ms]]
//! ```

use super::asked::{About, is_recent};
use crate::limits::{MAX_ANSWERED, MAX_REQUEST_AGE, MAX_WELCOMED};
use conclave_wire::codec::Structure;
use conclave_wire::ids::{DeviceId, Timestamp};
use minicbor::{Decode, Encode};

#[derive(Debug, PartialEq, Encode, Decode)]
struct AnsweredRequest {
    #[n(0)]
    about: About,
    #[n(1)]
    asker: DeviceId,
    /// The request's time, by the asker's clock.
    #[n(2)]
    asked: Timestamp,
    /// When it was answered, by ours.
    #[n(3)]
    answered: Timestamp,
}

/// Requests that were answered, the last one of each asker and kind, bounded for each kind, the latest last; also their
/// record.
#[derive(Debug, Default, PartialEq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct Answered(#[n(0)] Vec<AnsweredRequest>);

impl Structure for Answered {
    const NAME: &'static str = "answered requests record";
    const MAX_BYTES: usize = (2 * MAX_ANSWERED + MAX_WELCOMED) * 64;
}

/// Why a request is not answered now.
pub(super) enum Refused {
    /// It, or a later one, was answered.
    Repeated,
    /// The asker, or too many others, were answered lately.
    TooSoon,
}

impl Answered {
    /// Checks whether a request of this time may be answered; changes nothing.
    pub(super) fn check(
        &self,
        about: About,
        asker: DeviceId,
        asked: Timestamp,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let mut recent = 0;
        for request in self.0.iter().filter(|request| request.about == about) {
            let is_recent = is_recent(request.answered, now);
            recent += usize::from(is_recent);
            if request.asker == asker {
                if asked <= request.asked {
                    return Err(Refused::Repeated);
                }
                if is_recent {
                    return Err(Refused::TooSoon);
                }
            }
        }
        if recent >= bound(about) { Err(Refused::TooSoon) } else { Ok(()) }
    }

    /// Notes an answer to a request that was checked. What is forgotten to make room is not recent, or another would not
    /// have been answered.
    pub(super) fn note(&mut self, about: About, asker: DeviceId, asked: Timestamp, now: Timestamp) {
        self.0.retain(|request| {
            (request.about, request.asker) != (about, asker) && now.since(request.asked) <= MAX_REQUEST_AGE
        });
        while self.0.iter().filter(|request| request.about == about).count() >= bound(about) {
            let oldest = self.0.iter().position(|request| request.about == about);
            let Some(oldest) = oldest else { break };
            self.0.remove(oldest);
        }
        self.0.push(AnsweredRequest { about, asker, asked, answered: now });
    }
}

fn bound(about: About) -> usize {
    match about {
        About::SenderKey | About::Initial => MAX_ANSWERED,
        About::Welcome => MAX_WELCOMED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::REPAIR_INTERVAL;
    use crate::support::START;
    use conclave_wire::codec;

    fn asker(n: usize) -> DeviceId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        DeviceId::from_bytes(bytes)
    }

    /// (R116) Memory and work are bounded whoever asks: as many askers as are remembered in ten minutes and no more.
    #[test]
    fn bounded_for_each_kind() {
        let mut answered = Answered::default();
        for about in [About::SenderKey, About::Welcome, About::Initial] {
            for n in 0..bound(about) {
                assert!(answered.check(about, asker(n), START, START).is_ok());
                answered.note(about, asker(n), START, START);
            }
            let one_more = |now| answered.check(about, asker(bound(about)), now, now);
            assert!(matches!(one_more(START), Err(Refused::TooSoon)));
            assert!(one_more(START.plus(REPAIR_INTERVAL)).is_ok());
        }
        let encoded = codec::encode(&answered);
        assert_eq!(codec::decode::<Answered>(&encoded), Ok(answered.duplicate()), "it fits its record");
        let later = START.plus(REPAIR_INTERVAL);
        let length = answered.0.len();
        answered.note(About::Welcome, asker(9999), later, later);
        assert_eq!(answered.0.len(), length, "the oldest of its kind makes room");
        assert!(
            answered.check(About::Welcome, asker(1), START, later).is_err(),
            "the next one is still there"
        );
        // What is too old to be answered again needs no memory.
        let late = START.plus(MAX_REQUEST_AGE * 2);
        answered.note(About::Welcome, asker(9999), late, late);
        assert_eq!(answered.0.len(), 1);
    }

    impl Answered {
        fn duplicate(&self) -> Self {
            codec::decode(&codec::encode(self)).unwrap()
        }
    }
}
