//! The store of servers that one machine does not hold: a PostgreSQL database, which several nodes may use at once.
//!
//! What rows mean is in [`super::rows`]; here is how they are read, locked and written. A batch is one transaction: it
//! locks what it is about, so that of two nodes which change one group or take one name the second sees what the first
//! did. What is told to anybody is committed before, as with the embedded store.

mod all;
mod connect;
mod line;
mod mark;
mod migrate;
mod rows;
mod statement;
mod trouble;
mod write;

pub(crate) use all::Whole;
pub(crate) use line::Line;

use crate::error::StartError;
use crate::limits::{DATABASE_TRIES, OUTCOME_EVERY, OUTCOME_PATIENCE};
use crate::store::rows::{Rows, Table, UNFINISHED, View};
use crate::store::{
    AccountKey, Condition, Letters, LettersWanted, LogEntry, Page, PageBounds, Range, Rejected, Store,
    StoreError, StoreLocation, StoredAccount, StoredDevice, StoredGroup, StoredUpload, Write, Written,
};
use conclave_wire::ids::{CommitHash, DeviceId, GroupId, Seq, UploadId};
use conclave_wire::reply::Membership;
use connect::Connections;
use deadpool_postgres::Object;
use mark::{BatchNumber, Mark};
use rows::{Moment, Seen};
use std::collections::HashMap;
use std::time::Instant;
use tokio::runtime::{Handle, Runtime};
use trouble::{Trouble, describe};
use write::{Decided, Outcomes};

/// A PostgreSQL database.
pub(crate) struct Postgres {
    connections: Connections,
    mark: Mark,
    handle: Handle,
    /// Drives the connections. `None` once it is dropped, which has to happen where nothing may block.
    runtime: Option<Runtime>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Postgres {
    /// Connects, and brings the tables to what this server reads and writes. Blocks.
    pub(crate) fn open(location: &StoreLocation, url: &str) -> Result<Self, StartError> {
        let store = Self::connect(location, url)?;
        let done = store.handle.block_on(migrate::migrate(location, &store.connections))?;
        let marked = store.handle.block_on(async {
            let client = store.connections.reader().await?;
            store.mark.make(&client).await
        });
        let unusable =
            |error: StoreError| StartError::Database { store: location.to_string(), reason: error.reason() };
        marked.map_err(unusable)?;
        for migration in done {
            tracing::info!(migration, "changed the database's tables");
        }
        Ok(store)
    }

    /// Brings the tables to what this server reads and writes, and says what was done. Blocks.
    pub(crate) fn migrate(location: &StoreLocation, url: &str) -> Result<Vec<String>, StartError> {
        let store = Self::connect(location, url)?;
        store.handle.block_on(migrate::migrate(location, &store.connections))
    }

    /// Looks what the tables are to this server, and changes nothing. Blocks.
    pub(crate) fn inspect(location: &StoreLocation, url: &str) -> Result<Condition, StartError> {
        let store = Self::connect(location, url)?;
        let condition = store.handle.block_on(migrate::inspect(location, &store.connections))?;
        if condition == Condition::Ready {
            let unfinished = store.is_unfinished();
            super::opening::check_finished(location, unfinished)?;
        }
        Ok(condition)
    }

    /// Entries of a group as they are for everybody, at most `limit`. Blocks.
    pub(crate) fn log(
        &self,
        group: &GroupId,
        first: Seq,
        last: Seq,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        self.look(Moment::Each, |view| view.log(group, first, last, limit))
    }

    /// The last entries of groups, of those that there are. Blocks.
    pub(crate) fn heads(&self, groups: &[GroupId]) -> Result<HashMap<GroupId, Seq>, StoreError> {
        self.look(Moment::Each, |view| view.heads(groups))
    }

    /// What drives the connections.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.handle
    }

    /// A connection that is nobody else's.
    pub(crate) async fn line(&self) -> Result<Line, StoreError> {
        Line::open(&self.connections).await
    }

