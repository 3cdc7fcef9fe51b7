//! Healing a device whose state may have been copied.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::certificate::CertificateBody;
use conclave_engine::wire::certificate::SenderPublicKey;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{Commitment, DeviceId, Epoch, Generation, PrekeysHash, Seq, Timestamp};
use conclave_engine::wire::limits::CLOCK_SKEW;
use conclave_engine::wire::public_group::CommitError;
use conclave_engine::wire::roster::Role;
use conclave_engine::{
    CertificateError, Continuity, DeviceError, Event, GroupState, Origin, PrekeyBook, ReceiveError, Scope,
    StageError,
};
use std::time::Duration;
use support::{Forger, Log, Person, gather};

/// Alice owns the group, Bob and Carol are in it, and all have written.
fn talking() -> (Log, PrekeyBook, [Person; 3]) {
    let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
    let (mut log, keys) = {
        let [alice, bob, carol] = &mut people;
        gather(&mut [alice, bob, carol], &[Role::Member; 2])
    };
    for person in &mut people {
        person.send(&mut log, &keys, b"hello");
    }
    people.iter_mut().for_each(|person| person.catch_up(&log));
    (log, keys, people)
}

/// Whatever a thief of this state is handed of what the log holds after `from`, it reads none of it.
fn reads_nothing(thief: &Person, from: Seq, log: &Log) {
    let devices: Vec<DeviceId> = log.roster().devices().map(|(_, leaf)| leaf.device.id()).collect();
    let mut thief = thief.copy();
    let had = thief.read.len();
    for seq in (from.0 + 1..=log.head().0).map(Seq) {
        for device in &devices {
            let entry = log.entry(seq, device);
            let next = thief.group().cursor().next().unwrap();
            for entry in [Entry { seq: next, ..entry.clone() }, entry] {
                let received = thief.copy().receive(&entry);
                assert!(!matches!(received, Ok(Event::Message(_) | Event::SenderKey { readable: true, .. })));
                if let Ok(Event::EpochChanged { state, .. }) = received {
                    assert_eq!(state, GroupState::NeedWelcome, "at {seq}");
                }
            }
        }
        let entry = log.entry(seq, &thief.device.id());
        if thief.receive(&entry).is_err() {
            let changes = thief.group().skip(&entry).unwrap();
            thief.save(changes);
        }
    }
    assert_eq!(thief.read.len(), had);
}

/// (R47) (R48) (R106) A thief of all of Bob's state reads nothing after his heal, by whatever way the next secrets go;
/// Bob himself reads and writes on.
#[test]
fn a_thief_is_locked_out() {
    let (mut log, mut keys, [mut alice, mut bob, mut carol]) = talking();
    let thief = bob.copy();
    let stolen = log.head();
    // Until then the thief reads all that Bob does.
    alice.send(&mut log, &keys, b"before");
    let mut reader = thief.copy();
    reader.catch_up(&log);
    assert_eq!(reader.texts(), ["before"]);

    bob.now = bob.now.plus(Duration::from_secs(60));
    bob.heal(&mut log, &mut keys);
    assert!(bob.events.iter().any(|event| matches!(
        event,
        Event::EpochChanged { healed, origin: Origin::Ours, state: GroupState::Active, .. }
            if *healed == [bob.device.id()]
    )));
    alice.catch_up(&log);
    alice.restart();
    alice.send(&mut log, &keys, b"after");
    carol.send(&mut log, &keys, b"after too");
    bob.send(&mut log, &keys, b"from bob");
    alice.change(&mut log, &keys, vec![carol.remove_operation()]);
    alice.send(&mut log, &keys, b"to bob alone");
    for person in [&mut alice, &mut bob, &mut carol] {
        person.catch_up(&log);
        assert_eq!(person.refused, [], "{}", person.name);
    }
    assert_eq!(bob.texts()[2..], ["before", "after", "after too", "to bob alone"].map(str::to_owned)[..]);
    assert_eq!(alice.texts().last().unwrap(), "from bob");
    assert_eq!(alice.read.last().unwrap().continuity, Continuity::Linked, "his links run on over the heal");
    let mut before_the_heal = thief.copy();
    before_the_heal.catch_up_to(&log, Seq(stolen.0 + 1));
    reads_nothing(&before_the_heal, Seq(stolen.0 + 1), &log);
}

