//! A second device: it shows a code, a device of the account approves it, and both are in groups from then on. (R18) (R19)

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::ids::{AccountId, Timestamp};
use conclave_engine::wire::limits::MAX_DEVICES;
use conclave_engine::wire::roster::Role;
use conclave_engine::{
    ApproveError, Approved, Device, LinkCode, LinkError, Linking, LoadError, OpenError, Records, Scope,
    ShareAccountKey, SignManifestError, StagedManifest,
};
use std::collections::BTreeMap;
use std::time::Duration;
use support::{Person, START, SeedRng, Store};

/// Records as a store would keep them.
fn apply(store: &mut Store, changes: conclave_engine::Changes) {
    for change in changes.0 {
        match change.value {
            Some(value) => drop(store.insert(change.key, value)),
            None => drop(store.remove(&change.key)),
        }
    }
}

fn records(store: &Store) -> Records {
    store.iter().map(|(key, value)| (key.name.clone(), value.clone())).collect()
}

/// A device that asks to be linked, and its store.
struct New {
    store: Store,
    seed: u64,
}

impl New {
    fn begin(account: AccountId, seed: u64) -> Self {
        let mut store = BTreeMap::new();
        let (_, changes) = Linking::begin(account, START, &mut SeedRng::new(seed));
        apply(&mut store, changes);
        Self { store, seed }
    }

    /// As after a restart.
    fn linking(&self) -> Linking {
        Linking::load(records(&self.store)).unwrap()
    }

    fn complete(&mut self, name: &'static str, approval: &[u8]) -> Result<Person, LinkError> {
        let (_, changes) = self.linking().complete(approval, START, &mut SeedRng::new(self.seed + 1000))?;
        apply(&mut self.store, changes);
        Ok(Person::from_store(name, self.store.clone(), None, self.seed + 2000))
    }
}

fn approve(owner: &mut Person, new: &New, share: ShareAccountKey) -> Result<Approved, ApproveError> {
    let linking = new.linking();
    // What a person reads on one screen and types on the other.
    let code: LinkCode = linking.code().to_string().to_lowercase().parse().unwrap();
    let mut rng = SeedRng::new(77 + new.seed);
    let approved = owner.device.approve_link(&linking.request(), &code, share, owner.now, &mut rng)?;
    owner.save(approved.changes.clone());
    Ok(approved)
}

/// The directory takes the manifest that waits, and shows it.
fn publish(owner: &mut Person) {
    let staged = owner.device.staged_manifest().unwrap().encoded().to_vec();
    let adopted = owner.device.adopt(&[&staged]).unwrap();
    assert_eq!(adopted.staged, Some(StagedManifest::InForce));
    owner.save(adopted.changes);
}

fn link(owner: &mut Person, name: &'static str, seed: u64, share: ShareAccountKey) -> Person {
    let mut new = New::begin(owner.device.account(), seed);
    let approved = approve(owner, &new, share).unwrap();
    publish(owner);
    new.complete(name, &approved.approval).unwrap()
}

/// (R18) (R19) Two devices of one account read and write in a group; the process is restarted between all steps.
#[test]
fn both_devices_are_in_groups() {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let mut new = New::begin(alice.device.account(), 3);
    let request = new.linking().request();
    assert_eq!(request, new.linking().request(), "the same after a restart");
    assert!(matches!(Device::load(records(&new.store)), Err(LoadError::Linking)));
    let approved = approve(&mut alice, &new, ShareAccountKey::No).unwrap();
    assert_eq!(alice.device.manifest().body().devices.len(), 1, "not in force before it is published");
    alice.restart();
    publish(&mut alice);
    alice.restart();
    let mut phone = new.complete("phone", &approved.approval).unwrap();
    assert_eq!(phone.device.id(), approved.device);
    assert_eq!(phone.device.account(), alice.device.account());
    assert_eq!(phone.device.manifest(), alice.device.manifest());
    assert!(phone.device.manifests().eq(alice.device.manifests()));
    phone.restart();
    // Nothing of the linking is left: neither its record nor the prekeys that the approval was sealed to.
    assert!(matches!(Linking::load(records(&new.store)), Err(LoadError::Unknown)));
    assert_eq!(
        phone.records(Scope::Device).iter().filter(|(name, _)| name.starts_with(b"prekeys/")).count(),
        1
    );

    let book = support::book(&[&alice, &bob, &phone]);
    let mut log = bob.found();
    bob.change(&mut log, &book, vec![alice.add_operation(Role::Member)]);
    let joined = log.head();
    for device in [&mut alice, &mut phone] {
        device.join(&log, joined).unwrap();
    }
    phone.send(&mut log, &book, b"from the phone");
    alice.send(&mut log, &book, b"from the laptop");
    for device in [&mut alice, &mut bob, &mut phone] {
        device.catch_up(&log);
        assert_eq!(device.refused, []);
    }
    assert_eq!(bob.texts(), ["from the phone", "from the laptop"]);
    assert_eq!(alice.texts(), ["from the phone"]);
    assert_eq!(phone.texts(), ["from the laptop"]);
}

