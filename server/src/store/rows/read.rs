//! Reading, at one moment: what a view returns is as one batch left it, never between two.

use super::records::{
    self, AccountRecord, DeviceRecord, HeadRecord, MemberRecord, TrimRecord, commit_key, delivery_key,
    leaf_key, log_key, member_key,
};
use super::{KeyValue, Rows, Table};
use crate::limits::ENTRY_OVERHEAD;
use crate::store::{
    AccountKey, LogEntry, Page, PageBounds, Range, StoreError, StoredAccount, StoredDevice, StoredGroup,
};
use bytes::Bytes;
use conclave_wire::codec::Structure;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{AccountId, CommitHash, DeviceId, Epoch, GroupId, LeafIndex, Opaque, Seq};
use conclave_wire::public_group::PublicGroup;
use conclave_wire::reply::Membership;
use conclave_wire::roster::Roster;
use std::collections::HashMap;

/// Rows of a roster's leaves or of an index that are read at once.
const SMALL_ROWS: usize = 1024;

/// Entries that are read at once: the largest are half a frame.
const LARGE_ROWS: usize = 64;

/// All rows at one moment.
pub(in crate::store) struct View<R>(pub(in crate::store) R);

impl<R: Rows> View<R> {
    pub(in crate::store) fn group(&self, group: &GroupId) -> Result<Option<StoredGroup>, StoreError> {
        let Some(head) = self.head(group)? else { return Ok(None) };
        let mut leaves = Vec::new();
        let (first, last) = (leaf_key(group, LeafIndex(0)), leaf_key(group, LeafIndex(u32::MAX)));
        for row in self.0.scan(Table::Leaf, first, last, SMALL_ROWS) {
            let (key, value) = row?;
            let index = LeafIndex(u32::from_be_bytes(records::suffix(key.as_ref(), "leaf key")?));
            leaves.push((index, records::decode(value.as_ref())?));
        }
        let roster = Roster::from_leaves(head.leaf_count as usize, leaves);
        let public = PublicGroup::from_storage(*group, head.epoch, head.commit, head.commit_time, roster);
        Ok(Some(StoredGroup { public, commit_seq: head.commit_seq }))
    }

    pub(in crate::store) fn membership(
        &self,
        device: &DeviceId,
        group: &GroupId,
    ) -> Result<Option<Membership>, StoreError> {
        let Some(member) = self.0.get(Table::Member, &member_key(device, group))? else { return Ok(None) };
        let member = records::decode(member.as_ref())?;
        Ok(self.with_heads(device, vec![(*group, member)])?.pop())
    }

    pub(in crate::store) fn memberships(
        &self,
        device: &DeviceId,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        let mut members = Vec::new();
        for row in self.0.prefix(Table::Member, device.as_bytes(), SMALL_ROWS).take(limit) {
            let (key, value) = row?;
            let group = GroupId::from_bytes(records::suffix(key.as_ref(), "member key")?);
            members.push((group, records::decode(value.as_ref())?));
        }
        self.with_heads(device, members)
    }

    /// What a device may read of groups that it is or was in.
    fn with_heads(
        &self,
        device: &DeviceId,
        members: Vec<(GroupId, MemberRecord)>,
    ) -> Result<Vec<Membership>, StoreError> {
        let groups: Vec<_> = members.iter().map(|(group, _)| group.as_bytes().to_vec()).collect();
        let heads = self.0.get_all(Table::Group, &groups)?;
        let cursors: Vec<_> = members.iter().map(|(group, _)| member_key(device, group)).collect();
        let cursors = self.0.get_all(Table::Cursor, &cursors)?;
        let mut memberships = Vec::new();
        for ((group, member), (head, cursor)) in members.into_iter().zip(heads.into_iter().zip(cursors)) {
            let head = head.ok_or(StoreError::Damaged(HeadRecord::NAME))?;
            let head: HeadRecord = records::decode(head.as_ref())?;
            let head = member.left.unwrap_or(head.seq);
            let acknowledged = match cursor {
                Some(bytes) => Seq(u64::from_be_bytes(records::fixed(bytes.as_ref(), "cursor")?)).min(head),
                None => Seq(0),
            };
            let MemberRecord { joined, left } = member;
            memberships.push(Membership { group, joined, left, acknowledged, head });
        }
        Ok(memberships)
    }