/// (R102) (R106) A heal pins new prekeys; of the old ones nothing is left here.
#[test]
fn prekeys_are_replaced_and_pinned() {
    let (mut log, mut keys, [mut alice, mut bob, _]) = talking();
    let old = bob.device.prekeys().unwrap().clone();
    assert_eq!(bob.stage_heal(&keys).unwrap_err(), StageError::HealNotBegun);
    assert!(!bob.group.as_ref().unwrap().heal_due(&bob.device));
    let names = |bob: &Person| -> Vec<Vec<u8>> {
        bob.records(Scope::Device).into_iter().map(|(name, _)| name).collect()
    };
    assert!(names(&bob).iter().any(|name| name.starts_with(b"seen/")), "he has opened envelopes");
    bob.begin_heal(&mut keys);
    bob.restart();
    let new = bob.device.prekeys().unwrap().clone();
    assert!(new.body().time > old.body().time, "even within the same millisecond");
    let stays = |name: &[u8]| name == b"identity" || name == b"heal" || name.starts_with(b"manifest/");
    let left: Vec<_> = names(&bob).into_iter().filter(|name| !stays(name)).collect();
    assert_eq!(left, [[b"prekeys/", &new.hash().as_bytes()[..]].concat()]);
    assert!(bob.group.as_ref().unwrap().heal_due(&bob.device));

    let since = log.roster().device(&bob.device.id()).unwrap().1.since;
    let upload = bob.stage_heal(&keys).unwrap();
    log.commit(&upload).unwrap();
    for person in [&mut alice, &mut bob] {
        person.catch_up(&log);
        let (_, leaf) = person.group().roster().device(&bob_id(&log, 1)).unwrap();
        let pin = leaf.pinned.unwrap();
        assert_eq!((pin.hash, pin.time), (new.hash(), new.body().time));
        assert!(leaf.since > since && leaf.since == log.epoch());
    }
    // Once is enough, and again takes new prekeys.
    assert!(!bob.group.as_ref().unwrap().heal_due(&bob.device));
    assert_eq!(bob.stage_heal(&keys).unwrap_err(), StageError::HealNotBegun);
    bob.heal(&mut log, &mut keys);
    // Operations by hand are no way around it.
    let prekeys = PrekeysHash::from_bytes([1; 32]);
    bob.begin_heal(&mut keys);
    let by_hand = Operation::Heal { prekeys, time: bob.now };
    assert_eq!(bob.stage(vec![by_hand], &keys).unwrap_err(), StageError::HealNotBegun);
}

fn bob_id(log: &Log, leaf: u32) -> DeviceId {
    log.roster().leaf(conclave_engine::wire::ids::LeafIndex(leaf)).unwrap().device.id()
}

/// (R106) Prekeys from the future could not be told from newer ones.
#[test]
fn a_clock_that_was_ahead() {
    let (_, mut keys, [_, mut bob, _]) = talking();
    let mut rng = support::SeedRng::new(9);
    let ahead = bob.now.plus(CLOCK_SKEW + Duration::from_secs(1));
    let changes = bob.device.replace_prekeys(ahead, &mut rng);
    bob.save(changes);
    let before = bob.stored();
    assert_eq!(bob.device.begin_heal(bob.now, &mut rng).unwrap_err(), DeviceError::Clock);
    assert_eq!(bob.stored(), before);
    bob.now = ahead;
    bob.begin_heal(&mut keys);
}

/// (R102) The pin's time is not from the future, and above that of the pin before.
#[test]
fn rules_of_a_heal() {
    let (mut log, mut keys, [mut alice, mut bob, _]) = talking();
    let check = |log: &Log, bob: &Person, time: Timestamp| {
        let heal = Operation::Heal { prekeys: PrekeysHash::from_bytes([1; 32]), time };
        log.public().outcome(&bob.device.id(), &[heal], bob.now).map(drop)
    };
    let latest = bob.now.plus(CLOCK_SKEW);
    assert_eq!(check(&log, &bob, latest), Ok(()));
    assert_eq!(check(&log, &bob, Timestamp(latest.0 + 1)), Err(CommitError::Heal));
    bob.heal(&mut log, &mut keys);
    let pinned = bob.device.prekeys().unwrap().body().time;
    assert_eq!(check(&log, &bob, pinned), Err(CommitError::Heal));
    assert_eq!(check(&log, &bob, Timestamp(pinned.0 - 1)), Err(CommitError::Heal));
    assert_eq!(check(&log, &bob, Timestamp(pinned.0 + 1)), Ok(()));
    // Everybody refuses it, and is as before.
    alice.catch_up(&log);
    let heal = Operation::Heal { prekeys: PrekeysHash::from_bytes([1; 32]), time: pinned };
    let commit = Forger::of(&bob).commit(log.draft(bob.device.id(), vec![heal], bob.now));
    let before = alice.snapshot();
    let refusal = alice.receive(&log.forged(EntryKind::Commit, &commit));
    assert_eq!(refusal, Err(ReceiveError::Commit(CommitError::Heal)));
    assert_eq!(alice.snapshot(), before);
    // One operation on an account: no role beside a heal, no second heal.
    let good = Operation::Heal { prekeys: PrekeysHash::from_bytes([1; 32]), time: Timestamp(pinned.0 + 1) };
    let twice = log.public().outcome(&bob.device.id(), &[good.clone(), good], bob.now).unwrap_err();
    assert_eq!(twice, CommitError::Operations);
}

