//! Live, paged and bulk reading of any log end in the same state (R68).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::Seq;
use conclave_engine::wire::roster::Role;
use conclave_engine::{Event, GroupMessage};
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{Log, Person, book};

/// What a hostile server does to one message of the log.
#[derive(Clone, Debug)]
enum Lie {
    /// Breaks the signature.
    Signature(usize),
    /// Changes the link.
    Link(usize),
    /// Changes the ciphertext.
    Ciphertext(usize),
    /// Shows another message in its place.
    Replace(usize, usize),
    /// Exchanges two messages.
    Swap(usize, usize),
}

fn lie() -> impl Strategy<Value = Lie> {
    let at = || 0..1000_usize;
    prop_oneof![
        4 => at().prop_map(Lie::Signature),
        1 => at().prop_map(Lie::Link),
        1 => at().prop_map(Lie::Ciphertext),
        1 => (at(), at()).prop_map(|(a, b)| Lie::Replace(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Lie::Swap(a, b)),
    ]
}

/// A log in which two people talk in three epochs, and where its reader came in.
fn talk(turns: &[bool]) -> (Log, Seq) {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let (dave, eve) = (Person::new("dave", 4), Person::new("eve", 5));
    let keys = book(&[&alice, &bob, &dave, &eve]);
    let mut log = alice.found();
    let add = vec![bob.add_operation(Role::Member), dave.add_operation(Role::Member)];
    alice.change(&mut log, &keys, add);
    let joined = log.head();
    bob.join(&log, joined).unwrap();
    for (turn, who) in turns.iter().enumerate() {
        let sender = if *who { &mut alice } else { &mut bob };
        sender.send(&mut log, &keys, format!("message {turn}").as_bytes());
        if turn == turns.len() / 3 {
            alice.change(&mut log, &keys, vec![eve.add_operation(Role::Member)]);
        } else if turn == 2 * turns.len() / 3 {
            alice.change(&mut log, &keys, vec![eve.remove_operation()]);
        }
    }
    (log, joined)
}

fn entries(log: &Log, joined: Seq, reader: &Person, lies: &[Lie]) -> Vec<Entry> {
    let id = reader.device.id();
    let mut entries: Vec<Entry> = (joined.0 + 1..=log.head().0).map(|seq| log.entry(Seq(seq), &id)).collect();
    let messages: Vec<usize> =
        (0..entries.len()).filter(|i| entries[*i].kind == EntryKind::Message).collect();
    let at = |i: usize| messages[i % messages.len()];
    for lie in lies {
        match *lie {
            Lie::Signature(i) => *entries[at(i)].body.0.last_mut().unwrap() ^= 1,
            Lie::Link(i) => entries[at(i)].body.0[16] ^= 1,
            Lie::Ciphertext(i) => entries[at(i)].body.0[41] ^= 1,
            Lie::Replace(i, with) => entries[at(i)].body = entries[at(with)].body.clone(),
            Lie::Swap(a, b) => {
                let (first, second) = (entries[at(a)].body.clone(), entries[at(b)].body.clone());
                (entries[at(a)].body, entries[at(b)].body) = (second, first);
            }
        }
    }
    entries
}

/// Messages by their place in the log.
type Read = BTreeMap<Seq, GroupMessage>;

fn live(reader: &mut Person, entries: &[Entry]) -> Read {
    let mut read = Read::new();
    for entry in entries {
        let now = reader.now;
        let group = reader.group.as_mut().unwrap();
        match group.receive(&mut reader.device, entry, now) {
            Ok(received) => {
                read.extend(
                    received.recovered.into_iter().map(|recovered| (recovered.seq, recovered.message)),
                );
                if let Event::Message(message) = received.event {
                    read.insert(entry.seq, message);
                }
                reader.save(received.changes);
            }
            Err(_) => {
                let changes = group.skip(entry).unwrap();
                reader.save(changes);
            }
        }
    }
    read
}

fn paged(reader: &mut Person, entries: &[Entry], size: usize) -> Read {
    let mut read = Read::new();
    for page in entries.chunks(size) {
        let now = reader.now;
        let caught_up = reader.group.as_mut().unwrap().receive_all(&mut reader.device, page, now);
        assert_eq!(caught_up.events.len(), page.len());
        read.extend(caught_up.recovered.into_iter().map(|recovered| (recovered.seq, recovered.message)));
        for (seq, event) in caught_up.events {
            if let Ok(Event::Message(message)) = event {
                read.insert(seq, message);
            }
        }
        reader.save(caught_up.changes);
    }
    read
}

fn reader(log: &Log, joined: Seq) -> Person {
    let mut dave = Person::new("dave", 4);
    dave.join(log, joined).unwrap();
    dave
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_ways_of_reading_agree(
        turns in prop::collection::vec(any::<bool>(), 3..30),
        lies in prop::collection::vec(lie(), 0..5),
        size in 1..20_usize,
    ) {
        let (log, joined) = talk(&turns);
        let (mut a, mut b, mut c) = (reader(&log, joined), reader(&log, joined), reader(&log, joined));
        let entries = entries(&log, joined, &a, &lies);
        let read = live(&mut a, &entries);
        prop_assert_eq!(&read, &paged(&mut b, &entries, size));
        prop_assert_eq!(&read, &paged(&mut c, &entries, entries.len()));
        prop_assert_eq!(a.stored(), b.stored());
        prop_assert_eq!(a.stored(), c.stored());
        if lies.is_empty() {
            prop_assert_eq!(read.len(), turns.len());
        }
    }
}

/// A broken signature in the middle costs nothing: the sender's next message vouches for the one before.
#[test]
fn a_broken_signature_is_vouched_for_by_the_next_message() {
    let (log, joined) = talk(&[true; 12]);
    let mut dave = reader(&log, joined);
    let entries = entries(&log, joined, &dave, &[Lie::Signature(5)]);
    assert_eq!(live(&mut dave, &entries).len(), 12);
}

/// At the end of an epoch nothing vouches for it any more.
#[test]
fn a_broken_signature_at_the_end_is_never_accepted() {
    let (log, joined) = talk(&[true; 12]);
    for size in [1, 100] {
        let mut dave = reader(&log, joined);
        let entries = entries(&log, joined, &dave, &[Lie::Signature(11)]);
        let read = paged(&mut dave, &entries, size);
        assert_eq!(read.len(), 11);
        assert!(!read.values().any(|message| message.content == b"message 11"));
    }
}

/// The last message of an honest sender vouches for nothing that a member slipped in under the sender's chain.
#[test]
fn a_changed_message_is_dropped() {
    let (log, joined) = talk(&[true; 12]);
    let mut dave = reader(&log, joined);
    let entries = entries(&log, joined, &dave, &[Lie::Link(2)]);
    let read = paged(&mut dave, &entries, 100);
    assert_eq!(read.len(), 11);
    assert!(!read.values().any(|message| message.content == b"message 2"));
    let kept =
        |text: &[u8]| dave.stored().values().any(|v| v.as_bytes().windows(text.len()).any(|w| w == text));
    assert!(!kept(b"message 2"), "what was dropped is gone from the records");
}
