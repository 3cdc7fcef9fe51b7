//! Trimming: a log keeps messages that are not too old, and not more than so many bytes of them; what repairs itself it
//! keeps for longer, and commits for ever.
//!
//! ```text
//!     entry        1        2         3        4        5        6         7        8
//!                commit   message   distr.   message  message  commit    distr.  message
//!     dated                                  │came                       │came
//!     messages ──────────────────────────────────────────┤ up to 5 are gone: 2, 4, 5
//!     keys     ─────────────────────────┤ up to 3 are gone as well: 3, and what hung on 1 to 3
//! ```
//!
//! No entry has a time of its own. A row of `dated`, once a day and every few megabytes, says when the last entry before it
//! came; a day is as exact as anybody needs it. First [`TrimRecord`] says what goes, so that a reader takes a
//! hole for what it is; then the rows go, a few at a time.

use super::records::{self, DatedRecord, HeadRecord, TrimRecord, UploadRecord, log_key};
use super::stage::Stage;
use super::{KeyValue, Rows, Table};
use crate::limits::{DATE_BYTES, DATE_EVERY, THIN_DATES, TRIM_GROUPS, TRIM_ROWS};
use crate::store::{Append, Keep, Rejected, StoreError, Written};
use conclave_wire::codec;
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{GroupId, Opaque, Seq, Timestamp, UploadId};
use std::collections::{HashMap, HashSet};

/// Rows of `dated` that are read at once.
const DATES: usize = 4096;

/// A group's rows of `dated`, in log order.
type Dates = Vec<(Seq, DatedRecord)>;

