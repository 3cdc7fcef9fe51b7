//! Random histories of a group against a model that knows who may read what.
//!
//! The model is two lists: who is in the group, and which messages the log has taken, each with the people who were in
//! the group then. What the engine does must follow from these alone.

mod check;
mod model;
mod operations;
mod races;

use super::{Household, Log, Person, Rejected, book};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::Seq;
use conclave_engine::wire::manifest::Manifest;
use conclave_engine::wire::roster::Role;
use conclave_engine::{CommitUpload, PrekeyBook};
use std::collections::{BTreeMap, BTreeSet};

/// What a history is made of. Numbers name people, modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Add {
        by: usize,
        who: usize,
        role: Role,
    },
    Remove {
        by: usize,
        who: usize,
    },
    SetRole {
        by: usize,
        who: usize,
        role: Role,
    },
    Rotate {
        by: usize,
    },
    Send {
        by: usize,
    },
    /// Several messages in one entry.
    SendRun {
        by: usize,
        count: usize,
    },
    /// Seals a message that never gets anywhere.
    Lose {
        by: usize,
    },
    /// Steps over the next message that this reader has not read.
    Withhold {
        from: usize,
    },
    CatchUp {
        who: usize,
    },
    Crash {
        who: usize,
    },
    /// Both stage a removal or a role change on the same head; the first to upload wins.
    Race {
        winner: usize,
        loser: usize,
        who: usize,
    },
    /// A message, sealed before a commit, comes after it.
    SealBeforeCommit {
        by: usize,
        committer: usize,
        who: usize,
    },
    /// A distribution, staged before a commit, comes after it.
    DistributeBeforeCommit {
        by: usize,
        committer: usize,
        who: usize,
    },
    /// A commit, staged before a distribution, comes after it.
    CommitBeforeDistribution {
        by: usize,
        distributor: usize,
        who: usize,
    },
    /// Stages a commit and loses all memory before or after the upload.
    CrashStaging {
        by: usize,
        who: usize,
        uploaded: bool,
    },
    /// The same with a sender key.
    CrashDistributing {
        by: usize,
        uploaded: bool,
    },
    Heal {
        by: usize,
    },
    /// Stages a heal that another commit comes before.
    RaceWithHeal {
        winner: usize,
        loser: usize,
        who: usize,
    },
    Reset {
        by: usize,
    },
    /// Somebody executes somebody's request to leave.
    Leave {
        by: usize,
        who: usize,
    },
    /// Bob signs his next manifest, with his tablet or without.
    List {
        tablet: bool,
    },
    /// Somebody brings the group to Bob's newest manifest.
    Update {
        by: usize,
    },
}

/// A message that the log has taken.
#[derive(Clone, Debug)]
struct Posted {
    seq: Seq,
    sender: usize,
    content: Vec<u8>,
    readers: BTreeSet<usize>,
    /// Something that the sender sealed before it was lost.
    after_loss: bool,
}

pub struct History {
    pub log: Log,
    pub people: Vec<Person>,
    /// A member who never does anything, three times: reading at once, restarting after each entry, and late.
    pub silent: [Person; 3],
    keys: PrekeyBook,
    members: BTreeMap<usize, Role>,
    /// Where each member came in, for as long as they have not read their welcome.
    invited: BTreeMap<usize, Seq>,
    posted: Vec<Posted>,
    lost: BTreeSet<usize>,
    withheld: BTreeSet<(usize, Seq)>,
    /// What a removed person had just before they saw it, and where the log stood.
    pub gone: Vec<(Person, Seq)>,
    /// What a thief copied of somebody just before they healed, and where the heal stands.
    pub robbed: Vec<(Person, Seq)>,
    /// Bob's account, of his device and his tablet, the last of the people.
    household: Household,
    /// Its manifests after the one that the group records.
    unrecorded: Vec<Manifest>,
    counter: u32,
}

/// The last of them is Bob's tablet in every history.
const NAMES: [&str; 7] = ["alice", "bob", "carol", "dave", "erin", "frank", "tablet"];
const BOB: usize = 1;

