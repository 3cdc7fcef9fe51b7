//! Resetting a group that somebody made unusable.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::authority::AuthorityError;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::public_group::CommitError;
use conclave_engine::wire::roster::Role;
use conclave_engine::{CommitUpload, Continuity, Event, GroupState, PrekeyBook, StageError};
use support::{Forger, Log, Person, gather};

/// Alice owns the group, Bob and Carol are admins, Dave and Erin members; all but Erin have written.
fn talking() -> (Log, PrekeyBook, [Person; 5]) {
    let mut people = [
        Person::new("alice", 1),
        Person::new("bob", 2),
        Person::new("carol", 3),
        Person::new("dave", 4),
        Person::new("erin", 5),
    ];
    let (mut log, keys) = {
        let [alice, bob, carol, dave, erin] = &mut people;
        let roles = [Role::Admin, Role::Admin, Role::Member, Role::Member];
        gather(&mut [alice, bob, carol, dave, erin], &roles)
    };
    for person in &mut people[..4] {
        person.send(&mut log, &keys, b"hello");
    }
    people.iter_mut().for_each(|person| person.catch_up(&log));
    (log, keys, people)
}

/// An admin's removal of Erin with a confirmation that nobody can meet.
fn brick(log: &mut Log, bob: &mut Person, operation: Operation, keys: &PrekeyBook) {
    let upload = bob.stage(vec![operation], keys).unwrap();
    let commit = Forger::of(bob).confirm(&upload.commit, [7; 32]);
    log.commit(&CommitUpload { commit, ..upload }).unwrap();
}

/// (R43) (R49) (R103) An admin bricks the group; another admin resets it and removes that one in the same commit, from
/// a device that needs a welcome itself. Everybody is active again, and the bricker is out.
#[test]
fn a_bricked_group_comes_back() {
    let (mut log, keys, [mut alice, mut bob, mut carol, mut dave, erin]) = talking();
    brick(&mut log, &mut bob, erin.remove_operation(), &keys);
    for person in [&mut alice, &mut bob, &mut carol, &mut dave] {
        person.catch_up(&log);
        assert_eq!(person.group().state(), GroupState::NeedWelcome, "{}", person.name);
    }
    assert_eq!(
        carol.stage(vec![bob.remove_operation()], &keys).unwrap_err(),
        StageError::NotActive(GroupState::NeedWelcome)
    );
    let removal = bob.remove_operation();
    carol.reset(&mut log, &keys, vec![removal]);
    for person in [&mut alice, &mut carol, &mut dave] {
        person.catch_up(&log);
        assert_eq!(person.group().state(), GroupState::Active, "{}", person.name);
        let now = person.now;
        assert!(person.group().sender_key_due(now), "every sender key is gone");
        assert!(matches!(
            person.events.last().unwrap(),
            Event::EpochChanged { reset: true, removed, .. } if *removed == [bob.device.account()]
        ));
    }
    bob.catch_up(&log);
    assert_eq!(bob.group().state(), GroupState::Removed);
    alice.send(&mut log, &keys, b"we are back");
    dave.send(&mut log, &keys, b"indeed");
    for person in [&mut alice, &mut carol, &mut dave] {
        person.catch_up(&log);
        assert_eq!(person.refused, []);
    }
    assert_eq!(carol.texts()[3..], ["we are back", "indeed"].map(str::to_owned)[..]);
    // And the group goes on as before: chains are there again, a removal goes by wraps.
    let removal = carol.remove_operation();
    alice.change(&mut log, &keys, vec![removal]);
    dave.catch_up(&log);
    assert_eq!(dave.group().state(), GroupState::Active);
}

/// (R103) Members do not reset; one reset in a commit.
#[test]
fn who_may_reset() {
    let (mut log, keys, [mut alice, _, mut carol, mut dave, _]) = talking();
    let not_admin = StageError::Commit(CommitError::Authority(AuthorityError::Reset));
    assert_eq!(dave.stage_reset(vec![], &keys).unwrap_err(), not_admin);
    let twice = carol.stage_reset(vec![Operation::Reset], &keys).unwrap_err();
    assert_eq!(twice, StageError::Commit(CommitError::Operations));
    let refused = log.public().outcome(&dave.device.id(), &[Operation::Reset], dave.now).unwrap_err();
    assert_eq!(refused, CommitError::Authority(AuthorityError::Reset));
    carol.reset(&mut log, &keys, vec![]);
    alice.reset(&mut log, &keys, vec![]);
    dave.catch_up(&log);
    assert_eq!((dave.group().state(), &dave.refused), (GroupState::Active, &vec![]));
}

/// (R49) A reset in a sound group: links run on, newcomers of the same commit join with no sender key, and a thief of
/// everything from before is locked out.
#[test]
fn a_reset_of_a_sound_group() {
    let (mut log, mut keys, [mut alice, mut bob, mut carol, mut dave, mut erin]) = talking();
    let mut frank = Person::new("frank", 6);
    keys.insert(&frank.device.prekeys().unwrap().encode()).unwrap();
    let mut thief = dave.copy();
    let add = frank.add_operation(Role::Member);
    let stale = bob.seal(b"sealed before").unwrap();
    alice.reset(&mut log, &keys, vec![add, erin.remove_operation()]);
    assert_eq!(log.post(&stale), Err(support::Rejected::EpochStale));
    let joined = log.head();
    frank.join(&log, joined).unwrap();
    bob.send(&mut log, &keys, b"anew");
    for person in [&mut alice, &mut carol, &mut dave, &mut frank] {
        person.catch_up(&log);
        assert_eq!(person.texts().last().unwrap(), "anew", "{}", person.name);
        assert_eq!(person.refused, []);
    }
    assert_eq!(alice.read.last().unwrap().continuity, Continuity::Linked);
    assert_eq!(frank.read.last().unwrap().continuity, Continuity::First);
    // Dave's copy has his prekeys, so it follows the reset as he does; of Erin's there is nothing.
    thief.catch_up(&log);
    assert_eq!(thief.group().state(), GroupState::Active);
    let mut erins = erin.copy();
    erin.catch_up(&log);
    assert_eq!(erin.group().state(), GroupState::Removed);
    let seq = erins.group().cursor().next().unwrap();
    for reader in [&alice, &bob, &carol, &dave, &frank] {
        let entry = log.entry(seq, &reader.device.id());
        assert!(matches!(erins.copy().receive(&entry), Ok(Event::Removed { .. })));
    }
}
