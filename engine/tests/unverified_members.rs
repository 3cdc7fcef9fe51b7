//! (R73) A newcomer verifies the devices of the others when they are first needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::certificate::{CertificateBody, SenderPublicKey};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::{Commitment, Epoch, Generation, Opaque};
use conclave_engine::wire::manifest::ManifestError;
use conclave_engine::wire::public_group::CommitError;
use conclave_engine::wire::roster::Role;
use conclave_engine::{ForgedMember, JoinError, Newcomer, PrekeyBook, ReceiveError, Scope};
use std::collections::BTreeMap;
use support::{Forger, Log, Person, book, flip, gather};

/// Alice founded the group and added Bob and Carol, and now Dave.
fn added() -> (Log, PrekeyBook, [Person; 4]) {
    let mut people =
        [("alice", 1), ("bob", 2), ("carol", 3), ("dave", 4)].map(|(name, seed)| Person::new(name, seed));
    let [alice, bob, carol, dave] = &mut people;
    let (mut log, _) = gather(&mut [alice, bob, carol], &[Role::Admin; 2]);
    let keys = book(&[alice, bob, carol, dave]);
    bob.send(&mut log, &keys, b"before dave");
    carol.send(&mut log, &keys, b"before dave");
    alice.change(&mut log, &keys, vec![dave.add_operation(Role::Member)]);
    (log, keys, people)
}

/// And he has joined.
fn joined() -> (Log, PrekeyBook, [Person; 4]) {
    let (log, keys, mut people) = added();
    people[3].join(&log, log.head()).unwrap();
    (log, keys, people)
}

fn endorsement_records(person: &Person, log: &Log) -> usize {
    let records = person.records(Scope::Group(log.id()));
    records.iter().filter(|(name, _)| name.starts_with(b"endorsement/")).count()
}

#[test]
fn each_when_it_is_first_heard_of() {
    let (mut log, keys, [_, mut bob, mut carol, mut dave]) = joined();
    let unverified = |dave: &mut Person| {
        let before = dave.group().unverified_devices();
        dave.restart();
        assert_eq!(dave.group().unverified_devices(), before, "what is stored is what is left");
        before
    };
    assert_eq!(unverified(&mut dave), 3, "all but Alice, who made commits");
    assert_eq!(endorsement_records(&dave, &log), 1);
    bob.send(&mut log, &keys, b"hello dave");
    dave.catch_up(&log);
    assert_eq!(unverified(&mut dave), 2);
    let erin = Person::new("erin", 50);
    carol.change(&mut log, &book(&[&erin]), vec![erin.add_operation(Role::Member)]);
    dave.catch_up(&log);
    assert_eq!(unverified(&mut dave), 1, "Carol made a commit; Erin was verified with it");
    dave.send(&mut log, &book(&[&bob, &carol, &erin, &dave]), b"hello");
    assert_eq!(unverified(&mut dave), 0);
    assert_eq!(endorsement_records(&dave, &log), 0);
    assert_eq!((dave.refused.as_slice(), dave.texts()), ([].as_slice(), vec!["hello dave".to_owned()]));
}

#[test]
fn all_before_a_sender_key_goes_to_them() {
    let (_, keys, [.., mut dave]) = joined();
    dave.stage_key(&keys);
    // His own is verified when the log shows what he wrote.
    assert_eq!(dave.group().unverified_devices(), 1);
    dave.restart();
    assert_eq!(dave.group().unverified_devices(), 1);
}

#[test]
fn all_on_demand() {
    let (log, _, [.., mut dave]) = joined();
    let (forged, changes) = dave.group().verify_members();
    dave.save(changes);
    assert_eq!((forged, dave.group().unverified_devices(), endorsement_records(&dave, &log)), (vec![], 0, 0));
    dave.restart();
    assert_eq!(dave.group().unverified_devices(), 0);
}

/// What the verification changes is stored with the rest of the join.
#[test]
fn all_before_a_join_is_stored() {
    let (log, _, [.., mut dave]) = added();
    let mut walk = Newcomer::new(log.id());
    log.commits(log.head()).for_each(|commit| walk.commit(commit).unwrap());
    let entry = log.entry(log.head(), &dave.device.id());
    let mut joined = walk.open(&mut dave.device, &entry, dave.now).unwrap();
    assert_eq!((joined.group.unverified_devices(), joined.verify_members()), (3, vec![]));
    dave.save(joined.changes);
    dave.group = Some(joined.group);
    dave.restart();
    assert_eq!((dave.group().unverified_devices(), endorsement_records(&dave, &log)), (0, 0));
}

