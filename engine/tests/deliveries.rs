//! Commit secrets on their way: spoilt, swapped, replayed, and commits that confirm something else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::entry::Entry;
use conclave_engine::wire::ids::{Epoch, Opaque, Seq};
use conclave_engine::wire::roster::Role;
use conclave_engine::{
    Event, GroupState, Origin, PrekeyBook, ReceiveError, RecordKey, SealError, StageError,
};
use support::{Forger, Log, Person, flip, gather};

/// Alice has just removed Dave, with wraps for Bob and Carol who have not seen it yet.
struct Removal {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    carol: Person,
    seq: Seq,
}

impl Removal {
    fn new() -> Self {
        let [mut alice, mut bob] = [Person::new("alice", 1), Person::new("bob", 2)];
        let [mut carol, mut dave] = [Person::new("carol", 3), Person::new("dave", 4)];
        let people = &mut [&mut alice, &mut bob, &mut carol, &mut dave];
        let (mut log, keys) = gather(people, &[Role::Member; 3]);
        alice.send(&mut log, &keys, b"opens the chains");
        bob.send(&mut log, &keys, b"hello");
        for person in [&mut alice, &mut bob, &mut carol] {
            person.catch_up(&log);
        }
        alice.change(&mut log, &keys, vec![dave.remove_operation()]);
        let seq = log.head();
        Self { log, keys, alice, bob, carol, seq }
    }

    fn entry(&self) -> Entry {
        self.log.entry(self.seq, &self.bob.device.id())
    }

    fn wrap(&self) -> Vec<u8> {
        self.entry().delivery.unwrap().0
    }

    /// A copy of Bob meets the commit with this delivery; he must follow the roster and lack the secrets.
    fn leaves_bob_without_secrets(&self, delivery: Option<Vec<u8>>) {
        let mut bob = self.bob.copy();
        // Those with Carol are erased, because she goes.
        let alice = self.alice.device.id();
        let chains = |person: &Person| {
            let with_alice = |key: &RecordKey| key.name == [b"peer/", &alice.as_bytes()[..]].concat();
            let records = person.stored().into_iter().filter(|(key, _)| with_alice(key));
            records.collect::<Vec<_>>()
        };
        let before = chains(&bob);
        let entry = Entry { delivery: delivery.map(Opaque), ..self.entry() };
        let event = bob.receive(&entry).unwrap();
        assert!(matches!(event, Event::EpochChanged { state: GroupState::NeedWelcome, .. }), "{event:?}");
        assert_eq!(bob.group().epoch(), Epoch(2));
        assert_eq!(bob.group().roster().hash(), self.log.roster().hash(), "the roster advances");
        assert_eq!(chains(&bob), before, "nothing is consumed");
        assert_eq!(bob.seal(b"x"), Err(SealError::NotActive(GroupState::NeedWelcome)));
        let operations = vec![self.carol.remove_operation()];
        assert_eq!(bob.stage(operations, &self.keys), Err(StageError::NotActive(GroupState::NeedWelcome)));
        bob.restart();
        assert_eq!(bob.group().state(), GroupState::NeedWelcome);
    }
}

#[test]
fn the_wrap_that_the_others_spoil_is_good() {
    let case = Removal::new();
    assert_eq!(case.wrap().len(), 40);
    let mut bob = case.bob.copy();
    let event = bob.receive(&case.entry()).unwrap();
    assert!(matches!(event, Event::EpochChanged { state: GroupState::Active, origin: Origin::Other, .. }));
}

/// (R43) A commit whose secret cannot be read advances the roster and leaves this device in need of a welcome.
#[test]
fn every_area_of_a_wrap() {
    let case = Removal::new();
    let wrap = case.wrap();
    for at in 0..wrap.len() {
        // version, form, chain id, index, masked secret
        case.leaves_bob_without_secrets(Some(flip(&wrap, at)));
    }
    case.leaves_bob_without_secrets(None);
    case.leaves_bob_without_secrets(Some(Vec::new()));
    case.leaves_bob_without_secrets(Some(wrap[..39].to_vec()));
    case.leaves_bob_without_secrets(Some([&wrap[..], &[0]].concat()));
}

/// (R56) A wrap is bound to its recipient, epoch and commitment.
#[test]
fn a_wrap_serves_one_device_and_one_commit() {
    let mut case = Removal::new();
    let carols = case.log.entry(case.seq, &case.carol.device.id()).delivery.unwrap().0;
    assert_ne!(carols, case.wrap());
    case.leaves_bob_without_secrets(Some(carols));
    // The next removal, with the wrap of this one.
    let first = case.wrap();
    for person in [&mut case.bob, &mut case.carol] {
        person.catch_up(&case.log);
    }
    case.alice.change(&mut case.log, &case.keys, vec![case.carol.remove_operation()]);
    case.seq = case.log.head();
    let mut bob = case.bob.copy();
    let replayed = Entry { delivery: Some(Opaque(first)), ..case.entry() };
    let event = bob.receive(&replayed).unwrap();
    assert!(matches!(event, Event::EpochChanged { state: GroupState::NeedWelcome, .. }));
    assert!(matches!(
        case.bob.receive(&case.entry()),
        Ok(Event::EpochChanged { state: GroupState::Active, .. })
    ));
}

/// (R43) A confirmation that does not follow from the secrets: nobody takes them, and nobody loses the roster.
#[test]
fn a_wrong_confirmation_bricks_nobody() {
    let case = Removal::new();
    let forger = Forger::of(&case.alice);
    let mut bob = case.bob.copy();
    let entry = case.entry();
    let body = Opaque(forger.confirm(&entry.body.0, [7; 32]));
    let event = bob.receive(&Entry { body, ..entry }).unwrap();
    assert!(matches!(event, Event::EpochChanged { state: GroupState::NeedWelcome, .. }));
    assert_eq!(bob.group().roster().hash(), case.log.roster().hash());
}

#[test]
fn without_secrets_messages_wait_for_a_welcome_and_nothing_is_lost_of_the_roster() {
    let mut case = Removal::new();
    let mut bob = case.bob.copy();
    bob.receive(&Entry { delivery: None, ..case.entry() }).unwrap();
    case.carol.catch_up(&case.log);
    case.alice.send(&mut case.log, &case.keys, b"not for him now");
    case.alice.change(&mut case.log, &case.keys, vec![case.carol.remove_operation()]);
    bob.catch_up(&case.log);
    assert_eq!(bob.refused.iter().map(|(_, error)| error).collect::<Vec<_>>(), [&ReceiveError::NeedWelcome]);
    assert_eq!(bob.group().epoch(), Epoch(3));
    assert_eq!(bob.group().roster().hash(), case.log.roster().hash());
    assert_eq!(bob.group().state(), GroupState::NeedWelcome);
}

/// (R52) (R55) A chain step is spent when something was made from it, whether or not it ever arrives.
#[test]
fn no_two_wraps_share_a_step() {
    let mut case = Removal::new();
    case.bob.catch_up(&case.log);
    case.carol.catch_up(&case.log);
    let remove = vec![case.carol.remove_operation()];
    let first = case.alice.stage(remove.clone(), &case.keys).unwrap();
    case.alice.restart();
    let changes = case.alice.group().abandon_staged_commit();
    case.alice.save(changes);
    case.alice.restart();
    let second = case.alice.stage(remove, &case.keys).unwrap();
    let place = |upload: &conclave_engine::CommitUpload| upload.deliveries[0].0[2..8].to_vec();
    assert_ne!(place(&first), place(&second), "chain id and index");
    case.log.commit(&second).unwrap();
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.group().state(), GroupState::Active);
}
