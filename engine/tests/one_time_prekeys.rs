//! One-time prekeys in a group: a newcomer's welcome, a sender key's first distribution, uploads that are lost (R59).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::ids::{DeviceId, Opaque};
use conclave_engine::wire::prekeys::OneTimePrekey;
use conclave_engine::wire::roster::Role;
use conclave_engine::{JoinError, OpenError, PrekeyBook, Scope};
use minicbor::Decoder;
use support::{Log, Person, SeedRng, gather};

/// Makes one-time prekeys, and stores them.
fn make(person: &mut Person, count: usize) -> Vec<OneTimePrekey> {
    let (made, changes) = person.device.make_one_time_prekeys(count, &mut SeedRng::new(9));
    person.save(changes);
    made
}

fn offer(book: &mut PrekeyBook, person: &Person, one_time: OneTimePrekey) {
    let prekeys = person.device.prekeys().unwrap().encode();
    assert_eq!(book.insert_with_one_time(&prekeys, one_time), Ok(person.device.id()));
}

/// The one-time prekey that an initial envelope names.
fn used(Opaque(delivery): &Opaque) -> Option<u32> {
    assert_eq!(delivery[..2], [1, 1], "an initial envelope");
    let mut decoder = Decoder::new(&delivery[3..]);
    decoder.array().unwrap();
    decoder.skip().unwrap();
    decoder.skip().unwrap();
    decoder.decode().unwrap()
}

fn welcome(log: &Log, device: &DeviceId) -> Opaque {
    log.entry(log.head(), device).delivery.unwrap()
}

/// Alice in a group of her own, and Bob with three one-time prekeys.
fn before_bob() -> (Log, Person, Person, Vec<OneTimePrekey>, PrekeyBook) {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let made = make(&mut bob, 3);
    let (log, mut keys) = (alice.found(), PrekeyBook::default());
    offer(&mut keys, &bob, made[0]);
    (log, alice, bob, made, keys)
}

/// (R59) Joining takes the private half away, in the changes that store the group.
#[test]
fn a_welcome_takes_one() {
    let (mut log, mut alice, mut bob, made, keys) = before_bob();
    alice.change(&mut log, &keys, vec![bob.add_operation(Role::Member)]);
    assert_eq!(used(&welcome(&log, &bob.device.id())), Some(made[0].id.0));
    // A welcome that is not what it should be costs nothing.
    let mut hostile = log.clone();
    hostile.tamper_delivery(log.head(), &bob.device.id(), |bytes| *bytes.last_mut().unwrap() ^= 1);
    let before = bob.stored();
    assert_eq!(bob.join(&hostile, log.head()), Err(JoinError::Welcome(OpenError::NotAuthentic)));
    assert_eq!((bob.stored(), bob.device.one_time_prekeys_left()), (before, 3));
    bob.join(&log, log.head()).unwrap();
    assert_eq!(bob.device.one_time_prekeys_left(), 2);
    let name = [&b"onetime/"[..], &made[0].id.0.to_be_bytes()].concat();
    assert!(bob.records(Scope::Device).iter().all(|(stored, _)| *stored != name));
    bob.restart();
    assert_eq!(bob.device.one_time_prekeys_left(), 2);
    // Who copies the device now, and leaves every rule aside, does not get into the welcome.
    let mut store = bob.stored();
    store.retain(|key, _| !key.name.starts_with(b"seen/"));
    let mut thief = Person::from_store("thief", store, None, 8);
    assert_eq!(thief.join(&log, log.head()), Err(JoinError::Welcome(OpenError::Prekeys)));
}

/// (R59) An upload that was lost, refused or made again does not use a one-time prekey twice, and does not need it either.
#[test]
fn lost_uploads_use_none_twice() {
    let (mut log, mut alice, mut bob, made, mut keys) = before_bob();
    let add = vec![bob.add_operation(Role::Member)];
    let first = alice.stage(add.clone(), &keys).unwrap();
    assert_eq!(used(&first.welcomes[0].welcome), Some(made[0].id.0));
    for offered in [None, Some(made[0])] {
        let changes = alice.group().abandon_staged_commit();
        alice.save(changes);
        alice.restart();
        if let Some(offered) = offered {
            offer(&mut keys, &bob, offered);
        }
        let again = alice.stage(add.clone(), &keys).unwrap();
        assert_eq!(used(&again.welcomes[0].welcome), None, "{offered:?}");
    }
    let changes = alice.group().abandon_staged_commit();
    alice.save(changes);
    offer(&mut keys, &bob, made[1]);
    alice.change(&mut log, &keys, add);
    bob.join(&log, log.head()).unwrap();
    assert_eq!(
        bob.device.one_time_prekeys_left(),
        2,
        "the one in the lost upload waits until it is the oldest"
    );
}

/// (R59) A first distribution takes one of each device, and everybody reads what it opens.
#[test]
fn a_distribution_takes_one_of_each() {
    let [mut alice, mut bob, mut carol] =
        [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
    let (mut log, _) = gather(&mut [&mut alice, &mut bob, &mut carol], &[Role::Member; 2]);
    // Bob has no chains to anybody yet.
    let mut keys = PrekeyBook::default();
    for person in [&mut alice, &mut carol] {
        let made = make(person, 2);
        offer(&mut keys, person, made[0]);
    }
    let upload = bob.stage_key(&keys);
    assert!(upload.deliveries.iter().all(|delivery| used(delivery).is_some()));
    let restaged = bob.copy().stage_key(&keys);
    assert!(restaged.deliveries.iter().all(|delivery| used(delivery).is_none()));
    log.distribute(&bob.device.id(), &upload).unwrap();
    bob.send(&mut log, &keys, b"to both");
    for person in [&mut alice, &mut carol] {
        person.catch_up(&log);
        assert_eq!(person.texts(), ["to both"]);
        assert_eq!(person.device.one_time_prekeys_left(), 1);
    }
}
