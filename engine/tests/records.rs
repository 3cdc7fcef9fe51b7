//! Stored records that are damaged, missing, or of another version: a typed error, never a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::codec::DecodeError;
use conclave_engine::wire::ids::GroupId;
use conclave_engine::wire::roster::Role;
use conclave_engine::{Device, Group, LoadError, RecordValue, Records, Scope};
use support::{Person, SeedRng, decode_fields, flip, gather};

/// A person in the middle of things: several senders, skipped keys, a staged commit and a staged sender key.
fn busy() -> (Person, GroupId) {
    let [mut alice, mut bob] = [Person::new("alice", 1), Person::new("bob", 2)];
    let mut carol = Person::new("carol", 3);
    let (mut log, keys) = gather(&mut [&mut alice, &mut bob, &mut carol], &[Role::Owner, Role::Member]);
    for person in [&mut alice, &mut carol, &mut bob] {
        person.send(&mut log, &keys, b"hello");
    }
    alice.seal(b"never posted").unwrap();
    alice.send(&mut log, &keys, b"after a gap");
    bob.catch_up(&log);
    bob.seal(b"waits").unwrap();
    bob.stage_key(&keys);
    bob.stage(vec![carol.remove_operation()], &keys).unwrap();
    let (_, changes) = bob.device.make_one_time_prekeys(2, &mut SeedRng::new(4));
    bob.save(changes);
    (bob, log.id())
}

/// Loads what belongs to a scope.
fn load(scope: Scope, records: Records) -> Result<(), LoadError> {
    match scope {
        Scope::Device => Device::load(records).map(drop),
        Scope::Group(id) => Group::load(id, records).map(drop),
    }
}

fn scopes() -> [(Scope, Records); 2] {
    let (bob, id) = busy();
    [Scope::Device, Scope::Group(id)].map(|scope| (scope, bob.records(scope)))
}

/// The records with one of them changed.
fn with(records: &Records, at: usize, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Records {
    let mut records = records.clone();
    records[at].1 = RecordValue::new(change(records[at].1.as_bytes()));
    records
}

#[test]
fn the_records_that_the_others_spoil_are_good() {
    for (scope, records) in scopes() {
        assert!(records.len() > 3, "{scope:?}");
        assert_eq!(load(scope, records), Ok(()));
    }
}

#[test]
fn truncated_and_lengthened_records() {
    for (scope, records) in scopes() {
        for (at, (name, value)) in records.iter().enumerate() {
            let length = value.as_bytes().len();
            for shorter in (0..length).step_by(1 + length / 60) {
                let cut = with(&records, at, |bytes| bytes[..shorter].to_vec());
                assert!(matches!(load(scope, cut), Err(LoadError::Record(_))), "{name:?} of {shorter} bytes");
            }
            let longer = with(&records, at, |bytes| [bytes, &[0]].concat());
            assert!(matches!(load(scope, longer), Err(LoadError::Record(DecodeError::Trailing { .. }))));
        }
    }
}

#[test]
fn records_of_another_version() {
    for (scope, records) in scopes() {
        for at in 0..records.len() {
            let newer = with(&records, at, |bytes| [&[2], &bytes[1..]].concat());
            let error = load(scope, newer).unwrap_err();
            assert!(matches!(error, LoadError::Record(DecodeError::UnknownVersion { version: 2, .. })));
        }
    }
}

#[test]
fn records_of_an_unknown_kind() {
    for (scope, records) in scopes() {
        for name in [&b"later"[..], b"", b"leaf", b"own/", b"cursor2", b"manifest"] {
            let mut more = records.clone();
            more.push((name.to_vec(), RecordValue::new(vec![1, 0x80])));
            assert_eq!(load(scope, more), Err(LoadError::Unknown), "{name:?}");
        }
        for (name, value) in &records {
            // A name that promises an identifier and holds half of one.
            if let Some(slash) =
                name.iter().position(|byte| *byte == b'/').filter(|_| !name.starts_with(b"own/"))
            {
                let mut more = records.clone();
                more.push((name[..slash + 3].to_vec(), value.clone()));
                let result = load(scope, more);
                let listed = name.starts_with(b"prekeys/") && result.is_ok();
                assert!(listed || matches!(result, Err(LoadError::Damaged(_))), "{name:?}: {result:?}");
            }
        }
    }
}

#[test]
fn missing_records() {
    let needed: [&[u8]; 12] = [
        b"identity",
        b"manifest/",
        b"prekeys/",
        b"onetime-next",
        b"head",
        b"cursor",
        b"own/state",
        b"own/key",
        b"sender/",
        b"secrets/",
        b"chain/",
        b"peer/",
    ];
    for (scope, records) in scopes() {
        for prefix in needed.iter().filter(|prefix| records.iter().any(|(name, _)| name.starts_with(prefix)))
        {
            let mut fewer = records.clone();
            fewer.retain(|(name, _)| !name.starts_with(prefix));
            let error = load(scope, fewer).unwrap_err();
            assert!(matches!(error, LoadError::Missing(_) | LoadError::Damaged(_)), "{prefix:?}: {error:?}");
        }
        assert!(matches!(load(scope, Vec::new()), Err(LoadError::Missing(_))));
    }
}

/// A record may load with one bit changed, for most of its bytes are keys; it must not panic, then or later.
#[test]
fn flipped_bits_do_not_panic() {
    for (scope, records) in scopes() {
        for (at, (_, value)) in records.iter().enumerate() {
            let length = value.as_bytes().len();
            for byte in (0..length).step_by(1 + length / 150) {
                let _ = load(scope, with(&records, at, |bytes| flip(bytes, byte)));
            }
        }
    }
}

/// An identity whose parts do not belong together.
#[test]
fn a_stolen_manifest_does_not_make_an_identity() {
    let (bob, mallory) = (Person::new("bob", 1), Person::new("mallory", 2));
    let records = bob.records(Scope::Device);
    let at = records.iter().position(|(name, _)| name == b"identity").unwrap();
    let theirs = mallory.record(Scope::Device, b"identity");
    let (ours, theirs) = (decode_fields(records[at].1.as_bytes()), decode_fields(theirs.as_bytes()));
    for field in 0..2 {
        let swapped = with(&records, at, |bytes| {
            let place = bytes.windows(32).position(|window| window == ours[field]).unwrap();
            [&bytes[..place], &theirs[field], &bytes[place + 32..]].concat()
        });
        assert_eq!(load(Scope::Device, swapped), Err(LoadError::Damaged("identity")));
    }
}
