//! One group's log, as an honest server keeps it, with the ways of a dishonest one.

use conclave_engine::wire::commit::{CommitBody, Operation, UnverifiedCommit};
use conclave_engine::wire::distribution::UnverifiedDistribution;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{Commitment, DeviceId, Epoch, GroupId, Opaque, Seq, Timestamp};
use conclave_engine::wire::message_entry::MessageEntry;
use conclave_engine::wire::public_group::PublicGroup;
use conclave_engine::wire::roster::Roster;
use conclave_engine::{CommitUpload, DistributionUpload};
use std::collections::BTreeMap;

/// Why the log did not take an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    EpochStale,
    HeadMoved,
}

/// An entry's kind and body, and what is attached for whom.
type Stored = (EntryKind, Vec<u8>, BTreeMap<DeviceId, Vec<u8>>);

/// One group's log, as an honest server keeps it.
#[derive(Clone)]
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

    pub fn roster(&self) -> &Roster {
        self.public.roster()
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
        let body = UnverifiedDistribution::decode(&upload.distribution).unwrap();
        if body.claimed().epoch != self.public.epoch() {
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
        if MessageEntry::parse(message).unwrap().header().epoch != self.public.epoch() {
            return Err(Rejected::EpochStale);
        }
        Ok(self.append(EntryKind::Message, message.to_vec(), BTreeMap::new()))
    }

    /// What an honest server never does: appends without looking.
    pub fn append(&mut self, kind: EntryKind, body: Vec<u8>, attached: BTreeMap<DeviceId, Vec<u8>>) -> Seq {
        self.entries.push((kind, body, attached));
        self.head()
    }

    /// A commit body as an honest author would write it, where the operations allow one.
    pub fn draft(&self, author: DeviceId, operations: Vec<Operation>, time: Timestamp) -> CommitBody {
        let outcome = self.public.outcome(&author, &operations, time);
        let secret = operations.iter().any(Operation::needs_secret);
        CommitBody {
            group: self.id(),
            epoch: self.epoch().next().unwrap(),
            previous: self.public.head(),
            last_distribution: self.last_distribution,
            author,
            commitment: secret.then(|| Commitment::from_bytes([9; 32])),
            roster: outcome.map_or(self.public.roster().hash(), |outcome| outcome.roster_hash()),
            operations,
            unreachable: Vec::new(),
            time,
        }
    }

    /// The group as everybody can check it.
    pub fn public(&self) -> &PublicGroup {
        &self.public
    }

    /// An entry that is not in the log, shown as if it came next.
    pub fn forged(&self, kind: EntryKind, body: &[u8]) -> Entry {
        let seq = self.head().next().unwrap();
        Entry { group: self.id(), seq, kind, delivery: None, body: Opaque(body.to_vec()) }
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
