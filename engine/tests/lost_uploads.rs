//! Uploads that lose a race or are never sent. What opened a pairwise chain in them reached nobody, so nothing may
//! continue that chain: the next try must be readable by everybody
//! (R58).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::roster::Role;
use conclave_engine::{Event, GroupState, PrekeyBook};
use support::{Log, Person, Rejected, gather};

struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    carol: Person,
    dave: Person,
}

impl Case {
    /// Alice and Bob own a group with Carol; nobody has sent anything to anybody.
    fn new() -> Self {
        let [mut alice, mut bob] = [Person::new("alice", 1), Person::new("bob", 2)];
        let [mut carol, dave] = [Person::new("carol", 3), Person::new("dave", 4)];
        let people = &mut [&mut alice, &mut bob, &mut carol];
        let (log, mut keys) = gather(people, &[Role::Owner, Role::Member]);
        keys.insert(&dave.device.prekeys().unwrap().encode()).unwrap();
        Self { log, keys, alice, bob, carol, dave }
    }

    fn add_dave(&mut self) {
        let add = vec![self.dave.add_operation(Role::Member)];
        self.alice.change(&mut self.log, &self.keys, add);
        self.dave.join(&self.log, self.log.head()).unwrap();
    }

    /// Everybody is up to date and reads what Bob writes.
    fn all_read_bob(mut self) {
        self.bob.send(&mut self.log, &self.keys, b"does it arrive?");
        for person in [&mut self.alice, &mut self.carol] {
            person.catch_up(&self.log);
            assert_eq!(person.refused, [], "{}", person.name);
            assert_eq!(person.group().state(), GroupState::Active, "{}", person.name);
            assert_eq!(person.texts(), ["does it arrive?"], "{}", person.name);
        }
    }
}

#[test]
fn a_distribution_that_came_too_late_is_made_again() {
    let mut case = Case::new();
    let early = case.bob.stage_key(&case.keys);
    case.add_dave();
    assert_eq!(case.log.distribute(&case.bob.device.id(), &early), Err(Rejected::EpochStale));
    case.all_read_bob();
}

#[test]
fn a_distribution_that_was_never_sent_is_made_again() {
    let mut case = Case::new();
    case.bob.stage_key(&case.keys);
    case.bob.restart();
    case.all_read_bob();
}

#[test]
fn a_removal_that_lost_its_race_is_made_again() {
    let mut case = Case::new();
    case.add_dave();
    case.bob.catch_up(&case.log);
    let remove = vec![case.dave.remove_operation()];
    let lost = case.bob.stage(remove.clone(), &case.keys).unwrap();
    let erin = Person::new("erin", 5);
    case.alice.change(&mut case.log, &case.keys, vec![erin.add_operation(Role::Member)]);
    assert_eq!(case.log.commit(&lost), Err(Rejected::HeadMoved));
    case.bob.change(&mut case.log, &case.keys, remove);
    case.carol.catch_up(&case.log);
    assert!(matches!(case.carol.events.last(), Some(Event::EpochChanged { state: GroupState::Active, .. })));
    case.all_read_bob();
}

#[test]
fn a_welcome_that_lost_its_race_is_made_again() {
    let mut case = Case::new();
    case.bob.catch_up(&case.log);
    let add = vec![case.dave.add_operation(Role::Member)];
    let lost = case.bob.stage(add.clone(), &case.keys).unwrap();
    let erin = Person::new("erin", 5);
    case.alice.change(&mut case.log, &case.keys, vec![erin.add_operation(Role::Member)]);
    assert_eq!(case.log.commit(&lost), Err(Rejected::HeadMoved));
    case.bob.change(&mut case.log, &case.keys, add);
    case.dave.join(&case.log, case.log.head()).unwrap();
    case.all_read_bob();
}

/// Once the log has shown the envelope that opens it, the chain is used: 40 bytes instead of more than a thousand.
#[test]
fn a_chain_is_continued_once_the_log_has_shown_its_beginning() {
    let mut case = Case::new();
    let sizes = |upload: &conclave_engine::DistributionUpload| -> Vec<usize> {
        upload.deliveries.iter().map(|delivery| delivery.0.len()).collect()
    };
    let first = case.bob.stage_key(&case.keys);
    let second = case.bob.stage_key(&case.keys);
    assert!(sizes(&second).iter().all(|size| *size > 1000));
    assert_ne!(first.deliveries, second.deliveries);
    case.log.distribute(&case.bob.device.id(), &second).unwrap();
    case.bob.catch_up(&case.log);
    case.bob.restart();
    let third = case.bob.stage_key(&case.keys);
    assert_eq!(sizes(&third), [40, 40]);
    case.all_read_bob();
}