#[test]
fn who_leaves_is_not_waited_for() {
    let (mut log, keys, [mut alice, bob, _, mut dave]) = joined();
    alice.change(&mut log, &keys, vec![bob.remove_operation()]);
    dave.catch_up(&log);
    assert_eq!(dave.group().unverified_devices(), 2);
    dave.restart();
    assert_eq!(dave.group().unverified_devices(), 2);
}

/// Dave is in the group, and lost his state; Alice and the server have since written a commit that nobody else accepts: it
/// adds a device to Eve's account that is not hers.
fn with_a_forged_member(spoilt: fn(&[u8]) -> Vec<u8>) -> (Log, [Person; 4]) {
    let (mut log, keys, [mut alice, mut bob, _, dave]) = joined();
    let eve = Person::new("eve", 60);
    bob.catch_up(&log);
    alice.catch_up(&log);
    let upload = alice.stage(vec![eve.add_operation(Role::Admin)], &keys).unwrap();
    let forged = Forger::of(&alice).change(&upload.commit, |body| {
        let Operation::Add { manifest, .. } = &mut body.operations[0] else { panic!() };
        *manifest = Opaque(spoilt(&manifest.0));
    });
    log.append(EntryKind::Commit, forged, BTreeMap::new());
    let refused = bob.read_next(&log).unwrap_err();
    assert!(matches!(refused, ReceiveError::Commit(CommitError::Manifest(_))), "{refused:?}");
    (log, [alice, bob, dave, eve])
}

fn without_the_accounts_signature(manifest: &[u8]) -> Vec<u8> {
    // After it come the head of the array and of the one signature, and the signature.
    flip(manifest, manifest.len() - 64 - 3 - 1)
}

fn without_the_devices_signature(manifest: &[u8]) -> Vec<u8> {
    flip(manifest, manifest.len() - 1)
}

#[test]
fn a_device_that_is_not_its_accounts() {
    for spoilt in [without_the_accounts_signature, without_the_devices_signature] {
        let (mut log, [_, _, mut dave, eve]) = with_a_forged_member(spoilt);
        dave.join_without_welcome(&log).unwrap();
        let expected = ForgedMember { account: eve.device.account(), device: eve.device.id() };
        let (head, epoch) = (dave.group().roster().hash(), dave.group().epoch());
        assert!(dave.group().roster().device(&eve.device.id()).is_some());

        let certificate = CertificateBody {
            group: log.id(),
            device: eve.device.id(),
            generation: Generation(0),
            time: dave.now,
            start_epoch: Epoch(0),
            head: log.public().head(),
            signing_key: SenderPublicKey::from_bytes([1; 32]),
            commitment: Commitment::from_bytes([0; 32]),
            first_link: true,
        };
        let distribution = Forger::of(&eve).distribution(certificate, epoch);
        log.append(EntryKind::Distribution, distribution, BTreeMap::new());
        let before = dave.snapshot();
        assert_eq!(dave.read_next(&log).unwrap_err(), ReceiveError::Forged(expected));
        assert_eq!(dave.snapshot(), before);

        let (forged, changes) = dave.group().verify_members();
        dave.save(changes);
        assert_eq!((forged, dave.group().unverified_devices()), (vec![expected], 1));
        dave.restart();
        assert_eq!(dave.group().verify_members().0, [expected]);
        assert_eq!(dave.group().roster().hash(), head);
    }
}

/// Whoever makes a commit is verified before it counts, on the way through the past too: so nobody has a role that was
/// not given by somebody who had one.
#[test]
fn a_commit_by_a_device_that_is_not_its_accounts() {
    for (spoilt, expected) in [
        (without_the_accounts_signature as fn(&[u8]) -> Vec<u8>, ManifestError::AccountSignature),
        (without_the_devices_signature, ManifestError::DeviceSignature),
    ] {
        let (mut log, [alice, bob, mut dave, eve]) = with_a_forged_member(spoilt);
        dave.join_without_welcome(&log).unwrap();
        let mut after = log.draft(eve.device.id(), vec![bob.remove_operation()], alice.now);
        after.epoch = dave.group().epoch().next().unwrap();
        let last = log.commits(log.head()).last().unwrap();
        after.previous = conclave_engine::wire::commit::UnverifiedCommit::decode(last).unwrap().hash();
        log.append(EntryKind::Commit, Forger::of(&eve).commit(after), BTreeMap::new());
        let refused = CommitError::Manifest(expected);
        assert_eq!(dave.read_next(&log).unwrap_err(), ReceiveError::Commit(refused.clone()));
        let mut again = dave.copy();
        assert_eq!(again.join_without_welcome(&log), Err(JoinError::Commit(refused)));
    }
}
