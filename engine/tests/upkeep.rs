//! What time does: prekeys and manifests are renewed, void sender keys fall silent, and clocks that were wrong do not lock
//! a device out.

#![allow(clippy::unwrap_used)]

mod support;

use conclave_engine::wire::ids::Timestamp;
use conclave_engine::wire::prekeys::{AgreementKey, KemKey, Prekeys, PrekeysBody, PrekeysError};
use conclave_engine::wire::roster::Role;
use conclave_engine::wire::signature::SigningKey;
use conclave_engine::{Device, PrekeyBook, PrekeyBookError, ReceiveError, SealError};
use std::time::Duration;
use support::{Person, START, SeedRng, gather};

fn days(count: u64) -> Timestamp {
    START.plus(Duration::from_secs(count * 24 * 3600))
}

/// (R60) A sender key that a commit's time makes too old falls silent for everybody, its owner too.
#[test]
fn a_commit_silences_old_sender_keys() {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let (mut log, keys) = gather(&mut [&mut alice, &mut bob], &[Role::Member]);
    alice.send(&mut log, &keys, b"hello");
    bob.send(&mut log, &keys, b"hello");
    for person in [&mut alice, &mut bob] {
        person.catch_up(&log);
        person.now = days(20);
    }
    let mut thief = bob.copy();
    alice.change(&mut log, &keys, vec![promote(&bob)]);
    bob.catch_up(&log);
    assert_eq!(bob.seal(b"x"), Err(SealError::SenderKeyDue));
    thief.catch_up(&log);
    assert_eq!(thief.seal(b"x"), Err(SealError::SenderKeyDue));
    // Who knows the key and ignores the rule is not heard.
    let mut before = alice.copy();
    bob.send(&mut log, &keys, b"again");
    before.catch_up(&log);
    assert_eq!(before.texts(), ["again"]);
    assert_eq!(before.refused, [], "the new sender key begins a new chain of links without an alarm");
}

fn promote(person: &Person) -> conclave_engine::wire::commit::Operation {
    let account = person.device.account();
    conclave_engine::wire::commit::Operation::SetRole { account, role: Role::Admin }
}

/// A clock that was a year ahead when the device was made: as soon as it is right, everything is due.
#[test]
fn prekeys_and_manifests_from_the_future_are_due() {
    let mut rng = SeedRng::new(1);
    let (mut device, _changes) = Device::create(days(365), &mut rng).unwrap();
    assert!(device.prekeys_due(START) && device.manifest_due(START));
    let _changes = device.replace_prekeys(START, &mut rng);
    let _changes = device.renew_manifest(START).unwrap();
    let renewed = device.staged_manifest().unwrap().encoded().to_vec();
    let _changes = device.adopt(&[&renewed]).unwrap();
    assert!(!device.prekeys_due(START) && !device.manifest_due(START));
    assert_eq!(device.prekeys().unwrap().body().time, START);
}

/// Prekeys are due daily; the private halves of the old ones live two days longer, and the last ones for ever.
#[test]
fn prekeys_are_replaced_daily_and_the_last_ones_stay() {
    let mut rng = SeedRng::new(1);
    let (mut device, _changes) = Device::create(START, &mut rng).unwrap();
    assert!(!device.prekeys_due(START) && device.prekeys_due(days(1)));
    let _changes = device.replace_prekeys(days(1), &mut rng);
    let _changes = device.prekeys_published(days(1));
    assert_eq!(device.retire_prekeys(days(2)).0.len(), 0);
    assert_eq!(device.retire_prekeys(days(3)).0.len(), 1);
    assert_eq!(device.retire_prekeys(days(1000)).0.len(), 0);
    assert_eq!(device.prekeys().unwrap().body().time, days(1));
}

/// (R12) (R13) Prekeys are their device's own, and both keys are valid ones.
#[test]
fn prekeys_of_others_are_checked() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let good = Person::new("bob", 2).device.prekeys().unwrap().body().clone();
    let mut book = PrekeyBook::default();
    let forged = Prekeys::new(good.clone(), &key).encode();
    assert!(matches!(book.insert(&forged), Err(PrekeyBookError::Prekeys(PrekeysError::Signature(_)))));
    let device = conclave_engine::wire::ids::DeviceKey::from_bytes(key.verifying_key().to_bytes());
    let mut sign = |change: fn(&mut PrekeysBody)| {
        let mut body = PrekeysBody { device, ..good.clone() };
        change(&mut body);
        book.insert(&Prekeys::new(body, &key).encode())
    };
    assert_eq!(sign(|_| {}), Ok(device.id()));
    let small_order = sign(|body| body.agreement = AgreementKey::from_bytes([0; 32]));
    assert_eq!(small_order, Err(PrekeyBookError::Unusable));
    let no_kem_key = sign(|body| body.kem = KemKey::from_bytes([0xff; 1184]));
    assert_eq!(no_kem_key, Err(PrekeyBookError::Unusable));
}

/// (R11) A renewed manifest is the next version and names the one before; the group goes on taking the account.
#[test]
fn a_renewed_manifest_links_to_the_one_before() {
    let mut bob = Person::new("bob", 2);
    let before = bob.device.manifest().clone();
    let changes = bob.device.renew_manifest(days(15)).unwrap();
    bob.save(changes);
    bob.restart();
    let published = bob.device.staged_manifest().unwrap().encoded().to_vec();
    let adopted = bob.device.adopt(&[&published]).unwrap();
    bob.save(adopted.changes);
    bob.restart();
    let after = bob.device.manifest().body();
    assert_eq!((after.version.0, after.previous), (1, Some(before.hash())));
    assert_eq!(after.time, days(15));
}

/// (R20) A device that was removed and added again is another sender: what it sealed before speaks no more.
#[test]
fn who_comes_back_is_another_sender() {
    let (mut alice, mut bob, mut carol) =
        (Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3));
    let (mut log, keys) = gather(&mut [&mut alice, &mut bob, &mut carol], &[Role::Member; 2]);
    bob.send(&mut log, &keys, b"before");
    let stale = bob.stage_key(&keys);
    alice.change(&mut log, &keys, vec![bob.remove_operation()]);
    alice.change(&mut log, &keys, vec![bob.add_operation(Role::Member)]);
    // He takes his old leaf, and what he made in his first stay is of another epoch.
    assert!(log.distribute(&bob.device.id(), &stale).is_err());
    bob.join(&log, log.head()).unwrap();
    bob.send(&mut log, &keys, b"after");
    carol.catch_up(&log);
    assert_eq!(carol.texts(), ["before", "after"]);
    assert!(!carol.refused.iter().any(|(_, error)| matches!(error, ReceiveError::NotOurs)));
    assert_eq!(carol.refused, []);
}