/// (R18) A request that was exchanged on the way, and a code typed for another one.
#[test]
fn the_code_says_which_request() {
    let mut alice = Person::new("alice", 1);
    let (phone, other) = (New::begin(alice.device.account(), 3), New::begin(alice.device.account(), 4));
    let code = phone.linking().code();
    let swapped = other.linking().request();
    let before = alice.device.manifest().clone();
    let mut rng = SeedRng::new(9);
    let mut approve = |request: &[u8]| {
        let refused = alice.device.approve_link(request, &code, ShareAccountKey::Yes, START, &mut rng);
        assert_eq!(alice.device.staged_manifest(), None);
        assert_eq!(alice.device.manifest(), &before);
        refused.unwrap_err()
    };
    assert_eq!(approve(&swapped), ApproveError::Code);
    let good = phone.linking().request();
    for at in 0..good.len() {
        let refused = approve(&support::flip(&good, at));
        assert!(matches!(refused, ApproveError::Code | ApproveError::Decode(_)), "byte {at}");
    }
    assert!(matches!(approve(&good[..good.len() - 1]), ApproveError::Decode(_)));
    assert!(matches!(approve(&[]), ApproveError::Decode(_)));
    assert!(matches!(approve(&vec![1; 10_000]), ApproveError::Decode(_)));
}

/// (R19) An approval serves the device and the request that it was made for, once.
#[test]
fn approvals_that_were_swapped_or_replayed() {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let mut phone = New::begin(alice.device.account(), 3);
    let mut tablet = New::begin(alice.device.account(), 4);
    let mut bobs = New::begin(bob.device.account(), 5);
    let for_phone = approve(&mut alice, &phone, ShareAccountKey::No).unwrap().approval;
    publish(&mut alice);
    let for_tablet = approve(&mut alice, &tablet, ShareAccountKey::No).unwrap().approval;
    publish(&mut alice);
    let for_bobs = approve(&mut bob, &bobs, ShareAccountKey::No).unwrap().approval;
    publish(&mut bob);

    let other = Err(LinkError::Open(OpenError::Prekeys));
    let refused = |new: &mut New, approval: &[u8]| {
        let before = new.store.clone();
        let result = new.complete("x", approval).map(|_| ());
        assert_eq!(new.store, before);
        result
    };
    assert_eq!(refused(&mut phone, &for_tablet), other);
    assert_eq!(refused(&mut phone, &for_bobs), other);
    assert_eq!(refused(&mut bobs, &for_phone), other);
    let length = for_phone.len();
    for at in [2, 40, length / 2, length - 1] {
        assert!(matches!(refused(&mut phone, &support::flip(&for_phone, at)), Err(LinkError::Open(_))));
    }
    assert!(matches!(refused(&mut phone, &for_phone[..length - 1]), Err(LinkError::Open(_))));
    assert!(matches!(refused(&mut phone, &[]), Err(LinkError::Open(_))));
    phone.complete("phone", &for_phone).unwrap();
    tablet.complete("tablet", &for_tablet).unwrap();
    bobs.complete("bobs", &for_bobs).unwrap();
    // A server that carries the first approval again finds nobody who waits for it.
    assert!(Linking::load(records(&phone.store)).is_err());
}

/// (R18) An approval that was lost is made again, without another manifest, before and after the first is published.
#[test]
fn a_lost_approval_is_made_again() {
    let mut alice = Person::new("alice", 1);
    let mut phone = New::begin(alice.device.account(), 3);
    let _lost = approve(&mut alice, &phone, ShareAccountKey::No).unwrap();
    alice.restart();
    let again = approve(&mut alice, &phone, ShareAccountKey::No).unwrap();
    assert_eq!(again.changes.0, []);
    publish(&mut alice);
    let third = approve(&mut alice, &phone, ShareAccountKey::No).unwrap();
    assert_eq!((third.changes.0.len(), alice.device.staged_manifest()), (0, None));
    let phone = phone.complete("phone", &third.approval).unwrap();
    assert_eq!(phone.device.manifest(), alice.device.manifest());
    assert_eq!(phone.device.manifest().body().version.0, 1);
}

