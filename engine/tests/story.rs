//! One group's life, from its genesis to a removed member, over a log in memory.

mod support;

use conclave_engine::wire::ids::Epoch;
use conclave_engine::wire::roster::Role;
use conclave_engine::{Continuity, Event, GroupState, ReceiveError};
use support::{Person, book};

#[test]
fn a_group_that_talks() {
    let (mut alice, mut bob, mut carol, mut dave) =
        (Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3), Person::new("dave", 4));
    let keys = book(&[&alice, &bob, &carol, &dave]);
    let mut log = alice.found();
    let add = vec![bob.add_operation(Role::Member), carol.add_operation(Role::Member)];
    alice.change(&mut log, &keys, add);
    let joined = log.head();
    bob.join(&log, joined).unwrap();
    carol.join(&log, joined).unwrap();
    assert_eq!(bob.note, b"note");

    alice.send(&mut log, &keys, b"hello");
    bob.send(&mut log, &keys, b"hi alice");
    alice.send(&mut log, &keys, b"and carol?");
    for person in [&mut alice, &mut bob, &mut carol] {
        person.restart();
        person.catch_up(&log);
        assert_eq!(person.refused, []);
    }
    assert_eq!(carol.texts(), ["hello", "hi alice", "and carol?"]);
    assert_eq!(bob.texts(), ["hello", "and carol?"]);
    assert_eq!(alice.texts(), ["hi alice"]);
    assert_eq!(alice.sent.len(), 2);
    assert!(carol.read.iter().all(|message| message.continuity == Continuity::Linked));

    // Carol goes; she keeps what she had and reads nothing more.
    let remove = vec![carol.remove_operation()];
    alice.change(&mut log, &keys, remove);
    alice.send(&mut log, &keys, b"without carol");
    bob.send(&mut log, &keys, b"indeed");
    carol.catch_up(&log);
    assert_eq!(carol.texts().len(), 3);
    assert!(matches!(carol.events.last(), Some(Event::Removed { .. })));
    assert_eq!(carol.group().state(), GroupState::Removed);
    let later = log.entry(log.head(), &carol.device.id());
    assert!(matches!(carol.receive(&later), Err(ReceiveError::OutOfOrder { .. } | ReceiveError::Removed)));

    // Dave comes; he reads what follows and nothing older.
    let add = vec![dave.add_operation(Role::Member)];
    bob.catch_up(&log);
    assert!(bob.stage(add.clone(), &keys).is_err(), "a member adds nobody");
    alice.change(&mut log, &keys, add);
    dave.join(&log, log.head()).unwrap();
    bob.send(&mut log, &keys, b"welcome dave");
    dave.send(&mut log, &keys, b"thanks");
    for person in [&mut alice, &mut bob, &mut dave] {
        person.catch_up(&log);
        assert_eq!(person.refused, [], "{}", person.name);
        assert_eq!(person.group().epoch(), Epoch(3));
    }
    assert_eq!(dave.texts(), ["welcome dave"]);
    assert_eq!(alice.texts(), ["hi alice", "indeed", "welcome dave", "thanks"]);
    assert_eq!(bob.texts(), ["hello", "and carol?", "without carol", "thanks"]);
}
