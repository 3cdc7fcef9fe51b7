//! What the log shows in this device's own name: what it made itself, sooner, later or twice, is no alarm; what it did not
//! make is one (R46) (R67).

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::Seq;
use conclave_engine::wire::roster::Role;
use conclave_engine::{Event, Origin, PrekeyBook, ReceiveError, SealError, StageError};
use support::{Log, Person, gather};

struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
}

impl Case {
    /// Alice has a sender key, and has said something to Bob.
    fn new() -> Self {
        let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
        let (mut log, keys) = gather(&mut [&mut alice, &mut bob], &[Role::Admin]);
        alice.send(&mut log, &keys, b"hello");
        bob.catch_up(&log);
        Self { log, keys, alice, bob }
    }

    /// Alice and Bob have read everything; Alice refused just this, and says something more that Bob reads.
    fn goes_on(mut self, refused: &[(Seq, ReceiveError)]) {
        self.alice.catch_up(&self.log);
        assert_eq!(self.alice.refused, refused);
        self.alice.send(&mut self.log, &self.keys, b"and on");
        self.bob.catch_up(&self.log);
        assert_eq!(self.bob.texts().last().unwrap(), "and on");
    }
}

#[test]
fn a_message_posted_twice_is_a_repeat() {
    let mut case = Case::new();
    let messages: Vec<_> = (0..200).map(|_| case.alice.seal(b"twice").unwrap()).collect();
    for message in messages.iter().chain(&messages) {
        case.log.post(message).unwrap();
    }
    case.alice.catch_up(&case.log);
    assert_eq!(case.alice.refused.len(), messages.len());
    assert!(case.alice.refused.iter().all(|(_, error)| matches!(error, ReceiveError::Repeated(_))));
}

#[test]
fn a_message_that_a_newer_sender_key_overtook_is_too_late() {
    let mut case = Case::new();
    let late = case.alice.seal(b"too late").unwrap();
    let upload = case.alice.stage_key(&case.keys);
    case.log.distribute(&case.alice.device.id(), &upload).unwrap();
    let seq = case.log.post(&late).unwrap();
    case.alice.catch_up(&case.log);
    let refused = std::mem::take(&mut case.alice.refused);
    assert!(matches!(refused.as_slice(), [(at, ReceiveError::OldGeneration { .. })] if *at == seq));
    case.bob.catch_up(&case.log);
    assert!(matches!(case.bob.refused.as_slice(), [(at, ReceiveError::OldGeneration { .. })] if *at == seq));
    case.goes_on(&[]);
}

#[test]
fn a_distribution_posted_twice_is_a_repeat_for_everybody() {
    let mut case = Case::new();
    let upload = case.alice.stage_key(&case.keys);
    case.log.distribute(&case.alice.device.id(), &upload).unwrap();
    let again = case.log.distribute(&case.alice.device.id(), &upload).unwrap();
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.refused, [(again, ReceiveError::RepeatedDistribution)]);
    case.goes_on(&[(again, ReceiveError::RepeatedDistribution)]);
}

/// (R66) Only what the log has shown seals, and of two only the later.
#[test]
fn of_two_sender_keys_under_way_the_later_counts() {
    let mut case = Case::new();
    let first = case.alice.stage_key(&case.keys);
    let second = case.alice.stage_key(&case.keys);
    let replaced = case.log.distribute(&case.alice.device.id(), &first).unwrap();
    case.log.distribute(&case.alice.device.id(), &second).unwrap();
    case.goes_on(&[(replaced, ReceiveError::RepeatedDistribution)]);
}

/// (R66) Nothing is sealed before the log shows a sender key.
#[test]
fn without_a_sender_key_in_the_log_nothing_is_sealed() {
    let mut case = Case::new();
    assert_eq!(case.bob.seal(b"x"), Err(SealError::SenderKeyDue));
    let upload = case.bob.stage_key(&case.keys);
    assert_eq!(case.bob.seal(b"x"), Err(SealError::SenderKeyDue));
    case.log.distribute(&case.bob.device.id(), &upload).unwrap();
    case.bob.catch_up(&case.log);
    assert!(case.bob.seal(b"x").is_ok());
}

/// (R40) (R45) One commit at a time, until the log shows its fate or the server has refused it.
#[test]
fn one_commit_at_a_time() {
    let mut case = Case::new();
    let remove = vec![case.bob.remove_operation()];
    let refused = case.alice.stage(remove.clone(), &case.keys).unwrap();
    assert_eq!(case.alice.stage(remove.clone(), &case.keys), Err(StageError::AlreadyStaged));
    let changes = case.alice.group().abandon_staged_commit();
    case.alice.save(changes);
    case.alice.restart();
    let uploaded = case.alice.stage(remove, &case.keys).unwrap();
    assert_ne!(refused.commit, uploaded.commit, "with a fresh secret");
    case.log.commit(&uploaded).unwrap();
    case.alice.catch_up(&case.log);
    assert!(matches!(case.alice.events.last(), Some(Event::EpochChanged { origin: Origin::Ours, .. })));
}

/// (R46) (R67) What a copy of this device sends in its name, it notices.
#[test]
fn a_copy_shows() {
    let mut case = Case::new();
    let mut thief = case.alice.copy();
    let message = thief.seal(b"by the thief").unwrap();
    let seq = case.log.post(&message).unwrap();
    case.alice.catch_up(&case.log);
    assert_eq!(case.alice.refused, [(seq, ReceiveError::NotOurs)]);
    let promote = conclave_engine::wire::commit::Operation::SetRole {
        account: case.bob.device.account(),
        role: Role::Owner,
    };
    let commit = thief.stage(vec![promote], &case.keys).unwrap();
    case.log.commit(&commit).unwrap();
    case.alice.catch_up(&case.log);
    assert!(matches!(case.alice.events.last(), Some(Event::EpochChanged { origin: Origin::NotOurs, .. })));
    assert_eq!(case.alice.group().epoch(), case.log.epoch(), "it is valid, and followed");
}

/// (R67) An own message that the server changed is not taken for ours.
#[test]
fn a_changed_message_of_ours_shows() {
    let mut case = Case::new();
    let mut message = case.alice.seal(b"as it was").unwrap();
    *message.last_mut().unwrap() ^= 1;
    let refused = case.alice.receive(&case.log.forged(EntryKind::Message, &message));
    assert_eq!(refused, Err(ReceiveError::NotOurs));
}