    pub(in crate::store) fn page(
        &self,
        device: &DeviceId,
        group: &GroupId,
        range: Range,
        bounds: PageBounds,
    ) -> Result<Option<Page>, StoreError> {
        let Some(membership) = self.membership(device, group)? else { return Ok(None) };
        let mut page = PageBuilder { bounds, bytes: 0, entries: Vec::new() };
        let complete = match range {
            Range::After(after) => {
                let before_joined = membership.joined.0.saturating_sub(1);
                let first = Seq(after.0.max(before_joined).saturating_add(1));
                self.entries(device, group, first, membership.head, &mut page)?
            }
            Range::Commits(epoch) => self.commits(device, group, epoch, membership.head, &mut page)?,
        };
        Ok(Some(Page { entries: page.entries, membership, complete }))
    }

    pub(in crate::store) fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError> {
        let id = match key {
            AccountKey::Id(id) => *id,
            AccountKey::Name(name) => match self.0.get(Table::Name, name.as_str().as_bytes())? {
                Some(id) => AccountId::from_bytes(records::fixed(id.as_ref(), "name record")?),
                None => return Ok(None),
            },
        };
        let record = self.record::<AccountRecord>(Table::Account, id.as_bytes())?;
        Ok(record.map(|AccountRecord { name, manifest }| StoredAccount { name, manifest }))
    }

    pub(in crate::store) fn device(&self, device: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        let record = self.record::<DeviceRecord>(Table::Device, device.as_bytes())?;
        Ok(record.map(|DeviceRecord { account, prekeys }| StoredDevice { account, prekeys }))
    }

    /// The head commit of a group.
    pub(in crate::store) fn head_commit(&self, group: &GroupId) -> Result<Option<CommitHash>, StoreError> {
        Ok(self.head(group)?.map(|head| head.commit))
    }

    /// The last entries of groups, of those that there are.
    pub(in crate::store) fn heads(&self, groups: &[GroupId]) -> Result<HashMap<GroupId, Seq>, StoreError> {
        let keys: Vec<_> = groups.iter().map(|group| group.as_bytes().to_vec()).collect();
        let mut heads = HashMap::new();
        for (group, head) in groups.iter().zip(self.0.get_all(Table::Group, &keys)?) {
            let Some(head) = head else { continue };
            heads.insert(*group, records::decode::<HeadRecord>(head.as_ref())?.seq);
        }
        Ok(heads)
    }

    /// Entries of a group as they are for everybody, at most `limit`.
    pub(in crate::store) fn log(
        &self,
        group: &GroupId,
        first: Seq,
        last: Seq,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let rows = self.0.scan(Table::Log, log_key(group, first), log_key(group, last), LARGE_ROWS);
        let entry = |row: Result<KeyValue<R::Bytes>, StoreError>| {
            let (key, value) = row?;
            let seq = Seq(u64::from_be_bytes(records::suffix(key.as_ref(), "log key")?));
            let (kind, body) = records::log_entry(value.as_ref())?;
            Ok(LogEntry { seq, kind, body: Bytes::copy_from_slice(body) })
        };
        rows.take(limit).map(entry).collect()
    }

    /// Fills a page with the entries from `first` to `last`; says whether they are all in it.
    fn entries(
        &self,
        device: &DeviceId,
        group: &GroupId,
        first: Seq,
        last: Seq,
        page: &mut PageBuilder,
    ) -> Result<bool, StoreError> {
        // How many there may be is known, so what hangs on them is read by one range as well. Where entries are gone, what is
        // beyond is looked for one by one.
        let span = Seq(last.0.min(first.0.saturating_add(page.bounds.entries as u64)));
        if first > last {
            return Ok(true);
        }
        let mut deliveries = self.deliveries(device, group, first, span, page.bounds.bytes)?;
        let mut expected = first;
        let page_rows = LARGE_ROWS.min(page.bounds.entries.max(1));
        for row in self.0.scan(Table::Log, log_key(group, first), log_key(group, last), page_rows) {
            let (key, value) = row?;
            let seq = Seq(u64::from_be_bytes(records::suffix(key.as_ref(), "log key")?));
            if seq > expected && !page.push(self.trimmed(group, Seq(seq.0.saturating_sub(1)))?) {
                return Ok(false);
            }
            let (kind, body) = records::log_entry(value.as_ref())?;
            let delivery = match deliveries.remove(&seq) {
                None if kind != EntryKind::Message => self.delivery(group, seq, device, seq > span)?,
                delivery => delivery,
            };
            let entry = Entry { group: *group, seq, kind, delivery, body: Opaque(body.to_vec()) };
            if !page.push(entry) {
                return Ok(false);
            }
            expected = Seq(seq.0.saturating_add(1));
        }
        Ok(expected > last || page.push(self.trimmed(group, last)?))
    }

