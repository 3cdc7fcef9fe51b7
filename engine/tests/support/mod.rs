//! A log in memory that does what the server does, and devices that keep their records as a store would.

#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use conclave_engine::wire::commit::{Operation, UnverifiedCommit};
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{DeviceId, Epoch, GroupId, Opaque, Seq, Timestamp};
use conclave_engine::wire::message::MessageView;
use conclave_engine::wire::public_group::PublicGroup;
use conclave_engine::wire::roster::Role;
use conclave_engine::{
    Changes, CommitUpload, Device, DistributionUpload, Event, Group, GroupMessage, MessageId, Newcomer,
    PrekeyBook, ReceiveError, RecordKey, RecordValue, Scope,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;

/// When every test begins.
pub const START: Timestamp = Timestamp(1_750_000_000_000);

/// Why the log did not take an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    EpochStale,
    HeadMoved,
}

/// An entry's kind and body, and what is attached for whom.
type Stored = (EntryKind, Vec<u8>, BTreeMap<DeviceId, Vec<u8>>);

/// One group's log, as an honest server keeps it.
pub struct Log {
    public: PublicGroup,
    entries: Vec<Stored>,
    last_distribution: Seq,
}

impl Log {
    pub fn found(genesis: &[u8]) -> Self {
        let (public, _) = PublicGroup::from_genesis(UnverifiedCommit::decode(genesis).unwrap()).unwrap();
        let entries = vec![(EntryKind::Commit, genesis.to_vec(), BTreeMap::new())];
        Self { public, entries, last_distribution: Seq(0) }
    }

    pub fn id(&self) -> GroupId {
        self.public.id()
    }

    pub fn head(&self) -> Seq {
        Seq(self.entries.len() as u64)
    }

    pub fn epoch(&self) -> Epoch {
        self.public.epoch()
    }

    pub fn commit(&mut self, upload: &CommitUpload) -> Result<Seq, Rejected> {
        let commit = UnverifiedCommit::decode(&upload.commit).unwrap();
        let body = commit.claimed().clone();
        if body.previous != self.public.head() || body.last_distribution != self.last_distribution {
            return Err(Rejected::HeadMoved);
        }
        let step = self.public.check(commit).unwrap();
        let mut attached = BTreeMap::new();
        if body.commitment.is_some() {
            let recipients: Vec<DeviceId> = self
                .public
                .recipients(step.outcome(), &body.author)
                .map(|(_, leaf)| leaf.device.id())
                .filter(|id| !body.unreachable.contains(id))
                .collect();
            assert_eq!(recipients.len(), upload.deliveries.len());
            attached.extend(recipients.into_iter().zip(upload.deliveries.iter().map(|d| d.0.clone())));
        }
        attached.extend(upload.welcomes.iter().map(|w| (w.device, w.welcome.0.clone())));
        self.public.advance(step);
        Ok(self.append(EntryKind::Commit, upload.commit.clone(), attached))
    }

    pub fn distribute(&mut self, sender: &DeviceId, upload: &DistributionUpload) -> Result<Seq, Rejected> {
        let body = conclave_engine::wire::distribution::UnverifiedDistribution::decode(&upload.distribution);
        if body.unwrap().claimed().epoch != self.public.epoch() {
            return Err(Rejected::EpochStale);
        }
        let others: Vec<DeviceId> = self
            .public
            .roster()
            .devices()
            .map(|(_, leaf)| leaf.device.id())
            .filter(|id| id != sender)
            .collect();
        assert_eq!(others.len(), upload.deliveries.len());
        let attached = others.into_iter().zip(upload.deliveries.iter().map(|d| d.0.clone()));
        let attached = attached.filter(|(_, delivery)| !delivery.is_empty()).collect();
        let seq = self.append(EntryKind::Distribution, upload.distribution.clone(), attached);
        self.last_distribution = seq;
        Ok(seq)
    }

    pub fn post(&mut self, message: &[u8]) -> Result<Seq, Rejected> {
        if MessageView::parse(message).unwrap().header.epoch != self.public.epoch() {
            return Err(Rejected::EpochStale);
        }
        Ok(self.append(EntryKind::Message, message.to_vec(), BTreeMap::new()))
    }

    /// What an honest server never does: appends without looking.
    pub fn append(&mut self, kind: EntryKind, body: Vec<u8>, attached: BTreeMap<DeviceId, Vec<u8>>) -> Seq {
        self.entries.push((kind, body, attached));
        self.head()
    }

    pub fn entry(&self, seq: Seq, reader: &DeviceId) -> Entry {
        let (kind, body, attached) = &self.entries[seq.0 as usize - 1];
        let delivery = attached.get(reader).map(|bytes| Opaque(bytes.clone()));
        Entry { group: self.id(), seq, kind: *kind, delivery, body: Opaque(body.clone()) }
    }

