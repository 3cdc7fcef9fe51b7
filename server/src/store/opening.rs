//! From where a store is to a store that is open, and what can be done with one beside serving.

use super::archive::{self, ArchiveError, Moved};
use super::embedded::Embedded;
use super::postgres::Postgres;
use super::{StoreError, StoreLocation, format};
use crate::error::StartError;
use std::path::Path;
use std::sync::Arc;

/// A store of either kind.
pub(crate) enum OpenStore {
    /// In a directory.
    Embedded(Arc<Embedded>),
    /// In a database, where other servers may be as well.
    Postgres(Arc<Postgres>),
}

/// What a store would be to a server that starts on it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// There is nothing yet, and it can be made.
    New,
    /// It can be used.
    Ready,
    /// It can be used once so many changes are made to its tables, as every start does.
    Behind(usize),
    /// Another server has it, and it is for one at a time.
    InUse,
}

/// Looks what a store is like, and changes nothing. Blocks. Whether an embedded store holds an import that never came to its
/// end only a start shows.
pub(crate) fn inspect(location: &StoreLocation) -> Result<Condition, StartError> {
    match location {
        StoreLocation::Embedded(dir) => format::inspect(dir),
        StoreLocation::Postgres(url) => Postgres::inspect(location, url),
    }
}

/// Random bytes that all servers of a database share under a name. Blocks.
pub(crate) fn shared_secret(location: &StoreLocation, name: &str) -> Result<[u8; 32], StartError> {
    let unusable = |reason| StartError::Database { store: location.to_string(), reason };
    match location {
        StoreLocation::Embedded(_) => Err(unusable("it is not shared".to_owned())),
        StoreLocation::Postgres(url) => {
            Postgres::open(location, url)?.secret(name).map_err(|error| unusable(error.reason()))
        }
    }
}

/// Opens a store. Blocks.
pub(crate) fn open(location: &StoreLocation) -> Result<OpenStore, StartError> {
    match location {
        StoreLocation::Embedded(dir) => {
            let store = Embedded::open(dir)?;
            check_finished(location, store.is_unfinished())?;
            Ok(OpenStore::Embedded(Arc::new(store)))
        }
        StoreLocation::Postgres(url) => {
            let store = Postgres::open(location, url)?;
            check_finished(location, store.is_unfinished())?;
            Ok(OpenStore::Postgres(Arc::new(store)))
        }
    }
}

pub(super) fn check_finished(
    location: &StoreLocation,
    unfinished: Result<bool, StoreError>,
) -> Result<(), StartError> {
    let store = location.to_string();
    match unfinished {
        Ok(false) => Ok(()),
        Ok(true) => Err(StartError::Unfinished { store }),
        Err(error) => Err(StartError::Database { store, reason: error.reason() }),
    }
}

/// Writes everything that a store holds to a new file. The embedded store must not be in use; a database may. `progress`
/// hears now and then how far it is. Blocks.
pub fn export(
    location: &StoreLocation,
    to: &Path,
    progress: &mut dyn FnMut(Moved),
) -> Result<Moved, ArchiveError> {
    match location {
        StoreLocation::Embedded(dir) => archive::export(&Embedded::open(dir)?, to, progress),
        StoreLocation::Postgres(url) => {
            let database = Postgres::open(location, url)?;
            archive::export(&database.snapshot()?, to, progress)
        }
    }
}

/// Puts everything that [`export`] wrote into an empty store, on which no server may be running. Should it fail in between,
/// no server starts on the store. Blocks.
pub fn import(
    location: &StoreLocation,
    from: &Path,
    progress: &mut dyn FnMut(Moved),
) -> Result<Moved, ArchiveError> {
    match location {
        StoreLocation::Embedded(dir) => archive::import(&Embedded::open(dir)?, from, progress),
        StoreLocation::Postgres(url) => {
            let database = Postgres::open(location, url)?;
            archive::import(&database.snapshot()?, from, progress)
        }
    }
}

/// Brings a database to what this server reads and writes, as every start does, and says what was changed: so that it can
/// be done before the servers are. The embedded store has nothing to change. Blocks.
pub fn migrate(location: &StoreLocation) -> Result<Vec<String>, StartError> {
    match location {
        StoreLocation::Embedded(_) => Ok(Vec::new()),
        StoreLocation::Postgres(url) => Postgres::migrate(location, url),
    }
}