impl History {
    /// The first person founds; the silent one is a member from the start.
    pub fn new(count: usize) -> Self {
        let mut people: Vec<_> =
            (1..).zip(&NAMES[..count]).map(|(seed, name)| Person::new(name, seed)).collect();
        let mut tablet = Person::new(NAMES[6], 50);
        let mut household = Household::of(&people[BOB]);
        household.list(&mut [&mut people[BOB], &mut tablet]);
        people.push(tablet);
        let mut silent = Person::new("silent", 100);
        let all: Vec<&Person> = people.iter().chain([&silent]).collect();
        let keys = book(&all);
        let mut log = people[0].found();
        people[0].change(&mut log, &keys, vec![silent.add_operation(Role::Member)]);
        silent.join(&log, log.head()).unwrap();
        let silent = [silent.copy(), silent.copy(), silent];
        Self {
            log,
            people,
            silent,
            keys,
            members: [(0, Role::Owner)].into(),
            invited: BTreeMap::new(),
            posted: Vec::new(),
            lost: BTreeSet::new(),
            withheld: BTreeSet::new(),
            gone: Vec::new(),
            robbed: Vec::new(),
            household,
            unrecorded: Vec::new(),
            counter: 0,
        }
    }

    pub fn act(&mut self, act: Act) {
        let count = self.people.len();
        let person = |n: usize| n % count;
        match act {
            Act::Add { by, who, role } => self.add(person(by), person(who), role),
            Act::Remove { by, who } => {
                let operation = self.removal(person(who));
                self.try_commit(person(by), &operation);
            }
            Act::SetRole { by, who, role } => {
                let account = self.people[person(who)].device.account();
                self.try_commit(person(by), &Operation::SetRole { account, role });
            }
            Act::Rotate { by } => self.as_member(person(by), Self::rotate),
            Act::Send { by } => self.as_member(person(by), Self::send),
            Act::SendRun { by, count } => {
                self.as_member(person(by), |history, by| history.send_run(by, count));
            }
            Act::Lose { by } => self.as_member(person(by), Self::lose),
            Act::Withhold { from } => self.withhold(person(from)),
            Act::CatchUp { who } => self.catch_up(person(who)),
            Act::Crash { who } => self.people[person(who)].restart(),
            Act::Race { winner, loser, who } => self.race(person(winner), person(loser), person(who)),
            Act::SealBeforeCommit { by, committer, who } => {
                self.seal_before_commit(person(by), person(committer), person(who));
            }
            Act::DistributeBeforeCommit { by, committer, who } => {
                self.distribute_before_commit(person(by), person(committer), person(who));
            }
            Act::CommitBeforeDistribution { by, distributor, who } => {
                self.commit_before_distribution(person(by), person(distributor), person(who));
            }
            Act::CrashStaging { by, who, uploaded } => self.crash_staging(person(by), person(who), uploaded),
            Act::CrashDistributing { by, uploaded } => {
                self.as_member(person(by), |history, by| history.crash_distributing(by, uploaded));
            }
            Act::Heal { by } => self.as_member(person(by), Self::heal),
            Act::RaceWithHeal { winner, loser, who } => {
                self.race_with_heal(person(winner), person(loser), person(who));
            }
            Act::Reset { by } => {
                self.try_commit(person(by), &Operation::Reset);
            }
            Act::Leave { by, who } => self.leave(person(by), person(who)),
            Act::List { tablet } => self.list(tablet),
            Act::Update { by } => self.update(person(by)),
        }
        self.silent[0].catch_up(&self.log);
        while self.silent[1].group().cursor() < self.log.head() {
            self.silent[1].read_next(&self.log).unwrap();
            self.silent[1].restart();
        }
    }

    fn removal(&self, who: usize) -> Operation {
        self.people[who].remove_operation()
    }

    /// Reads all that there is, joining first if need be, and keeping a copy of who is about to be removed.
    fn catch_up(&mut self, who: usize) {
        let person = &mut self.people[who];
        if let Some(seq) = self.invited.remove(&who) {
            if person.group.is_some() {
                // Up to the removal, from which this is the way back.
                person.catch_up(&self.log);
            }
            person.join(&self.log, seq).unwrap();
        }
        if person.group.is_none() {
            return;
        }
        let mut before = person.copy();
        person.catch_up(&self.log);
        if !self.members.contains_key(&who) && before.group().state() != person.group().state() {
            let end = person.group().cursor();
            while before.group().cursor().next() < Some(end) {
                before.read_next(&self.log).unwrap();
            }
            self.gone.push((before, end));
        }
    }

