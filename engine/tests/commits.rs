//! Commits that must be refused, whoever shows them: one case for each rule.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::ReceiveError;
use conclave_engine::wire::authority::AuthorityError;
use conclave_engine::wire::commit::{CommitBody, Operation, UnverifiedCommit};
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::{
    AccountId, CommitHash, Commitment, DeviceId, DeviceKey, Epoch, GroupId, ManifestVersion, Opaque,
    RosterHash, Seq, Timestamp,
};
use conclave_engine::wire::limits::{CLOCK_SKEW, MAX_MANIFEST_AGE, MAX_OPERATIONS};
use conclave_engine::wire::manifest::{Manifest, ManifestBody, ManifestError};
use conclave_engine::wire::membership::Membership;
use conclave_engine::wire::public_group::{CommitError, PublicGroup};
use conclave_engine::wire::roster::Role;
use std::time::Duration;
use support::{Forger, Log, Person, START, flip, gather};

/// Alice owns the group, Bob is an admin, Carol a member, Dave outside.
struct Case {
    log: Log,
    alice: Person,
    bob: Person,
    carol: Person,
    dave: Person,
    keys: conclave_engine::PrekeyBook,
}

impl Case {
    fn new() -> Self {
        let mut alice = Person::new("alice", 1);
        let (mut bob, mut carol) = (Person::new("bob", 2), Person::new("carol", 3));
        let dave = Person::new("dave", 4);
        let (log, keys) = gather(&mut [&mut alice, &mut bob, &mut carol], &[Role::Admin, Role::Member]);
        Self { log, alice, bob, carol, dave, keys }
    }

    fn body(&self, author: &Person, operations: Vec<Operation>) -> CommitBody {
        self.log.draft(author.device.id(), operations, START)
    }

    /// A valid commit of Alice's, to be spoilt.
    fn good(&self) -> CommitBody {
        let carol = self.carol.device.account();
        self.body(&self.alice, vec![Operation::SetRole { account: carol, role: Role::Admin }])
    }

    /// Alice signs the good commit after one change.
    fn spoilt(&mut self, change: impl FnOnce(&mut CommitBody)) -> CommitError {
        let mut body = self.good();
        change(&mut body);
        let commit = Forger::of(&self.alice).commit(body);
        self.refusal(&commit)
    }

    /// Somebody signs a commit of these operations.
    fn of(&mut self, author: fn(&Self) -> &Person, operations: Vec<Operation>) -> CommitError {
        let body = self.body(author(self), operations);
        let commit = Forger::of(author(self)).commit(body);
        self.refusal(&commit)
    }

    /// Everybody refuses it for one reason, and is after it as before.
    fn refusal(&mut self, commit: &[u8]) -> CommitError {
        let expected = self.log.public().check(UnverifiedCommit::decode(commit).unwrap()).unwrap_err();
        let entry = self.log.forged(EntryKind::Commit, commit);
        for person in [&mut self.alice, &mut self.bob, &mut self.carol] {
            let before = person.snapshot();
            assert_eq!(
                person.receive(&entry),
                Err(ReceiveError::Commit(expected.clone())),
                "{}",
                person.name
            );
            assert_eq!(person.snapshot(), before, "{}", person.name);
        }
        expected
    }

    /// After all refusals the group goes on.
    fn goes_on(mut self) {
        self.alice.send(&mut self.log, &self.keys, b"still here");
        for person in [&mut self.bob, &mut self.carol] {
            person.catch_up(&self.log);
            assert_eq!((person.texts(), &person.refused), (vec!["still here".to_owned()], &vec![]));
        }
        let add = vec![self.dave.add_operation(Role::Member)];
        self.bob.change(&mut self.log, &self.keys, add);
        assert_eq!(self.bob.group().epoch(), Epoch(2));
    }
}

#[test]
fn the_commit_that_the_others_spoil_is_good() {
    let case = Case::new();
    let commit = Forger::of(&case.alice).commit(case.good());
    assert!(case.log.public().check(UnverifiedCommit::decode(&commit).unwrap()).is_ok());
}

