//! Newcomers: the walk from the genesis, and the welcome at its end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::codec::DecodeError;
use conclave_engine::wire::entry::Entry;
use conclave_engine::wire::ids::{Epoch, GroupId, Opaque};
use conclave_engine::wire::public_group::CommitError;
use conclave_engine::wire::roster::Role;
use conclave_engine::{GroupState, JoinError, Joined, Newcomer, OpenError, PrekeyBook};
use support::{Forger, Log, Person, book, flip, gather};

/// Alice's group with Bob and Carol; Dave has just been added and has not joined.
struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    dave: Person,
}

impl Case {
    fn new() -> Self {
        let [mut alice, mut bob] = [Person::new("alice", 1), Person::new("bob", 2)];
        let [mut carol, dave] = [Person::new("carol", 3), Person::new("dave", 4)];
        let (mut log, _) = gather(&mut [&mut alice, &mut bob, &mut carol], &[Role::Member; 2]);
        let keys = book(&[&alice, &bob, &carol, &dave]);
        alice.send(&mut log, &keys, b"before dave");
        bob.send(&mut log, &keys, b"before dave");
        alice.change(&mut log, &keys, vec![carol.remove_operation()]);
        alice.change(&mut log, &keys, vec![dave.add_operation(Role::Member)]);
        bob.catch_up(&log);
        Self { log, keys, alice, bob, dave }
    }

    fn commits(&self) -> Vec<Vec<u8>> {
        self.log.commits(self.log.head()).map(<[u8]>::to_vec).collect()
    }

    fn entry(&self) -> Entry {
        self.log.entry(self.log.head(), &self.dave.device.id())
    }

    fn walk(&self, commits: &[Vec<u8>]) -> Result<Newcomer, JoinError> {
        let mut walk = Newcomer::new(self.log.id());
        commits.iter().try_for_each(|commit| walk.commit(commit))?;
        Ok(walk)
    }

    /// Dave walks these commits and opens this entry; refused, his device is as before.
    fn open(&mut self, commits: &[Vec<u8>], entry: &Entry) -> Result<Joined, JoinError> {
        let (walk, now) = (self.walk(commits)?, self.dave.now);
        walk.open(&mut self.dave.device, entry, now)
    }

    fn refusal(&mut self, change: impl FnOnce(&mut Entry)) -> JoinError {
        let mut entry = self.entry();
        change(&mut entry);
        self.open(&self.commits(), &entry).map(drop).unwrap_err()
    }

    /// After all that, the good welcome still opens.
    fn joins(mut self) {
        let joined = self.open(&self.commits(), &self.entry()).map_err(|error| error.to_string());
        let joined = joined.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((joined.group.state(), joined.by), (GroupState::Active, self.alice.device.account()));
        assert_eq!(joined.group.roster().hash(), self.log.roster().hash());
    }
}

/// (R70) Every commit from the genesis on is checked, and none may be missing.
#[test]
fn the_walk() {
    let case = Case::new();
    let commits = case.commits();
    let refusal = |commits: &[Vec<u8>]| case.walk(commits).map(drop).unwrap_err();
    assert!(case.walk(&commits).is_ok());
    for at in 0..commits.len() {
        let mut forged = commits.clone();
        forged[at] = flip(&commits[at], commits[at].len() - 1);
        assert_eq!(refusal(&forged), JoinError::Commit(CommitError::Signature), "commit {at}");
        let mut trailing = commits.clone();
        trailing[at].push(0);
        assert!(matches!(refusal(&trailing), JoinError::Decode(DecodeError::Trailing { .. })));
    }
    for at in 1..commits.len() - 1 {
        let mut omitted = commits.clone();
        omitted.remove(at);
        assert!(matches!(refusal(&omitted), JoinError::Commit(CommitError::Epoch { .. })), "without {at}");
        let mut swapped = commits.clone();
        swapped.swap(at, at + 1);
        assert!(matches!(refusal(&swapped), JoinError::Commit(CommitError::Epoch { .. })));
    }
    assert_eq!(refusal(&commits[1..]), JoinError::Genesis);
    let repeated = [&commits[..2], &commits[1..]].concat();
    assert!(matches!(refusal(&repeated), JoinError::Commit(CommitError::Epoch { .. })));
    // A commit that its author did not make on this history.
    let mut replaced = commits.clone();
    replaced[2] = Forger::of(&case.alice).change(&commits[2], |body| body.time.0 += 1);
    assert_eq!(refusal(&replaced), JoinError::Commit(CommitError::Previous));
    // A refused commit leaves the walk where it stood.
    let mut walk = case.walk(&commits[..2]).ok().unwrap();
    assert!(walk.commit(&commits[3]).is_err());
    assert_eq!(walk.next_epoch(), Epoch(2));
    assert!(commits[2..].iter().all(|commit| walk.commit(commit).is_ok()));
    case.joins();
}

