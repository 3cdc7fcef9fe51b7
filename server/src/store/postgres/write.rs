//! One batch in one transaction: lock what it is about, decide, write, commit.

use super::mark::{BatchNumber, Mark};
use super::rows::{Moment, Seen, prepare};
use super::statement::{LOCK_HEADS, LOCK_SUBJECTS, Shape, split};
use super::trouble::Trouble;
use crate::store::rows::{HeadRecord, Stage, Staged, Table};
use crate::store::{Admitted, Rejected, StoreError, Write, Written};
use conclave_wire::codec;
use conclave_wire::ids::GroupId;
use deadpool_postgres::Object;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio::runtime::Handle;

/// What became of each write of a batch.
pub(super) type Outcomes = Vec<Result<Written, Rejected>>;

/// Locks that stand for subjects which have no row yet, or several: names, accounts, devices, uploads. (Of two groups that
/// begin, the log's own key lets one in.) Few, so that a batch cannot use up the database's room for locks.
const SUBJECT_LOCKS: u16 = 256;

/// Says that a lock is one of ours.
const LOCK_SPACE: i32 = 0x00C0_4C1A;

/// A batch that is decided and written, and not committed.
pub(super) struct Decided {
    pub(super) outcomes: Outcomes,
    /// By which the database can be asked later what became of it.
    pub(super) batch: BatchNumber,
}

/// Begins a transaction, decides about the batch, and writes it. On an error the connection is of no use any more.
pub(super) fn write(
    runtime: &Handle,
    client: &Object,
    mark: &Mark,
    batch: &[Write],
) -> Result<Decided, Trouble> {
    let heads = runtime.block_on(lock(client, batch))?;
    // Nobody else writes what is locked, so that each query may see what is there when it is asked.
    let rows = Seen::new(runtime, client, Moment::Each);
    let mut stage = Stage::new(&rows, &heads);
    let outcomes = batch.iter().map(|write| stage.write(write)).collect::<Result<Vec<_>, _>>()?;
    let batch = mark.next();
    runtime.block_on(store(client, stage.finish(), mark, batch))?;
    Ok(Decided { outcomes, batch })
}

/// Begins, locks what the batch is about, and reads where its groups stand.
async fn lock(client: &Object, batch: &[Write]) -> Result<HashMap<GroupId, HeadRecord>, Trouble> {
    let mut groups = BTreeSet::new();
    let mut subjects = BTreeSet::new();
    for write in batch {
        match write {
            Write::Append(append) => {
                groups.insert(append.group.as_bytes().as_slice());
                subjects.extend(append.staged.map(|staged| subject(staged.upload.as_bytes())));
            }
            Write::Register(registration) => {
                subjects.insert(subject(registration.name.as_str().as_bytes()));
                subjects.insert(subject(registration.account.as_bytes()));
                subjects.insert(subject(registration.device.as_bytes()));
                if let Admitted::Invited(invited) = &registration.admitted {
                    subjects.insert(subject(&invited.id.0));
                }
            }
            Write::TakeOneTime(devices) => {
                subjects.extend(devices.iter().map(|device| subject(device.as_bytes())));
            }
            Write::PublishPrekeys { device, .. } | Write::PublishOneTime { device, .. } => {
                subjects.insert(subject(device.as_bytes()));
            }
            Write::StagePart(part) => {
                subjects.insert(subject(part.upload.as_bytes()));
                subjects.insert(subject(part.by.as_bytes()));
            }
            Write::KeepLetter(letter) => {
                subjects.insert(subject(letter.to.as_bytes()));
            }
            Write::ForgetLetters { device, .. } => {
                subjects.insert(subject(device.as_bytes()));
            }
            // Every upload, mailbox or log may be in it. (Of a log only what lies far behind its end.)
            Write::ForgetUploads { .. } | Write::SweepMailboxes { .. } | Write::TrimLogs { .. } => {
                subjects.extend(0..i32::from(SUBJECT_LOCKS));
            }
            // A device acknowledges through one connection at a time; should two nodes write at once, the lower one
            // may stay, which only delivers again.
            Write::Acknowledge { .. } => {}
        }
    }
    client.batch_execute("begin transaction isolation level read committed").await?;
    if !subjects.is_empty() {
        let statement = client.prepare_cached(LOCK_SUBJECTS).await?;
        let subjects: Vec<i32> = subjects.into_iter().collect();
        client.query(&statement, &[&LOCK_SPACE, &subjects]).await?;
    }
    let mut heads = HashMap::new();
    if !groups.is_empty() {
        let statement = client.prepare_cached(LOCK_HEADS).await?;
        let groups: Vec<&[u8]> = groups.into_iter().collect();
        for row in client.query(&statement, &[&groups]).await? {
            let damaged = || StoreError::Damaged("head record");
            let (group, head): (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?);
            let group = GroupId::from_bytes(group.try_into().map_err(|_| damaged())?);
            heads.insert(group, codec::decode(head).map_err(|_| damaged())?);
        }
    }
    Ok(heads)
}

/// The lock that stands for something.
fn subject(id: &[u8]) -> i32 {
    let [a, b, ..] = *blake3::hash(id).as_bytes();
    i32::from(u16::from_le_bytes([a, b]) % SUBJECT_LOCKS)
}

/// Homes, places and values of one table.
#[derive(Default)]
struct Columns<'a> {
    homes: Vec<&'a [u8]>,
    places: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, table: Table, key: &'a [u8], value: Option<&'a [u8]>) {
        let (home, place) = split(table, key);
        self.homes.push(home);
        self.places.push(place);
        self.values.extend(value);
    }
}

/// Writes all rows of a batch, pipelined, with the mark by which its commit is known.
async fn store(client: &Object, staged: Staged, mark: &Mark, batch: BatchNumber) -> Result<(), Trouble> {
    let mut inserted: BTreeMap<Table, Columns<'_>> = BTreeMap::new();
    let mut put: BTreeMap<Table, Columns<'_>> = BTreeMap::new();
    let mut deleted: BTreeMap<Table, Columns<'_>> = BTreeMap::new();
    for (table, key, value) in &staged.appended {
        // A part is written once; entries and deliveries have a place of their own.
        inserted.entry(*table).or_default().push(*table, key, Some(value));
    }
    for (table, key, value) in &staged.changed {
        let columns = if value.is_some() { &mut put } else { &mut deleted };
        columns.entry(*table).or_default().push(*table, key, value.as_deref());
    }
    let inserts = inserted.iter().map(|(table, columns)| (Shape::Insert, table, columns));
    let puts = put.iter().map(|(table, columns)| (Shape::Put, table, columns));
    let deletes = deleted.iter().map(|(table, columns)| (Shape::Delete, table, columns));
    let writes = inserts.chain(puts).chain(deletes).map(|(shape, table, columns)| async move {
        let statement = prepare(client, shape, *table).await?;
        let expected = columns.homes.len() as u64;
        let written = match shape {
            Shape::Delete => client.execute(&statement, &[&columns.homes, &columns.places]).await?,
            _ => {
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                    [&columns.homes, &columns.places, &columns.values];
                client.execute(&statement, &parameters).await?
            }
        };
        let all = written == expected || matches!(shape, Shape::Delete);
        let short = || StoreError::Database { reason: format!("it wrote {written} rows of {expected}") };
        if all { Ok(()) } else { Err(Trouble::Failed(short())) }
    });
    let marked = async { Ok::<(), Trouble>(mark.set(client, batch).await?) };
    futures_util::future::try_join(futures_util::future::try_join_all(writes), marked).await?;
    Ok(())
}