/// (R31) A commit follows the head, by a device of the group that signed it.
#[test]
fn position_author_and_signature() {
    let mut case = Case::new();
    assert_eq!(case.spoilt(|body| body.group = GroupId::from_bytes([1; 32])), CommitError::Group);
    for found in [0, 1, 3].map(Epoch) {
        assert_eq!(case.spoilt(|body| body.epoch = found), CommitError::Epoch { expected: 2, found });
    }
    assert_eq!(case.spoilt(|body| body.previous = CommitHash::from_bytes([1; 32])), CommitError::Previous);
    let (dave, bob) = (case.dave.device.id(), case.bob.device.id());
    assert_eq!(case.spoilt(|body| body.author = dave), CommitError::Author);
    assert_eq!(case.spoilt(|body| body.author = bob), CommitError::Signature, "Alice signs for Bob");
    let by_dave = Forger::of(&case.dave).commit(case.body(&case.dave, case.good().operations));
    assert_eq!(case.refusal(&by_dave), CommitError::Author);
    let commit = Forger::of(&case.alice).commit(case.good());
    assert_eq!(case.refusal(&flip(&commit, commit.len() - 1)), CommitError::Signature);
    // The confirmation is signed too: it stands before the signature.
    assert_eq!(case.refusal(&flip(&commit, commit.len() - 70)), CommitError::Signature);
    case.goes_on();
}

/// (R32) The author's role before the commit decides.
#[test]
fn authority() {
    let mut case = Case::new();
    let (alice, bob, carol) =
        (case.alice.remove_operation(), case.bob.remove_operation(), case.carol.remove_operation());
    let add = |role| vec![case.dave.add_operation(role)];
    let (member, admin, owner) = (add(Role::Member), add(Role::Admin), add(Role::Owner));
    let set = vec![Operation::SetRole { account: case.carol.device.account(), role: Role::Member }];
    let not_admin = CommitError::Authority(AuthorityError::NotAdmin);
    assert_eq!(case.of(|c| &c.carol, member.clone()), not_admin, "a member adds nobody");
    assert_eq!(case.of(|c| &c.carol, vec![bob]), not_admin, "a member removes nobody");
    assert_eq!(case.of(|c| &c.bob, admin), CommitError::Authority(AuthorityError::Grant(Role::Admin)));
    assert_eq!(case.of(|c| &c.bob, owner), CommitError::Authority(AuthorityError::Grant(Role::Owner)));
    assert_eq!(case.of(|c| &c.bob, vec![alice]), CommitError::Authority(AuthorityError::RemoveOwner));
    assert_eq!(case.of(|c| &c.bob, set.clone()), CommitError::Authority(AuthorityError::SetRole));
    assert_eq!(case.of(|c| &c.carol, set), CommitError::Authority(AuthorityError::SetRole));
    // One forbidden operation among allowed ones spoils all.
    let grant = Operation::SetRole { account: case.bob.device.account(), role: Role::Owner };
    let mixed = [member, vec![carol, grant]].concat();
    assert_eq!(case.of(|c| &c.bob, mixed), CommitError::Authority(AuthorityError::SetRole));
    case.goes_on();
}

/// (R33) Nobody removes themselves; (R34) an owner remains.
#[test]
fn self_removal_and_last_owner() {
    let mut case = Case::new();
    let (alice, bob, carol) =
        (case.alice.remove_operation(), case.bob.remove_operation(), case.carol.remove_operation());
    assert_eq!(case.of(|c| &c.alice, vec![alice]), CommitError::SelfRemoval);
    assert_eq!(case.of(|c| &c.bob, vec![bob]), CommitError::SelfRemoval);
    assert_eq!(case.of(|c| &c.carol, vec![carol]), CommitError::SelfRemoval);
    let set = |role| Operation::SetRole { account: case.alice.device.account(), role };
    let (down, further) = (set(Role::Admin), set(Role::Member));
    assert_eq!(case.of(|c| &c.alice, vec![down.clone()]), CommitError::LastOwner);
    assert_eq!(case.of(|c| &c.alice, vec![further]), CommitError::LastOwner);
    // With another owner in the same commit she may.
    let up = Operation::SetRole { account: case.bob.device.account(), role: Role::Owner };
    let commit = Forger::of(&case.alice).commit(case.body(&case.alice, vec![down, up]));
    assert!(case.log.public().check(UnverifiedCommit::decode(&commit).unwrap()).is_ok());
    case.goes_on();
}