    /// Change an entry's body, as a malicious server would.
    pub fn tamper(&mut self, seq: Seq, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.entries[seq.0 as usize - 1].1);
    }

    /// Change what is attached to an entry for one device.
    pub fn tamper_delivery(&mut self, seq: Seq, device: &DeviceId, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.entries[seq.0 as usize - 1].2.get_mut(device).unwrap());
    }

    pub fn commits(&self, until: Seq) -> impl Iterator<Item = &[u8]> {
        let entries = self.entries.iter().take(until.0 as usize);
        entries.filter(|(kind, ..)| *kind == EntryKind::Commit).map(|(_, body, _)| body.as_slice())
    }
}

/// One person with one device, one group at most, and a store.
pub struct Person {
    pub name: &'static str,
    pub device: Device,
    pub group: Option<Group>,
    pub note: Vec<u8>,
    pub read: Vec<GroupMessage>,
    pub sent: Vec<MessageId>,
    pub events: Vec<Event>,
    pub refused: Vec<(Seq, ReceiveError)>,
    pub now: Timestamp,
    store: BTreeMap<RecordKey, RecordValue>,
    rng: StdRng,
}

impl Person {
    pub fn new(name: &'static str, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (device, changes) = Device::create(START, &mut rng).unwrap();
        let mut person = Self {
            name,
            device,
            group: None,
            note: Vec::new(),
            read: Vec::new(),
            sent: Vec::new(),
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
        let scope = |scope: Scope| {
            let records = self.store.iter().filter(|(key, _)| key.scope == scope);
            records.map(|(key, value)| (key.name.clone(), value.clone())).collect::<Vec<_>>()
        };
        self.device = Device::load(scope(Scope::Device)).unwrap();
        if let Some(id) = self.group.as_ref().map(Group::id) {
            self.group = Some(Group::load(id, scope(Scope::Group(id))).unwrap());
        }
    }

    /// Every stored record, for comparing a state with what it was.
    pub fn stored(&self) -> BTreeMap<RecordKey, RecordValue> {
        self.store.clone()
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
    ) -> Result<CommitUpload, conclave_engine::StageError> {
        let (now, rng) = (self.now, &mut self.rng);
        let group = self.group.as_mut().unwrap();
        let staged = group.commit(&mut self.device, operations, b"note", book, now, rng)?;
        self.save(staged.changes);
        Ok(staged.upload)
    }

    pub fn stage_key(&mut self, book: &PrekeyBook) -> DistributionUpload {
        let (now, rng) = (self.now, &mut self.rng);
        let group = self.group.as_mut().unwrap();
        let distributed = group.distribute(&mut self.device, book, now, rng).unwrap();
        self.save(distributed.changes);
        distributed.upload
    }

    pub fn seal(&mut self, content: &[u8]) -> Result<Vec<u8>, conclave_engine::SealError> {
        let group = self.group.as_mut().unwrap();
        let sealed = group.seal(content, &mut self.rng)?;
        self.save(sealed.changes);
        Ok(sealed.message)
    }

    /// Distributes if that is due, seals and posts; reads the log between.
    pub fn send(&mut self, log: &mut Log, book: &PrekeyBook, content: &[u8]) {
        self.catch_up(log);
        let now = self.now;
        if self.group().sender_key_due(now) {
            let upload = self.stage_key(book);
            log.distribute(&self.device.id(), &upload).unwrap();
            self.catch_up(log);
        }
        let message = self.seal(content).unwrap();
        log.post(&message).unwrap();
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
    pub fn join(&mut self, log: &Log, seq: Seq) -> Result<(), conclave_engine::JoinError> {
        let mut walk = Newcomer::new(log.id());
        for commit in log.commits(seq) {
            walk.commit(commit)?;
        }
        let entry = log.entry(seq, &self.device.id());
        let joined = walk.open(&mut self.device, &entry, self.now)?;
        self.save(joined.changes);
        self.group = Some(joined.group);
        self.note = joined.note;
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
            Event::Sent { id } => self.sent.push(*id),
            _ => {}
        }
        self.events.push(received.event.clone());
        Ok(received.event)
    }

    /// Reads the log up to its head, stepping over what is refused.
    pub fn catch_up(&mut self, log: &Log) {
        while let Some(seq) = self.group().cursor().next().filter(|seq| *seq <= log.head()) {
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

/// The prekeys of some people, as the server would hand them out.
pub fn book(people: &[&Person]) -> PrekeyBook {
    let mut book = PrekeyBook::default();
    for person in people {
        book.insert(&person.device.prekeys().unwrap().encode()).unwrap();
    }
    book
}
