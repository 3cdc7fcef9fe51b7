//! Random histories of a group against a model that knows who may read what.
//!
//! The model is two lists: who is in the group, and which messages the log has taken, each with the people who were in
//! the group then. What the engine does must follow from these alone.

use super::{Log, Person, Rejected, book};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::Seq;
use conclave_engine::wire::roster::Role;
use conclave_engine::{CommitUpload, Continuity, MessageId, PrekeyBook};
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
    sent: BTreeMap<usize, Vec<MessageId>>,
    /// What a removed person had just before they saw it, and where the log stood.
    pub gone: Vec<(Person, Seq)>,
    counter: u32,
}

const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

impl History {
    /// The first person founds; the silent one is a member from the start.
    pub fn new(count: usize) -> Self {
        let mut people: Vec<_> =
            (1..).zip(&NAMES[..count]).map(|(seed, name)| Person::new(name, seed)).collect();
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
            sent: BTreeMap::new(),
            gone: Vec::new(),
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
                self.try_commit(person(by), operation);
            }
            Act::SetRole { by, who, role } => {
                let account = self.people[person(who)].device.account();
                self.try_commit(person(by), Operation::SetRole { account, role });
            }
            Act::Rotate { by } => self.as_member(person(by), Self::rotate),
            Act::Send { by } => self.as_member(person(by), Self::send),
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
        let operation = self.people[who].add_operation(role);
        if !self.members.contains_key(&who) {
            // Whoever was removed knows it before coming back.
            self.catch_up(who);
        }
        self.try_commit(by, operation);
    }

    /// May `by` do this? The table of the protocol, written once more.
    fn allows(&self, by: usize, operation: &Operation) -> bool {
        let Some(role) = self.members.get(&by) else { return false };
        let person =
            |account| self.people.iter().position(|person| person.device.account() == account).unwrap();
        match operation {
            Operation::Add { role: granted, manifest } => {
                let who =
                    self.people.iter().position(|p| p.device.manifest().encoded() == manifest.0).unwrap();
                let may = *role == Role::Owner || (*role == Role::Admin && *granted == Role::Member);
                may && !self.members.contains_key(&who)
            }
            Operation::Remove { account } => {
                let who = person(*account);
                let target = self.members.get(&who);
                let may = *role == Role::Owner || (*role == Role::Admin && target != Some(&Role::Owner));
                may && target.is_some() && who != by
            }
            Operation::SetRole { account, role: new } => {
                let who = person(*account);
                let others = self.members.iter().any(|(other, role)| *other != who && *role == Role::Owner);
                *role == Role::Owner && self.members.contains_key(&who) && (*new == Role::Owner || others)
            }
        }
    }

    /// Stages, if the rules allow it; the engine must agree with the model on that.
    fn stage(&mut self, by: usize, operation: &Operation) -> Option<CommitUpload> {
        let allowed = self.allows(by, operation);
        if !self.members.contains_key(&by) {
            return None;
        }
        let staged = self.people[by].stage(vec![operation.clone()], &self.keys);
        assert_eq!(staged.is_ok(), allowed, "{operation:?} by {}: {:?}", NAMES[by], staged.err());
        staged.ok()
    }

    fn try_commit(&mut self, by: usize, operation: Operation) -> bool {
        if self.members.contains_key(&by) {
            self.catch_up(by);
        }
        let Some(upload) = self.stage(by, &operation) else { return false };
        self.upload(&upload, &operation).unwrap();
        self.catch_up(by);
        true
    }

    fn upload(&mut self, upload: &CommitUpload, operation: &Operation) -> Result<(), Rejected> {
        let seq = self.log.commit(upload)?;
        self.lost.clear();
        match operation {
            Operation::Add { role, manifest } => {
                let who =
                    self.people.iter().position(|p| p.device.manifest().encoded() == manifest.0).unwrap();
                self.members.insert(who, *role);
                self.invited.insert(who, seq);
            }
            Operation::Remove { account } => {
                let who = self.people.iter().position(|p| p.device.account() == *account).unwrap();
                // Who is removed unread still joins, reads up to there, and then sees it.
                self.members.remove(&who);
            }
            Operation::SetRole { account, role } => {
                let who = self.people.iter().position(|p| p.device.account() == *account).unwrap();
                self.members.insert(who, *role);
            }
        }
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
        format!("{} of {}", self.counter, NAMES[by]).into_bytes()
    }

    fn send(&mut self, by: usize) {
        self.ready_to_seal(by);
        let content = self.content(by);
        let message = self.people[by].seal(&content).unwrap();
        self.post(by, &message, content).unwrap();
        self.catch_up(by);
    }

    fn post(&mut self, by: usize, message: &[u8], content: Vec<u8>) -> Result<(), Rejected> {
        let seq = self.log.post(message)?;
        let readers = self.members.keys().copied().filter(|reader| *reader != by).collect();
        let after_loss = self.lost.remove(&by);
        self.posted.push(Posted { seq, sender: by, content, readers, after_loss });
        self.sent.entry(by).or_default();
        Ok(())
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

    /// Something that `by` may commit about `who`, if anything.
    fn some_operation(&self, by: usize, who: usize) -> Option<Operation> {
        let person = &self.people[who];
        let account = person.device.account();
        let candidates = [
            Operation::Remove { account },
            Operation::SetRole { account, role: Role::Owner },
            person.add_operation(Role::Member),
        ];
        candidates.into_iter().find(|operation| self.allows(by, operation))
    }

    fn race(&mut self, winner: usize, loser: usize, who: usize) {
        if winner == loser || !self.members.contains_key(&winner) || !self.members.contains_key(&loser) {
            return;
        }
        self.catch_up(who);
        let (Some(first), Some(second)) = (self.some_operation(winner, who), self.some_operation(loser, who))
        else {
            return;
        };
        self.catch_up(winner);
        self.catch_up(loser);
        let (one, other) = (self.stage(winner, &first).unwrap(), self.stage(loser, &second).unwrap());
        self.upload(&one, &first).unwrap();
        assert_eq!(self.upload(&other, &second), Err(Rejected::HeadMoved));
        for person in [winner, loser] {
            self.catch_up(person);
            assert!(!self.people[person].group().staged());
        }
        // What lost its race works when tried again.
        if let Some(operation) = self.some_operation(loser, winner) {
            self.catch_up(winner);
            self.try_commit(loser, operation);
        }
    }

    fn seal_before_commit(&mut self, by: usize, committer: usize, who: usize) {
        if by == who || by == committer || !self.members.contains_key(&by) {
            return;
        }
        self.catch_up(who);
        let Some(operation) = self.some_operation(committer, who) else { return };
        self.catch_up(by);
        self.ready_to_seal(by);
        let content = self.content(by);
        let early = self.people[by].seal(&content).unwrap();
        let id = self.people[by].last_id();
        assert!(self.try_commit(committer, operation));
        assert_eq!(self.post(by, &early, content.clone()), Err(Rejected::EpochStale));
        self.catch_up(by);
        assert!(!self.people[by].group().is_unconfirmed(&id));
        let again = self.people[by].seal_again(id, &content);
        self.post(by, &again, content).unwrap();
        self.catch_up(by);
        assert_eq!(self.people[by].sent.last(), Some(&id));
    }

    fn distribute_before_commit(&mut self, by: usize, committer: usize, who: usize) {
        if by == who || by == committer || !self.members.contains_key(&by) {
            return;
        }
        self.catch_up(who);
        let Some(operation) = self.some_operation(committer, who) else { return };
        self.catch_up(by);
        let early = self.people[by].stage_key(&self.keys);
        assert!(self.try_commit(committer, operation));
        let device = self.people[by].device.id();
        assert_eq!(self.log.distribute(&device, &early), Err(Rejected::EpochStale));
        self.catch_up(by);
        self.rotate(by);
        self.send(by);
    }

    fn commit_before_distribution(&mut self, by: usize, distributor: usize, who: usize) {
        if by == distributor || !self.members.contains_key(&distributor) {
            return;
        }
        self.catch_up(who);
        let Some(operation) = self.some_operation(by, who) else { return };
        self.catch_up(by);
        let upload = self.stage(by, &operation).unwrap();
        self.as_member(distributor, Self::rotate);
        assert_eq!(self.upload(&upload, &operation), Err(Rejected::HeadMoved));
        self.catch_up(by);
        let changes = self.people[by].group().abandon_staged_commit();
        self.people[by].save(changes);
        self.try_commit(by, operation);
    }

    fn crash_staging(&mut self, by: usize, who: usize, uploaded: bool) {
        self.catch_up(who);
        let Some(operation) = self.some_operation(by, who) else { return };
        self.catch_up(by);
        let upload = self.stage(by, &operation).unwrap();
        if uploaded {
            self.upload(&upload, &operation).unwrap();
        }
        self.people[by].restart();
        self.catch_up(by);
        assert_eq!(self.people[by].group().staged(), !uploaded);
        if !uploaded {
            let changes = self.people[by].group().abandon_staged_commit();
            self.people[by].save(changes);
        }
    }

    fn crash_distributing(&mut self, by: usize, uploaded: bool) {
        let upload = self.people[by].stage_key(&self.keys);
        if uploaded {
            self.log.distribute(&self.people[by].device.id(), &upload).unwrap();
            self.lost.remove(&by);
        }
        self.people[by].restart();
        self.catch_up(by);
        self.send(by);
    }

    /// What the model says this person reads, in order, and whether a gap shows.
    fn expected(&self, reader: Option<usize>) -> Vec<(usize, &[u8], bool)> {
        let mut gap_before: BTreeSet<usize> = BTreeSet::new();
        let mut expected = Vec::new();
        for posted in &self.posted {
            let may = reader.is_none_or(|reader| posted.readers.contains(&reader));
            if !may {
                continue;
            }
            if reader.is_some_and(|reader| self.withheld.contains(&(reader, posted.seq))) {
                gap_before.insert(posted.sender);
                continue;
            }
            let gap = gap_before.remove(&posted.sender) || posted.after_loss;
            expected.push((posted.sender, posted.content.as_slice(), gap));
        }
        expected
    }

    /// Everybody reads to the end; then everything must be as the model says.
    pub fn check(&mut self) {
        for who in 0..self.people.len() {
            self.catch_up(who);
        }
        self.silent[2].catch_up(&self.log);
        for (who, person) in self.people.iter().enumerate() {
            self.check_reader(Some(who), person);
        }
        for silent in &self.silent {
            self.check_reader(None, silent);
        }
        let [live, restarted, late] = &self.silent;
        assert_eq!(live.stored(), restarted.stored(), "restarting after every entry changes nothing");
        assert_eq!(live.stored(), late.stored(), "reading late changes nothing");
    }

    fn check_reader(&self, reader: Option<usize>, person: &Person) {
        assert_eq!(person.refused, [], "{} refused entries", person.name);
        let sender = |who: usize| self.people[who].device.id();
        let expected = self.expected(reader);
        let read: Vec<_> = person.read.iter().map(|m| (m.sender.device, m.content.as_slice())).collect();
        let due: Vec<_> = expected.iter().map(|(who, content, _)| (sender(*who), *content)).collect();
        assert_eq!(read, due, "{} reads what the model says", person.name);
        for (message, (who, content, gap)) in person.read.iter().zip(&expected) {
            let content = String::from_utf8_lossy(content);
            match message.continuity {
                Continuity::Gap => assert!(gap, "{} sees a false gap at {content}", person.name),
                Continuity::Linked => {
                    assert!(!gap, "{} sees no gap at {content} of {}", person.name, NAMES[*who])
                }
                _ => {}
            }
        }
        let is_member = reader.is_none_or(|who| self.members.contains_key(&who));
        if let Some(group) = person.group.as_ref().filter(|_| is_member) {
            assert_eq!(group.epoch(), self.log.epoch(), "{}", person.name);
            assert_eq!(group.roster().hash(), self.log.roster().hash(), "{}", person.name);
            assert_eq!(group.state(), conclave_engine::GroupState::Active, "{}", person.name);
            let roles = self.members.iter().map(|(who, role)| (self.people[*who].device.account(), *role));
            let silent = (self.silent[0].device.account(), Role::Member);
            assert_eq!(
                group.roster().accounts().collect::<BTreeMap<_, _>>(),
                roles.chain([silent]).collect()
            );
        }
        if let Some(who) = reader {
            let posted = self.posted.iter().filter(|posted| posted.sender == who).count();
            assert_eq!(person.sent.len(), posted, "{} sees each own message once", person.name);
        }
    }
}