/// (R107) Certificates from before a heal are void, also for who holds the old signing key and the device's own.
#[test]
fn old_certificates_are_void() {
    let (mut log, mut keys, [mut alice, mut bob, mut carol]) = talking();
    let (thief, head, old_epoch) = (Forger::of(&bob), log.public().head(), log.epoch());
    bob.heal(&mut log, &mut keys);
    alice.catch_up(&log);
    let certificate = |start_epoch, head| CertificateBody {
        group: log.id(),
        device: bob_id(&log, 1),
        generation: Generation(9),
        time: support::START,
        start_epoch,
        head,
        signing_key: SenderPublicKey::from_bytes([4; 32]),
        commitment: Commitment::from_bytes([5; 32]),
        first_link: false,
    };
    let (old, new) = (certificate(old_epoch, head), certificate(log.epoch(), log.public().head()));
    let receive = |alice: &Person, certificate| {
        let mut alice = alice.copy();
        let before = alice.snapshot();
        let distribution = thief.distribution(certificate, log.epoch());
        let received = alice.receive(&log.forged(EntryKind::Distribution, &distribution));
        if received.is_err() {
            assert_eq!(alice.snapshot(), before);
        }
        received
    };
    assert_eq!(receive(&alice, old), Err(ReceiveError::Certificate(CertificateError::StartEpoch)));
    assert!(matches!(receive(&alice, new.clone()), Ok(Event::SenderKey { readable: false, .. })));
    // Generations go on from those before the heal: the first one is refused.
    let again = CertificateBody { generation: Generation(0), ..new };
    let device = bob.device.id();
    assert_eq!(receive(&alice, again), Err(ReceiveError::Certificate(CertificateError::Conflict { device })));
    // A newcomer is not handed the old one either.
    let dave = Person::new("dave", 4);
    keys.insert(&dave.device.prekeys().unwrap().encode()).unwrap();
    carol.catch_up(&log);
    let mut dave = dave;
    alice.change(&mut log, &keys, vec![dave.add_operation(Role::Member)]);
    dave.join(&log, log.head()).unwrap();
    bob.send(&mut log, &keys, b"under a new certificate");
    dave.catch_up(&log);
    assert_eq!(dave.refused, []);
    assert_eq!(dave.texts(), ["under a new certificate"]);
}

/// (R48) A heal takes effect with the log: one that loses to a removal follows the removal and is made again; one that
/// is given up leaves everything as it was.
#[test]
fn a_heal_that_loses_its_race() {
    let (mut log, mut keys, [mut alice, mut bob, carol]) = talking();
    bob.begin_heal(&mut keys);
    let late = bob.stage_heal(&keys).unwrap();
    alice.change(&mut log, &keys, vec![carol.remove_operation()]);
    assert_eq!(log.commit(&late), Err(support::Rejected::HeadMoved));
    bob.catch_up(&log);
    assert_eq!((bob.group().state(), bob.group().staged()), (GroupState::Active, false));
    let upload = bob.stage_heal(&keys).unwrap();
    bob.restart();
    let changes = bob.group().abandon_staged_commit();
    bob.save(changes);
    alice.send(&mut log, &keys, b"meanwhile");
    bob.send(&mut log, &keys, b"not yet healed");
    drop(upload);
    let upload = bob.stage_heal(&keys).unwrap();
    log.commit(&upload).unwrap();
    for person in [&mut alice, &mut bob] {
        person.catch_up(&log);
        assert_eq!((person.group().state(), &person.refused), (GroupState::Active, &vec![]));
    }
    assert_eq!(alice.texts().last().unwrap(), "not yet healed");
}

/// (R46) (R48) Who holds the device's key can heal in its name. The device notices, and has no secret of the new epoch.
#[test]
fn a_heal_by_a_copy() {
    let (mut log, mut keys, [_, mut bob, _]) = talking();
    let mut copy = bob.copy();
    copy.heal(&mut log, &mut keys);
    bob.catch_up(&log);
    assert!(matches!(
        bob.events.last().unwrap(),
        Event::EpochChanged { origin: Origin::NotOurs, state: GroupState::NeedWelcome, .. }
    ));
    assert_eq!(bob.group().epoch(), Epoch(2));
}

/// (R38) A device whose prekeys cannot be had does not block a heal; it needs a welcome.
#[test]
fn unreachable_at_a_heal() {
    let (mut log, _, [mut alice, mut bob, mut carol]) = talking();
    let mut only_alice = support::book(&[&alice]);
    bob.begin_heal(&mut only_alice);
    let upload = bob.stage_heal(&only_alice).unwrap();
    assert_eq!(upload.deliveries.len(), 1, "the chain to Carol is of no use");
    log.commit(&upload).unwrap();
    for person in [&mut alice, &mut bob, &mut carol] {
        person.catch_up(&log);
    }
    assert_eq!(alice.group().state(), GroupState::Active);
    assert_eq!(carol.group().state(), GroupState::NeedWelcome);
}