    /// Random bytes that all servers of a database share, made when they are first asked for. Blocks.
    pub(crate) fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        self.random_bytes(Table::State, name)
    }

    /// The same, for what clients know the server by: an export takes it along. Blocks.
    pub(crate) fn kept_secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        self.random_bytes(Table::Secret, name)
    }

    fn random_bytes(&self, table: Table, name: &str) -> Result<[u8; 32], StoreError> {
        let bytes: zeroize::Zeroizing<[u8; 32]> = zeroize::Zeroizing::new(rand::random());
        let table = table.name();
        let ask = async {
            let client = self.connections.reader().await?;
            let home = name.as_bytes();
            let put = format!("insert into conclave.{table} values ($1, '', $2) on conflict do nothing");
            client.execute(&put, &[&home, &bytes.as_slice()]).await.map_err(|error| describe(&error))?;
            let get = format!("select value from conclave.{table} where home = $1 and place = ''");
            let row = client.query_one(&get, &[&home]).await.map_err(|error| describe(&error))?;
            row.try_get::<_, Vec<u8>>(0).map_err(|error| describe(&error))
        };
        self.handle.block_on(ask)?.try_into().map_err(|_| StoreError::Damaged("secret"))
    }

    /// Whether an import into it has not come to its end. Blocks.
    pub(crate) fn is_unfinished(&self) -> Result<bool, StoreError> {
        self.look(Moment::Each, |view| Ok(view.0.get(Table::State, UNFINISHED)?.is_some()))
    }

    /// Everything that is there now, whatever servers write meanwhile. Blocks.
    pub(crate) fn snapshot(&self) -> Result<Whole<'_>, StoreError> {
        let client = self.handle.block_on(self.connections.reader())?;
        Ok(Whole::new(&self.handle, client))
    }

    fn connect(location: &StoreLocation, url: &str) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("conclave-database")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let connections = Connections::new(location, url)?;
        let handle = runtime.handle().clone();
        Ok(Self { connections, mark: Mark::new(), handle, runtime: Some(runtime) })
    }

    /// Reads; what belongs together at one moment.
    fn look<T>(
        &self,
        moment: Moment,
        look: impl FnOnce(&View<Seen<'_>>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let client = self.handle.block_on(self.connections.reader())?;
        let view = View(Seen::new(&self.handle, &client, moment));
        let found = look(&view);
        let begun = view.0.has_begun(moment);
        let ended = match (&found, begun) {
            (Ok(_), true) => self.handle.block_on(client.batch_execute("commit")).is_ok(),
            (found, _) => found.is_ok(),
        };
        if !ended {
            // In the middle of something.
            drop(Object::take(client));
        }
        found
    }

    /// Writes a batch once. A conflict or a failure means that nothing of it is stored; an outcome that is not known is
    /// an error of its own.
    fn try_write(&self, batch: &[Write]) -> Result<Outcomes, Trouble> {
        let client = self.handle.block_on(self.connections.writer())?;
        match write::write(&self.handle, &client, &self.mark, batch) {
            Ok(Decided { outcomes, batch }) => {
                match self.handle.block_on(client.batch_execute("commit")) {
                    Ok(()) => Ok(outcomes),
                    Err(error) => {
                        drop(Object::take(client));
                        // An error of the database is its answer. Without one, it may have committed all the same.
                        if error.as_db_error().is_some() {
                            return Err(error.into());
                        }
                        match self.handle.block_on(self.learn(batch)) {
                            Some(true) => Ok(outcomes),
                            Some(false) => Err(error.into()),
                            None => Err(Trouble::Failed(StoreError::OutcomeUnknown)),
                        }
                    }
                }
            }
            Err(trouble) => {
                drop(Object::take(client));
                Err(trouble)
            }
        }
    }

    /// What became of a batch whose commit was not answered; `None` if the database cannot say it in time.
    async fn learn(&self, batch: BatchNumber) -> Option<bool> {
        let until = Instant::now() + OUTCOME_PATIENCE;
        while Instant::now() < until {
            if let Ok(client) = self.connections.reader().await
                && let Ok(committed) = self.mark.has(&client, batch).await
            {
                return Some(committed);
            }
            tokio::time::sleep(OUTCOME_EVERY).await;
        }
        None
    }
}

impl Store for Postgres {
    fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, Rejected>>, StoreError> {
        let mut tries = 1;
        loop {
            match self.try_write(batch) {
                Err(Trouble::Conflict(_)) if tries < DATABASE_TRIES => tries += 1,
                written => return Ok(written?),
            }
        }
    }

    fn group(&self, group: &GroupId) -> Result<Option<StoredGroup>, StoreError> {
        self.look(Moment::One, |view| view.group(group))
    }

    fn membership(&self, device: &DeviceId, group: &GroupId) -> Result<Option<Membership>, StoreError> {
        self.look(Moment::One, |view| view.membership(device, group))
    }

    fn memberships(&self, device: &DeviceId, limit: usize) -> Result<Vec<Membership>, StoreError> {
        self.look(Moment::One, |view| view.memberships(device, limit))
    }

    fn read(
        &self,
        device: &DeviceId,
        group: &GroupId,
        range: Range,
        bounds: PageBounds,
    ) -> Result<Option<Page>, StoreError> {
        self.look(Moment::One, |view| view.page(device, group, range, bounds))
    }

    fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError> {
        // What leads from a name to an account never changes.
        self.look(Moment::Each, |view| view.account(key))
    }

    fn device(&self, device: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        self.look(Moment::Each, |view| view.device(device))
    }

    fn head(&self, group: &GroupId) -> Result<Option<CommitHash>, StoreError> {
        self.look(Moment::Each, |view| view.head_commit(group))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn upload(&self, upload: &UploadId) -> Result<Option<StoredUpload>, StoreError> {
        self.look(Moment::One, |view| view.upload(upload))
    }

    fn letters(&self, device: &DeviceId, wanted: LettersWanted) -> Result<Letters, StoreError> {
        self.look(Moment::One, |view| view.letters(device, wanted))
    }
}

#[cfg(test)]
mod tests;
