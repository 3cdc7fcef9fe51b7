//! One batch on its way to the disk: every write is decided on top of those before it, then all are stored at once.

use super::records::{
    self, AccountRecord, DeviceRecord, HeadRecord, MemberRecord, commit_key, delivery_key, leaf_key, log_key,
    log_value, member_key,
};
use super::{Rows, Table};
use crate::store::{Admitted, Append, Change, Invited, Registration, Rejected, StoreError, Write, Written};
use conclave_wire::codec;
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{CommitHash, DeviceId, Epoch, GroupId, ManifestVersion, Opaque, Seq, Timestamp};
use conclave_wire::manifest::Manifest;
use conclave_wire::public_group::Step;
use conclave_wire::request::Cursor;
use std::collections::HashMap;

/// A row's new value, `None` to delete it.
pub(in crate::store) type Row = Option<Vec<u8>>;

/// The rows of one batch, not yet stored.
pub(in crate::store) struct Stage<'a, R> {
    pub(super) rows: &'a R,
    /// Where groups stood before this batch, as far as it is remembered.
    known: &'a HashMap<GroupId, HeadRecord>,
    /// Where the groups of this batch stand now.
    pub(super) heads: HashMap<GroupId, HeadRecord>,
    /// Rows that nothing of this batch reads again: entries and what hangs on them.
    pub(super) appended: Vec<(Table, Vec<u8>, Vec<u8>)>,
    /// All others, each once with its last value: a backend need not order two values of one key in a batch.
    changed: HashMap<(Table, Vec<u8>), Row>,
}

/// A batch that has been decided.
pub(in crate::store) struct Staged {
    /// New rows.
    pub(in crate::store) appended: Vec<(Table, Vec<u8>, Vec<u8>)>,
    /// Rows that are new or change, each once; `None` deletes one.
    pub(in crate::store) changed: Vec<(Table, Vec<u8>, Row)>,
    /// True once these are stored.
    pub(in crate::store) heads: HashMap<GroupId, HeadRecord>,
}

impl<'a, R: Rows> Stage<'a, R> {
    pub(in crate::store) fn new(rows: &'a R, known: &'a HashMap<GroupId, HeadRecord>) -> Self {
        Self { rows, known, heads: HashMap::new(), appended: Vec::new(), changed: HashMap::new() }
    }

    /// Decides about one write. A rejected one leaves nothing behind.
    pub(in crate::store) fn write(&mut self, write: &Write) -> Result<Result<Written, Rejected>, StoreError> {
        match write {
            Write::Append(append) => self.append(append),
            Write::Register(registration) => self.register(registration),
            Write::PublishPrekeys { device, prekeys } => self.publish_prekeys(device, prekeys),
            Write::Acknowledge { device, cursor } => self.acknowledge(device, cursor),
            Write::PublishOneTime { device, prekeys, replace } => {
                self.publish_one_time(device, prekeys, *replace)
            }
            Write::TakeOneTime(devices) => self.take_one_time(devices),
            Write::StagePart(part) => self.stage_part(part),
            Write::ForgetUploads { before } => self.forget_uploads(*before),
            Write::KeepLetter(letter) => self.keep_letter(letter),
            Write::ForgetLetters { device, through } => self.forget_letters(device, *through),
            Write::TrimLogs { after, keep } => self.trim_logs(*after, keep),
            Write::SweepMailboxes { after, now } => self.sweep_mailboxes(*after, *now),
        }
    }

