//! One person with one device, one group at most, and a store.

use super::{Log, START, SeedRng};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::Entry;
use conclave_engine::wire::ids::{Epoch, GroupId, Opaque, RosterHash, Seq, Timestamp};
use conclave_engine::wire::roster::Role;
use conclave_engine::{
    BackupKey, Changes, CommitUpload, Device, DistributionUpload, Event, Group, GroupMessage, GroupState,
    JoinError, MessageId, Newcomer, PrekeyBook, ReceiveError, RecordKey, RecordValue, Records, RestoreError,
    Restored, Scope, SealError, StageError,
};
use std::collections::BTreeMap;

/// A state for comparing with a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub stored: Store,
    pub epoch: Epoch,
    pub cursor: Seq,
    pub state: GroupState,
    pub roster: RosterHash,
    pub staged: bool,
}

/// What a store holds.
pub type Store = BTreeMap<RecordKey, RecordValue>;

/// One person with one device, one group at most, and a store.
pub struct Person {
    pub name: &'static str,
    pub device: Device,
    pub group: Option<Group>,
    pub note: Vec<u8>,
    pub read: Vec<GroupMessage>,
    pub sent: Vec<MessageId>,
    pub sealed: Vec<MessageId>,
    /// Where this person came in.
    pub joined: Option<Seq>,
    pub events: Vec<Event>,
    pub refused: Vec<(Seq, ReceiveError)>,
    pub now: Timestamp,
    pub(super) store: Store,
    pub(super) rng: SeedRng,
}

impl Person {
    pub fn new(name: &'static str, seed: u64) -> Self {
        let mut rng = SeedRng::new(seed);
        let (device, changes) = Device::create(START, &mut rng).unwrap();
        let mut person = Self {
            name,
            device,
            group: None,
            note: Vec::new(),
            read: Vec::new(),
            sent: Vec::new(),
            sealed: Vec::new(),
            joined: None,
            events: Vec::new(),
            refused: Vec::new(),
            now: START,
            store: BTreeMap::new(),
            rng,
        };
        person.save(changes);
        person
    }

    pub fn group(&mut self) -> &mut Group {
        self.group.as_mut().unwrap()
    }

    pub fn save(&mut self, changes: Changes) {
        for change in changes.0 {
            match change.value {
                Some(value) => self.store.insert(change.key, value),
                None => self.store.remove(&change.key),
            };
        }
    }

    /// Forgets everything that is not in the store.
    pub fn restart(&mut self) {
        self.device = Device::load(self.records(Scope::Device)).unwrap();
        if let Some(id) = self.group.as_ref().map(Group::id) {
            self.group = Some(Group::load(id, self.records(Scope::Group(id))).unwrap());
        }
    }

    /// Every stored record, for comparing a state with what it was.
    pub fn stored(&self) -> Store {
        self.store.clone()
    }

    /// One record; panics if there is none.
    pub fn record(&self, scope: Scope, name: &[u8]) -> RecordValue {
        self.store[&RecordKey { scope, name: name.to_vec() }].clone()
    }

    /// Writes one record by hand.
    pub fn put_record(&mut self, scope: Scope, name: &[u8], value: Vec<u8>) {
        self.store.insert(RecordKey { scope, name: name.to_vec() }, RecordValue::new(value));
    }

    /// All records of a scope, as loading takes them.
    pub fn records(&self, scope: Scope) -> Records {
        let records = self.store.iter().filter(|(key, _)| key.scope == scope);
        records.map(|(key, value)| (key.name.clone(), value.clone())).collect()
    }

    /// A device that holds what another held when its store was copied.
    pub fn from_store(name: &'static str, store: Store, group: Option<GroupId>, seed: u64) -> Self {
        let mut person = Self::new(name, seed);
        person.store = store;
        person.device = Device::load(person.records(Scope::Device)).unwrap();
        person.group = group.map(|id| Group::load(id, person.records(Scope::Group(id))).unwrap());
        person
    }

    /// A second copy of the device, as a thief or a backup would have it.
    pub fn copy(&self) -> Self {
        let group = self.group.as_ref().map(Group::id);
        let mut copy = Self::from_store(self.name, self.stored(), group, 1_000_000);
        copy.now = self.now;
        copy
    }

