//! What a server no longer keeps: stepped over, told, and never taken for the whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::entry::Entry;
use conclave_engine::wire::ids::{GroupId, Opaque, Seq};
use conclave_engine::wire::roster::Role;
use conclave_engine::{Continuity, Event, PrekeyBook, ReceiveError};
use support::{Log, Person, START, gather};

struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    carol: Person,
}

impl Case {
    /// Alice, Bob and Carol, all of whom have written.
    fn new() -> Self {
        let (mut alice, mut bob, mut carol) =
            (Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3));
        let (mut log, keys) = gather(&mut [&mut alice, &mut bob, &mut carol], &[Role::Member; 2]);
        for person in [&mut alice, &mut bob, &mut carol] {
            person.send(&mut log, &keys, b"hello");
        }
        for person in [&mut alice, &mut bob, &mut carol] {
            person.catch_up(&log);
        }
        Self { log, keys, alice, bob, carol }
    }

    /// What Bob is given of what came since he last read, when nothing is kept up to `gone`.
    fn for_bob(&mut self, gone: Seq) -> Vec<Entry> {
        let mut entries = vec![Entry::trimmed(self.log.id(), gone)];
        let (bob, head) = (self.bob.device.id(), self.log.head());
        entries.extend((gone.0 + 1..=head.0).map(|seq| self.log.entry(Seq(seq), &bob)));
        entries
    }
}

/// (R130) The reader is told, goes on, and learns from the links whose messages were among what is gone.
#[test]
fn links_tell_whose_messages_are_gone() {
    let mut case = Case::new();
    let read = case.log.head();
    case.alice.send(&mut case.log, &case.keys, b"gone");
    case.alice.send(&mut case.log, &case.keys, b"gone too");
    let gone = case.log.head();
    case.alice.send(&mut case.log, &case.keys, b"kept");
    case.carol.send(&mut case.log, &case.keys, b"kept");
    let entries = case.for_bob(gone);

    let mut at_once = case.bob.copy();
    let group = case.bob.group();
    assert_eq!(group.cursor(), read);
    let first = case.bob.receive(&entries[0]).unwrap();
    assert_eq!(first, Event::Trimmed { first: Seq(read.0 + 1), last: gone });
    assert_eq!(first.alarm(), None);
    let continuities: Vec<_> = entries[1..]
        .iter()
        .map(|entry| match case.bob.receive(entry).unwrap() {
            Event::Message(message) => message.continuity,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(continuities, [Continuity::Gap, Continuity::Linked]);

    // Many at once come to the same.
    let Person { device, group, .. } = &mut at_once;
    let caught_up = group.as_mut().unwrap().receive_all(device, &entries, START);
    assert_eq!(caught_up.events[0], (gone, Ok(first)));
    assert!(caught_up.events.iter().all(|(_, result)| result.is_ok()));
    at_once.save(caught_up.changes);
    assert_eq!(at_once.stored(), case.bob.stored());
}

/// (R130) A sender key that was distributed in what is gone is asked for.
#[test]
fn a_sender_key_that_is_gone_is_asked_for() {
    let mut case = Case::new();
    let upload = case.alice.stage_key(&case.keys);
    let gone = case.log.distribute(&case.alice.device.id(), &upload).unwrap();
    case.alice.catch_up(&case.log);
    let message = case.alice.seal(b"under a key that nobody shows Bob").unwrap();
    case.log.post(&message).unwrap();
    let entries = case.for_bob(gone);
    case.bob.receive(&entries[0]).unwrap();
    let error = case.bob.receive(&entries[1]).unwrap_err();
    assert!(
        matches!(error, ReceiveError::NeedSenderKey { device, .. } if device == case.alice.device.id()),
        "{error}"
    );
}

/// (R130) Of its form, of this group, and ahead; or nothing changes.
#[test]
fn what_is_no_such_entry() {
    let mut case = Case::new();
    let read = case.log.head();
    let next = Entry::trimmed(case.log.id(), Seq(read.0 + 5));
    let before = case.bob.snapshot();
    for spoilt in [
        Entry { body: Opaque(vec![0]), ..next.clone() },
        Entry { delivery: Some(Opaque(vec![])), ..next.clone() },
    ] {
        assert!(matches!(case.bob.receive(&spoilt), Err(ReceiveError::Decode(_))));
    }
    let elsewhere = Entry { group: GroupId::from_bytes([9; 32]), ..next.clone() };
    assert_eq!(case.bob.receive(&elsewhere), Err(ReceiveError::Group));
    for seq in [Seq(0), read] {
        let expected = Seq(read.0 + 1);
        let refused = ReceiveError::OutOfOrder { expected, found: seq };
        assert_eq!(case.bob.receive(&Entry { seq, ..next.clone() }), Err(refused));
    }
    assert_eq!(case.bob.snapshot(), before);
    case.bob.receive(&next).unwrap();
    // To the last number that there is; nothing can follow.
    let end = Seq(u64::MAX);
    case.bob.receive(&Entry { seq: end, ..next.clone() }).unwrap();
    let refused = ReceiveError::OutOfOrder { expected: end, found: end };
    assert_eq!(case.bob.receive(&Entry { seq: end, ..next }), Err(refused));
}
