//! After every single call of random histories: what is stored holds the live state's secrets, all of them, and none
//! that it no longer has. So does what is left after a crash, which is what one of these calls stored.

use super::GroupState;
use super::state::Group;
use crate::support::{Log, Person, SeedRng, gather};
use crate::{CommitUpload, PrekeyBook};
use conclave_wire::commit::Operation;
use conclave_wire::entry::Entry;
use conclave_wire::ids::Seq;
use conclave_wire::roster::Role;
use rand_core::TryRng;
use std::collections::BTreeSet;

/// Every secret of the group that the live state holds.
pub(crate) fn live(group: &Group) -> BTreeSet<[u8; 32]> {
    let mut secrets: BTreeSet<[u8; 32]> = group.pairwise.secrets().into_iter().collect();
    secrets.extend(group.init.iter().map(|init| *init.as_bytes()));
    secrets.extend(group.staged.iter().filter_map(|staged| Some(*staged.secret.as_ref()?.as_bytes())));
    for key in group.own.active.iter().chain(group.own.staged.iter().map(|(key, _)| key)) {
        secrets.insert(*key.secrets.seed.as_bytes());
        secrets.insert(*key.secrets.chain.key().as_bytes());
        secrets.insert(key.signing.to_bytes());
    }
    for key in group.senders.values().filter_map(|sender| sender.key.as_ref()) {
        secrets.insert(*key.seed.as_bytes());
        secrets.extend(key.chain.secrets());
    }
    secrets
}

/// A person, and every secret that they ever held.
struct Watched {
    person: Person,
    ever: BTreeSet<[u8; 32]>,
}

impl Watched {
    /// After each call.
    fn check(&mut self, after: &str) {
        let Some(group) = &self.person.group else { return };
        let live = live(group);
        // All 32-byte strings; a secret is stored as one.
        let stored: BTreeSet<[u8; 32]> = (self.person.stored().values())
            .flat_map(|value| {
                let strings = value.as_bytes().windows(34).filter(|w| w.starts_with(&[0x58, 32]));
                strings.map(|string| string[2..].try_into().unwrap()).collect::<Vec<_>>()
            })
            .collect();
        let name = self.person.name;
        assert_eq!(live.difference(&stored).count(), 0, "{name} after {after}: a secret is not stored");
        self.ever.extend(&live);
        let dead: BTreeSet<_> = self.ever.difference(&live).copied().collect();
        assert_eq!(
            dead.intersection(&stored).count(),
            0,
            "{name} after {after}: an old secret is still stored"
        );
    }
}

struct Table {
    log: Log,
    keys: PrekeyBook,
    people: Vec<Watched>,
    /// Uploads under way, by whom.
    commits: Vec<Option<CommitUpload>>,
    rng: SeedRng,
    /// How many secrets were found and then gone, in all.
    forgotten: usize,
}

impl Table {
    fn new(seed: u64) -> Self {
        let names = ["alice", "bob", "carol", "dave", "erin"];
        let mut people: Vec<_> = (1..).zip(names).map(|(n, name)| Person::new(name, n)).collect();
        let (log, keys) = {
            let mut all: Vec<&mut Person> = people.iter_mut().collect();
            gather(&mut all, &[Role::Admin, Role::Member, Role::Member, Role::Member])
        };
        let people: Vec<_> =
            people.into_iter().map(|person| Watched { person, ever: BTreeSet::new() }).collect();
        let commits = people.iter().map(|_| None).collect();
        Self { log, keys, people, commits, rng: SeedRng::new(seed), forgotten: 0 }
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.try_next_u32().unwrap() as usize % end
    }

