//! Live, paged and bulk reading of any log end in the same state (R68) (R143).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::Seq;
use conclave_engine::wire::message::Header;
use conclave_engine::wire::roster::Role;
use conclave_engine::wire::run::{self, RunView};
use conclave_engine::{Continuity, Event, GroupMessage};
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
    /// Gives one the signature of another.
    Sign(usize, usize),
    /// Cuts the last message off a run.
    Truncate(usize),
    /// Exchanges two ciphertexts inside a run.
    Reorder(usize, usize, usize),
    /// Exchanges ciphertexts of two runs.
    Exchange(usize, usize),
    /// Moves the index, so that it overlaps with another's.
    Move(usize, i16),
}

fn lie() -> impl Strategy<Value = Lie> {
    let at = || 0..1000_usize;
    prop_oneof![
        4 => at().prop_map(Lie::Signature),
        1 => at().prop_map(Lie::Link),
        1 => at().prop_map(Lie::Ciphertext),
        1 => (at(), at()).prop_map(|(a, b)| Lie::Replace(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Lie::Swap(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Lie::Sign(a, b)),
        1 => at().prop_map(Lie::Truncate),
        1 => (at(), at(), at()).prop_map(|(run, a, b)| Lie::Reorder(run, a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Lie::Exchange(a, b)),
        1 => (at(), -3..4_i16).prop_map(|(i, by)| Lie::Move(i, by)),
    ]
}

/// Who says something next, and how many messages at once.
#[derive(Clone, Copy, Debug)]
struct Turn {
    alice: bool,
    messages: usize,
}

fn turn() -> impl Strategy<Value = Turn> {
    let messages = prop_oneof![2 => Just(1), 1 => 2..6_usize];
    (any::<bool>(), messages).prop_map(|(alice, messages)| Turn { alice, messages })
}

/// Alice says so many things, one by one.
fn alone(count: usize) -> Vec<Turn> {
    vec![Turn { alice: true, messages: 1 }; count]
}

/// A log in which two people talk in three epochs, and where its reader came in.
fn talk(turns: &[Turn]) -> (Log, Seq) {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let (dave, eve) = (Person::new("dave", 4), Person::new("eve", 5));
    let keys = book(&[&alice, &bob, &dave, &eve]);
    let mut log = alice.found();
    let add = vec![bob.add_operation(Role::Member), dave.add_operation(Role::Member)];
    alice.change(&mut log, &keys, add);
    let joined = log.head();
    bob.join(&log, joined).unwrap();
    for (turn, Turn { alice: by_alice, messages }) in turns.iter().enumerate() {
        let sender = if *by_alice { &mut alice } else { &mut bob };
        let text = format!("message {turn}");
        match messages {
            1 => sender.send(&mut log, &keys, text.as_bytes()),
            _ => sender.send_run(&mut log, &keys, &vec![text.as_bytes(); *messages]),
        }
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
            Lie::Sign(i, with) => {
                let signature = entries[at(with)].body.0.last_chunk::<64>().unwrap().to_owned();
                *entries[at(i)].body.0.last_chunk_mut().unwrap() = signature;
            }
            Lie::Truncate(i) => in_run(&mut entries[at(i)].body.0, |_, ciphertexts| drop(ciphertexts.pop())),
            Lie::Reorder(i, a, b) => in_run(&mut entries[at(i)].body.0, |_, ciphertexts| {
                let count = ciphertexts.len();
                ciphertexts.swap(a % count, b % count);
            }),
            Lie::Exchange(a, b) => {
                let mut taken = None;
                in_run(&mut entries[at(b)].body.0, |_, ciphertexts| taken = ciphertexts.first().cloned());
                in_run(&mut entries[at(a)].body.0, |_, ciphertexts| {
                    ciphertexts[0] = taken.unwrap_or_else(|| ciphertexts[1].clone());
                });
            }
            Lie::Move(i, by) => {
                let index: &mut [u8; 2] = (&mut entries[at(i)].body.0[14..16]).try_into().unwrap();
                *index = u16::from_be_bytes(*index).wrapping_add_signed(by).to_be_bytes();
            }
        }
    }
    entries
}

/// Changes a run, if it is one, and puts it together again under its old signature.
fn in_run(body: &mut Vec<u8>, change: impl FnOnce(&mut Header, &mut Vec<Vec<u8>>)) {
    let Ok(view) = RunView::parse(body) else { return };
    let (mut header, mut ciphertexts) = (view.header, Vec::new());
    ciphertexts.extend(view.messages().map(|(_, ciphertext)| ciphertext.to_vec()));
    change(&mut header, &mut ciphertexts);
    let ciphertexts: Vec<_> = ciphertexts.iter().map(Vec::as_slice).collect();
    *body = run::assemble(&header, view.link, view.hedge, &ciphertexts, &view.signature);
}

/// Messages by their place in the log.
type Read = BTreeMap<Seq, Vec<GroupMessage>>;

fn messages(event: Event) -> Vec<GroupMessage> {
    match event {
        Event::Message(message) => vec![message],
        Event::Run(messages) => messages,
        _ => Vec::new(),
    }
}

/// All that was read, in the order of the log.
fn texts(read: &Read) -> Vec<String> {
    read.values().flatten().map(|message| String::from_utf8(message.content.clone()).unwrap()).collect()
}

fn live(reader: &mut Person, entries: &[Entry]) -> Read {
    let mut read = Read::new();
    for entry in entries {
        let now = reader.now;
        let group = reader.group.as_mut().unwrap();
        match group.receive(&mut reader.device, entry, now) {
            Ok(received) => {
                read.extend(
                    received.recovered.into_iter().map(|recovered| (recovered.seq, vec![recovered.message])),
                );
                read.insert(entry.seq, messages(received.event));
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
        for (seq, event) in caught_up.events {
            if let Ok(event) = event {
                read.insert(seq, messages(event));
            }
        }
        read.extend(
            caught_up.recovered.into_iter().map(|recovered| (recovered.seq, vec![recovered.message])),
        );
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
        turns in prop::collection::vec(turn(), 3..30),
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
            prop_assert_eq!(texts(&read).len(), turns.iter().map(|turn| turn.messages).sum::<usize>());
        }
    }
}

/// A broken signature in the middle costs nothing: the sender's next message vouches for the one before.
#[test]
fn a_broken_signature_is_vouched_for_by_the_next_message() {
    let (log, joined) = talk(&alone(12));
    let mut dave = reader(&log, joined);
    let entries = entries(&log, joined, &dave, &[Lie::Signature(5)]);
    assert_eq!(texts(&live(&mut dave, &entries)).len(), 12);
}

/// At the end of an epoch nothing vouches for it any more.
#[test]
fn a_broken_signature_at_the_end_is_never_accepted() {
    let (log, joined) = talk(&alone(12));
    for size in [1, 100] {
        let mut dave = reader(&log, joined);
        let entries = entries(&log, joined, &dave, &[Lie::Signature(11)]);
        let read = paged(&mut dave, &entries, size);
        assert_eq!(texts(&read), (0..11).map(|i| format!("message {i}")).collect::<Vec<_>>());
    }
}

/// The last message of an honest sender vouches for nothing that a member slipped in under the sender's chain.
#[test]
fn a_changed_message_is_dropped() {
    let (log, joined) = talk(&alone(12));
    let mut dave = reader(&log, joined);
    let entries = entries(&log, joined, &dave, &[Lie::Link(2)]);
    let read = paged(&mut dave, &entries, 100);
    assert_eq!(texts(&read).len(), 11);
    assert!(!texts(&read).contains(&"message 2".to_owned()));
    let kept =
        |text: &[u8]| dave.stored().values().any(|v| v.as_bytes().windows(text.len()).any(|w| w == text));
    assert!(!kept(b"message 2"), "what was dropped is gone from the records");
}

/// (R143) A run whose signature is broken is refused for good, however it is read: later messages do not vouch for it.
#[test]
fn a_run_needs_its_own_signature() {
    let mut turns = alone(12);
    turns[2].messages = 3;
    let (log, joined) = talk(&turns);
    for size in [1, 100] {
        let mut dave = reader(&log, joined);
        let entries = entries(&log, joined, &dave, &[Lie::Signature(2)]);
        let read = paged(&mut dave, &entries, size);
        assert_eq!(texts(&read).len(), 11);
        assert!(!texts(&read).contains(&"message 2".to_owned()));
        let after = read.values().flatten().find(|message| message.content == b"message 3").unwrap();
        assert_eq!(after.continuity, Continuity::Gap);
    }
}

/// (R143) A good run vouches for the messages before it, as a message does.
#[test]
fn a_run_vouches_for_what_it_links_to() {
    let mut turns = alone(12);
    turns[3].messages = 3;
    let (log, joined) = talk(&turns);
    for size in [1, 2, 100] {
        let mut dave = reader(&log, joined);
        let entries = entries(&log, joined, &dave, &[Lie::Signature(1), Lie::Signature(2)]);
        let read = paged(&mut dave, &entries, size);
        assert_eq!(texts(&read).len(), 14);
        assert!(read.values().flatten().skip(1).all(|message| message.continuity == Continuity::Linked));
    }
}