impl<R: Rows> Stage<'_, R> {
    /// Notes when an entry comes, if that was not noted lately. `head` is before it, `next` after it.
    pub(super) fn date(&mut self, append: &Append, head: &HeadRecord, next: &mut HeadRecord) {
        // A clock that goes back makes nothing older than it is.
        next.came = append.now.max(head.came);
        let is_due = next.came >= head.dated.plus(DATE_EVERY)
            || head.bytes.saturating_sub(head.dated_bytes) >= DATE_BYTES;
        if head.seq == Seq(0) || is_due {
            (next.dated, next.dated_bytes) = (next.came, head.bytes);
        }
        if head.seq > Seq(0) && is_due {
            let dated = DatedRecord { came: head.came, bytes: head.bytes };
            self.put(Table::Dated, log_key(&append.group, next.seq), codec::encode(&dated));
        }
    }

    /// Deletes a few rows of what the logs after this group's keep no longer.
    pub(super) fn trim_logs(
        &mut self,
        after: Option<GroupId>,
        keep: &Keep,
    ) -> Result<Result<Written, Rejected>, StoreError> {
        let first = after.map(|group| [group.as_bytes(), &[0][..]].concat()).unwrap_or_default();
        let heads = self.rows.range(Table::Group, &first, &[0xff; 33], TRIM_GROUPS)?;
        let full = heads.len() >= TRIM_GROUPS;
        let mut dates = self.dates(&heads)?;
        let keys: Vec<_> = heads.iter().map(|(key, _)| key.as_ref().to_vec()).collect();
        let trims = self.rows.get_all(Table::Trim, &keys)?;
        let mut budget = Budget { rows: TRIM_ROWS, entries: 0 };
        let mut last = after;
        for ((key, head), trim) in heads.into_iter().zip(trims) {
            let group = GroupId::from_bytes(records::fixed(key.as_ref(), "group key")?);
            // As this batch has left it.
            let head = match self.heads.get(&group) {
                Some(head) => *head,
                None => records::decode(head.as_ref())?,
            };
            let trim = trim.map(|bytes| records::decode(bytes.as_ref())).transpose()?.unwrap_or_default();
            let dates = dates.remove(&group).unwrap_or_default();
            if !self.trim_log(&group, &head, &trim, &dates, keep, &mut budget)? {
                return Ok(Ok(Written::Trimmed { to: last, entries: budget.entries, more: true }));
            }
            last = Some(group);
        }
        let to = last.filter(|_| full);
        Ok(Ok(Written::Trimmed { to, entries: budget.entries, more: false }))
    }

    /// The dates of all these groups, which follow each other.
    fn dates(&self, heads: &[KeyValue<R::Bytes>]) -> Result<HashMap<GroupId, Dates>, StoreError> {
        let mut dates: HashMap<GroupId, Dates> = HashMap::new();
        let (Some((first, _)), Some((last, _))) = (heads.first(), heads.last()) else { return Ok(dates) };
        let last = [last.as_ref(), &[0xff; 8]].concat();
        for row in self.rows.scan(Table::Dated, first.as_ref().to_vec(), last, DATES) {
            let (key, value) = row?;
            let (group, seq) = key.as_ref().split_last_chunk().ok_or(StoreError::Damaged("dated key"))?;
            let group = GroupId::from_bytes(records::fixed(group, "dated key")?);
            let dated = (Seq(u64::from_be_bytes(*seq)), records::decode(value.as_ref())?);
            dates.entry(group).or_default().push(dated);
        }
        Ok(dates)
    }

    /// Whether nothing is left to do for it now.
    fn trim_log(
        &mut self,
        group: &GroupId,
        head: &HeadRecord,
        before: &TrimRecord,
        dates: &Dates,
        keep: &Keep,
        budget: &mut Budget,
    ) -> Result<bool, StoreError> {
        let mut trim = before.clone();
        let messages = older_than(keep.messages, head, dates).max(beyond(keep.group_bytes, head, dates));
        trim.messages = trim.messages.max(messages);
        let keys = older_than(keep.keys, head, dates).min(trim.messages);
        if keys > trim.keys {
            trim.keys = keys;
            trim.deliveries_seen = Some(Opaque(Vec::new()));
        }
        let done = self.trim_messages(group, &mut trim, budget)?
            && self.trim_keys(group, head, &mut trim, budget)?
            && self.trim_deliveries(group, head, &mut trim, budget)?;
        if trim != *before {
            self.thin_dates(group, &trim, dates);
            self.put(Table::Trim, group.as_bytes().to_vec(), codec::encode(&trim));
        }
        Ok(done)
    }

    fn trim_messages(
        &mut self,
        group: &GroupId,
        trim: &mut TrimRecord,
        budget: &mut Budget,
    ) -> Result<bool, StoreError> {
        if trim.messages_gone >= trim.messages {
            return Ok(true);
        }
        let first = log_key(group, after(trim.messages_gone));
        let keys = self.rows.keys(Table::Log, &first, &log_key(group, trim.messages), budget.rows)?;
        let through = match keys.last() {
            Some(last) if keys.len() >= budget.rows => seq_of(last)?,
            _ if budget.rows == 0 => return Ok(false),
            _ => trim.messages,
        };
        let kept = self.rows.keys(Table::Kept, &first, &log_key(group, through), keys.len())?;
        let kept = kept.iter().map(seq_of).collect::<Result<HashSet<_>, _>>()?;
        for key in &keys {
            if !kept.contains(&seq_of(key)?) {
                self.set(Table::Log, key.as_ref().to_vec(), None);
                budget.entries += 1;
            }
        }
        budget.rows = budget.rows.saturating_sub(keys.len());
        trim.messages_gone = through;
        Ok(through >= trim.messages)
    }

    /// Distributions, and what came in parts for any entry.
    fn trim_keys(
        &mut self,
        group: &GroupId,
        head: &HeadRecord,
        trim: &mut TrimRecord,
        budget: &mut Budget,
    ) -> Result<bool, StoreError> {
        while trim.keys_gone < trim.keys {
            if budget.rows == 0 {
                return Ok(false);
            }
            let first = log_key(group, after(trim.keys_gone));
            let rows = self.rows.range(Table::Kept, &first, &log_key(group, trim.keys), budget.rows)?;
            let full = rows.len() >= budget.rows;
            for (key, kind) in rows {
                let seq = seq_of(&key)?;
                budget.rows = budget.rows.saturating_sub(1);
                if !stays(seq, head) {
                    if !self.forget_parts(key.as_ref(), budget)? {
                        return Ok(false);
                    }
                    if records::log_entry(kind.as_ref())?.0 == EntryKind::Distribution {
                        self.set(Table::Log, key.as_ref().to_vec(), None);
                        self.set(Table::Kept, key.as_ref().to_vec(), None);
                        budget.entries += 1;
                    }
                }
                trim.keys_gone = seq;
            }
            if !full {
                trim.keys_gone = trim.keys;
            }
        }
        Ok(true)
    }

    /// Whether nothing is left of what came in parts for an entry.
    fn forget_parts(&mut self, key: &[u8], budget: &mut Budget) -> Result<bool, StoreError> {
        let Some(upload) = self.row(Table::Named, key)? else { return Ok(true) };
        let upload = UploadId::from_bytes(records::fixed(&upload, "named upload")?);
        let Some(record) = self.row(Table::Upload, upload.as_bytes())? else {
            return Err(StoreError::Damaged("named upload"));
        };
        let record: UploadRecord = records::decode(&record)?;
        // Of this batch too the rows are still seen that go, so that it takes another to find none.
        let gone = budget.rows > 0 && self.forget_upload(&upload, record, &mut budget.rows)?;
        if gone {
            self.set(Table::Named, key.to_vec(), None);
        }
        Ok(gone)
    }

    /// What hung on entries, each in a row of its own. They lie by device, so all are looked at.
    fn trim_deliveries(
        &mut self,
        group: &GroupId,
        head: &HeadRecord,
        trim: &mut TrimRecord,
        budget: &mut Budget,
    ) -> Result<bool, StoreError> {
        let Some(seen) = &trim.deliveries_seen else { return Ok(true) };
        if budget.rows == 0 {
            return Ok(false);
        }
        let beyond: &[u8] = if seen.0.is_empty() { &[] } else { &[0] };
        let first = [group.as_bytes().as_slice(), &seen.0, beyond].concat();
        let last = [group.as_bytes().as_slice(), &[0xff; 40]].concat();
        let keys = self.rows.keys(Table::Delivery, &first, &last, budget.rows)?;
        let full = keys.len() >= budget.rows;
        for key in &keys {
            let seq = seq_of(key)?;
            if seq <= trim.keys && !stays(seq, head) {
                self.set(Table::Delivery, key.as_ref().to_vec(), None);
            }
        }
        budget.rows = budget.rows.saturating_sub(keys.len());
        let last = keys.last().filter(|_| full).and_then(|key| key.as_ref().get(group.as_bytes().len()..));
        trim.deliveries_seen = last.map(|place| Opaque(place.to_vec()));
        Ok(!full)
    }

    /// Dates of what is gone are of no use; for what is kept longer one a month will do. The one at which messages now begin
    /// stays: without it the next one would count, and with every round more would go.
    fn thin_dates(&mut self, group: &GroupId, trim: &TrimRecord, dates: &Dates) {
        let mut last: Option<Timestamp> = None;
        for (seq, dated) in dates {
            let through = before(*seq);
            let near = last.is_some_and(|last| dated.came < last.plus(THIN_DATES));
            if through < trim.messages && (through <= trim.keys || near) {
                self.set(Table::Dated, log_key(group, *seq), None);
            } else {
                last = Some(dated.came);
            }
        }
    }
}