    /// One random call of one person.
    fn act(&mut self) {
        let who = self.below(self.people.len());
        let (log, keys) = (&mut self.log, &self.keys);
        let person = &mut self.people[who].person;
        let id = person.device.id();
        let what = match self.rng.try_next_u32().unwrap() % 19 {
            0..6 => {
                let watched = &mut self.people[who];
                while read_one(&mut watched.person, log) {
                    watched.check("reading");
                }
                "reading"
            }
            6 => {
                read_all(person, log);
                "reading in bulk"
            }
            7..13 => {
                let (now, active) = (person.now, person.group().state() == GroupState::Active);
                if active && person.group().sender_key_due(now) {
                    let _ = log.distribute(&id, &person.stage_key(keys));
                    "distributing"
                } else {
                    if let Ok(message) = person.seal(b"hello") {
                        let _ = log.post(&message);
                    }
                    "sealing"
                }
            }
            13 => {
                let _ = person.seal(b"lost");
                "sealing what is lost"
            }
            14 => {
                person.restart();
                "restarting"
            }
            15 if person.group().state() == GroupState::Active => {
                let _ = log.distribute(&id, &person.stage_key(keys));
                "rotating"
            }
            16 => {
                self.commits[who] = None;
                let changes = self.people[who].person.group().abandon_staged_commit();
                self.people[who].person.save(changes);
                "abandoning"
            }
            17 => {
                if let Some(commit) = self.commits[who].take() {
                    let _ = log.commit(&commit);
                }
                "uploading"
            }
            _ => {
                let other = self.below(self.people.len());
                // Only Alice and Bob may.
                self.stage(who % 2, other);
                "staging"
            }
        };
        self.people[who].check(what);
        self.rejoin();
    }

    /// A removal, an addition or a change of role, if that is possible.
    fn stage(&mut self, who: usize, other: usize) {
        let target = &self.people[other].person;
        let account = target.device.account();
        let there = self.log.roster().role(&account);
        let operation = match there {
            None => target.add_operation(Role::Member),
            Some(_) if other.is_multiple_of(2) => target.remove_operation(),
            Some(Role::Member) => Operation::SetRole { account, role: Role::Admin },
            Some(_) => Operation::SetRole { account, role: Role::Member },
        };
        let watched = &mut self.people[who];
        while read_one(&mut watched.person, &self.log) {
            watched.check("reading");
        }
        if let Ok(upload) = watched.person.stage(vec![operation], &self.keys) {
            watched.check("staging");
            self.commits[who] =
                Some(upload).filter(|upload| other == who || self.log.commit(upload).is_err());
        }
    }

    /// Who was removed, saw it, and was added again joins.
    fn rejoin(&mut self) {
        let head = self.log.head();
        for watched in &mut self.people {
            let person = &mut watched.person;
            let removed = person.group().state() == GroupState::Removed;
            if !removed || self.log.roster().device(&person.device.id()).is_none() {
                continue;
            }
            let cursor = person.group().cursor();
            for seq in (cursor.0 + 1..=head.0).map(Seq) {
                if person.join(&self.log, seq).is_ok() {
                    watched.check("joining");
                    break;
                }
            }
        }
    }
}

fn next_entry(person: &mut Person, log: &Log) -> Option<Entry> {
    let next = person.group().cursor().next().filter(|seq| *seq <= log.head())?;
    Some(log.entry(next, &person.device.id()))
}

/// The next entry, if there is one and this device may still read.
fn read_one(person: &mut Person, log: &Log) -> bool {
    let removed = person.group().state() == GroupState::Removed;
    let Some(entry) = next_entry(person, log).filter(|_| !removed) else { return false };
    if person.receive(&entry).is_err() {
        let changes = person.group().skip(&entry).unwrap();
        person.save(changes);
    }
    true
}

fn read_all(person: &mut Person, log: &Log) {
    let Some(first) = next_entry(person, log) else { return };
    let entries: Vec<_> =
        (first.seq.0..=log.head().0).map(|seq| log.entry(Seq(seq), &person.device.id())).collect();
    let now = person.now;
    let caught_up = person.group.as_mut().unwrap().receive_all(&mut person.device, &entries, now);
    person.save(caught_up.changes);
}

/// (R91) (R42) (R55) (R90)
#[test]
fn records_hold_what_the_live_state_holds_and_nothing_older() {
    let (mut forgotten, mut epochs) = (0, 0);
    for seed in 0..5 {
        let mut table = Table::new(seed);
        for watched in &mut table.people {
            watched.check("joining");
        }
        for _ in 0..200 {
            table.act();
        }
        for watched in &mut table.people {
            let now = watched.person.group.as_ref().map(live).unwrap_or_default();
            table.forgotten += watched.ever.difference(&now).count();
        }
        epochs += table.log.epoch().0;
        forgotten += table.forgotten;
    }
    assert!(epochs > 40, "histories have commits: {epochs}");
    assert!(forgotten > 1000, "histories have secrets to forget: {forgotten}");
}
