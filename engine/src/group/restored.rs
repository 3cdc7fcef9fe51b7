//! A device that was restored from a backup: what the backup holds, what the device finds of itself in the log, and how
//! it comes back.

use super::forgetting::live;
use super::{GroupState, ReceiveError};
use crate::backup;
use crate::record::Scope;
use crate::support::{Forger, Log, Person, gather};
use crate::{BackupKey, Device, DistributionUpload, JoinError, Newcomer, OpenError, PrekeyBook, SealError};
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::distribution::UnverifiedDistribution;
use conclave_wire::entry::Entry;
use conclave_wire::ids::{Generation, Opaque, Seq};
use conclave_wire::roster::Role;

fn key() -> BackupKey {
    BackupKey::from_bytes([7; 32])
}

/// Alice and Bob, who has distributed three sender keys, two of them since the last commit.
fn talking() -> (Log, PrekeyBook, Person, Person) {
    let (mut alice, mut bob, carol) =
        (Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3));
    let (mut log, mut keys) = gather(&mut [&mut alice, &mut bob], &[Role::Member]);
    keys.insert(&carol.device.prekeys().unwrap().encode()).unwrap();
    bob.send(&mut log, &keys, b"under the first");
    alice.change(&mut log, &keys, vec![carol.add_operation(Role::Member)]);
    for text in [&b"under the second"[..], b"under the third"] {
        bob.catch_up(&log);
        let upload = bob.stage_key(&keys);
        log.distribute(&bob.device.id(), &upload).unwrap();
        bob.send(&mut log, &keys, text);
    }
    alice.send(&mut log, &keys, b"from alice");
    bob.catch_up(&log);
    (log, keys, alice, bob)
}

fn restore(bob: &mut Person) -> Person {
    let backup = bob.back_up(&key());
    let restored = Person::restored("bob again", &backup, &key(), 77).map_err(|error| error.to_string());
    let (restored, groups, history) = restored.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(groups, [bob.group().id()]);
    assert_eq!(history, b"from alice");
    restored
}

/// (R92) What reads messages is not in a backup: not `init`, no seed, no chain, no prekey.
#[test]
fn no_secret_of_a_ratchet_is_in_a_backup() {
    let (_, keys, _, mut bob) = talking();
    bob.stage_key(&keys);
    let backup = bob.back_up(&key());
    let content = backup::open(&backup, &key()).map_err(|error| error.to_string());
    let content = content.unwrap_or_else(|error| panic!("{error}"));
    let holds = |secret: &[u8]| content.windows(secret.len()).any(|window| window == secret);
    assert!(holds(&bob.device.signing_key().to_bytes()), "the harness finds what is there");
    let mut secrets: Vec<Vec<u8>> = live(bob.group()).iter().map(|secret| secret.to_vec()).collect();
    assert!(secrets.len() > 8);
    let prekeys = bob.records(Scope::Device).into_iter().find(|(name, _)| name.starts_with(b"prekeys/"));
    let prekeys = prekeys.unwrap().1;
    // The private halves come last: 34 bytes of agreement key, 66 of seed.
    let (rest, kem) = prekeys.as_bytes().split_at(prekeys.as_bytes().len() - 64);
    secrets.extend([kem.to_vec(), rest[rest.len() - 34..rest.len() - 2].to_vec()]);
    for secret in &secrets {
        assert!(!holds(secret));
        assert!(!backup.windows(secret.len()).any(|window| window == secret));
    }
}

/// (R94) (R95) A restored device needs a welcome, knows which sender keys it distributed, and takes its own old entries
/// for no alarm.
#[test]
fn a_restored_device_walks_the_log() {
    let (mut log, keys, mut alice, mut bob) = talking();
    let mut again = restore(&mut bob);
    assert_eq!(again.device.id(), bob.device.id());
    assert_ne!(again.device.prekeys().unwrap().hash(), bob.device.prekeys().unwrap().hash());
    again.join_without_welcome(&log).unwrap();
    again.restart();
    assert_eq!(again.group().state(), GroupState::NeedWelcome);
    assert_eq!((again.group().cursor(), again.group().epoch()), (log.head(), log.epoch()));
    assert_eq!(again.group().roster().hash(), log.roster().hash());
    assert_eq!(again.group().own.next_generation, Generation(3));
    assert_eq!(again.group().last_distribution, bob.group().last_distribution);
    assert_eq!(again.seal(b"x"), Err(SealError::NotActive(GroupState::NeedWelcome)));
    assert!(live(again.group()).is_empty());
    // It follows the log, and can read nothing yet.
    alice.send(&mut log, &keys, b"to whom it may concern");
    again.catch_up(&log);
    assert_eq!(again.refused, [(log.head(), ReceiveError::NeedWelcome)]);
}

