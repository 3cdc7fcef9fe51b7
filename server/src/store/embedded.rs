//! The embedded store: fjall, a log-structured merge tree in the server's own process, one keyspace for each table.

use crate::descriptors::Descriptors;
use crate::error::StartError;
use crate::limits::MAX_CACHED_HEADS;
use crate::store::compaction::{ALLOWANCE, Compactor};
use crate::store::format::DataDir;
use crate::store::rows::{
    AllRows, HeadRecord, KeyValue, Rows, Stage, Staged, Table, UNFINISHED, View, page_of,
};
use crate::store::{
    AccountKey, Letters, LettersWanted, Page, PageBounds, Range, Rejected, Store, StoreError, StoredAccount,
    StoredDevice, StoredGroup, StoredUpload, Write, Written,
};
use conclave_wire::ids::{CommitHash, DeviceId, GroupId, UploadId};
use conclave_wire::reply::Membership;
use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable,
    Snapshot, UserValue,
};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The engine's block cache.
const CACHE_BYTES: u64 = 64 << 20;

/// The engine's write-ahead journal. Bounds what is replayed at a start to about a second.
const JOURNAL_BYTES: u64 = 64 << 20;

/// Recent entries, where live readers that fell behind find them. Measured against the engine's default of 64 MiB: no
/// slower, and a quarter of the memory.
const LOG_MEMTABLE_BYTES: u64 = 16 << 20;

/// A fjall database in a data directory.
pub(crate) struct Embedded {
    db: Database,
    keyspaces: Keyspaces,
    /// Where each group stands, for those written to lately. Held for the whole of a write: there is one writer.
    heads: Mutex<HashMap<GroupId, HeadRecord>>,
    compactor: Compactor,
    /// Last, so that the engine has closed its files when the directory becomes free.
    _dir: Arc<DataDir>,
}

/// The keyspaces' handles.
struct Keyspaces(HashMap<Table, Keyspace>);

impl Keyspaces {
    fn of(&self, table: Table) -> Result<&Keyspace, StoreError> {
        self.0.get(&table).ok_or(StoreError::Damaged("keyspace"))
    }
}

/// Rows at one moment.
struct At<'a, T> {
    keyspaces: &'a Keyspaces,
    at: T,
}

impl<T: Readable> Rows for At<'_, T> {
    type Bytes = UserValue;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<UserValue>, StoreError> {
        Ok(self.at.get(self.keyspaces.of(table)?, key)?)
    }

    fn range(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        limit: usize,
    ) -> Result<Vec<KeyValue<UserValue>>, StoreError> {
        let rows = self.at.range(self.keyspaces.of(table)?, first..=last);
        rows.take(limit).map(|row| Ok(row.into_inner()?)).collect()
    }
}

