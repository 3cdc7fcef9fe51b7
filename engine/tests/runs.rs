//! Runs: several messages in one entry, accepted whole or refused whole (R69).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::limits::{MAX_CONTENT, MAX_MESSAGES_PER_SENDER_KEY, MAX_UNCONFIRMED};
use conclave_engine::wire::codec::DecodeError;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::{LeafIndex, MessageIndex};
use conclave_engine::wire::message::{self, Header};
use conclave_engine::wire::roster::Role;
use conclave_engine::wire::run::{RunView, assemble};
use conclave_engine::{Continuity, Event, PrekeyBook, ReceiveError, SealError};
use support::{Log, Person, flip, gather};

struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
}

impl Case {
    /// Alice and Bob, both of whom have written once.
    fn new() -> Self {
        let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
        let (mut log, keys) = gather(&mut [&mut alice, &mut bob], &[Role::Admin]);
        alice.send(&mut log, &keys, b"hello");
        bob.send(&mut log, &keys, b"hello");
        alice.catch_up(&log);
        Self { log, keys, alice, bob }
    }

    fn run(&mut self) -> Vec<u8> {
        self.alice.seal_run(&[b"one", b"two", b"three"]).unwrap()
    }

    /// Bob refuses these bytes and is as before.
    fn refusal(&mut self, body: &[u8]) -> ReceiveError {
        let before = self.bob.snapshot();
        let error = self.bob.receive(&self.log.forged(EntryKind::Message, body)).unwrap_err();
        assert_eq!(self.bob.snapshot(), before);
        error
    }

    /// The good run still comes through.
    fn arrives(mut self, run: &[u8]) {
        self.log.post(run).unwrap();
        self.bob.catch_up(&self.log);
        assert_eq!(self.bob.refused, []);
        assert_eq!(self.bob.texts()[1..], ["one", "two", "three"]);
        assert!(self.bob.read.iter().skip(1).all(|message| message.continuity == Continuity::Linked));
    }
}

/// A run taken apart and put together again, under its old signature.
fn changed<'a>(run: &'a [u8], change: impl FnOnce(&mut Header, &mut Vec<&'a [u8]>)) -> Vec<u8> {
    let view = RunView::parse(run).unwrap();
    let (mut header, mut ciphertexts) = (view.header, view.messages().map(|(_, c)| c).collect());
    change(&mut header, &mut ciphertexts);
    assemble(&header, view.link, view.hedge, &ciphertexts, &view.signature)
}

/// (R69) (R144) One entry; each message has its own id; before and after it links go on.
#[test]
fn a_run_between_messages() {
    let mut case = Case::new();
    let ids = case.alice.sealed.len();
    case.alice.send(&mut case.log, &case.keys, b"before");
    case.alice.send_run(&mut case.log, &case.keys, &[b"one", b"two", b"three"]);
    case.alice.send(&mut case.log, &case.keys, b"after");
    let head = case.log.head();
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.group().cursor(), head);
    assert_eq!(case.bob.texts(), ["hello", "before", "one", "two", "three", "after"]);
    assert!(case.bob.read.iter().skip(1).all(|message| message.continuity == Continuity::Linked));
    let read: Vec<_> = case.bob.read.iter().skip(1).map(|message| message.id).collect();
    assert_eq!(read, case.alice.sealed[ids..]);
    assert_eq!(case.alice.sent[ids..], case.alice.sealed[ids..]);
    let [.., run, _] = &case.alice.events[..] else { panic!("{:?}", case.alice.events) };
    assert_eq!(run, &Event::SentRun { ids: case.alice.sealed[ids + 1..ids + 4].to_vec() });
    let [.., run, _] = &case.bob.events[..] else { panic!("{:?}", case.bob.events) };
    assert!(matches!(run, Event::Run(messages) if messages.len() == 3));
}

/// Refused because nothing vouches for it.
fn unauthentic(error: &ReceiveError) -> bool {
    matches!(error, ReceiveError::Unauthentic { .. })
}

/// (R62) (R69) (R143) The one signature covers every byte of every message, and a run is never pending.
#[test]
fn every_byte_counts() {
    let mut case = Case::new();
    let run = case.run();
    for at in 0..run.len() {
        let error = case.refusal(&flip(&run, at));
        let expected = match at {
            0 | 40 | 41 => matches!(error, ReceiveError::Decode(_)),
            // As a single message it is nonsense.
            1 => unauthentic(&error),
            2..6 => matches!(error, ReceiveError::Withheld { .. } | ReceiveError::LogOrder { .. }),
            6..10 => matches!(error, ReceiveError::NotMember | ReceiveError::NotOurs),
            10..14 => matches!(error, ReceiveError::NeedSenderKey { .. }),
            14 => unauthentic(&error) || matches!(error, ReceiveError::IndexTooFar(_)),
            15 => unauthentic(&error) || matches!(error, ReceiveError::Repeated(_)),
            // Lengths, or what they measure.
            _ => unauthentic(&error) || matches!(error, ReceiveError::Decode(DecodeError::Malformed { .. })),
        };
        assert!(expected, "byte {at}: {error:?}");
    }
    for length in 0..run.len() {
        assert!(matches!(case.refusal(&run[..length]), ReceiveError::Decode(_)), "{length} bytes");
    }
    case.arrives(&run);
}

