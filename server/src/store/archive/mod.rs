//! Everything that a store holds, as one file: how it moves from one store to another.

mod file;
mod transfer;

pub(super) use transfer::{export, import};

use thiserror::Error;

/// Why a store was not exported or imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] crate::error::StartError),
    /// The store fails on the way.
    #[error("the store fails: {0}")]
    Rows(String),
    /// The file fails: the disk, or its rights.
    #[error("the file cannot be read or written: {0}; check its directory, and that the disk has space")]
    File(#[from] std::io::Error),
    /// Not an export, not a whole one, or altered.
    #[error("the file is not a whole export: {0}; export again")]
    Damaged(&'static str),
    /// There is something in the store already.
    #[error("the store is not empty; import into an empty one")]
    NotEmpty,
}

/// How much was exported or imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}
