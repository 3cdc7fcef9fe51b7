//! The engine's records, whose old values must be gone once they are overwritten or deleted.
//!
//! SQLite's `secure_delete` alone does not achieve that: when it balances a page it moves rows, and copies of moved rows
//! stay behind in unused parts of pages (seen for about one in 5,000 overwritten values). So each value is sealed under
//! a secret of its own, which lies in a *slot*: 32 bytes in a table whose rows are only ever appended and overwritten in
//! place by others of the same size, so that SQLite has no reason to move them. Every new value gets a new secret, and
//! what is left of the old value anywhere cannot be opened any more.
//!
//! What that does not reach: copies that a file system or a flash disk keeps of overwritten blocks, and backups of the
//! file. There, only the passphrase or key file protects.

use super::crypto::{Key, Keys, Place, Table, damaged, random};
use super::{Step, Store};
use crate::error::ClientError;
use conclave_engine::{Changes, RecordKey, RecordValue, Records, Scope};
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

const RECORD: Table = Table("record");

impl Store {
    /// All records of a scope.
    pub(crate) fn records(&self, scope: Scope) -> Result<Records, ClientError> {
        let at = self.scope(scope);
        let mut query = self.db.prepare_cached(
            "select r.place, s.secret, r.sealed from record r join slot s on s.id = r.slot where r.scope = ?1",
        )?;
        let mut rows = query.query(params![at])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            let place: Place = row.get(0)?;
            let slot: Key = Zeroizing::new(row.get(1)?);
            let sealed = row.get_ref(2)?.as_blob().map_err(|_| damaged("a record"))?;
            let content = self.keys.open_erasable(&slot, RECORD, &[&at, &place], sealed)?;
            records.push(split(&content).ok_or_else(|| damaged("a record"))?);
        }
        Ok(records)
    }

    pub(super) fn scope(&self, scope: Scope) -> Place {
        scope_place(&self.keys, scope)
    }

    /// Slots that no record uses.
    pub(super) fn free_slots(db: &Connection) -> Result<Vec<i64>, ClientError> {
        let mut query = db.prepare("select id from slot where id not in (select slot from record)")?;
        let free = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(free)
    }
}

impl Step<'_> {
    pub(super) fn scope(&self, scope: Scope) -> Place {
        scope_place(self.keys, scope)
    }

    /// Makes the engine's changes.
    pub(crate) fn apply(&mut self, changes: &Changes) -> Result<(), ClientError> {
        for (at, change) in changes.0.iter().enumerate() {
            // What a later change of the same call overwrites need not be written.
            let overwritten = changes
                .0
                .get(at + 1..)
                .unwrap_or_default()
                .iter()
                .take(LOOK_AHEAD)
                .any(|c| c.key == change.key);
            if !overwritten {
                self.put(&change.key, change.value.as_ref())?;
            }
        }
        Ok(())
    }

    /// Removes every record of a scope.
    pub(crate) fn clear_scope(&mut self, scope: Scope) -> Result<(), ClientError> {
        let at = self.scope(scope);
        let slots: Vec<i64> = {
            let mut query = self.tx.prepare_cached("select slot from record where scope = ?1")?;
            query.query_map(params![at], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for slot in slots {
            self.erase_slot(slot)?;
        }
        self.tx.prepare_cached("delete from record where scope = ?1")?.execute(params![at])?;
        Ok(())
    }

    fn put(&mut self, key: &RecordKey, value: Option<&RecordValue>) -> Result<(), ClientError> {
        let scope = self.scope(key.scope);
        let place = self.keys.place(RECORD, &[&scope, &key.name]);
        let old: Option<i64> = self
            .tx
            .prepare_cached("select slot from record where scope = ?1 and place = ?2")?
            .query_row(params![scope, place], |row| row.get(0))
            .optional()?;
        match (value, old) {
            (Some(value), old) => {
                let secret: Key = Zeroizing::new(random());
                let slot = match old {
                    Some(slot) => slot,
                    None => self.take_slot()?,
                };
                self.write_slot(slot, &secret)?;
                let content = join(&key.name, value.as_bytes())?;
                let sealed = self.keys.seal_erasable(&secret, RECORD, &[&scope, &place], &content)?;
                self.tx
                    .prepare_cached(
                        "insert into record (scope, place, slot, sealed) values (?1, ?2, ?3, ?4)
                         on conflict do update set sealed = excluded.sealed",
                    )?
                    .execute(params![scope, place, slot, sealed])?;
            }
            (None, Some(slot)) => {
                self.erase_slot(slot)?;
                self.tx
                    .prepare_cached("delete from record where scope = ?1 and place = ?2")?
                    .execute(params![scope, place])?;
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn take_slot(&mut self) -> Result<i64, ClientError> {
        if let Some(slot) = self.free_slots.pop() {
            return Ok(slot);
        }
        // Larger than any before, so that SQLite appends and never splits a page in its middle.
        self.tx.prepare_cached("insert into slot (secret) values (zeroblob(32))")?.execute([])?;
        Ok(self.tx.last_insert_rowid())
    }

    fn write_slot(&mut self, slot: i64, secret: &Key) -> Result<(), ClientError> {
        let written = self
            .tx
            .prepare_cached("update slot set secret = ?2 where id = ?1")?
            .execute(params![slot, secret.as_slice()])?;
        if written == 1 { Ok(()) } else { Err(damaged("a record's slot is missing")) }
    }

    fn erase_slot(&mut self, slot: i64) -> Result<(), ClientError> {
        self.write_slot(slot, &Zeroizing::new([0; 32]))?;
        self.free_slots.push(slot);
        Ok(())
    }
}

/// How far [`Step::apply`] looks for a later change of the same record, so that long lists stay linear.
const LOOK_AHEAD: usize = 32;

fn scope_place(keys: &Keys, scope: Scope) -> Place {
    const SCOPE: Table = Table("scope");
    match scope {
        Scope::Device => keys.place(SCOPE, &[b"device"]),
        Scope::Group(group) => keys.place(SCOPE, &[b"group", group.as_bytes()]),
    }
}

/// `name length: u16 big endian ‖ name ‖ value`.
fn join(name: &[u8], value: &[u8]) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let length = u16::try_from(name.len())
        .map_err(|_| ClientError::Internal { what: "a record's name is too long".into() })?;
    Ok(Zeroizing::new([&length.to_be_bytes(), name, value].concat()))
}

fn split(content: &[u8]) -> Option<(Vec<u8>, RecordValue)> {
    let (length, rest) = content.split_first_chunk()?;
    let (name, value) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((name.to_vec(), RecordValue::new(value.to_vec())))
}
