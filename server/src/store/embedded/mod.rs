//! The embedded store: fjall, a log-structured merge tree in the server's own process.
//!
//! Rows, keys being concatenations of fixed-size parts with integers big endian, so that ranges are in log order:
//!
//! ```text
//!     log        group ‖ seq                 kind ‖ body
//!     delivery   group ‖ device ‖ seq        what hangs on the entry for that device
//!     commit     group ‖ epoch               seq
//!     group      group                       HeadRecord
//!     leaf       group ‖ leaf index          Leaf; no row where a leaf is blank
//!     member     device ‖ group              MemberRecord
//!     cursor     device ‖ group              seq
//!     name       name                        account
//!     account    account                     AccountRecord
//!     device     device                      DeviceRecord
//!     upload     upload                      UploadRecord
//!     part       upload ‖ device             what the upload has for that device
//!     uploader   device                      UploaderRecord
//!     named      group ‖ seq                 the upload whose parts hang on the entry
//! ```

mod read;
mod records;
mod stage;
mod uploads;

use crate::error::StartError;
use crate::limits::MAX_CACHED_HEADS;
use crate::store::format::DataDir;
use crate::store::{
    AccountKey, Page, PageBounds, Range, Rejected, Store, StoreError, StoredAccount, StoredDevice,
    StoredGroup, StoredUpload, Write, Written,
};
use conclave_wire::ids::{DeviceId, GroupId, UploadId};
use conclave_wire::reply::Membership;
use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions};
use read::View;
use records::HeadRecord;
use stage::Stage;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

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
    rows: Rows,
    /// Where each group stands, for those written to lately. Held for the whole of a write: there is one writer.
    heads: Mutex<HashMap<GroupId, HeadRecord>>,
    /// Last, so that the engine has closed its files when the directory becomes free.
    _dir: DataDir,
}

/// A keyspace; see the module's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Table {
    Log,
    Delivery,
    Commit,
    Group,
    Leaf,
    Member,
    Cursor,
    Name,
    Account,
    Device,
    Upload,
    Part,
    Uploader,
    Named,
}

/// The keyspaces' handles.
struct Rows {
    log: Keyspace,
    delivery: Keyspace,
    commit: Keyspace,
    group: Keyspace,
    leaf: Keyspace,
    member: Keyspace,
    cursor: Keyspace,
    name: Keyspace,
    account: Keyspace,
    device: Keyspace,
    upload: Keyspace,
    part: Keyspace,
    uploader: Keyspace,
    named: Keyspace,
}

impl Rows {
    fn of(&self, table: Table) -> &Keyspace {
        match table {
            Table::Log => &self.log,
            Table::Delivery => &self.delivery,
            Table::Commit => &self.commit,
            Table::Group => &self.group,
            Table::Leaf => &self.leaf,
            Table::Member => &self.member,
            Table::Cursor => &self.cursor,
            Table::Name => &self.name,
            Table::Account => &self.account,
            Table::Device => &self.device,
            Table::Upload => &self.upload,
            Table::Part => &self.part,
            Table::Uploader => &self.uploader,
            Table::Named => &self.named,
        }
    }
}

impl Embedded {
    /// Opens the data directory, which no other server may use meanwhile.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let dir = DataDir::claim(path)?;
        let opened = Self::open_engine(&path.join("fjall"));
        let (db, rows) = opened.map_err(|error| match error {
            fjall::Error::Locked => StartError::DataLocked { dir: path.to_owned() },
            error => StartError::Data { dir: path.to_owned(), reason: plain(&error) },
        })?;
        Ok(Self { db, rows, heads: Mutex::default(), _dir: dir })
    }

    fn view(&self) -> View<'_> {
        View { rows: &self.rows, at: self.db.snapshot() }
    }

    fn open_engine(path: &Path) -> Result<(Database, Rows), fjall::Error> {
        // What is large is ciphertext, in the journal too; and who searches the files finds what is there as it is.
        let db = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .journal_compression(CompressionType::None)
            .open()?;
        let plain = |name| db.keyspace(name, KeyspaceCreateOptions::default);
        // Ciphertext does not compress.
        let sealed = |name, memtable| {
            db.keyspace(name, move || {
                KeyspaceCreateOptions::default()
                    .data_block_compression_policy(CompressionPolicy::disabled())
                    .max_memtable_size(memtable)
            })
        };
        let rows = Rows {
            log: sealed("log", LOG_MEMTABLE_BYTES)?,
            delivery: sealed("delivery", LOG_MEMTABLE_BYTES)?,
            commit: plain("commit")?,
            group: plain("group")?,
            leaf: plain("leaf")?,
            member: plain("member")?,
            cursor: plain("cursor")?,
            name: plain("name")?,
            account: plain("account")?,
            device: plain("device")?,
            upload: plain("upload")?,
            part: sealed("part", LOG_MEMTABLE_BYTES)?,
            uploader: plain("uploader")?,
            named: plain("named")?,
        };
        Ok((db, rows))
    }
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

impl Store for Embedded {
    fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, Rejected>>, StoreError> {
        // A panic of a writer would have ended the writer thread, and with it all writing.
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if heads.len() > MAX_CACHED_HEADS {
            heads.clear();
        }
        let mut stage = Stage::new(&self.rows, &heads);
        let outcomes = batch.iter().map(|write| stage.write(write)).collect::<Result<Vec<_>, _>>()?;
        if stage.is_empty() {
            return Ok(outcomes);
        }
        let staged = stage.finish(&self.db);
        staged.rows.commit()?;
        heads.extend(staged.heads);
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

    fn upload(&self, upload: &UploadId) -> Result<Option<StoredUpload>, StoreError> {
        self.view().upload(upload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;

    #[test]
    fn keeps_the_contract() {
        contract::check(&|dir| Box::new(Embedded::open(dir).unwrap()));
    }
}