    /// Everything that can be seen of a state.
    pub fn snapshot(&self) -> Snapshot {
        let group = self.group.as_ref().unwrap();
        Snapshot {
            stored: self.stored(),
            epoch: group.epoch(),
            cursor: group.cursor(),
            state: group.state(),
            roster: group.roster().hash(),
            staged: group.staged(),
        }
    }

    pub fn found(&mut self) -> Log {
        let new = Group::create(&self.device, self.now, &mut self.rng).unwrap();
        self.save(new.changes);
        self.group = Some(new.group);
        Log::found(&new.commit)
    }

    pub fn add_operation(&self, role: Role) -> Operation {
        Operation::Add { role, manifest: Opaque(self.device.manifest().encoded().to_vec()) }
    }

    pub fn remove_operation(&self) -> Operation {
        Operation::Remove { account: self.device.account() }
    }

    pub fn stage(
        &mut self,
        operations: Vec<Operation>,
        book: &PrekeyBook,
    ) -> Result<CommitUpload, StageError> {
        let (now, rng) = (self.now, &mut self.rng);
        let group = self.group.as_mut().unwrap();
        let staged = group.commit(&self.device, operations, b"note", book, now, rng)?;
        self.save(staged.changes);
        Ok(staged.upload)
    }

    pub fn stage_key(&mut self, book: &PrekeyBook) -> DistributionUpload {
        let (now, rng) = (self.now, &mut self.rng);
        let group = self.group.as_mut().unwrap();
        let distributed = group.distribute(&self.device, book, now, rng).unwrap();
        self.save(distributed.changes);
        distributed.upload
    }

    pub fn seal(&mut self, content: &[u8]) -> Result<Vec<u8>, SealError> {
        let group = self.group.as_mut().unwrap();
        let sealed = group.seal(content, &mut self.rng)?;
        self.save(sealed.changes);
        self.sealed.push(sealed.id);
        Ok(sealed.message)
    }

    /// The id of the message that was sealed last.
    pub fn last_id(&self) -> MessageId {
        *self.sealed.last().unwrap()
    }

    pub fn seal_again(&mut self, id: MessageId, content: &[u8]) -> Vec<u8> {
        let group = self.group.as_mut().unwrap();
        let sealed = group.seal_again(id, content, &mut self.rng).unwrap();
        self.save(sealed.changes);
        sealed.message
    }

    pub fn seal_run(&mut self, contents: &[&[u8]]) -> Result<Vec<u8>, SealError> {
        let group = self.group.as_mut().unwrap();
        let sealed = group.seal_run(contents, &mut self.rng)?;
        self.save(sealed.changes);
        self.sealed.extend(sealed.ids);
        Ok(sealed.entry)
    }

    pub fn seal_run_again(&mut self, messages: &[(MessageId, &[u8])]) -> Vec<u8> {
        let group = self.group.as_mut().unwrap();
        let sealed = group.seal_run_again(messages, &mut self.rng).unwrap();
        self.save(sealed.changes);
        sealed.entry
    }

    /// Reads the entry after the cursor.
    pub fn read_next(&mut self, log: &Log) -> Result<Event, ReceiveError> {
        let seq = self.group().cursor().next().unwrap();
        let entry = log.entry(seq, &self.device.id());
        self.receive(&entry)
    }

    /// Reads the log, and distributes if that is due.
    fn get_ready(&mut self, log: &mut Log, book: &PrekeyBook) {
        self.catch_up(log);
        let now = self.now;
        if self.group().sender_key_due(now) {
            let upload = self.stage_key(book);
            log.distribute(&self.device.id(), &upload).unwrap();
            self.catch_up(log);
        }
    }

    /// Distributes if that is due, seals and posts; reads the log between.
    pub fn send(&mut self, log: &mut Log, book: &PrekeyBook, content: &[u8]) {
        self.get_ready(log, book);
        let message = self.seal(content).unwrap();
        log.post(&message).unwrap();
        self.catch_up(log);
    }

    /// The same with a run.
    pub fn send_run(&mut self, log: &mut Log, book: &PrekeyBook, contents: &[&[u8]]) {
        self.get_ready(log, book);
        let run = self.seal_run(contents).unwrap();
        log.post(&run).unwrap();
        self.catch_up(log);
    }