/// How much one step may still do.
struct Budget {
    rows: usize,
    /// Entries that went.
    entries: u64,
}

/// The last entry of which it is known that it is older.
fn older_than(time: Timestamp, head: &HeadRecord, dates: &Dates) -> Seq {
    if head.came < time {
        return head.seq;
    }
    let dated = dates.iter().rev().find(|(_, dated)| dated.came < time);
    dated.map_or(Seq(0), |(seq, _)| before(*seq))
}

/// The last entry without which there are not more than so many bytes.
fn beyond(bytes: u64, head: &HeadRecord, dates: &Dates) -> Seq {
    if head.bytes <= bytes {
        return Seq(0);
    }
    let fits = dates.iter().find(|(_, dated)| head.bytes.saturating_sub(dated.bytes) <= bytes);
    fits.or(dates.last()).map_or(Seq(0), |(seq, _)| before(*seq))
}

/// Whether an entry is never trimmed, nor what hangs on it: everybody goes on from it.
fn stays(seq: Seq, head: &HeadRecord) -> bool {
    seq == head.last_distribution || seq == head.commit_seq
}

fn after(seq: Seq) -> Seq {
    Seq(seq.0.saturating_add(1))
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(1))
}

fn seq_of(key: &impl AsRef<[u8]>) -> Result<Seq, StoreError> {
    Ok(Seq(u64::from_be_bytes(records::suffix(key.as_ref(), "key of an entry")?)))
}