    /// Whether there is nothing to store.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.appended.is_empty() && self.changed.is_empty() && self.heads.is_empty()
    }

    /// All rows, to be stored durably and as one.
    pub(in crate::store) fn finish(self) -> Staged {
        let heads = self.heads.iter();
        let heads =
            heads.map(|(group, head)| (Table::Group, group.as_bytes().to_vec(), Some(codec::encode(head))));
        let changed = self.changed.into_iter().map(|((table, key), row)| (table, key, row));
        Staged { changed: changed.chain(heads).collect(), appended: self.appended, heads: self.heads }
    }

    fn append(&mut self, append: &Append) -> Result<Result<Written, Rejected>, StoreError> {
        let head = match self.head(&append.group)? {
            Some(head) => head,
            None => match &append.change {
                Change::Commit(step) if step.commit().body().epoch == Epoch(0) => EMPTY,
                _ => return Ok(Err(Rejected::UnknownGroup)),
            },
        };
        let seq = head.seq.next().ok_or(StoreError::Damaged("head record"))?;
        let mut next = HeadRecord { seq, ..head };
        match &append.change {
            Change::Message(epoch) => {
                if *epoch != head.epoch {
                    return Ok(Err(Rejected::EpochStale { epoch: head.epoch, head: head.seq }));
                }
                next.bytes = head.bytes.saturating_add(append.body.len() as u64);
            }
            Change::Distribution(epoch) => {
                if *epoch != head.epoch {
                    return Ok(Err(Rejected::EpochStale { epoch: head.epoch, head: head.seq }));
                }
                if !self.has_upload(append)? {
                    return Ok(Err(Rejected::UnknownUpload));
                }
                next.last_distribution = seq;
            }
            Change::Commit(step) => {
                if step.commit().hash() == head.commit {
                    return Ok(Ok(Written::Repeated(head.commit_seq)));
                }
                let body = step.commit().body();
                // A genesis names zeros as the commit before it, which is what the head of no group is.
                // A welcome must not lack a sender. A commit without one waits for no distribution, or a member who
                // distributes all the time could not be removed.
                let welcomes = !step.outcome().added().is_empty();
                let lacks_a_sender = welcomes && body.last_distribution != head.last_distribution;
                if body.previous != head.commit || lacks_a_sender {
                    return Ok(Err(Rejected::HeadMoved { head: head.seq }));
                }
                if !self.has_upload(append)? {
                    return Ok(Err(Rejected::UnknownUpload));
                }
                self.commit(&append.group, step, &mut next)?;
            }
        }
        if let Some(staged) = &append.staged {
            self.name_upload(&staged.upload, &append.group, seq)?;
        }
        self.date(append, &head, &mut next);
        if append.change.kind() != EntryKind::Message {
            self.appended.push((
                Table::Kept,
                log_key(&append.group, seq),
                log_value(append.change.kind(), &[]),
            ));
        }
        let value = log_value(append.change.kind(), &append.body);
        self.appended.push((Table::Log, log_key(&append.group, seq), value));
        for (device, delivery) in &append.deliveries {
            let key = delivery_key(&append.group, device, seq);
            self.appended.push((Table::Delivery, key, delivery.to_vec()));
        }
        self.heads.insert(append.group, next);
        Ok(Ok(Written::Appended(seq)))
    }

    /// What a commit changes beside the log: its index, the leaves, who may read what, and the head.
    fn commit(&mut self, group: &GroupId, step: &Step, head: &mut HeadRecord) -> Result<(), StoreError> {
        let (body, outcome) = (step.commit().body(), step.outcome());
        head.epoch = body.epoch;
        head.commit = step.commit().hash();
        head.commit_seq = head.seq;
        head.commit_time = body.time;
        self.put(Table::Commit, commit_key(group, body.epoch), head.seq.0.to_be_bytes().to_vec());
        for (index, leaf) in outcome.leaf_changes() {
            head.leaf_count = head.leaf_count.max(index.0.saturating_add(1));
            self.set(Table::Leaf, leaf_key(group, *index), leaf.as_ref().map(codec::encode));
        }
        for (_, leaf) in outcome.removed() {
            let key = member_key(&leaf.device.id(), group);
            let Some(record) = self.row(Table::Member, &key)? else {
                return Err(StoreError::Damaged(<MemberRecord as codec::Structure>::NAME));
            };
            let member: MemberRecord = records::decode(&record)?;
            let member = MemberRecord { left: Some(head.seq), ..member };
            self.put(Table::Member, key, codec::encode(&member));
        }
        for (_, leaf) in outcome.added() {
            let member = MemberRecord { joined: head.seq, left: None };
            let key = member_key(&leaf.device.id(), group);
            self.put(Table::Member, key, codec::encode(&member));
        }
        Ok(())
    }

    fn register(&mut self, registration: &Registration) -> Result<Result<Written, Rejected>, StoreError> {
        let Registration { name, account, manifest, device, prekeys, admitted } = registration;
        let name_key = name.as_str().as_bytes();
        if let Some(owner) = self.row(Table::Name, name_key)?
            && owner != account.as_bytes()
        {
            return Ok(Err(Rejected::NameTaken));
        }
        let mut record = AccountRecord { name: name.clone(), manifest: manifest.clone() };
        let account_row = self.row(Table::Account, account.as_bytes())?;
        let is_new = account_row.is_none();
        let mut changes = false;
        if let Some(known) = account_row {
            let known: AccountRecord = records::decode(&known)?;
            if known.name != *name {
                return Ok(Err(Rejected::AlreadyRegistered(known.name)));
            }
            // The directory never goes back to an older manifest, nor does it choose between two of one version.
            let (newest, shown) = (version(&known.manifest)?, version(manifest)?);
            if newest == shown && known.manifest != *manifest {
                return Ok(Err(Rejected::ManifestConflict(newest)));
            }
            changes = shown > newest;
            if newest > shown {
                record.manifest = known.manifest;
                if !stored(&record.manifest)?.lists(device) {
                    return Ok(Err(Rejected::DeviceRevoked));
                }
            }
        }
        if let Some(known) = self.row(Table::Device, device.as_bytes())?
            && records::decode::<DeviceRecord>(&known)?.account != *account
        {
            return Ok(Err(Rejected::DeviceTaken));
        }
        if is_new && let Some(rejected) = self.admit(admitted)? {
            return Ok(Err(rejected));
        }
        self.put(Table::Name, name_key.to_vec(), account.as_bytes().to_vec());
        self.put(Table::Account, account.as_bytes().to_vec(), codec::encode(&record));
        let record = DeviceRecord { account: *account, prekeys: prekeys.clone() };
        self.put(Table::Device, device.as_bytes().to_vec(), codec::encode(&record));
        Ok(Ok(if changes { Written::ManifestChanged } else { Written::Done }))
    }

    /// Lets a new account in, or says why not. A use of an invite is counted with the registration that it is for.
    fn admit(&mut self, admitted: &Admitted) -> Result<Option<Rejected>, StoreError> {
        let Invited { id, uses } = match admitted {
            Admitted::Free => return Ok(None),
            Admitted::Refused(refusal) => return Ok(Some(Rejected::NotAdmitted(refusal.clone()))),
            Admitted::Invited(invited) => invited,
        };
        let used = match self.row(Table::Invite, &id.0)? {
            Some(bytes) => u32::from_be_bytes(records::fixed(&bytes, "invite")?),
            None => 0,
        };
        if used >= *uses {
            return Ok(Some(Rejected::InviteUsedUp));
        }
        self.put(Table::Invite, id.0.to_vec(), used.saturating_add(1).to_be_bytes().to_vec());
        Ok(None)
    }

    fn publish_prekeys(
        &mut self,
        device: &DeviceId,
        prekeys: &Opaque,
    ) -> Result<Result<Written, Rejected>, StoreError> {
        let Some(known) = self.row(Table::Device, device.as_bytes())? else {
            return Ok(Err(Rejected::UnknownDevice));
        };
        let known: DeviceRecord = records::decode(&known)?;
        let record = DeviceRecord { prekeys: prekeys.clone(), ..known };
        self.put(Table::Device, device.as_bytes().to_vec(), codec::encode(&record));
        Ok(Ok(Written::Done))
    }

    fn acknowledge(
        &mut self,
        device: &DeviceId,
        cursor: &Cursor,
    ) -> Result<Result<Written, Rejected>, StoreError> {
        let key = member_key(device, &cursor.group);
        let known = match self.row(Table::Cursor, &key)? {
            Some(bytes) => u64::from_be_bytes(records::fixed(&bytes, "cursor")?),
            None => 0,
        };
        if cursor.seq.0 > known {
            self.put(Table::Cursor, key, cursor.seq.0.to_be_bytes().to_vec());
        }
        Ok(Ok(Written::Done))
    }

    fn head(&self, group: &GroupId) -> Result<Option<HeadRecord>, StoreError> {
        if let Some(head) = self.heads.get(group).or_else(|| self.known.get(group)) {
            return Ok(Some(*head));
        }
        let row = self.rows.get(Table::Group, group.as_bytes())?;
        row.map(|bytes| records::decode(bytes.as_ref())).transpose()
    }

    /// A row as this batch has left it.
    pub(super) fn row(&self, table: Table, key: &[u8]) -> Result<Row, StoreError> {
        match self.changed(table, key) {
            Some(row) => Ok(row.clone()),
            None => Ok(self.rows.get(table, key)?.map(|value| value.as_ref().to_vec())),
        }
    }

    /// What this batch has made of a row, if it has changed it.
    pub(super) fn changed(&self, table: Table, key: &[u8]) -> Option<&Row> {
        self.changed.get(&(table, key.to_vec()))
    }

    /// What this batch has changed of the rows of a table whose keys begin like this, and whether they are there.
    pub(super) fn changed_of(&self, table: Table, prefix: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
        let of_table =
            self.changed.iter().filter(move |((of, key), _)| *of == table && key.starts_with(prefix));
        of_table.map(|((_, key), row)| (key.as_slice(), row.is_some()))
    }

    pub(super) fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.set(table, key, Some(value));
    }

    pub(super) fn set(&mut self, table: Table, key: Vec<u8>, row: Row) {
        self.changed.insert((table, key), row);
    }
}

/// Which of an account's manifests this is.
fn version(manifest: &Opaque) -> Result<ManifestVersion, StoreError> {
    Ok(stored(manifest)?.body().version)
}

/// A manifest that was verified before it was stored.
fn stored(manifest: &Opaque) -> Result<Manifest, StoreError> {
    Manifest::trust_own_storage(&manifest.0).map_err(|_| StoreError::Damaged("manifest"))
}

/// The head of a group that does not exist yet.
const EMPTY: HeadRecord = HeadRecord {
    seq: Seq(0),
    epoch: Epoch(0),
    commit: CommitHash::from_bytes([0; 32]),
    commit_seq: Seq(0),
    commit_time: Timestamp(0),
    last_distribution: Seq(0),
    leaf_count: 0,
    bytes: 0,
    came: Timestamp(0),
    dated: Timestamp(0),
    dated_bytes: 0,
};
