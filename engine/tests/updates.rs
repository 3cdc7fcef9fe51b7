//! Updates of an account's devices: linking and revoking, committed by anybody.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::{LeafIndex, Opaque, Timestamp};
use conclave_engine::wire::limits::{CLOCK_SKEW, MAX_MANIFEST_AGE, MAX_MANIFEST_CHAIN};
use conclave_engine::wire::manifest::{Manifest, ManifestError};
use conclave_engine::wire::membership::Membership;
use conclave_engine::wire::public_group::CommitError;
use conclave_engine::wire::roster::Role;
use conclave_engine::wire::signature::SigningKey;
use conclave_engine::wire::update::UpdateError;
use conclave_engine::{Event, GroupState, PrekeyBook, ReceiveError};
use std::time::Duration;
use support::{Forger, Household, Log, Person, flip, gather, sign_manifest, update};

/// Alice owns the group, Bob and Carol are members; Bob has a tablet, which his account does not list yet.
struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    carol: Person,
    tablet: Person,
    household: Household,
}

impl Case {
    fn new() -> Self {
        let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
        let (mut log, mut keys) = {
            let [alice, bob, carol] = &mut people;
            gather(&mut [alice, bob, carol], &[Role::Member; 2])
        };
        for person in &mut people {
            person.send(&mut log, &keys, b"hello");
        }
        people.iter_mut().for_each(|person| person.catch_up(&log));
        let tablet = Person::new("tablet", 4);
        keys.insert(&tablet.device.prekeys().unwrap().encode()).unwrap();
        let [alice, bob, carol] = people;
        let household = Household::of(&bob);
        Self { log, keys, alice, bob, carol, tablet, household }
    }

    /// Bob's manifests, signed by hand: the version after `previous` with these devices.
    fn sign(&self, previous: &Manifest, devices: &[&Person], time: Timestamp) -> Manifest {
        let keys: Vec<SigningKey> = devices.iter().map(|person| Forger::of(person).device).collect();
        sign_manifest(&self.household.account, Some(previous), &keys.iter().collect::<Vec<_>>(), time)
    }

    /// What everybody makes of Alice's commit of this operation; who refuses it is as before.
    fn verdict(&self, operation: Operation) -> Result<(), CommitError> {
        self.verdict_at(operation, self.alice.now)
    }