/// (R17) A device without the account key signs no manifest and says where to do it; one that was given it does.
#[test]
fn with_and_without_the_account_key() {
    let mut alice = Person::new("alice", 1);
    let mut phone = link(&mut alice, "phone", 3, ShareAccountKey::No);
    phone.restart();
    assert!(!phone.device.holds_account_key());
    let holder = alice.device.id();
    let refused = SignManifestError::NoAccountKey { holder };
    let tablet = New::begin(alice.device.account(), 4);
    assert_eq!(phone.device.renew_manifest(START).unwrap_err(), refused);
    assert_eq!(phone.device.revoke(&holder, START).unwrap_err(), refused.clone().into());
    assert_eq!(approve(&mut phone, &tablet, ShareAccountKey::No).unwrap_err(), refused.into());
    assert_eq!(phone.device.staged_manifest(), None);
    // It is nowhere in what the device stores.
    let key = support::Forger::of(&alice).account.to_bytes();
    let holds = |person: &Person| {
        let records = person.records(Scope::Device);
        records.iter().any(|(_, value)| value.as_bytes().windows(32).any(|window| window == key))
    };
    assert!(holds(&alice) && !holds(&phone));

    let mut laptop = link(&mut alice, "laptop", 5, ShareAccountKey::Yes);
    laptop.restart();
    assert!(laptop.device.holds_account_key() && holds(&laptop));
    let tablet = link(&mut laptop, "tablet", 6, ShareAccountKey::No);
    assert!(tablet.device.manifest().lists(&laptop.device.id()));
    // The others take over what it signed.
    let seen = laptop.device.manifest().encoded();
    for device in [&mut alice, &mut phone] {
        if device.name == "phone" {
            let before: Vec<_> = laptop.device.manifests().map(|m| m.encoded().to_vec()).collect();
            let shown: Vec<&[u8]> = before.iter().map(Vec::as_slice).collect();
            let adopted = device.device.adopt(&shown).unwrap();
            device.save(adopted.changes);
        } else {
            let adopted = device.device.adopt(&[seen]).unwrap();
            device.save(adopted.changes);
        }
        device.restart();
        assert!(device.device.manifest().lists(&tablet.device.id()));
    }
}

/// (R18) An account has at most 32 devices; a revoked one makes room, and does not come back by its old key.
#[test]
fn bounds_and_revoked_devices() {
    let mut alice = Person::new("alice", 1);
    let first = New::begin(alice.device.account(), 100);
    for seed in 0..MAX_DEVICES as u64 - 1 {
        let new = New::begin(alice.device.account(), 100 + seed);
        approve(&mut alice, &new, ShareAccountKey::No).unwrap();
        publish(&mut alice);
    }
    let last = New::begin(alice.device.account(), 3);
    assert_eq!(approve(&mut alice, &last, ShareAccountKey::No).unwrap_err(), ApproveError::Full);
    assert_eq!(alice.device.staged_manifest(), None);
    let changes = alice.device.revoke(&first.linking().id(), START).unwrap();
    alice.save(changes);
    assert_eq!(approve(&mut alice, &first, ShareAccountKey::No).unwrap_err(), ApproveError::Revoked);
    publish(&mut alice);
    assert_eq!(approve(&mut alice, &first, ShareAccountKey::No).unwrap_err(), ApproveError::Revoked);
    approve(&mut alice, &last, ShareAccountKey::No).unwrap();
}

/// (R18) A code that was noted down and forgotten ends; clocks may differ a little.
#[test]
fn a_request_lives_for_a_day() {
    let mut alice = Person::new("alice", 1);
    let phone = New::begin(alice.device.account(), 3);
    let at = |minutes: u64| START.plus(Duration::from_secs(minutes * 60));
    alice.now = at(24 * 60 + 11);
    assert_eq!(approve(&mut alice, &phone, ShareAccountKey::No).unwrap_err(), ApproveError::Age);
    alice.now = Timestamp(START.0 - 11 * 60 * 1000);
    assert_eq!(approve(&mut alice, &phone, ShareAccountKey::No).unwrap_err(), ApproveError::Age);
    alice.now = at(24 * 60 + 9);
    assert!(approve(&mut alice, &phone, ShareAccountKey::No).is_ok());
}

/// Damaged records of a linking: a typed error.
#[test]
fn records_of_a_linking() {
    let (one, other) =
        (New::begin(AccountId::from_bytes([1; 32]), 3), New::begin(AccountId::from_bytes([1; 32]), 4));
    let (one, other) = (records(&one.store), records(&other.store));
    assert!(matches!(Linking::load(Vec::new()), Err(LoadError::Missing(_))));
    let bytes = one[0].1.as_bytes();
    let with = |bytes: Vec<u8>| {
        let record = (one[0].0.clone(), conclave_engine::RecordValue::new(bytes));
        Linking::load(vec![record]).map(drop)
    };
    assert_eq!(with(bytes.to_vec()), Ok(()));
    for length in (0..bytes.len()).step_by(37) {
        assert!(matches!(with(bytes[..length].to_vec()), Err(LoadError::Record(_))));
    }
    for at in 0..bytes.len() {
        let _ = with(support::flip(bytes, at));
    }
    // A key that is not the one in the request.
    let key = bytes.iter().position(|byte| *byte == 0x58).unwrap() + 2;
    let mut swapped = bytes.to_vec();
    swapped[key..key + 32].copy_from_slice(&other[0].1.as_bytes()[key..key + 32]);
    assert_eq!(with(swapped), Err(LoadError::Damaged("link request")));
}