/// (R69) (R141) No message is left out, added, moved, exchanged, or taken from another run.
#[test]
fn a_run_is_whole() {
    let mut case = Case::new();
    let run = case.run();
    let other = case.alice.copy().seal_run(&[b"uno", b"dos", b"tres"]).unwrap();
    let other = RunView::parse(&other).unwrap();
    let others: Vec<_> = other.messages().map(|(_, ciphertext)| ciphertext).collect();
    let twice = RunView::parse(&run).unwrap().messages().next().unwrap().1.to_vec();
    let spoilt = [
        changed(&run, |_, all| all.truncate(2)),
        changed(&run, |_, all| {
            all.remove(1);
        }),
        changed(&run, |header, all| {
            all.remove(0);
            header.index.0 += 1;
        }),
        changed(&run, |_, all| all.swap(0, 1)),
        changed(&run, |_, all| all.swap(1, 2)),
        changed(&run, |_, all| all.rotate_left(1)),
        changed(&run, |_, all| all[0] = others[0]),
        changed(&run, |_, all| all[2] = others[2]),
        changed(&run, |_, all| all.push(&twice)),
        changed(&run, |_, all| all.insert(1, &twice)),
        changed(&run, |header, _| header.index.0 += 1),
    ];
    for (number, spoilt) in spoilt.iter().enumerate() {
        assert!(unauthentic(&case.refusal(spoilt)), "{number}");
    }
    case.arrives(&run);
}

/// (R141) Nothing of a run passes for a message, and no message for a part of a run.
#[test]
fn runs_and_messages_are_two_things() {
    let mut case = Case::new();
    let message = case.alice.copy().seal(b"one").unwrap();
    let run = case.run();
    let (single, view) = (message::MessageView::parse(&message).unwrap(), RunView::parse(&run).unwrap());
    let first = view.messages().next().unwrap().1;
    let as_message = message::assemble(&view.header, view.link, view.hedge, first, &view.signature);
    let event = case.bob.copy().receive(&case.log.forged(EntryKind::Message, &as_message));
    assert!(matches!(event, Ok(Event::Pending { .. })), "it decrypts, and was not signed so: {event:?}");
    let ciphertexts = [single.ciphertext, single.ciphertext];
    let as_run = assemble(&single.header, single.link, single.hedge, &ciphertexts, &single.signature);
    assert!(unauthentic(&case.refusal(&as_run)));
    case.arrives(&run);
}

/// (R64) (R140) An index beyond a chain's end is refused before anything is derived for it.
#[test]
fn far_indices() {
    let mut case = Case::new();
    let run = case.run();
    for (first, last) in [(9_998, 10_000), (10_000, 10_002), (65_533, 65_535)] {
        let far = changed(&run, |header, _| header.index = MessageIndex(first));
        assert_eq!(case.refusal(&far), ReceiveError::IndexTooFar(MessageIndex(last)));
    }
    let beyond = changed(&run, |header, _| header.index = MessageIndex(65_534));
    assert!(matches!(case.refusal(&beyond), ReceiveError::Decode(_)));
    let last = changed(&run, |header, _| header.index = MessageIndex(9_997));
    assert!(unauthentic(&case.refusal(&last)));
    let foreign = changed(&run, |header, _| header.leaf = LeafIndex(1));
    assert_eq!(case.refusal(&foreign), ReceiveError::NotOurs);
    case.arrives(&run);
}

/// (R140) (R145) What cannot be sealed changes nothing.
#[test]
fn what_cannot_be_sealed() {
    let mut case = Case::new();
    let before = case.alice.snapshot();
    let mut refused = |contents: &[&[u8]], expected: SealError| {
        assert_eq!(case.alice.seal_run(contents), Err(expected));
        assert_eq!(case.alice.snapshot(), before);
    };
    refused(&[], SealError::RunCount(0));
    refused(&[b"alone"], SealError::RunCount(1));
    refused(&[&b"x"[..]; 257], SealError::RunCount(257));
    refused(&[b"one", b"", b"three"], SealError::Empty);
    let (longest, too_long) = (vec![1; MAX_CONTENT], vec![1; MAX_CONTENT + 1]);
    refused(&[b"one", &too_long], SealError::TooLong(MAX_CONTENT + 1));
    refused(&[&longest, &longest, &longest, &longest, b"x"], SealError::RunTooLong((256 << 10) + 32));
    case.alice.seal(b"waits").unwrap();
    let before = case.alice.snapshot();
    assert_eq!(case.alice.seal_run(&[&b"x"[..]; 256]), Err(SealError::TooManyUnconfirmed));
    assert_eq!(case.alice.snapshot(), before);
    let most = case.alice.seal_run(&[&b"x"[..]; MAX_UNCONFIRMED - 1]).unwrap();
    assert_eq!(case.alice.seal(b"one too many"), Err(SealError::TooManyUnconfirmed));
    case.log.post(&most).unwrap();
    case.alice.catch_up(&case.log);
    let full = case.alice.seal_run(&[&longest[..]; 4]).unwrap();
    case.log.post(&full).unwrap();
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.read.len(), 1 + 255 + 4);
}