/// (R94) Removed and added again, it sends and reads, and the others take it for the sender that it is.
#[test]
fn a_restored_device_comes_back_by_remove_and_add() {
    let (mut log, mut keys, mut alice, mut bob) = talking();
    let mut again = restore(&mut bob);
    again.join_without_welcome(&log).unwrap();
    keys.insert(&again.device.prekeys().unwrap().encode()).unwrap();
    alice.change(&mut log, &keys, vec![again.remove_operation()]);
    again.catch_up(&log);
    assert_eq!(again.group().state(), GroupState::Removed);
    alice.change(&mut log, &keys, vec![again.add_operation(Role::Member)]);
    again.join(&log, log.head()).unwrap();
    again.send(&mut log, &keys, b"back again");
    alice.send(&mut log, &keys, b"welcome back");
    again.catch_up(&log);
    assert_eq!(alice.texts().last().unwrap(), "back again");
    assert_eq!(again.texts(), ["welcome back"]);
    assert_eq!((alice.refused, again.refused), (vec![], vec![]));
}

/// A device that was added unreachable has no welcome, and enters all the same.
#[test]
fn who_was_added_unreachable_enters_without_a_welcome() {
    let (mut log, keys, mut alice, _) = talking();
    let mut dave = Person::new("dave", 4);
    alice.change(&mut log, &keys, vec![dave.add_operation(Role::Member)]);
    let joined = log.head();
    assert!(matches!(dave.join(&log, joined), Err(JoinError::Welcome(_))), "nobody had his prekeys");
    dave.join_without_welcome(&log).unwrap();
    assert_eq!((dave.group().state(), dave.group().cursor()), (GroupState::NeedWelcome, joined));
    assert_eq!(dave.group().own.next_generation, Generation(0));
}

/// (R95) What others say in its name does not count, nor what it distributed before it was added last.
#[test]
fn only_own_distributions_of_this_stay_count() {
    let (mut log, keys, mut alice, mut bob) = talking();
    // Alice writes a certificate of the last generation in Bob's name; she can sign only as herself.
    let template = log.entry(Seq(3), &bob.device.id());
    let body = UnverifiedDistribution::decode(&template.body.0).unwrap().claimed().clone();
    let mut certificate = UnverifiedCertificate::decode(&body.certificate.0).unwrap().claimed().clone();
    assert_eq!(certificate.device, bob.device.id());
    certificate.generation = Generation(u32::MAX);
    let distribution = Forger::of(&alice).distribution(certificate, log.epoch());
    let recipients = Vec::new();
    let upload = DistributionUpload { distribution, deliveries: vec![Opaque::default(); 2], recipients };
    log.distribute(&alice.device.id(), &upload).unwrap();
    let mut again = restore(&mut bob);
    again.join_without_welcome(&log).unwrap();
    assert_eq!(again.group().own.next_generation, Generation(3));
    assert_eq!(again.group().last_distribution, log.head(), "the server counts it");

    alice.change(&mut log, &keys, vec![again.remove_operation()]);
    alice.change(&mut log, &keys, vec![again.add_operation(Role::Member)]);
    again.join_without_welcome(&log).unwrap();
    assert_eq!(again.group().own.next_generation, Generation(0), "another stay is another sender");
}

/// Entries left out, repeated, of another group, or from the middle of the log.
#[test]
fn the_walk_goes_in_order() {
    let (log, _, _, bob) = talking();
    let entry = |seq: u64| log.entry(Seq(seq), &bob.device.id());
    let walked = |device: &Device, entries: &[Entry]| -> Result<Newcomer, JoinError> {
        let mut walk = Newcomer::new(log.id());
        entries.iter().try_for_each(|entry| walk.pass(device, entry))?;
        Ok(walk)
    };
    let refusal = |entries: &[Entry]| walked(&bob.device, entries).map(drop).unwrap_err();
    assert_eq!(refusal(&[entry(1), entry(3)]), JoinError::Order);
    assert_eq!(refusal(&[entry(1), entry(2), entry(2)]), JoinError::Order);
    assert_eq!(refusal(&[entry(3)]), JoinError::Order, "begins with a commit");
    let other = Entry { group: conclave_wire::ids::GroupId::from_bytes([1; 32]), ..entry(1) };
    assert_eq!(refusal(&[other]), JoinError::Order);
    let junk = Entry { body: Opaque(vec![1, 2, 3]), ..entry(2) };
    assert!(matches!(refusal(&[entry(1), junk]), JoinError::Decode(_)));
    // Nothing passed, and somebody who is not in the group.
    let ends = |walk: Newcomer, device: &Device| walk.without_welcome(device).map(drop).unwrap_err();
    assert_eq!(ends(Newcomer::new(log.id()), &bob.device), JoinError::NotHead);
    let mallory = Person::new("mallory", 9);
    let all: Vec<_> = (1..=log.head().0).map(entry).collect();
    assert_eq!(ends(walked(&mallory.device, &all).unwrap(), &mallory.device), JoinError::NotMember);
    // A welcome is opened where the walk ends. (Bob's own was opened before, so it does not open again.)
    let open = |until: u64| {
        let entries: Vec<_> = (1..=until).map(entry).collect();
        let walk = walked(&bob.device, &entries).unwrap();
        walk.open(&mut bob.copy().device, &entry(2), bob.now).map(drop).unwrap_err()
    };
    assert_eq!(open(2), JoinError::Welcome(OpenError::Replayed));
    assert_eq!(open(3), JoinError::NotHead);
}
