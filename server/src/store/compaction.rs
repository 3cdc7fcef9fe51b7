//! Giving room back to the disk: the engine deletes by writing that something is gone, and drops both only when it merges the
//! files in which they stand. It merges by itself what overlaps; old entries of a log never do.
//!
//! So a table is merged as a whole when it is twice as large as after the last time, and something was deleted from it
//! meanwhile: it is never much more than twice as large as what is in it, and on average each byte is written once more.

use super::rows::Table;
use crate::store::StoreError;
use fjall::Keyspace;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a table may grow by beyond that: less is not worth the work.
pub(super) const ALLOWANCE: u64 = 256 << 20;

/// A key that is shorter than any.
const NOBODYS: &[u8] = &[0];

/// The thread that merges.
pub(super) struct Compactor {
    /// Tables from which something was deleted since that was settled last.
    deleted: Mutex<HashSet<Table>>,
    tables: Option<Sender<Table>>,
    busy: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Compactor {
    /// Starts it. `merged` is how large tables were when they were merged last, `keep` stores that, and whatever `keep` holds
    /// lives as long as a merge is under way.
    pub(super) fn start(
        keyspaces: HashMap<Table, Keyspace>,
        merged: HashMap<Table, u64>,
        allowance: u64,
        keep: impl Fn(Table, u64) -> Result<(), StoreError> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (asked, tables) = channel();
        let busy = Arc::new(AtomicBool::new(false));
        let work = Work { keyspaces, merged, allowance, busy: busy.clone() };
        let thread = std::thread::Builder::new().name("conclave-compact".to_owned());
        let thread = thread.spawn(move || work.run(&tables, &keep))?;
        Ok(Self { deleted: Mutex::default(), tables: Some(asked), busy, thread: Some(thread) })
    }

    /// Something was deleted from these.
    pub(super) fn deleted(&self, tables: impl IntoIterator<Item = Table>) {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner).extend(tables);
    }

    /// There is nothing more to delete for now: merging earlier would have to be done again.
    pub(super) fn settle(&self) {
        if self.busy.load(Ordering::Acquire) {
            return;
        }
        let deleted = std::mem::take(&mut *self.deleted.lock().unwrap_or_else(PoisonError::into_inner));
        for table in deleted {
            // The thread decides; it is gone only when this is.
            let _ = self.tables.as_ref().map(|tables| tables.send(table));
        }
    }
}

fn is_due(bytes: u64, merged: Option<u64>, allowance: u64) -> bool {
    bytes >= merged.unwrap_or(0).saturating_mul(2).saturating_add(allowance)
}

impl Drop for Compactor {
    fn drop(&mut self) {
        drop(self.tables.take());
        // A merge cannot be broken off, and may take long; whoever stops a server need not wait for it.
        if !self.busy.load(Ordering::Acquire)
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

struct Work {
    keyspaces: HashMap<Table, Keyspace>,
    /// How large tables were when they were merged last.
    merged: HashMap<Table, u64>,
    allowance: u64,
    busy: Arc<AtomicBool>,
}

impl Work {
    fn run(mut self, tables: &Receiver<Table>, keep: &impl Fn(Table, u64) -> Result<(), StoreError>) {
        while let Ok(table) = tables.recv() {
            let Some(keyspace) = self.keyspaces.get(&table) else { continue };
            if !is_due(keyspace.disk_space(), self.merged.get(&table).copied(), self.allowance) {
                continue;
            }
            self.busy.store(true, Ordering::Release);
            let done = merge(keyspace);
            let bytes = keyspace.disk_space();
            self.merged.insert(table, bytes);
            match done.map_err(StoreError::from).and_then(|()| keep(table, bytes)) {
                Ok(()) => tracing::info!(table = table.name(), bytes, "gave room back to the disk"),
                // Nothing is lost; the next deletions ask again.
                Err(error) => tracing::error!(%error, "cannot give room back to the disk"),
            }
            self.busy.store(false, Ordering::Release);
        }
    }
}

fn merge(keyspace: &Keyspace) -> Result<(), fjall::Error> {
    // What is deleted stands in memory still.
    keyspace.rotate_memtable_and_wait()?;
    keyspace.major_compact()?;
    // The engine lets go of the files that it has merged when it next writes one: one that deletes a row that nobody has.
    keyspace.remove(NOBODYS)?;
    keyspace.rotate_memtable_and_wait()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::{Database, KeyspaceCreateOptions};
    use std::path::Path;
    use std::time::{Duration, Instant};

    #[test]
    fn twice_as_large_and_some() {
        assert!(!is_due(9, None, 10) && is_due(10, None, 10));
        assert!(!is_due(109, Some(50), 10) && is_due(110, Some(50), 10));
        assert!(!is_due(u64::MAX - 1, Some(u64::MAX), 10));
    }

    fn bytes_in(dir: &Path) -> u64 {
        let entries = std::fs::read_dir(dir).unwrap().filter_map(Result::ok);
        let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            Ok(metadata) => metadata.len(),
            // It may be one that goes just now.
            Err(_) => 0,
        };
        entries.map(bytes).sum()
    }

    /// What was deleted is gone from the disk, once that is settled; and what was not is there.
    #[test]
    fn room_comes_back() {
        const ROWS: u32 = 200;
        let dir = tempfile::tempdir().unwrap();
        let db = Database::builder(dir.path()).max_journaling_size(64 << 20).open().unwrap();
        let options = || KeyspaceCreateOptions::default().max_memtable_size(1 << 20);
        let log = db.keyspace("log", options).unwrap();
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let kept = sizes.clone();
        let keep = move |table, bytes| {
            kept.lock().unwrap().push((table, bytes));
            Ok(())
        };
        let keyspaces = HashMap::from([(Table::Log, log.clone())]);
        let compactor = Compactor::start(keyspaces, HashMap::new(), 8 << 20, keep).unwrap();
        for row in 0..ROWS {
            // Nothing that could be made smaller.
            let value: Vec<u8> = (0..100 << 10).map(|_| rand::random()).collect();
            log.insert(row.to_be_bytes(), value).unwrap();
        }
        log.rotate_memtable_and_wait().unwrap();
        let full = log.disk_space();
        assert!(full > 16 << 20, "{full}");
        for row in 0..ROWS - 1 {
            log.remove(row.to_be_bytes()).unwrap();
        }
        compactor.deleted([Table::Log]);
        assert!(sizes.lock().unwrap().is_empty());
        compactor.settle();
        let begun = Instant::now();
        while sizes.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
        let (table, bytes) = sizes.lock().unwrap()[0];
        assert!(table == Table::Log && bytes < 1 << 20, "{bytes}");
        // The files too, whose deletion the engine does by itself.
        while bytes_in(&dir.path().join("keyspaces")) > 4 << 20 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", bytes_in(&dir.path().join("keyspaces")));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(log.iter().count(), 1);
        // Nothing was deleted since, and too little is there.
        compactor.settle();
        compactor.deleted([Table::Log]);
        compactor.settle();
        drop(compactor);
        assert_eq!(sizes.lock().unwrap().len(), 1);
    }
}