impl Embedded {
    /// Opens the data directory, which no other server may use meanwhile.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let dir = DataDir::claim(path)?;
        let opened = Self::open_engine(&path.join("fjall"));
        let (db, keyspaces) = opened.map_err(|error| match error {
            fjall::Error::Locked => StartError::DataLocked { dir: path.to_owned() },
            error => StartError::Data { dir: path.to_owned(), reason: plain(&error) },
        })?;
        let dir = Arc::new(dir);
        let compactor = compactor(&db, &keyspaces, dir.clone())
            .map_err(|reason| StartError::Data { dir: path.to_owned(), reason: reason.reason() })?;
        Ok(Self { db, keyspaces, heads: Mutex::default(), compactor, _dir: dir })
    }

    /// Whether an import into it has not come to its end.
    pub(crate) fn is_unfinished(&self) -> Result<bool, StoreError> {
        Ok(self.rows().get(Table::State, UNFINISHED)?.is_some())
    }

    /// Random bytes that clients know the server by, made when they are first asked for.
    pub(crate) fn kept_secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        if let Some(bytes) = self.rows().get(Table::Secret, name.as_bytes())? {
            return bytes.as_ref().try_into().map_err(|_| StoreError::Damaged("secret"));
        }
        let bytes: [u8; 32] = rand::random();
        self.put(Table::Secret, vec![(name.as_bytes().to_vec(), bytes.to_vec())])?;
        Ok(bytes)
    }

    fn rows(&self) -> At<'_, Snapshot> {
        At { keyspaces: &self.keyspaces, at: self.db.snapshot() }
    }

    fn view(&self) -> View<At<'_, Snapshot>> {
        View(self.rows())
    }

    fn open_engine(path: &Path) -> Result<(Database, Keyspaces), fjall::Error> {
        // What is large is ciphertext, in the journal too; and who searches the files finds what is there as it is.
        let db = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_cached_files(Some(Descriptors::of_this_process().of_store()))
            .max_journaling_size(JOURNAL_BYTES)
            .journal_compression(CompressionType::None)
            .open()?;
        let mut keyspaces = HashMap::new();
        for table in Table::ALL {
            let options = move || {
                let options = KeyspaceCreateOptions::default();
                if !table.is_sealed() {
                    return options;
                }
                // Ciphertext does not compress.
                let options = options.data_block_compression_policy(CompressionPolicy::disabled());
                options.max_memtable_size(LOG_MEMTABLE_BYTES)
            };
            keyspaces.insert(table, db.keyspace(table.name(), options)?);
        }
        Ok((db, Keyspaces(keyspaces)))
    }
}

/// Where the sizes stand that tables had when they were merged last, in the table [`Table::State`].
fn merged_key(table: Table) -> Vec<u8> {
    [b"merged ".as_slice(), table.name().as_bytes()].concat()
}

/// What gives room back to the disk, of the tables whose values are large.
fn compactor(db: &Database, keyspaces: &Keyspaces, dir: Arc<DataDir>) -> Result<Compactor, StoreError> {
    let rows = At { keyspaces, at: db.snapshot() };
    let mut merged = HashMap::new();
    for table in Table::ALL.into_iter().filter(|table| table.is_sealed()) {
        if let Some(bytes) = rows.get(Table::State, &merged_key(table))? {
            let bytes = bytes.as_ref().try_into().map_err(|_| StoreError::Damaged("size of a table"))?;
            merged.insert(table, u64::from_be_bytes(bytes));
        }
    }
    let (db, state) = (db.clone(), keyspaces.of(Table::State)?.clone());
    let keep = move |table: Table, bytes: u64| {
        // The directory is this server's as long as anything in it is worked on.
        let _dir = &dir;
        let mut batch = OwnedWriteBatch::with_capacity(db.clone(), 1);
        batch.insert(&state, merged_key(table), bytes.to_be_bytes());
        Ok(batch.commit()?)
    };
    Compactor::start(keyspaces.0.clone(), merged, ALLOWANCE, keep)
        .map_err(|error| StoreError::Database { reason: error.to_string() })
}

/// What an operator can act on, without the engine's structure names where there is something better.
fn plain(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::InvalidVersion(_) => "the storage engine's files are of another version".to_owned(),
        fjall::Error::JournalRecovery(_) | fjall::Error::Unrecoverable => {
            "the storage engine's files are damaged; restore a backup".to_owned()
        }
        other => other.to_string(),
    }
}