    fn as_member(&mut self, who: usize, act: impl FnOnce(&mut Self, usize)) {
        if self.members.contains_key(&who) {
            self.catch_up(who);
            act(self, who);
        }
    }

    fn add(&mut self, by: usize, who: usize, role: Role) {
        let operation = self.addition(who, role);
        self.try_commit(by, &operation);
    }

    /// Stages, if the rules allow it; the engine must agree with the model on that.
    fn stage(&mut self, by: usize, operation: &Operation) -> Option<CommitUpload> {
        let allowed = self.allows(by, operation);
        if !self.members.contains_key(&by) {
            return None;
        }
        let staged = self.people[by].stage(vec![operation.clone()], &self.keys);
        assert_eq!(staged.is_ok(), allowed, "{operation:?} by {}: {:?}", self.people[by].name, staged.err());
        staged.ok()
    }

    fn try_commit(&mut self, by: usize, operation: &Operation) -> bool {
        if self.members.contains_key(&by) {
            self.catch_up(by);
        }
        let Some(upload) = self.stage(by, operation) else { return false };
        self.upload(&upload, operation).unwrap();
        self.catch_up(by);
        true
    }

    fn upload(&mut self, upload: &CommitUpload, operation: &Operation) -> Result<(), Rejected> {
        let seq = self.log.commit(upload)?;
        self.lost.clear();
        self.note(operation, seq);
        Ok(())
    }

    fn rotate(&mut self, by: usize) {
        let upload = self.people[by].stage_key(&self.keys);
        self.log.distribute(&self.people[by].device.id(), &upload).unwrap();
        self.catch_up(by);
        self.lost.remove(&by);
    }

    fn ready_to_seal(&mut self, by: usize) {
        let now = self.people[by].now;
        if self.people[by].group().sender_key_due(now) {
            self.rotate(by);
        }
    }

    fn content(&mut self, by: usize) -> Vec<u8> {
        self.counter += 1;
        format!("{} of {}", self.counter, self.people[by].name).into_bytes()
    }

    fn send(&mut self, by: usize) {
        self.ready_to_seal(by);
        let content = self.content(by);
        let message = self.people[by].seal(&content).unwrap();
        self.post(by, &message, content).unwrap();
        self.catch_up(by);
    }

    fn send_run(&mut self, by: usize, count: usize) {
        self.ready_to_seal(by);
        let contents: Vec<_> = (0..count).map(|_| self.content(by)).collect();
        let run = self.people[by].seal_run(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let seq = self.log.post(&run.unwrap()).unwrap();
        contents.into_iter().for_each(|content| self.note_posted(by, seq, content));
        self.catch_up(by);
    }

    fn post(&mut self, by: usize, message: &[u8], content: Vec<u8>) -> Result<(), Rejected> {
        let seq = self.log.post(message)?;
        self.note_posted(by, seq, content);
        Ok(())
    }

    fn note_posted(&mut self, by: usize, seq: Seq, content: Vec<u8>) {
        let readers = self.members.keys().copied().filter(|reader| *reader != by).collect();
        let after_loss = self.lost.remove(&by);
        self.posted.push(Posted { seq, sender: by, content, readers, after_loss });
    }

    fn lose(&mut self, by: usize) {
        self.ready_to_seal(by);
        self.people[by].seal(b"into the void").unwrap();
        self.lost.insert(by);
    }

    fn withhold(&mut self, from: usize) {
        if !self.members.contains_key(&from) || self.invited.contains_key(&from) {
            return;
        }
        let head = self.log.head();
        while let Some(seq) = self.people[from].group().cursor().next().filter(|seq| *seq <= head) {
            let person = &mut self.people[from];
            let entry = self.log.entry(seq, &person.device.id());
            let others = self.posted.iter().any(|posted| posted.seq == seq && posted.sender != from);
            if entry.kind == EntryKind::Message && others {
                let changes = person.group().skip(&entry).unwrap();
                person.save(changes);
                self.withheld.insert((from, seq));
                return;
            }
            person.read_next(&self.log).unwrap();
        }
    }
}
