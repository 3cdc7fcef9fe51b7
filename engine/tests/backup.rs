//! Backups that are restored, and those that must not be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::limits::{MAX_BACKUP_GROUPS, MAX_BACKUP_HISTORY};
use conclave_engine::wire::codec::DecodeError;
use conclave_engine::wire::ids::GroupId;
use conclave_engine::{BackupError, BackupKey, Device, RestoreError};
use std::collections::BTreeSet;
use support::{Person, START, SeedRng, flip};

fn key(byte: u8) -> BackupKey {
    BackupKey::from_bytes([byte; 32])
}

fn back_up(bob: &Person, groups: &[GroupId], history: &[u8]) -> Result<Vec<u8>, BackupError> {
    bob.device.back_up(groups, history, &key(1), &mut SeedRng::new(5))
}

fn refusal(backup: &[u8], key: &BackupKey) -> RestoreError {
    Device::restore(backup, key, START, &mut SeedRng::new(6)).map(drop).unwrap_err()
}

#[test]
fn the_backup_that_the_others_spoil_is_good() {
    let bob = Person::new("bob", 1);
    let groups: Vec<_> = (0..3).map(|n| GroupId::from_bytes([n; 32])).collect();
    let backup = back_up(&bob, &groups, b"history").unwrap();
    let Ok((mut again, found, history)) = Person::restored("again", &backup, &key(1), 6) else {
        panic!("it opens")
    };
    assert_eq!((found, history), (groups, b"history".to_vec()));
    assert_eq!((again.device.id(), again.device.account()), (bob.device.id(), bob.device.account()));
    assert_eq!(again.device.manifest(), bob.device.manifest());
    again.restart();
    assert_eq!(again.device.id(), bob.device.id());
}

/// (R93) Another key, and a flipped bit anywhere.
#[test]
fn wrong_keys_and_flipped_bits() {
    let bob = Person::new("bob", 1);
    let backup = back_up(&bob, &[GroupId::from_bytes([1; 32])], b"history").unwrap();
    assert_eq!(refusal(&backup, &key(2)), RestoreError::Key);
    for at in 0..backup.len() {
        let error = refusal(&flip(&backup, at), &key(1));
        // version, array, salt, commitment, ciphertext
        match at {
            0 => assert!(matches!(error, RestoreError::Decode(DecodeError::UnknownVersion { .. }))),
            1 | 2 | 3 | 36 | 37 | 70..=72 => {
                assert!(matches!(error, RestoreError::Decode(_)), "{at}: {error:?}");
            }
            4..=35 | 38..=69 => assert_eq!(error, RestoreError::Key, "{at}"),
            _ => assert_eq!(error, RestoreError::Altered, "{at}"),
        }
    }
    for shorter in [0, 1, 40, 72, backup.len() - 1] {
        assert!(matches!(refusal(&backup[..shorter], &key(1)), RestoreError::Decode(_)), "{shorter}");
    }
    let longer = [&backup[..], &[0]].concat();
    assert!(matches!(refusal(&longer, &key(1)), RestoreError::Decode(DecodeError::Trailing { .. })));
}

/// (R92) Two backups of one state share nothing that can be seen, and their length tells little of the history's.
#[test]
fn backups_are_padded_and_salted() {
    let bob = Person::new("bob", 1);
    let mut rng = SeedRng::new(8);
    let mut make = |length: usize| bob.device.back_up(&[], &vec![7; length], &key(1), &mut rng).unwrap();
    let (first, second) = (make(20_000), make(20_010));
    assert_eq!(first.len(), second.len());
    let seen: BTreeSet<&[u8]> = first.windows(16).collect();
    assert!(!second.windows(16).any(|window| seen.contains(window)));
}

#[test]
fn bounds() {
    let bob = Person::new("bob", 1);
    let long = vec![0; MAX_BACKUP_HISTORY + 1];
    assert_eq!(back_up(&bob, &[], &long), Err(BackupError::History(MAX_BACKUP_HISTORY + 1)));
    let many = vec![GroupId::from_bytes([1; 32]); MAX_BACKUP_GROUPS + 1];
    assert_eq!(back_up(&bob, &many, b""), Err(BackupError::Groups));
    let longest = back_up(&bob, &many[1..], &long[1..]).unwrap();
    let restored = Device::restore(&longest, &key(1), START, &mut SeedRng::new(6));
    let restored = restored.map_err(|error| error.to_string()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((restored.groups.len(), restored.history.len()), (MAX_BACKUP_GROUPS, MAX_BACKUP_HISTORY));
}
