//! What is erased when, in memory: no copy of an old secret is anywhere in the heap.

use super::pending::Pending;
use super::state::Group;
use crate::support::{Log, Person, gather};
use crate::wiping::{Memory, PATTERN, Wanted, is_wiped, place_of};
use conclave_wire::ids::{MessageIndex, Seq};
use conclave_wire::roster::Role;
use std::collections::HashMap;

fn add_group(wanted: &mut Wanted, group: &Group) {
    if let Some(init) = &group.init {
        wanted.add("init", init.as_bytes());
    }
    if let Some(key) = &group.own.active {
        wanted.add("own seed", key.secrets.seed.as_bytes());
        wanted.add("own chain", key.secrets.chain.key().as_bytes());
    }
    for key in group.senders.values().filter_map(|sender| sender.key.as_ref()) {
        wanted.add("seed", key.seed.as_bytes());
        wanted.add("chain", key.chain.chain().key().as_bytes());
    }
}

/// Alice, Bob and Carol, all of whom write; Bob skips one message. Tests may share one process, and with it a heap: the
/// secrets that one looks for grow from seeds of its own.
fn talking(seed: u64) -> (Log, crate::PrekeyBook, [Person; 3]) {
    let mut people =
        [Person::new("alice", seed), Person::new("bob", seed + 1), Person::new("carol", seed + 2)];
    let (mut log, keys) = {
        let [alice, bob, carol] = &mut people;
        gather(&mut [alice, bob, carol], &[Role::Member; 2])
    };
    for person in &mut people {
        person.send(&mut log, &keys, b"hello");
    }
    people[0].seal(b"never sent").unwrap();
    people[0].send(&mut log, &keys, b"after it");
    for person in &mut people {
        person.catch_up(&log);
    }
    (log, keys, people)
}

/// (R42) A commit leaves no secret of the old epoch in memory, at any member.
#[test]
fn an_epoch_leaves_nothing_in_memory() {
    let Some(memory) = Memory::open() else { return };
    let (mut log, keys, mut people) = talking(73_100);
    let mut old = Wanted::default();
    for person in &mut people {
        add_group(&mut old, person.group());
    }
    let names = ["init", "own seed", "own chain", "seed", "chain"];
    let before = old.found(&memory);
    assert!(
        names[..3].iter().all(|name| before.contains_key(name)),
        "the harness finds what is there: {before:?}"
    );
    let dave = Person::new("dave", 73_103);
    people[0].change(&mut log, &keys, vec![dave.add_operation(Role::Member)]);
    for person in &mut people {
        person.catch_up(&log);
    }
    assert_eq!(old.found(&memory), HashMap::new());
}

/// Once everything is dropped, no secret of a group or a device is left in memory.
#[test]
fn nothing_outlives_its_owner() {
    let Some(memory) = Memory::open() else { return };
    let (log, keys, mut people) = talking(73_200);
    let mut all = Wanted::default();
    for person in &mut people {
        add_group(&mut all, person.group());
        let key = person.group().own.active.as_ref().unwrap();
        all.add("signing key", &key.signing.to_bytes());
        all.add("device key", &person.device.signing_key().to_bytes());
    }
    let before = all.found(&memory);
    assert!(before.contains_key("signing key") && before.contains_key("device key"), "{before:?}");
    drop((log, keys, people));
    assert_eq!(all.found(&memory), HashMap::new());
}

#[test]
fn pending_content_is_wiped() {
    let pending = Pending {
        seq: Seq(1),
        index: MessageIndex(0),
        link: [0; 16],
        own_link: [0; 16],
        id: super::MessageId::from_bytes([0; 16]),
        content: PATTERN.repeat(8),
    };
    is_wiped(pending, |pending| place_of(pending.content.as_slice()));
}
