//! Messages that must be refused: nothing of them is shown, and nothing is consumed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::codec::DecodeError;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::{DeviceId, Epoch, Generation, LeafIndex, MessageIndex};
use conclave_engine::wire::message::{Header, MessageView, assemble};
use conclave_engine::wire::roster::Role;
use conclave_engine::{Continuity, Event, GroupState, PrekeyBook, ReceiveError, SealError};
use std::collections::BTreeMap;
use support::{Log, Person, START, flip, gather};

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
        let mut case = Self { log, keys, alice, bob, carol };
        case.all_catch_up();
        case
    }

    fn all_catch_up(&mut self) {
        for person in [&mut self.alice, &mut self.bob, &mut self.carol] {
            person.catch_up(&self.log);
        }
    }

    /// Bob refuses these bytes and is as before.
    fn refusal(&mut self, message: &[u8]) -> ReceiveError {
        let before = self.bob.snapshot();
        let error = self.bob.receive(&self.log.forged(EntryKind::Message, message)).unwrap_err();
        assert_eq!(self.bob.snapshot(), before);
        error
    }

    /// A copy of Bob keeps these bytes back, and shows nothing.
    fn is_pending(&self, message: &[u8]) {
        let mut bob = self.bob.copy();
        let event = bob.receive(&self.log.forged(EntryKind::Message, message)).unwrap();
        assert!(matches!(event, Event::Pending { .. }), "{event:?}");
        assert_eq!(bob.read, []);
    }

    /// The good message still comes through.
    fn arrives(mut self, message: &[u8]) {
        self.log.post(message).unwrap();
        self.bob.catch_up(&self.log);
        assert_eq!(self.bob.refused, []);
        assert_eq!(self.bob.read.last().unwrap().continuity, Continuity::Linked);
    }
}

fn with_header(message: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let view = MessageView::parse(message).unwrap();
    let mut header = view.header;
    change(&mut header);
    assemble(&header, view.link, view.hedge, view.ciphertext, &view.signature)
}

/// (R62) The signature covers every byte.
#[test]
fn every_byte_counts() {
    let mut case = Case::new();
    let message = case.alice.seal(b"a message").unwrap();
    let signature = message.len() - 64;
    for at in 0..message.len() {
        if (16..32).contains(&at) || at >= signature {
            // It decrypts, and only its writer is in doubt: it waits for a message that vouches for it.
            case.is_pending(&flip(&message, at));
            continue;
        }
        let error = case.refusal(&flip(&message, at));
        let expected = match at {
            0 | 1 => matches!(error, ReceiveError::Decode(_)),
            2..6 => matches!(error, ReceiveError::Withheld { .. } | ReceiveError::LogOrder { .. }),
            6..10 => matches!(error, ReceiveError::NotMember | ReceiveError::NotOurs),
            10..14 => matches!(error, ReceiveError::NeedSenderKey { .. }),
            14..16 => matches!(error, ReceiveError::Unauthentic { .. } | ReceiveError::Repeated(_)),
            _ => matches!(error, ReceiveError::Unauthentic { .. }),
        };
        assert!(expected, "byte {at}: {error:?}");
    }
    for length in [0, 1, 16, 119, message.len() - 1] {
        assert!(!matches!(case.refusal(&message[..length]), ReceiveError::NeedWelcome));
    }
    let unknown = case.refusal(&[&[2], &message[1..]].concat());
    assert!(matches!(unknown, ReceiveError::Decode(DecodeError::UnknownVersion { version: 2, .. })));
    case.arrives(&message);
}

/// (R63) A key is consumed once.
#[test]
fn replays() {
    let mut case = Case::new();
    let message = case.alice.seal(b"once").unwrap();
    case.log.post(&message).unwrap();
    case.all_catch_up();
    assert_eq!(case.refusal(&message), ReceiveError::Repeated(MessageIndex(1)));
    let before = case.alice.snapshot();
    let again = case.log.forged(EntryKind::Message, &message);
    assert_eq!(case.alice.receive(&again), Err(ReceiveError::Repeated(MessageIndex(1))));
    assert_eq!(case.alice.snapshot(), before);
    case.log.append(EntryKind::Message, message, BTreeMap::new());
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.texts().iter().filter(|text| *text == "once").count(), 1);
    // The sender's own view survives a restart.
    case.alice.restart();
    assert_eq!(case.alice.receive(&again), Err(ReceiveError::Repeated(MessageIndex(1))));
}

/// (R64) A hostile index costs a bounded number of steps and changes nothing.
#[test]
fn far_indices() {
    let mut case = Case::new();
    let message = case.alice.seal(b"near").unwrap();
    for index in [10_000, 10_001, 65_535].map(MessageIndex) {
        let far = with_header(&message, |header| header.index = index);
        assert_eq!(case.refusal(&far), ReceiveError::IndexTooFar(index));
    }
    let last = with_header(&message, |header| header.index = MessageIndex(9_999));
    assert!(matches!(case.refusal(&last), ReceiveError::Unauthentic { .. }));
    case.arrives(&message);
}

