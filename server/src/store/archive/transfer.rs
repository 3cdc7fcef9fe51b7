//! From a store to a file, and from a file to a store.

use super::file::{Reader, Writer};
use super::{ArchiveError, Moved};
use crate::store::StoreError;
use crate::store::rows::{AllRows, KeyValue, Table, UNFINISHED};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Rows that are moved at once.
const ROWS: usize = 256;

impl From<StoreError> for ArchiveError {
    fn from(error: StoreError) -> Self {
        Self::Rows(error.reason())
    }
}

impl Moved {
    fn add(&mut self, rows: &[KeyValue<Vec<u8>>]) {
        self.rows = self.rows.saturating_add(rows.len() as u64);
        let bytes = rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// All tables but the one that is about a store as such: the key of its invites stays with it.
fn moved_tables() -> impl Iterator<Item = Table> {
    Table::ALL.into_iter().filter(|table| *table != Table::State)
}

/// Writes everything that a store holds to a new file, which is durable and whole when this returns. `progress` hears now
/// and then how far it is.
pub(in crate::store) fn export(
    store: &dyn AllRows,
    to: &Path,
    progress: &mut dyn FnMut(Moved),
) -> Result<Moved, ArchiveError> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let mut writer = Writer::begin(BufWriter::new(file))?;
    let mut moved = Moved::default();
    for table in moved_tables() {
        let mut after = None;
        loop {
            let rows = store.page(table, after.as_deref(), ROWS)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            moved.add(&rows);
            writer.chunk(table, rows)?;
            progress(moved);
        }
    }
    let file = writer.end()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(moved)
}

/// Puts everything that a file holds into an empty store. Until it is all there, and the file was found to be whole, no
/// server starts on the store.
pub(in crate::store) fn import(
    store: &dyn AllRows,
    from: &Path,
    progress: &mut dyn FnMut(Moved),
) -> Result<Moved, ArchiveError> {
    let mut reader = Reader::begin(BufReader::new(File::open(from)?))?;
    for table in moved_tables() {
        if !store.page(table, None, 1)?.is_empty() {
            return Err(ArchiveError::NotEmpty);
        }
    }
    // It may be there from an import that failed before it had put anything.
    store.remove(Table::State, UNFINISHED)?;
    store.put(Table::State, vec![(UNFINISHED.to_vec(), Vec::new())])?;
    let mut moved = Moved::default();
    while let Some((table, rows)) = reader.chunk()? {
        moved.add(&rows);
        store.put(table, rows)?;
        progress(moved);
    }
    store.remove(Table::State, UNFINISHED)?;
    Ok(moved)
}
