//! Several operations in one commit, and commits that race each other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::public_group::CommitError;
use conclave_engine::wire::roster::Role;
use conclave_engine::{Event, GroupState, Origin, ReceiveError};
use support::{Household, Log, Person, Rejected, gather, update};

/// (R21) (R35) One commit adds, removes, updates and lets go four different accounts, and heals its author.
#[test]
fn five_operations_at_once() {
    let mut people =
        [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3), Person::new("dave", 4)];
    let (mut log, mut keys): (Log, _) = {
        let [alice, bob, carol, dave] = &mut people;
        gather(&mut [alice, bob, carol, dave], &[Role::Member; 3])
    };
    for person in &mut people {
        person.send(&mut log, &keys, b"hello");
    }
    people.iter_mut().for_each(|person| person.catch_up(&log));
    let [mut alice, mut bob, mut carol, mut dave] = people;
    let (mut erin, mut tablet) = (Person::new("erin", 5), Person::new("tablet", 6));
    for person in [&erin, &tablet] {
        keys.insert(&person.device.prekeys().unwrap().encode()).unwrap();
    }
    let mut household = Household::of(&dave);
    let manifest = household.list(&mut [&mut dave, &mut tablet]);
    alice.begin_heal(&mut keys);
    let prekeys = alice.device.prekeys().unwrap();
    let heal =
        conclave_engine::wire::commit::Operation::Heal { prekeys: prekeys.hash(), time: prekeys.body().time };
    let operations = vec![
        erin.add_operation(Role::Member),
        bob.remove_operation(),
        update(&[&manifest]),
        carol.leave_operation(),
        heal,
    ];
    alice.change(&mut log, &keys, operations);
    let joined = log.head();
    erin.join(&log, joined).unwrap();
    tablet.join(&log, joined).unwrap();
    for person in [&mut bob, &mut carol] {
        person.catch_up(&log);
        assert_eq!(person.group().state(), GroupState::Removed, "{}", person.name);
    }
    dave.catch_up(&log);
    let Event::EpochChanged { added, removed, devices_added, devices_removed, healed, reset, .. } =
        dave.events.last().unwrap()
    else {
        panic!("no commit")
    };
    let mut gone = vec![bob.device.account(), carol.device.account()];
    gone.sort_unstable();
    assert_eq!((added, removed), (&vec![erin.device.account()], &gone));
    assert_eq!(devices_added, &[(dave.device.account(), tablet.device.id())]);
    assert_eq!((devices_removed.len(), *reset, healed), (0, false, &vec![alice.device.id()]));
    // Erin took the place that the first removal would give her last: operations apply in order.
    assert_eq!(log.roster().index_of(&erin.device.id()).unwrap().0, 4);
    assert_eq!(log.roster().index_of(&tablet.device.id()).unwrap().0, 1);
    alice.send(&mut log, &keys, b"all new");
    for person in [&mut dave, &mut tablet, &mut erin] {
        person.catch_up(&log);
        assert_eq!(person.texts().last().unwrap(), "all new", "{}", person.name);
        assert_eq!((person.group().state(), &person.refused), (GroupState::Active, &vec![]));
    }
}

/// (R31) (R72) Two admins remove each other: the first in the log wins, and the second's commit is refused by everybody, whether
/// it comes as it was made or is made anew.
#[test]
fn two_admins_remove_each_other() {
    let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
    let (mut log, keys) = {
        let [alice, bob, carol] = &mut people;
        gather(&mut [alice, bob, carol], &[Role::Admin; 2])
    };
    let [mut alice, mut bob, mut carol] = people;
    for person in [&mut bob, &mut carol] {
        person.catch_up(&log);
    }
    let by_bob = bob.stage(vec![carol.remove_operation()], &keys).unwrap();
    let by_carol = carol.stage(vec![bob.remove_operation()], &keys).unwrap();
    log.commit(&by_bob).unwrap();
    assert_eq!(log.commit(&by_carol), Err(Rejected::HeadMoved));
    for person in [&mut alice, &mut bob, &mut carol] {
        person.catch_up(&log);
    }
    assert!(matches!(bob.events.last().unwrap(), Event::EpochChanged { origin: Origin::Ours, .. }));
    assert_eq!(carol.group().state(), GroupState::Removed);
    // A server that appends it all the same convinces nobody.
    let stale = log.forged(EntryKind::Commit, &by_carol.commit);
    let anew = log.draft(carol.device.id(), vec![bob.remove_operation()], carol.now);
    let anew = log.forged(EntryKind::Commit, &support::Forger::of(&carol).commit(anew));
    for person in [&mut alice, &mut bob] {
        let before = person.snapshot();
        let epoch = CommitError::Epoch { expected: 3, found: conclave_engine::wire::ids::Epoch(2) };
        assert_eq!(person.receive(&stale), Err(ReceiveError::Commit(epoch)));
        assert_eq!(person.receive(&anew), Err(ReceiveError::Commit(CommitError::Author)));
        assert_eq!(person.snapshot(), before);
    }
    assert_eq!(carol.receive(&stale), Err(ReceiveError::Removed));
}