    /// What stands for entries up to this one that are not there, if that is because they are no longer kept.
    fn trimmed(&self, group: &GroupId, last: Seq) -> Result<Entry, StoreError> {
        let gone = self.record::<TrimRecord>(Table::Trim, group.as_bytes())?.unwrap_or_default();
        if gone.messages < last {
            return Err(StoreError::Damaged("log: an entry is missing"));
        }
        Ok(Entry::trimmed(*group, last))
    }

    /// What hangs on an entry for a device, in a row of its own, if one is to be looked for, or as a part.
    fn delivery(
        &self,
        group: &GroupId,
        seq: Seq,
        device: &DeviceId,
        look: bool,
    ) -> Result<Option<Opaque>, StoreError> {
        let row = if look { self.0.get(Table::Delivery, &delivery_key(group, device, seq))? } else { None };
        match row {
            Some(bytes) => Ok(Some(Opaque(bytes.as_ref().to_vec()))),
            None => self.part_of(group, seq, device),
        }
    }

    /// Fills a page with the commits from an epoch on that are not after `last`; says whether they are all in it.
    fn commits(
        &self,
        device: &DeviceId,
        group: &GroupId,
        from: Epoch,
        last: Seq,
        page: &mut PageBuilder,
    ) -> Result<bool, StoreError> {
        let (first, last_epoch) = (commit_key(group, from), commit_key(group, Epoch(u32::MAX)));
        for row in self.0.scan(Table::Commit, first, last_epoch, SMALL_ROWS) {
            let (_, value) = row?;
            let seq = Seq(u64::from_be_bytes(records::fixed(value.as_ref(), "commit index")?));
            if seq > last {
                break;
            }
            let value = self.0.get(Table::Log, &log_key(group, seq))?;
            let value = value.ok_or(StoreError::Damaged("log: a commit is missing"))?;
            let (kind, body) = records::log_entry(value.as_ref())?;
            if kind != EntryKind::Commit {
                return Err(StoreError::Damaged("commit index"));
            }
            let delivery = self.delivery(group, seq, device, true)?;
            let entry = Entry { group: *group, seq, kind, delivery, body: Opaque(body.to_vec()) };
            if !page.push(entry) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What hangs on the entries of a page that holds `enough` bytes: no more is read than it can hold.
    fn deliveries(
        &self,
        device: &DeviceId,
        group: &GroupId,
        first: Seq,
        last: Seq,
        enough: usize,
    ) -> Result<HashMap<Seq, Opaque>, StoreError> {
        let (first, last) = (delivery_key(group, device, first), delivery_key(group, device, last));
        let mut deliveries = HashMap::new();
        let mut bytes = 0;
        for row in self.0.scan(Table::Delivery, first, last, LARGE_ROWS) {
            let (key, value) = row?;
            let (key, value) = (key.as_ref(), value.as_ref());
            let seq = Seq(u64::from_be_bytes(records::suffix(key, "delivery key")?));
            bytes += value.len();
            deliveries.insert(seq, Opaque(value.to_vec()));
            if bytes > enough {
                break;
            }
        }
        Ok(deliveries)
    }

    fn head(&self, group: &GroupId) -> Result<Option<HeadRecord>, StoreError> {
        self.record(Table::Group, group.as_bytes())
    }

    pub(super) fn record<T: Structure>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.0.get(table, key)?.map(|bytes| records::decode(bytes.as_ref())).transpose()
    }
}

/// A page that takes entries until it is full.
struct PageBuilder {
    bounds: PageBounds,
    bytes: usize,
    entries: Vec<Entry>,
}

impl PageBuilder {
    /// Takes an entry, or says that there is no room. The first always has room.
    fn push(&mut self, entry: Entry) -> bool {
        let delivery = entry.delivery.as_ref().map_or(0, |delivery| delivery.0.len());
        let bytes = self.bytes + entry.body.0.len() + delivery + ENTRY_OVERHEAD;
        let room = self.entries.len() < self.bounds.entries && bytes <= self.bounds.bytes;
        if !room && !self.entries.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.entries.push(entry);
        true
    }
}
