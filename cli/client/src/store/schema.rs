//! The tables, and how SQLite is told to treat them.

use super::crypto::damaged;
use crate::error::ClientError;
use rusqlite::Connection;

/// The format that this program writes; a newer one is refused.
pub(super) const FORMAT: u32 = 1;

/// Marks the file as a Conclave profile ("Cncl").
const APPLICATION: i64 = 0x436e_636c;

/// Every table but `slot` has a rowid and small keys. `slot` is append-only with contents of one size: see `records`.
const TABLES: &str = "
    create table header (
        id integer primary key check (id = 1),
        kind integer not null, memory integer not null, passes integer not null,
        salt blob not null, wrapped blob not null, checksum blob not null);
    create table setting (place blob primary key not null, sealed blob not null);
    create table slot (id integer primary key, secret blob not null check (length(secret) = 32));
    create table record (
        scope blob not null, place blob not null, slot integer not null unique, sealed blob not null,
        primary key (scope, place));
    create table groups (place blob primary key not null, sealed blob not null);
    create table contact (account blob primary key not null, name blob unique, sealed blob not null);
    create table need (place blob primary key not null, sealed blob not null);
    create table outbox (id integer primary key autoincrement, scope blob not null, sealed blob not null);
    create index outbox_scope on outbox (scope, id);
    create table history (
        id integer primary key, scope blob not null, place blob not null, sealed blob not null,
        unique (scope, place));
    create table inbox (id integer primary key autoincrement, scope blob not null, sealed blob not null);
";

/// How the file is used, before anything is read.
///
/// The journal is a rollback journal that is truncated at each commit, not a write-ahead log: a log would hold every
/// earlier value of a page until it is reset, and resetting it after every commit was measured to cost more (0.8 ms a
/// commit, against 0.6 ms). `delete` would be wrong here: in exclusive mode SQLite then keeps the journal and clears
/// its header alone. `full` because a ratchet step that a power failure undoes would use a key twice.
pub(super) fn configure(db: &Connection) -> Result<(), ClientError> {
    db.execute_batch(
        "pragma locking_mode = exclusive;
         pragma secure_delete = on;
         pragma synchronous = full;
         pragma temp_store = memory;
         pragma trusted_schema = off;
         pragma cell_size_check = on;",
    )?;
    let mode: String = db.query_row("pragma journal_mode = truncate", [], |row| row.get(0))?;
    let secure: i64 = db.query_row("pragma secure_delete", [], |row| row.get(0))?;
    if mode != "truncate" || secure != 1 {
        return Err(ClientError::Internal { what: "SQLite does not erase what is deleted".into() });
    }
    Ok(())
}

/// Whether the file has its tables; refuses what another program or a newer version wrote.
pub(super) fn check(db: &Connection) -> Result<bool, ClientError> {
    let tables: i64 = db.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(false);
    }
    let application: i64 = db.query_row("pragma application_id", [], |row| row.get(0))?;
    if application != APPLICATION {
        return Err(damaged("conclave.db was not written by this program"));
    }
    let found: u32 = db.query_row("pragma user_version", [], |row| row.get(0))?;
    if found != FORMAT {
        return Err(ClientError::ProfileVersion { found, known: FORMAT });
    }
    Ok(true)
}

/// Makes the tables; inside the caller's transaction.
pub(super) fn create(db: &Connection) -> Result<(), ClientError> {
    db.execute_batch(TABLES)?;
    db.execute_batch(&format!("pragma application_id = {APPLICATION}; pragma user_version = {FORMAT};"))?;
    Ok(())
}