/// (R63)
#[test]
fn foreign_leaves_and_generations() {
    let mut case = Case::new();
    let message = case.alice.seal(b"by alice").unwrap();
    let at_leaf = |leaf| with_header(&message, |header| header.leaf = LeafIndex(leaf));
    let device = case.carol.device.id();
    let unauthentic = ReceiveError::Unauthentic { device, generation: Generation(0) };
    assert_eq!(case.refusal(&at_leaf(2)), unauthentic, "Carol's leaf");
    assert_eq!(case.refusal(&at_leaf(1)), ReceiveError::NotOurs, "Bob's own");
    assert_eq!(case.refusal(&at_leaf(3)), ReceiveError::NotMember);
    assert_eq!(case.refusal(&at_leaf(u32::MAX)), ReceiveError::NotMember);
    let later = with_header(&message, |header| header.generation = Generation(1));
    let device: DeviceId = case.alice.device.id();
    assert_eq!(case.refusal(&later), ReceiveError::NeedSenderKey { device, generation: Generation(1) });
    case.arrives(&message);
}

/// From the log position of a generation on, messages of those before are refused.
#[test]
fn old_generations() {
    let mut case = Case::new();
    let old = case.alice.seal(b"under the old key").unwrap();
    let upload = case.alice.stage_key(&case.keys);
    case.log.distribute(&case.alice.device.id(), &upload).unwrap();
    case.all_catch_up();
    let (current, found) = (Generation(1), Generation(0));
    assert_eq!(case.refusal(&old), ReceiveError::OldGeneration { current, found });
    let new = case.alice.seal(b"under the new one").unwrap();
    case.arrives(&new);
}

/// (R63)
#[test]
fn other_epochs() {
    let mut case = Case::new();
    let old = case.alice.seal(b"too late").unwrap();
    let dave = Person::new("dave", 4);
    case.alice.change(&mut case.log, &case.keys, vec![dave.add_operation(Role::Member)]);
    case.all_catch_up();
    let (current, found) = (Epoch(2), Epoch(1));
    assert_eq!(case.refusal(&old), ReceiveError::LogOrder { current, found });
    let new = case.alice.seal(b"in time").unwrap();
    let future = with_header(&new, |header| header.epoch = Epoch(3));
    assert_eq!(case.refusal(&future), ReceiveError::Withheld { current, found: Epoch(3) });
    case.arrives(&new);
}

/// (R41) (R62) Two members who are shown two commits do not understand each other, though their rosters are equal.
#[test]
fn split_view() {
    let mut case = Case::new();
    let account = case.carol.device.account();
    let operations = vec![Operation::SetRole { account, role: Role::Admin }];
    let one = case.alice.stage(operations.clone(), &case.keys).unwrap();
    let changes = case.alice.group().abandon_staged_commit();
    case.alice.save(changes);
    case.alice.now.0 += 1;
    let other = case.alice.stage(operations, &case.keys).unwrap();
    for (person, upload) in [(&mut case.bob, &one), (&mut case.carol, &other)] {
        person.receive(&case.log.forged(EntryKind::Commit, &upload.commit)).unwrap();
        assert_eq!(person.group().state(), GroupState::Active);
    }
    assert_eq!(case.bob.group().roster().hash(), case.carol.group().roster().hash());
    let message = case.carol.seal(b"which group is this?").unwrap();
    case.log.append(EntryKind::Commit, one.commit, BTreeMap::new());
    let device = case.carol.device.id();
    assert_eq!(case.refusal(&message), ReceiveError::Unauthentic { device, generation: Generation(0) });
}

/// A message dropped by the server shows at the sender's next.
#[test]
fn a_withheld_message_shows_as_a_gap() {
    let mut case = Case::new();
    let withheld = case.alice.seal(b"withheld").unwrap();
    case.alice.send(&mut case.log, &case.keys, b"next");
    case.alice.send(&mut case.log, &case.keys, b"after");
    case.all_catch_up();
    let last: Vec<_> = case.bob.read.iter().rev().take(2).map(|message| message.continuity).collect();
    assert_eq!(last, [Continuity::Linked, Continuity::Gap]);
    // Late, it is read all the same, out of its place.
    case.log.append(EntryKind::Message, withheld, BTreeMap::new());
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.read.last().unwrap().content, b"withheld");
    assert_eq!(case.bob.read.last().unwrap().continuity, Continuity::Gap);
}

#[test]
fn what_cannot_be_sealed() {
    let mut case = Case::new();
    let before = case.alice.snapshot();
    assert_eq!(case.alice.seal(b""), Err(SealError::Empty));
    let limit = conclave_engine::limits::MAX_CONTENT;
    assert_eq!(case.alice.seal(&vec![1; limit + 1]), Err(SealError::TooLong(limit + 1)));
    assert_eq!(case.alice.snapshot(), before);
    let longest = case.alice.seal(&vec![1; limit]).unwrap();
    assert_eq!(longest.len(), conclave_engine::wire::message::MAX_MESSAGE_BYTES);
    let mut new = Person::new("new", 9);
    new.found();
    assert_eq!(new.seal(b"x"), Err(SealError::SenderKeyDue));
    assert!(new.group().sender_key_due(START));
    for _ in 1..conclave_engine::limits::MAX_UNCONFIRMED {
        case.alice.seal(b"waits").unwrap();
    }
    assert_eq!(case.alice.seal(b"one too many"), Err(SealError::TooManyUnconfirmed));
    case.arrives(&longest);
}
