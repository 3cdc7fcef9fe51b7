//! Prekeys that the roster pins for a device: nobody seals to older ones (R15).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::codec;
use conclave_engine::wire::ids::{PrekeysHash, Timestamp};
use conclave_engine::wire::roster::{Leaf, PinnedPrekeys, Role};
use conclave_engine::{RecordKey, RecordValue, Scope};
use support::{Person, START, book, gather};

/// Alice with a roster in which Bob's leaf pins `pin`, beside Carol, with whom she has as little contact.
fn alice_who_knows(pin: PinnedPrekeys, bob: &mut Person, carol: &mut Person) -> Person {
    let mut alice = Person::new("alice", 1);
    let (log, _) = gather(&mut [&mut alice, bob, carol], &[Role::Member; 2]);
    let (index, leaf) = log.roster().device(&bob.device.id()).unwrap();
    let leaf = Leaf { pinned: Some(pin), ..leaf.clone() };
    let name = [&b"leaf/"[..], &index.0.to_be_bytes()].concat();
    let mut store = alice.stored();
    let key = RecordKey { scope: Scope::Group(log.id()), name };
    store.insert(key, RecordValue::new(codec::encode(&leaf))).unwrap();
    let mut alice = Person::from_store("alice", without_chains(store), Some(log.id()), 1);
    assert_eq!(alice.group().roster().leaf(index), Some(&leaf));
    alice
}

/// The welcomes opened chains; whoever healed erased them, and everybody else with it.
fn without_chains(mut store: support::Store) -> support::Store {
    store.retain(|key, _| ![&b"peer/"[..], b"outgoing/"].iter().any(|of| key.name.starts_with(of)));
    store
}

/// Whether Alice's sender key and her commit reach Bob. Carol, who is not pinned, is always reached.
fn reached(pin: PinnedPrekeys) -> bool {
    let [mut bob, mut carol] = [Person::new("bob", 2), Person::new("carol", 3)];
    let mut alice = alice_who_knows(pin, &mut bob, &mut carol);
    let keys = book(&[&bob, &carol]);
    let distribution = alice.stage_key(&keys);
    let deliveries: Vec<bool> = distribution.deliveries.iter().map(|d| !d.0.is_empty()).collect();
    let commit = alice.copy().stage(vec![carol.remove_operation()], &keys).unwrap();
    assert_eq!(commit.deliveries.len(), usize::from(deliveries[0]));
    assert!(deliveries[1]);
    deliveries[0]
}

/// (R15) At the pin's time only the pinned prekeys, later than it any, and none from before.
#[test]
fn a_pinned_device_is_sent_nothing_under_older_prekeys() {
    let bob = Person::new("bob", 2);
    let hash = bob.device.prekeys().unwrap().hash();
    let other = PrekeysHash::from_bytes([7; 32]);
    let after = Timestamp(START.0 + 1);
    let before = Timestamp(START.0 - 1);
    assert!(reached(PinnedPrekeys { hash, time: START }), "the pinned ones");
    assert!(!reached(PinnedPrekeys { hash: other, time: START }), "others of the same time");
    assert!(!reached(PinnedPrekeys { hash: other, time: after }), "older ones");
    assert!(reached(PinnedPrekeys { hash: other, time: before }), "newer ones");
}