/// (R35) 1 to 1,000 operations, each for another account.
#[test]
fn number_of_operations() {
    let mut case = Case::new();
    let carol = case.carol.device.account();
    let set = |role| Operation::SetRole { account: carol, role };
    let remove = case.carol.remove_operation();
    let add = case.carol.add_operation(Role::Member);
    assert_eq!(case.of(|c| &c.alice, vec![]), CommitError::Operations);
    assert_eq!(case.of(|c| &c.alice, vec![set(Role::Admin), set(Role::Owner)]), CommitError::Operations);
    assert_eq!(case.of(|c| &c.alice, vec![set(Role::Admin), remove.clone()]), CommitError::Operations);
    assert_eq!(case.of(|c| &c.alice, vec![remove, add]), CommitError::Operations, "re-added at once");
    let strangers = |count: usize| -> Vec<_> {
        let account = |i: usize| {
            AccountId::from_bytes([&[7; 24], &(i as u64).to_be_bytes()[..]].concat().try_into().unwrap())
        };
        (0..count).map(|i| Operation::Remove { account: account(i) }).collect()
    };
    assert_eq!(case.of(|c| &c.alice, strangers(MAX_OPERATIONS + 1)), CommitError::Operations);
    assert_eq!(case.of(|c| &c.alice, strangers(MAX_OPERATIONS)), CommitError::NotMember);
    case.goes_on();
}

/// A manifest that the test wrote.
fn manifest(account: &Forger, devices: &[&Forger], time: Timestamp) -> Operation {
    let key = |forger: &&Forger| DeviceKey::from_bytes(forger.device.verifying_key().to_bytes());
    let body = ManifestBody {
        account: AccountId::from_bytes(account.account.verifying_key().to_bytes()),
        version: ManifestVersion(0),
        time,
        previous: None,
        devices: devices.iter().map(key).collect(),
    };
    let members: Vec<_> = devices.iter().map(|f| Membership::sign(body.account, &f.device)).collect();
    let manifest = Manifest::sign(&body, &account.account, &members).unwrap();
    Operation::Add { role: Role::Member, manifest: Opaque(manifest.encoded().to_vec()) }
}

/// (R36) An added account has a valid, fresh manifest and is new; a removed or changed one is in the group.
#[test]
fn added_and_changed_accounts() {
    let mut case = Case::new();
    let (alice, bob, dave) = (Forger::of(&case.alice), Forger::of(&case.bob), Forger::of(&case.dave));
    let before = |span: Duration| Timestamp(START.0 - u64::try_from(span.as_millis()).unwrap());
    let beyond = Duration::from_millis(1);
    let add = |time| vec![manifest(&dave, &[&dave], time)];
    let (oldest, newest) = (before(MAX_MANIFEST_AGE + CLOCK_SKEW), START.plus(CLOCK_SKEW));
    for time in [oldest, newest] {
        let commit = alice.commit(case.body(&case.alice, add(time)));
        assert!(case.log.public().check(UnverifiedCommit::decode(&commit).unwrap()).is_ok());
    }
    let stale = before(MAX_MANIFEST_AGE + CLOCK_SKEW + beyond);
    assert_eq!(case.of(|c| &c.alice, add(stale)), CommitError::ManifestAge);
    assert_eq!(case.of(|c| &c.alice, add(newest.plus(beyond))), CommitError::ManifestAge);

    let again = vec![case.bob.add_operation(Role::Member)];
    assert_eq!(case.of(|c| &c.alice, again), CommitError::AlreadyMember);
    let claims_bobs_device = vec![manifest(&dave, &[&dave, &bob], START)];
    assert_eq!(case.of(|c| &c.alice, claims_bobs_device.clone()), CommitError::AlreadyMember);
    let even_if_bob_leaves = [vec![case.bob.remove_operation()], claims_bobs_device].concat();
    assert_eq!(case.of(|c| &c.alice, even_if_bob_leaves), CommitError::AlreadyMember);
    let erin = Forger { account: bob.device.duplicate(), device: dave.device.duplicate() };
    let one_device_of_two = vec![manifest(&dave, &[&dave], START), manifest(&erin, &[&erin], START)];
    assert_eq!(case.of(|c| &c.alice, one_device_of_two), CommitError::AlreadyMember);

    let Operation::Add { role, manifest: good } = case.dave.add_operation(Role::Member) else {
        unreachable!()
    };
    let forged = Operation::Add { role, manifest: Opaque(flip(&good.0, good.0.len() - 1)) };
    let refusal = CommitError::Manifest(ManifestError::DeviceSignature);
    assert_eq!(case.of(|c| &c.alice, vec![forged]), refusal);
    let account = case.dave.device.account();
    assert_eq!(case.of(|c| &c.alice, vec![Operation::Remove { account }]), CommitError::NotMember);
    let set = vec![Operation::SetRole { account, role: Role::Admin }];
    assert_eq!(case.of(|c| &c.alice, set), CommitError::NotMember);
    case.goes_on();
}

/// (R37) A secret exactly if the commit removes.
#[test]
fn secrets() {
    let mut case = Case::new();
    let superfluous = Some(Commitment::from_bytes([1; 32]));
    assert_eq!(case.spoilt(|body| body.commitment = superfluous), CommitError::Secret);
    let mut missing = case.body(&case.alice, vec![case.carol.remove_operation()]);
    missing.commitment = None;
    assert_eq!(case.refusal(&Forger::of(&case.alice).commit(missing)), CommitError::Secret);
    case.goes_on();
}

