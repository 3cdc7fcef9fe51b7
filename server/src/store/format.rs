//! The data directory: whose it is, and in which format.
//!
//! ```text
//!     DIR/format   "conclave-server data format 2\n", written before anything else
//!     DIR/lock     locked while a server runs; the operating system lets go of it even after kill -9
//!     DIR/fjall/   the storage engine's own files
//! ```

use super::opening::Condition;
use crate::error::StartError;
use rustix::fs::Access;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

/// The format that this server reads and writes. Changes with what [`super::embedded`] stores.
pub(crate) const FORMAT: u32 = 2;

const PREFIX: &str = "conclave-server data format ";

/// A data directory that this process alone uses, as long as this value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    _lock: File,
}

impl DataDir {
    /// Takes a data directory, which is created if there is none.
    pub(crate) fn claim(dir: &Path) -> Result<Self, StartError> {
        let data = |source: io::Error| StartError::Data { dir: dir.to_owned(), reason: source.to_string() };
        fs::create_dir_all(dir).map_err(data)?;
        if marker(dir).map_err(data)?.is_none() && !is_empty(dir).map_err(data)? {
            return Err(StartError::DataForeign { dir: dir.to_owned() });
        }
        let lock =
            File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(data)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::DataLocked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(data(source)),
        }
        match marker(dir).map_err(data)? {
            None => write_marker(dir).map_err(data)?,
            Some(found) if found == FORMAT.to_string() => {}
            Some(found) => {
                return Err(StartError::DataVersion { dir: dir.to_owned(), found, expected: FORMAT });
            }
        }
        Ok(Self { _lock: lock })
    }
}

/// What a data directory would be to a server that starts. Changes nothing in it.
pub(crate) fn inspect(dir: &Path) -> Result<Condition, StartError> {
    let data = |source: io::Error| StartError::Data { dir: dir.to_owned(), reason: source.to_string() };
    // What does not exist yet is made in the nearest directory that does.
    let existing = dir.ancestors().find(|ancestor| ancestor.exists() && !ancestor.as_os_str().is_empty());
    let existing = existing.unwrap_or(Path::new("."));
    if !existing.is_dir() {
        return Err(data(io::Error::other(format!("{} is not a directory", existing.display()))));
    }
    rustix::fs::access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| data(error.into()))?;
    if existing != dir {
        return Ok(Condition::New);
    }
    match marker(dir).map_err(data)? {
        None if is_empty(dir).map_err(data)? => return Ok(Condition::New),
        None => return Err(StartError::DataForeign { dir: dir.to_owned() }),
        Some(found) if found == FORMAT.to_string() => {}
        Some(found) => {
            return Err(StartError::DataVersion { dir: dir.to_owned(), found, expected: FORMAT });
        }
    }
    match File::open(dir.join("lock")) {
        // Shared, so that it is let go unchanged; a server that starts in this very moment is refused.
        Ok(lock) => match lock.try_lock_shared() {
            Ok(()) => Ok(Condition::Ready),
            Err(TryLockError::WouldBlock) => Ok(Condition::InUse),
            Err(TryLockError::Error(source)) => Err(data(source)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Condition::Ready),
        Err(error) => Err(data(error)),
    }
}

/// What the marker file says, if there is one.
fn marker(dir: &Path) -> io::Result<Option<String>> {
    match fs::read(dir.join("format")) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end();
            Ok(Some(text.strip_prefix(PREFIX).unwrap_or("unknown").chars().take(20).collect()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether nothing is there but what a first start leaves that was killed.
fn is_empty(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if name != "lock" && name != "format.new" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whole or not at all, whenever the power fails.
fn write_marker(dir: &Path) -> io::Result<()> {
    let new = dir.join("format.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{PREFIX}{FORMAT}")?;
    file.sync_all()?;
    fs::rename(new, dir.join("format"))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claimed_once_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let claimed = DataDir::claim(dir.path()).unwrap();
        assert!(matches!(DataDir::claim(dir.path()), Err(StartError::DataLocked { .. })));
        drop(claimed);
        DataDir::claim(dir.path()).unwrap();
    }

    /// Looking says what claiming would, and leaves everything as it was.
    #[test]
    fn looked_at_and_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a/b");
        assert_eq!(inspect(&dir).unwrap(), Condition::New);
        assert!(!parent.path().join("a").exists());
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(inspect(&dir).unwrap(), Condition::New);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        let claimed = DataDir::claim(&dir).unwrap();
        assert_eq!(inspect(&dir).unwrap(), Condition::InUse);
        drop(claimed);
        assert_eq!(inspect(&dir).unwrap(), Condition::Ready);
        DataDir::claim(&dir).unwrap();

        let file = parent.path().join("file");
        fs::write(&file, "important").unwrap();
        assert!(matches!(inspect(&file), Err(StartError::Data { .. })));
        assert!(matches!(inspect(&file.join("data")), Err(StartError::Data { .. })));
        assert!(matches!(inspect(parent.path()), Err(StartError::DataForeign { .. })));
        fs::write(dir.join("format"), "conclave-server data format 7\n").unwrap();
        assert!(matches!(inspect(&dir), Err(StartError::DataVersion { .. })));
    }

    #[test]
    fn other_formats_and_foreign_directories_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("format"), "conclave-server data format 7\n").unwrap();
        let refused = DataDir::claim(dir.path());
        assert!(matches!(refused, Err(StartError::DataVersion { found, .. }) if found == "7"));

        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "important").unwrap();
        assert!(matches!(DataDir::claim(dir.path()), Err(StartError::DataForeign { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
