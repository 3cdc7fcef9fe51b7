//! What goes wrong with a database, and what that means for what was asked of it.

use crate::store::StoreError;
use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why a transaction did not end well.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another node was in the way: the same again may do.
    Conflict(StoreError),
    /// Nothing of it is stored.
    Failed(StoreError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let conflicts = [
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::LOCK_NOT_AVAILABLE,
            // A group that was begun, or a name that was taken, between our reading and our writing.
            SqlState::UNIQUE_VIOLATION,
        ];
        let conflict = error.code().is_some_and(|code| conflicts.contains(code));
        let error = describe(&error);
        if conflict { Self::Conflict(error) } else { Self::Failed(error) }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<PoolError> for Trouble {
    fn from(error: PoolError) -> Self {
        Self::Failed(no_connection(&error))
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Conflict(error) | Trouble::Failed(error) => error,
        }
    }
}

/// A database's error, without what it was doing: statements hold what people sent.
pub(super) fn describe(error: &Error) -> StoreError {
    let reason = match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => with_sources(error),
    };
    StoreError::Database { reason }
}

/// Why the pool has no connection.
pub(super) fn no_connection(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => describe(error),
        PoolError::Timeout(_) => StoreError::Database { reason: "it does not answer in time".to_owned() },
        other => StoreError::Database { reason: other.to_string() },
    }
}

pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