#[test]
fn the_history_of_another_group() {
    let mut case = Case::new();
    let mut mallory = Person::new("mallory", 9);
    let other = mallory.found();
    let genesis = other.commits(other.head()).next().unwrap().to_vec();
    assert_eq!(case.walk(&[genesis]).map(drop), Err(JoinError::Genesis));
    assert_eq!(case.refusal(|entry| entry.group = other.id()), JoinError::NotHead);
    case.joins();
}

/// (R70) The welcome belongs to the last commit walked, and to this device.
#[test]
fn the_welcome() {
    let mut case = Case::new();
    assert_eq!(case.refusal(|entry| entry.delivery = None), JoinError::Welcome(OpenError::Missing));
    let empty = Some(Opaque::default());
    assert_eq!(case.refusal(|entry| entry.delivery = empty), JoinError::Welcome(OpenError::Missing));
    let welcome = case.entry().delivery.unwrap().0;
    for at in (0..welcome.len()).step_by(7) {
        let spoilt = Some(Opaque(flip(&welcome, at)));
        let error = case.refusal(|entry| entry.delivery = spoilt);
        assert!(matches!(error, JoinError::Welcome(_)), "byte {at}: {error:?}");
    }
    let earlier = case.commits()[2].clone();
    assert_eq!(case.refusal(|entry| entry.body = Opaque(earlier)), JoinError::NotHead);
    let entry = case.entry();
    assert_eq!(case.open(&[], &entry).map(drop), Err(JoinError::NotHead));
    let before = case.commits()[..3].to_vec();
    assert_eq!(case.open(&before, &entry).map(drop), Err(JoinError::NotHead));
    // Erin was not added, whatever is delivered to her.
    let mut erin = Person::new("erin", 5);
    let walk = case.walk(&case.commits()).ok().unwrap();
    let now = erin.now;
    assert_eq!(walk.open(&mut erin.device, &entry, now).map(drop), Err(JoinError::NotAdded));
    case.joins();
}

/// A welcome into one commit is worth nothing at another that adds the same device.
#[test]
fn the_welcome_of_a_fork() {
    let mut case = Case::new();
    let add = vec![case.dave.add_operation(Role::Member)];
    case.dave.join(&case.log, case.log.head()).unwrap();
    case.alice.change(&mut case.log, &case.keys, vec![case.dave.remove_operation()]);
    let one = case.alice.stage(add.clone(), &case.keys).unwrap();
    let changes = case.alice.group().abandon_staged_commit();
    case.alice.save(changes);
    case.alice.now.0 += 1;
    case.alice.change(&mut case.log, &case.keys, add);
    let of_the_other = Some(one.welcomes[0].welcome.clone());
    assert_eq!(case.refusal(|entry| entry.delivery = of_the_other), JoinError::NotHead);
}

#[test]
fn a_device_that_could_not_be_reached() {
    let mut case = Case::new();
    let nobody = PrekeyBook::default();
    let mut erin = Person::new("erin", 5);
    let upload = case.alice.stage(vec![erin.add_operation(Role::Member)], &nobody).unwrap();
    assert_eq!(upload.welcomes, []);
    case.log.commit(&upload).unwrap();
    assert_eq!(erin.join(&case.log, case.log.head()), Err(JoinError::Welcome(OpenError::Missing)));
    // She cannot hold up the others.
    case.alice.catch_up(&case.log);
    case.alice.send(&mut case.log, &case.keys, b"go on");
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.texts().last().unwrap(), "go on");
    assert_ne!(case.log.id(), GroupId::from_bytes([0; 32]));
}

/// A leaf that was left is taken by the next who comes, lowest first (R21).
#[test]
fn a_newcomer_takes_the_lowest_blank_leaf() {
    let case = Case::new();
    let leaf = |person: &Person| case.log.roster().index_of(&person.device.id()).unwrap().0;
    assert_eq!([leaf(&case.alice), leaf(&case.bob), leaf(&case.dave)], [0, 1, 2]);
    assert_eq!(case.log.roster().leaf_count(), 3, "Carol's leaf serves again");
}

/// Dave never came while he was in the group, so he has none of the pairwise chains that the others opened to him then.
/// Added again, he is met as somebody new.
#[test]
fn who_comes_back_without_having_read_anything() {
    let mut case = Case::new();
    for person in [&mut case.alice, &mut case.bob] {
        person.send(&mut case.log, &case.keys, b"dave is offline");
    }
    let upload = case.bob.stage_key(&case.keys);
    case.log.distribute(&case.bob.device.id(), &upload).unwrap();
    case.alice.change(&mut case.log, &case.keys, vec![case.dave.remove_operation()]);
    case.alice.change(&mut case.log, &case.keys, vec![case.dave.add_operation(Role::Member)]);
    case.dave.join(&case.log, case.log.head()).unwrap();
    for person in [&mut case.alice, &mut case.bob] {
        let upload = {
            person.catch_up(&case.log);
            person.stage_key(&case.keys)
        };
        case.log.distribute(&person.device.id(), &upload).unwrap();
        person.send(&mut case.log, &case.keys, b"welcome back");
    }
    case.dave.catch_up(&case.log);
    assert_eq!(case.dave.refused, []);
    assert_eq!(case.dave.texts(), ["welcome back"; 2]);
}
