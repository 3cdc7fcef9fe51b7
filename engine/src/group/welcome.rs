//! Welcomes: what a newcomer needs to read and send from the next entry on, and nothing older.
//!
//! ```text
//!     payload  version ‖ CBOR [ head: bstr 32, init: bstr 32,
//!                               senders: [* [certificate: bstr, seed: bstr 32, chain key: bstr 32, index: uint]],
//!                               note: bstr ]
//! ```
//!
//! sealed to the newcomer in an envelope of purpose welcome, group and epoch. The roster is never taken from it (R70).
//! It carries no links: messages may enter the log between the commit's making and its acceptance, so a link in it
//! could be out of date and raise a false alarm; the newcomer takes the first message of each sender as its baseline.

use super::sender_key::{PeerKey, PeerSender};
use crate::limits::MAX_WELCOME_SENDERS;
use crate::secret::Secret;
use conclave_wire::codec::Structure;
use conclave_wire::ids::{CommitHash, MessageIndex, Opaque};
use conclave_wire::limits::MAX_FRAME;
use minicbor::{Decode, Encode};

/// A welcome's content.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(crate) struct Welcome {
    /// The commit that adds the newcomer.
    #[n(0)]
    pub(crate) head: CommitHash,
    /// `init` of the epoch that the commit begins.
    #[n(1)]
    pub(crate) init: Secret<32>,
    /// The active sender keys, as they stand in that epoch, as many as [fit](handed_on).
    #[n(2)]
    pub(crate) senders: Vec<WelcomeSender>,
    /// The embedder's own.
    #[n(3)]
    pub(crate) note: Opaque,
}

impl Structure for Welcome {
    const NAME: &'static str = "welcome";
    const MAX_BYTES: usize = MAX_FRAME;
}

/// One sender key in a welcome.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(crate) struct WelcomeSender {
    #[n(0)]
    pub(crate) certificate: Opaque,
    #[n(1)]
    pub(crate) seed: Secret<32>,
    #[n(2)]
    pub(crate) chain: Secret<32>,
    #[n(3)]
    pub(crate) index: MessageIndex,
}

/// Of others' sender keys, those that a member hands on (R74): those that something was read with in this epoch before
/// those that are silent.
pub(crate) fn handed_on<'a>(
    senders: impl Iterator<Item = &'a PeerSender> + Clone,
) -> impl Iterator<Item = &'a PeerKey> {
    let keys = senders.filter_map(|sender| sender.key.as_ref());
    let heard = keys.clone().filter(|key| key.last_read.is_some());
    heard.chain(keys.filter(|key| key.last_read.is_none())).take(MAX_WELCOME_SENDERS)
}

/// What a sender key takes in a welcome, at most.
pub(crate) const WELCOME_SENDER_BYTES: usize = 450;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::page_counts::add_senders;
    use crate::support::{Person, SeedRng, book, gather};
    use conclave_wire::roster::Role;

    /// (R74) However many send, a newcomer can be added; the keys that are in use come first.
    #[test]
    fn more_senders_than_a_welcome_holds() {
        let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
        let [alice, bob, carol] = &mut people;
        let (mut log, keys) = gather(&mut [alice, bob], &[Role::Member]);
        bob.send(&mut log, &keys, b"hello");
        alice.catch_up(&log);
        alice.send(&mut log, &keys, b"hello");
        add_senders(alice.group(), MAX_WELCOME_SENDERS * 2, &mut SeedRng::new(9));
        let others = &alice.group().senders;
        assert_eq!(handed_on(others.values()).count(), MAX_WELCOME_SENDERS);
        let first = handed_on(others.values()).next().unwrap();
        assert_eq!(first.certificate.body().device, bob.device.id());
        alice.change(&mut log, &book(&[alice, bob, carol]), vec![carol.add_operation(Role::Member)]);
        carol.join(&log, log.head()).unwrap();
        // The made-up ones are nobody's in the roster.
        assert_eq!(carol.group().senders.len(), 2);
    }
}