    fn verdict_at(&self, operation: Operation, time: Timestamp) -> Result<(), CommitError> {
        let body = self.log.draft(self.alice.device.id(), vec![operation], time);
        let commit = Forger::of(&self.alice).commit(body);
        let mut carol = self.carol.copy();
        let before = carol.snapshot();
        match carol.receive(&self.log.forged(EntryKind::Commit, &commit)) {
            Ok(_) => Ok(()),
            Err(ReceiveError::Commit(error)) => {
                assert_eq!(carol.snapshot(), before);
                Err(error)
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// (R101) A member commits that Bob's account has a tablet: Bob's device keeps its place, the tablet joins by a welcome
/// and reads and writes on its own.
#[test]
fn a_second_device_joins() {
    let mut case = Case::new();
    let before = case.log.roster().device(&case.bob.device.id()).map(|(i, leaf)| (i, leaf.since)).unwrap();
    let manifest = case.household.list(&mut [&mut case.bob, &mut case.tablet]);
    case.carol.change(&mut case.log, &case.keys, vec![update(&[&manifest])]);
    let (account, tablet) = (case.bob.device.account(), case.tablet.device.id());
    assert!(matches!(
        case.carol.events.last().unwrap(),
        Event::EpochChanged { added, removed, devices_added, .. }
            if added.is_empty() && removed.is_empty() && *devices_added == [(account, tablet)]
    ));
    case.tablet.join(&case.log, case.log.head()).unwrap();
    let (index, leaf) = case.log.roster().device(&case.bob.device.id()).unwrap();
    assert_eq!((index, leaf.since), before);
    assert_eq!((leaf.manifest, leaf.manifest_version), (manifest.hash(), manifest.body().version));
    let (_, leaf) = case.log.roster().device(&tablet).unwrap();
    assert_eq!((leaf.since, leaf.role, leaf.pinned), (case.log.epoch(), Role::Member, None));

    // Who was there keeps their sender key; the newcomer needs one of its own.
    for person in [&mut case.alice, &mut case.bob, &mut case.carol] {
        person.catch_up(&case.log);
        let now = person.now;
        assert!(!person.group().sender_key_due(now), "{}", person.name);
    }
    let now = case.tablet.now;
    assert!(case.tablet.group().sender_key_due(now));
    case.bob.send(&mut case.log, &case.keys, b"from the phone");
    case.tablet.send(&mut case.log, &case.keys, b"from the tablet");
    for person in [&mut case.alice, &mut case.bob, &mut case.carol] {
        person.catch_up(&case.log);
        assert_eq!(person.refused, []);
        assert_eq!(person.read.last().unwrap().sender.account, account);
        assert_eq!(person.read.last().unwrap().sender.device, tablet);
    }
    assert_eq!(case.tablet.texts(), ["from the phone"]);
}

/// (R101) A revoked device is out at once, in its own eyes too, and its copy reads nothing of what follows. A device
/// that comes in the same update takes its leaf.
#[test]
fn a_revoked_device_is_out() {
    let mut case = Case::new();
    let both = case.household.list(&mut [&mut case.bob, &mut case.tablet]);
    case.alice.change(&mut case.log, &case.keys, vec![update(&[&both])]);
    case.tablet.join(&case.log, case.log.head()).unwrap();
    case.tablet.send(&mut case.log, &case.keys, b"while it could");
    case.bob.catch_up(&case.log);
    let (mut thief, lost) =
        (case.tablet.copy(), case.log.roster().index_of(&case.tablet.device.id()).unwrap());

    let mut laptop = Person::new("laptop", 5);
    case.keys.insert(&laptop.device.prekeys().unwrap().encode()).unwrap();
    let manifest = case.household.list(&mut [&mut case.bob, &mut laptop]);
    case.carol.change(&mut case.log, &case.keys, vec![update(&[&manifest])]);
    laptop.join(&case.log, case.log.head()).unwrap();
    case.tablet.catch_up(&case.log);
    assert_eq!(case.tablet.group().state(), GroupState::Removed);
    assert_eq!(case.log.roster().index_of(&laptop.device.id()), Some(lost));
    case.bob.catch_up(&case.log);
    let account = case.bob.device.account();
    assert!(matches!(
        case.bob.events.last().unwrap(),
        Event::EpochChanged { removed, devices_removed, devices_added, .. }
            if removed.is_empty() && *devices_removed == [(account, case.tablet.device.id())]
                && *devices_added == [(account, laptop.device.id())]
    ));
    case.alice.send(&mut case.log, &case.keys, b"without the tablet");
    laptop.catch_up(&case.log);
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.texts().last().unwrap(), "without the tablet");
    assert_eq!(laptop.texts(), ["without the tablet"]);
    let from = case.log.head();
    let devices: Vec<_> = case.log.roster().devices().map(|(_, leaf)| leaf.device.id()).collect();
    for seq in [from.0 - 2, from.0 - 1, from.0].map(conclave_engine::wire::ids::Seq) {
        for device in &devices {
            let next = thief.group().cursor().next().unwrap();
            let entry = conclave_engine::wire::entry::Entry { seq: next, ..case.log.entry(seq, device) };
            assert!(!matches!(thief.copy().receive(&entry), Ok(Event::Message(_))));
        }
    }
}

/// (R100) Each manifest follows the one before, the first the one that is recorded: old, rolled back, forked, skipped
/// and foreign chains are refused.
#[test]
fn chains_that_are_refused() {
    let mut case = Case::new();
    let (zero, now) = (case.household.manifest.clone(), case.bob.now);
    let one = case.sign(&zero, &[&case.bob, &case.tablet], now);
    let two = case.sign(&one, &[&case.bob], now);
    let three = case.sign(&two, &[&case.bob, &case.tablet], now);
    let other_one = case.sign(&zero, &[&case.bob], now.plus(Duration::from_millis(1)));
    let other_two = case.sign(&other_one, &[&case.bob, &case.tablet], now);
    let refused = |case: &Case, manifests: &[&Manifest]| match case.verdict(update(manifests)) {
        Err(CommitError::Update(error)) => error,
        other => panic!("{other:?}"),
    };
    for good in [&[&one][..], &[&one, &two], &[&one, &two, &three]] {
        assert_eq!(case.verdict(update(good)), Ok(()));
    }
    assert_eq!(refused(&case, &[]), UpdateError::Count);
    assert_eq!(refused(&case, &[&zero]), UpdateError::NotNext, "what is recorded already");
    assert_eq!(refused(&case, &[&two]), UpdateError::NotNext, "one is left out");
    assert_eq!(refused(&case, &[&one, &three]), UpdateError::Broken);
    assert_eq!(refused(&case, &[&one, &other_two]), UpdateError::Broken, "a branch");
    assert_eq!(refused(&case, &[&one, &one]), UpdateError::Broken);
    let carols = Household::of(&case.carol);
    let carol_key = Forger::of(&case.carol).device;
    let foreign = sign_manifest(&carols.account, Some(&carols.manifest), &[&carol_key], now);
    assert_eq!(refused(&case, &[&one, &foreign]), UpdateError::Account);
    let stranger = Household::of(&case.tablet);
    let of_a_stranger =
        sign_manifest(&stranger.account, Some(&stranger.manifest), &[&Forger::of(&case.tablet).device], now);
    assert_eq!(case.verdict(update(&[&of_a_stranger])), Err(CommitError::NotMember));
    let flipped = Opaque(flip(one.encoded(), one.encoded().len() - 1));
    let flipped = case.verdict(Operation::UpdateDevices { manifests: vec![flipped] }).unwrap_err();
    assert!(matches!(flipped, CommitError::Update(UpdateError::Manifest(_))), "{flipped:?}");
    let mut chain = vec![zero.clone()];
    for _ in 0..=MAX_MANIFEST_CHAIN {
        chain.push(case.sign(chain.last().unwrap(), &[&case.bob], now));
    }
    let longest: Vec<&Manifest> = chain[1..=MAX_MANIFEST_CHAIN].iter().collect();
    assert_eq!(case.verdict(update(&longest)), Ok(()));
    assert_eq!(refused(&case, &chain[1..].iter().collect::<Vec<_>>()), UpdateError::Count);

    // Once the group is further on, what led there is old, and a branch from before is none of its chain.
    case.household.manifest = one.clone();
    case.alice.change(&mut case.log, &case.keys, vec![update(&[&one, &two])]);
    case.carol.catch_up(&case.log);
    assert_eq!(refused(&case, &[&one]), UpdateError::NotNext);
    assert_eq!(refused(&case, &[&one, &two]), UpdateError::NotNext);
    assert_eq!(refused(&case, &[&other_one, &other_two]), UpdateError::NotNext);
    assert_eq!(refused(&case, &[&other_two]), UpdateError::NotNext);
    assert_eq!(case.verdict(update(&[&three])), Ok(()));
}

/// (R33) (R35) (R101) What else an update must not do.
#[test]
fn rules_of_an_update() {
    let case = Case::new();
    let (zero, now) = (case.household.manifest.clone(), case.bob.now);
    // Alice's device, in Bob's name, is refused even where she signs.
    let claims_alice = case.sign(&zero, &[&case.bob, &case.alice], now);
    assert_eq!(case.verdict(update(&[&claims_alice])), Err(CommitError::AlreadyMember));
    // The author stays.
    let without_bob = case.sign(&zero, &[&case.tablet], now);
    let outcome = |by: &Person, operations: &[Operation]| {
        case.log.public().outcome(&by.device.id(), operations, now).map(drop)
    };
    assert_eq!(outcome(&case.bob, &[update(&[&without_bob])]), Err(CommitError::AuthorGone));
    assert_eq!(outcome(&case.carol, &[update(&[&without_bob])]), Ok(()));
    // No two operations on one account.
    let with_tablet = case.sign(&zero, &[&case.bob, &case.tablet], now);
    let role = Operation::SetRole { account: case.bob.device.account(), role: Role::Admin };
    let both = outcome(&case.alice, &[update(&[&with_tablet]), role]);
    assert_eq!(both, Err(CommitError::Operations));
    // A device comes once, whoever claims it.
    let erin = Person::new("erin", 7);
    let claims = sign_manifest(
        &Forger::of(&erin).account,
        None,
        &[&Forger::of(&erin).device, &Forger::of(&case.tablet).device],
        now,
    );
    let add = Operation::Add { role: Role::Member, manifest: Opaque(claims.encoded().to_vec()) };
    let twice = outcome(&case.alice, &[update(&[&with_tablet]), add]);
    assert_eq!(twice, Err(CommitError::AlreadyMember));
    // Age counts where a device comes, and only there.
    let old = MAX_MANIFEST_AGE + CLOCK_SKEW;
    let late = now.plus(old);
    assert_eq!(case.verdict_at(update(&[&with_tablet]), late), Ok(()));
    let too_late = Timestamp(late.0 + 1);
    assert_eq!(case.verdict_at(update(&[&with_tablet]), too_late), Err(CommitError::ManifestAge));
    let renewed = case.sign(&zero, &[&case.bob], now);
    assert_eq!(case.verdict_at(update(&[&renewed]), too_late), Ok(()));
    let ahead = case.sign(&zero, &[&case.bob, &case.tablet], Timestamp(now.plus(CLOCK_SKEW).0 + 1));
    assert_eq!(case.verdict(update(&[&ahead])), Err(CommitError::ManifestAge));
    // An account that a single device of many signs for is not this one.
    let bob = Membership::sign(zero.account(), &Forger::of(&case.bob).device);
    let unsigned = Manifest::sign(with_tablet.body(), &case.household.account, &[bob]);
    assert_eq!(unsigned, Err(ManifestError::Devices));
}

/// (R108) A device that knows of other devices than the group records says so; a manifest that was only renewed waits.
#[test]
fn an_update_is_due() {
    let mut case = Case::new();
    let due = |person: &Person| person.group.as_ref().unwrap().update_due(&person.device);
    assert_eq!(due(&case.bob), None);
    let renewed = case.household.list(&mut [&mut case.bob]);
    assert_eq!(due(&case.bob), None, "the same device, signed again");
    case.alice.change(&mut case.log, &case.keys, vec![update(&[&renewed])]);
    case.bob.catch_up(&case.log);
    let with_tablet = case.household.list(&mut [&mut case.bob, &mut case.tablet]);
    let operation = due(&case.bob).unwrap();
    assert_eq!(operation, update(&[&with_tablet]));
    case.bob.change(&mut case.log, &case.keys, vec![operation]);
    assert_eq!(due(&case.bob), None);
    assert_eq!(case.log.roster().leaf(LeafIndex(1)).unwrap().manifest, with_tablet.hash());
}