impl AllRows for Embedded {
    fn page(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue<Vec<u8>>>, StoreError> {
        page_of(&self.rows(), table, after, limit)
    }

    fn put(&self, table: Table, rows: Vec<KeyValue<Vec<u8>>>) -> Result<(), StoreError> {
        let mut batch = OwnedWriteBatch::with_capacity(self.db.clone(), rows.len());
        batch = batch.durability(Some(PersistMode::SyncData));
        for (key, value) in rows {
            batch.insert(self.keyspaces.of(table)?, key, value);
        }
        Ok(batch.commit()?)
    }

    fn remove(&self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        let mut batch = OwnedWriteBatch::with_capacity(self.db.clone(), 1);
        batch = batch.durability(Some(PersistMode::SyncData));
        batch.remove(self.keyspaces.of(table)?, key);
        Ok(batch.commit()?)
    }
}

impl Store for Embedded {
    fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, Rejected>>, StoreError> {
        // A panic of a writer would have ended the writer thread, and with it all writing.
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if heads.len() > MAX_CACHED_HEADS {
            heads.clear();
        }
        // There is one writer, so that nothing changes under this.
        let rows = self.rows();
        let mut stage = Stage::new(&rows, &heads);
        let outcomes = batch.iter().map(|write| stage.write(write)).collect::<Result<Vec<_>, _>>()?;
        if outcomes.iter().any(|outcome| matches!(outcome, Ok(Written::Trimmed { more: false, .. }))) {
            self.compactor.settle();
        }
        if stage.is_empty() {
            return Ok(outcomes);
        }
        let Staged { appended, changed, heads: moved } = stage.finish();
        let size = appended.len() + changed.len();
        let gone = changed.iter().filter(|(table, _, row)| row.is_none() && table.is_sealed());
        self.compactor.deleted(gone.map(|(table, ..)| *table));
        let mut rows = OwnedWriteBatch::with_capacity(self.db.clone(), size);
        rows = rows.durability(Some(PersistMode::SyncData));
        for (table, key, value) in appended {
            rows.insert(self.keyspaces.of(table)?, key, value);
        }
        for (table, key, row) in changed {
            match row {
                Some(value) => rows.insert(self.keyspaces.of(table)?, key, value),
                None => rows.remove(self.keyspaces.of(table)?, key),
            }
        }
        rows.commit()?;
        heads.extend(moved);
        Ok(outcomes)
    }

    fn group(&self, group: &GroupId) -> Result<Option<StoredGroup>, StoreError> {
        self.view().group(group)
    }

    fn membership(&self, device: &DeviceId, group: &GroupId) -> Result<Option<Membership>, StoreError> {
        self.view().membership(device, group)
    }

    fn memberships(&self, device: &DeviceId, limit: usize) -> Result<Vec<Membership>, StoreError> {
        self.view().memberships(device, limit)
    }

    fn read(
        &self,
        device: &DeviceId,
        group: &GroupId,
        range: Range,
        bounds: PageBounds,
    ) -> Result<Option<Page>, StoreError> {
        self.view().page(device, group, range, bounds)
    }

    fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError> {
        self.view().account(key)
    }

    fn device(&self, device: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        self.view().device(device)
    }

    fn head(&self, group: &GroupId) -> Result<Option<CommitHash>, StoreError> {
        self.view().head_commit(group)
    }

    fn upload(&self, upload: &UploadId) -> Result<Option<StoredUpload>, StoreError> {
        self.view().upload(upload)
    }

    fn letters(&self, device: &DeviceId, wanted: LettersWanted) -> Result<Letters, StoreError> {
        self.view().letters(device, wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{Person, Room};
    use crate::store::{Change, contract};
    use conclave_wire::ids::{Epoch, Seq};

    #[test]
    fn keeps_the_contract() {
        contract::check(&|dir| Box::new(Embedded::open(dir).unwrap()));
    }

    /// A hole that nothing explains is not read over.
    #[test]
    fn a_lost_entry_is_no_trimmed_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(dir.path()).unwrap();
        let alice = Person::new("alice");
        let (genesis, room) = Room::genesis(&alice, 1);
        let message = || contract::append(room.id(), Change::Message(Epoch(0)), b"m", Vec::new());
        store.write(&[contract::genesis_of(&genesis), message(), message()]).unwrap();
        let bounds = PageBounds { entries: 10, bytes: 1 << 20 };
        for lost in [2_u64, 3] {
            let key = [room.id().as_bytes().as_slice(), &lost.to_be_bytes()].concat();
            store.remove(Table::Log, &key).unwrap();
            let read = store.read(&alice.device(), &room.id(), Range::After(Seq(lost - 1)), bounds);
            assert!(matches!(read, Err(StoreError::Damaged("log: an entry is missing"))), "{read:?}");
        }
    }
}