/// (R66) (R145) Each message of a run counts: a sender key ends after 10,000, and never within a run.
#[test]
fn a_sender_key_does_not_end_within_a_run() {
    let mut case = Case::new();
    let most = u32::try_from(MAX_UNCONFIRMED).unwrap();
    let mut sealed = 1;
    while sealed + most <= MAX_MESSAGES_PER_SENDER_KEY {
        case.alice.send_run(&mut case.log, &case.keys, &[&b"x"[..]; MAX_UNCONFIRMED]);
        sealed += most;
    }
    let left = usize::try_from(MAX_MESSAGES_PER_SENDER_KEY - sealed).unwrap();
    let before = case.alice.snapshot();
    assert_eq!(case.alice.seal_run(&vec![&b"x"[..]; left + 1]), Err(SealError::SenderKeyDue));
    assert_eq!(case.alice.snapshot(), before);
    let now = case.alice.now;
    assert!(!case.alice.group().sender_key_due(now));
    let last = case.alice.seal_run(&vec![&b"x"[..]; left]).unwrap();
    assert!(case.alice.group().sender_key_due(now));
    assert_eq!(case.alice.seal(b"x"), Err(SealError::SenderKeyDue));
    case.log.post(&last).unwrap();
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.read.len(), 10_000);
    assert_eq!(case.bob.refused, []);
}

/// (R144) What an epoch's end overtook is sealed again under its ids: alone, or in another run.
#[test]
fn a_run_that_came_too_late_is_sealed_again() {
    let mut case = Case::new();
    let late = case.run();
    let ids = case.alice.sealed[1..].to_vec();
    assert!(ids.iter().all(|id| case.alice.group().is_unconfirmed(id)));
    let dave = Person::new("dave", 4);
    case.alice.change(&mut case.log, &case.keys, vec![dave.add_operation(Role::Member)]);
    assert!(case.log.post(&late).is_err(), "of an epoch that is over");
    assert!(!ids.iter().any(|id| case.alice.group().is_unconfirmed(id)));
    let one = case.alice.seal_again(ids[0], b"one");
    let rest = case.alice.seal_run_again(&[(ids[1], b"two"), (ids[2], b"three")]);
    case.log.post(&one).unwrap();
    case.log.post(&rest).unwrap();
    case.alice.catch_up(&case.log);
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.texts()[1..], ["one", "two", "three"]);
    assert!(case.bob.read[1..].iter().map(|message| message.id).eq(ids.iter().copied()));
    assert!(case.bob.read.iter().skip(1).all(|message| message.continuity == Continuity::Linked));
    assert_eq!(case.alice.sent[1..], ids);
}

/// (R67) (R144) Posted twice it is a repeat for everybody, its sender after a restart too; changed it is not ours.
#[test]
fn posted_twice() {
    let mut case = Case::new();
    let run = case.run();
    case.alice.restart();
    let mut spoilt = run.clone();
    *spoilt.last_mut().unwrap() ^= 1;
    let spoilt = case.log.forged(EntryKind::Message, &spoilt);
    assert_eq!(case.alice.receive(&spoilt), Err(ReceiveError::NotOurs));
    case.log.post(&run).unwrap();
    let again = case.log.post(&run).unwrap();
    for person in [&mut case.alice, &mut case.bob] {
        person.catch_up(&case.log);
        assert_eq!(person.refused, [(again, ReceiveError::Repeated(MessageIndex(1)))]);
    }
    case.alice.restart();
    let third = case.log.forged(EntryKind::Message, &run);
    assert_eq!(case.alice.receive(&third), Err(ReceiveError::Repeated(MessageIndex(1))));
}

/// (R64) What comes late is read from skipped keys, all or none.
#[test]
fn out_of_order() {
    let mut case = Case::new();
    let late = case.run();
    let next = case.alice.seal(b"four").unwrap();
    case.log.post(&next).unwrap();
    case.log.post(&late).unwrap();
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.texts()[1..], ["four", "one", "two", "three"]);
    let continuity: Vec<_> = case.bob.read.iter().skip(1).map(|message| message.continuity).collect();
    assert_eq!(continuity, [Continuity::Gap, Continuity::Gap, Continuity::Linked, Continuity::Linked]);
    assert_eq!(case.refusal(&late), ReceiveError::Repeated(MessageIndex(1)));
}