    /// Stages, uploads and sees a commit.
    pub fn change(&mut self, log: &mut Log, book: &PrekeyBook, operations: Vec<Operation>) {
        self.catch_up(log);
        let upload = self.stage(operations, book).unwrap();
        log.commit(&upload).unwrap();
        self.catch_up(log);
    }

    /// Joins at `seq` if not in the group yet.
    pub fn join(&mut self, log: &Log, seq: Seq) -> Result<(), JoinError> {
        let mut walk = Newcomer::new(log.id());
        for commit in log.commits(seq) {
            walk.commit(commit)?;
        }
        let entry = log.entry(seq, &self.device.id());
        let joined = walk.open(&mut self.device, &entry, self.now)?;
        // In the same transaction: what an earlier stay left behind goes.
        self.store.retain(|key, _| key.scope != Scope::Group(log.id()));
        self.save(joined.changes);
        self.group = Some(joined.group);
        self.note = joined.note;
        self.joined = Some(seq);
        Ok(())
    }

    /// A backup of the device, and of what was read as its history.
    pub fn back_up(&mut self, key: &BackupKey) -> Vec<u8> {
        let groups: Vec<GroupId> = self.group.iter().map(Group::id).collect();
        let history = self.texts().join("\n").into_bytes();
        self.device.back_up(&groups, &history, key, &mut self.rng).unwrap()
    }

    /// A device in an empty profile, out of a backup.
    pub fn restored(
        name: &'static str,
        backup: &[u8],
        key: &BackupKey,
        seed: u64,
    ) -> Result<(Self, Vec<GroupId>, Vec<u8>), RestoreError> {
        let mut rng = SeedRng::new(seed);
        let Restored { device, groups, history, changes } = Device::restore(backup, key, START, &mut rng)?;
        let mut person = Self { device, store: BTreeMap::new(), rng, ..Self::new(name, seed) };
        person.save(changes);
        Ok((person, groups, history))
    }

    /// Walks the whole log and enters without a welcome.
    pub fn join_without_welcome(&mut self, log: &Log) -> Result<(), JoinError> {
        let mut walk = Newcomer::new(log.id());
        for seq in (1..=log.head().0).map(Seq) {
            walk.pass(&self.device, &log.entry(seq, &self.device.id()))?;
        }
        let (group, changes) = walk.without_welcome(&self.device)?;
        self.store.retain(|key, _| key.scope != Scope::Group(log.id()));
        self.save(changes);
        self.group = Some(group);
        Ok(())
    }

    /// Reads one entry; what is refused must leave the stored state and the group as they were.
    pub fn receive(&mut self, entry: &Entry) -> Result<Event, ReceiveError> {
        let group = self.group.as_mut().unwrap();
        let received = group.receive(&mut self.device, entry, self.now)?;
        self.save(received.changes);
        self.read.extend(received.recovered.into_iter().map(|recovered| recovered.message));
        match &received.event {
            Event::Message(message) => self.read.push(message.clone()),
            Event::Run(messages) => self.read.extend(messages.iter().cloned()),
            Event::Sent { id } => self.sent.push(*id),
            Event::SentRun { ids } => self.sent.extend(ids),
            _ => {}
        }
        self.events.push(received.event.clone());
        Ok(received.event)
    }

    /// Reads the log up to its head, stepping over what is refused.
    pub fn catch_up(&mut self, log: &Log) {
        self.catch_up_to(log, log.head());
    }

    /// The same, up to an earlier entry.
    pub fn catch_up_to(&mut self, log: &Log, end: Seq) {
        while let Some(seq) = self.group().cursor().next().filter(|seq| *seq <= end) {
            let entry = log.entry(seq, &self.device.id());
            if let Err(error) = self.receive(&entry) {
                if error == ReceiveError::Removed {
                    return;
                }
                self.refused.push((seq, error));
                let changes = self.group().skip(&entry).unwrap();
                self.save(changes);
            }
        }
    }

    pub fn texts(&self) -> Vec<String> {
        self.read.iter().map(|message| String::from_utf8_lossy(&message.content).into_owned()).collect()
    }
}
