//! The profile directory: what opens it, and that only one process at a time has it open.
//!
//! ```text
//!     DIR/conclave.db            the store
//!     DIR/conclave.db-journal    of the transaction in progress, else empty
//!     DIR/lock                   empty; locked while a process has the profile open
//! ```

use crate::error::ClientError;
use crate::store::{ProfileRow, Step, Store, damaged};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What opens a profile.
#[derive(Clone)]
pub enum Unlock {
    /// A passphrase, stretched with argon2id.
    Passphrase(Zeroizing<String>),
    /// A file whose content is the key. Whoever has a copy of it and of the profile can open the profile.
    KeyFile(PathBuf),
}

impl std::fmt::Debug for Unlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passphrase(_) => f.write_str("Passphrase(…)"),
            Self::KeyFile(path) => f.debug_tuple("KeyFile").field(path).finish(),
        }
    }
}

/// An open profile: its store, and the lock that keeps other processes out while this lives.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) store: Store,
    pub(crate) lock: Lock,
}

impl Profile {
    /// Opens a profile that exists.
    pub(crate) fn open(dir: &Path, unlock: &Unlock) -> Result<(Self, ProfileRow), ClientError> {
        let path = dir.join("conclave.db");
        if !path.is_file() {
            return Err(ClientError::NoProfile { dir: dir.to_owned() });
        }
        let lock = lock(dir)?;
        let store = Store::open(&path, unlock)?.ok_or_else(|| damaged("conclave.db is empty"))?;
        let row = store.profile()?;
        Ok((Self { store, lock }, row))
    }

    /// Opens a profile whose registration was not finished, or makes one with what `first` writes.
    pub(crate) fn create(
        dir: &Path,
        unlock: &Unlock,
        first: impl FnOnce(&mut Step<'_>) -> Result<(), ClientError>,
    ) -> Result<(Self, ProfileRow), ClientError> {
        make_private(dir)?;
        let lock = lock(dir)?;
        let path = dir.join("conclave.db");
        let store = match Store::open(&path, unlock) {
            Ok(Some(store)) => store,
            Ok(None) => Store::create(&path, unlock, first)?,
            // Which passphrase opens it is beside the point: a finished profile is not made again.
            Err(ClientError::WrongPassphrase) => {
                return Err(ClientError::ProfileExists { dir: dir.to_owned() });
            }
            Err(error) => return Err(error),
        };
        let row = store.profile()?;
        if row.registered {
            return Err(ClientError::ProfileExists { dir: dir.to_owned() });
        }
        Ok((Self { store, lock }, row))
    }
}

fn make_private(dir: &Path) -> Result<(), ClientError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|e| failed("creating", dir, e))
}

/// Keeps other processes out of a profile while it lives. The operating system takes it back should the process die.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

fn lock(dir: &Path) -> Result<Lock, ClientError> {
    let path = dir.join("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| failed("creating", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(ClientError::ProfileLocked { dir: dir.to_owned() }),
        Err(TryLockError::Error(e)) => Err(failed("locking", &path, e)),
    }
}

fn failed(doing: &str, path: &Path, error: std::io::Error) -> ClientError {
    ClientError::Storage { what: format!("{doing} {}: {error}", path.display()), source: Box::new(error) }
}