/// (R38) The unreachable are sorted, and among those to whom the commit sends something.
#[test]
fn unreachable_devices() {
    let mut case = Case::new();
    let [alice, bob, carol, dave] =
        [&case.alice, &case.bob, &case.carol, &case.dave].map(|person| person.device.id());
    let mut sorted = [bob, dave];
    sorted.sort_unstable();
    let forger = Forger::of(&case.alice);
    // Bob gets a secret, Dave a welcome, Carol is removed, Alice is the author.
    let operations = vec![case.carol.remove_operation(), case.dave.add_operation(Role::Member)];
    let commit = |case: &Case, unreachable: &[DeviceId]| {
        let body = case.body(&case.alice, operations.clone());
        forger.commit(CommitBody { unreachable: unreachable.to_vec(), ..body })
    };
    let good = UnverifiedCommit::decode(&commit(&case, &sorted)).unwrap();
    assert!(case.log.public().check(good).is_ok());
    sorted.reverse();
    for bad in [&sorted[..], &[bob, bob], &[carol], &[alice], &[DeviceId::from_bytes([1; 32])]] {
        let commit = commit(&case, bad);
        assert_eq!(case.refusal(&commit), CommitError::Unreachable, "{bad:?}");
    }
    // Without a secret nobody but newcomers gets anything.
    assert_eq!(case.spoilt(|body| body.unreachable = vec![bob]), CommitError::Unreachable);
    case.goes_on();
}

/// (R39) The roster is the one that results.
#[test]
fn roster() {
    let mut case = Case::new();
    let unchanged = case.log.roster().hash();
    assert_eq!(case.spoilt(|body| body.roster = unchanged), CommitError::Roster);
    assert_eq!(case.spoilt(|body| body.roster = RosterHash::from_bytes([0; 32])), CommitError::Roster);
    case.goes_on();
}

/// (R30) A genesis adds its author alone, as owner, with a secret, on top of nothing; its hash is the group.
#[test]
fn genesis() {
    let mut alice = Person::new("alice", 1);
    let bob = Person::new("bob", 2);
    let (log, forger) = (alice.found(), Forger::of(&alice));
    let genesis = log.commits(log.head()).next().unwrap();
    let refusal = |commit: &[u8]| {
        PublicGroup::from_genesis(UnverifiedCommit::decode(commit).unwrap()).map(drop).unwrap_err()
    };
    let (group, _) = PublicGroup::from_genesis(UnverifiedCommit::decode(genesis).unwrap()).unwrap();
    assert_eq!(group.id(), GroupId::from(UnverifiedCommit::decode(genesis).unwrap().hash()));
    let spoils: [fn(&mut CommitBody); 6] = [
        |body| body.epoch = Epoch(1),
        |body| body.previous = CommitHash::from_bytes([1; 32]),
        |body| body.last_distribution = Seq(1),
        |body| body.commitment = None,
        |body| body.operations.clear(),
        |body| body.author = DeviceId::from_bytes([1; 32]),
    ];
    for spoil in spoils {
        assert_eq!(refusal(&forger.change(genesis, spoil)), CommitError::Genesis);
    }
    let operations = |operations: Vec<Operation>| forger.change(genesis, |body| body.operations = operations);
    let two = operations(vec![alice.add_operation(Role::Owner), bob.add_operation(Role::Member)]);
    assert_eq!(refusal(&two), CommitError::Genesis);
    assert_eq!(refusal(&operations(vec![alice.add_operation(Role::Admin)])), CommitError::Genesis);
    assert_eq!(refusal(&operations(vec![bob.add_operation(Role::Owner)])), CommitError::Genesis);
    let roster = forger.change(genesis, |body| body.roster = RosterHash::from_bytes([1; 32]));
    assert_eq!(refusal(&roster), CommitError::Roster);
    let unreachable = forger.change(genesis, |body| body.unreachable = vec![body.author]);
    assert_eq!(refusal(&unreachable), CommitError::Unreachable);
    assert_eq!(refusal(&flip(genesis, genesis.len() - 1)), CommitError::Signature);
    // A second genesis is no commit of the group.
    let entry = log.forged(EntryKind::Commit, &forger.change(genesis, |body| body.time.0 += 1));
    alice.catch_up(&log);
    assert_eq!(alice.receive(&entry), Err(ReceiveError::Commit(CommitError::Group)));
}
