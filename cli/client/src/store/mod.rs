//! The store: one SQLite file, its rows encrypted, changed in one transaction per step.
//!
//! What must survive together is written through one [`Step`]: the engine's changes, what is to be sent, what was read.
//! Nothing that was made from a ratchet leaves the process before its step is committed. Somebody who takes the file
//! without passphrase or key file learns how many rows of what size there are, and who takes it with them learns what it
//! holds now, not what it held before ([`records`] says how far that goes). Somebody who can put an old copy of the file
//! back in place makes the device use keys twice: nothing in a file can prevent that.

mod contacts;
mod crypto;
mod groups;
mod history;
mod inbox;
mod needs;
mod outbox;
mod records;
mod schema;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use contacts::{Contact, KnownManifest};
pub(crate) use crypto::damaged;
pub(crate) use groups::GroupRow;
pub(crate) use history::HistoryRow;
pub(crate) use inbox::{InboxId, InboxKind, InboxRow};
pub(crate) use outbox::{OutboxId, OutboxItem};
pub(crate) use settings::ProfileRow;

use crate::error::ClientError;
use crate::profile::Unlock;
use conclave_wire::codec::{self, Structure};
use crypto::{Header, Keys};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::Path;

/// An open profile database.
#[derive(Debug)]
pub(crate) struct Store {
    db: Connection,
    keys: Keys,
    free_slots: Vec<i64>,
}

/// One transaction. Dropped without [`commit`](Self::commit), it changes nothing.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    tx: Transaction<'a>,
    keys: &'a Keys,
    free_slots: Vec<i64>,
    return_slots: &'a mut Vec<i64>,
}

impl Store {
    /// Opens the file, or returns `None` if it does not exist or was never finished.
    pub(crate) fn open(path: &Path, unlock: &Unlock) -> Result<Option<Self>, ClientError> {
        if !path.exists() {
            return Ok(None);
        }
        let db = connect(path)?;
        if !schema::check(&db)? {
            return Ok(None);
        }
        let header = read_header(&db)?.ok_or_else(|| damaged("its header is missing"))?;
        let keys = header.open(unlock)?;
        let free_slots = Self::free_slots(&db)?;
        Ok(Some(Self { db, keys, free_slots }))
    }

    /// Makes the file with its header and what `first` writes, in one transaction: a process that dies in the middle
    /// leaves no half of a profile.
    pub(crate) fn create(
        path: &Path,
        unlock: &Unlock,
        first: impl FnOnce(&mut Step<'_>) -> Result<(), ClientError>,
    ) -> Result<Self, ClientError> {
        let (header, keys) = Header::create(unlock)?;
        touch_private(path)?;
        let db = connect(path)?;
        let mut store = Self { db, keys, free_slots: Vec::new() };
        let mut step = store.step()?;
        schema::create(&step.tx)?;
        write_header(&step.tx, &header)?;
        first(&mut step)?;
        step.commit()?;
        Ok(store)
    }

    /// Begins a transaction.
    pub(crate) fn step(&mut self) -> Result<Step<'_>, ClientError> {
        let tx = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        // Taken, and given back at the commit: after a rollback some slots stay unused until the file is opened again.
        let free_slots = std::mem::take(&mut self.free_slots);
        Ok(Step { tx, keys: &self.keys, free_slots, return_slots: &mut self.free_slots })
    }
}

impl Step<'_> {
    /// Makes everything of this step durable, or nothing.
    pub(crate) fn commit(self) -> Result<(), ClientError> {
        self.tx.commit()?;
        *self.return_slots = self.free_slots;
        Ok(())
    }
}

fn connect(path: &Path) -> Result<Connection, ClientError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    schema::configure(&db)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Creates the file readable for its owner alone; SQLite gives its journal the same rights.
fn touch_private(path: &Path) -> Result<(), ClientError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed =
        |e| ClientError::Storage { what: format!("creating {}", path.display()), source: Box::new(e) };
    options.open(path).map(drop).map_err(failed)
}

fn read_header(db: &Connection) -> Result<Option<Header>, ClientError> {
    let mut query = db.prepare("select kind, memory, passes, salt, wrapped, checksum from header")?;
    let header = query
        .query_row([], |row| {
            Ok(Header {
                kind: row.get(0)?,
                memory: row.get(1)?,
                passes: row.get(2)?,
                salt: row.get(3)?,
                wrapped: row.get(4)?,
                checksum: row.get(5)?,
            })
        })
        .optional()?;
    Ok(header)
}

fn write_header(db: &Connection, header: &Header) -> Result<(), ClientError> {
    db.execute(
        "insert into header (id, kind, memory, passes, salt, wrapped, checksum) values (1, ?1, ?2, ?3, ?4, ?5, ?6)",
        params![header.kind, header.memory, header.passes, header.salt, header.wrapped, header.checksum],
    )?;
    Ok(())
}

/// Parses the content of a row that was opened.
fn parse<T: Structure>(content: &[u8]) -> Result<T, ClientError> {
    codec::decode(content).map_err(|e| damaged(&e.to_string()))
}

impl From<rusqlite::Error> for ClientError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(&error.to_string()),
            Some(_) => Self::Storage { what: error.to_string(), source: Box::new(error) },
            // A value of another type than the tables have, or a row that must be there.
            None => damaged(&error.to_string()),
        }
    }
}
