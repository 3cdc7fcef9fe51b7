//! The key that vouches for invites: made when it is first needed, the same for all servers of a store.
//!
//! With the embedded store it is a file beside it, so that an invite can be made while a server has the store open. A
//! backup of the directory has it; an export does not, and with it all invites end.

use crate::error::StartError;
use crate::store::{StoreLocation, shared_secret};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Its name, in a directory or a database.
const NAME: &str = "invite.key";

/// The key of a store's invites.
pub(crate) struct InviteKey(Zeroizing<[u8; 32]>);

impl InviteKey {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The key of a store, which has been served at least once. Blocks.
pub(super) fn of(store: &StoreLocation) -> Result<InviteKey, StartError> {
    match store {
        StoreLocation::Embedded(dir) => in_directory(dir),
        StoreLocation::Postgres(_) => shared_secret(store, NAME).map(InviteKey::from_bytes),
    }
}

impl InviteKey {
    /// The key of a store that this server has open. Blocks.
    pub(crate) fn of(store: &StoreLocation) -> Result<Self, StartError> {
        of(store)
    }
}

fn in_directory(dir: &Path) -> Result<InviteKey, StartError> {
    let failed = |error: io::Error| StartError::Data { dir: dir.to_owned(), reason: error.to_string() };
    let path = dir.join(NAME);
    loop {
        match fs::read(&path) {
            Ok(bytes) => {
                let bytes = bytes.try_into().map_err(|_| {
                    failed(io::Error::other(format!(
                        "{NAME} is damaged; remove it, and hand out new invites"
                    )))
                })?;
                return Ok(InviteKey::from_bytes(bytes));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        if !dir.join("format").is_file() {
            return Err(failed(io::Error::other("no server has used it yet; start one first")));
        }
        match make(dir, &path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
            // Whoever was first has made it.
            _ => {}
        }
    }
}

/// Whole or not at all, and never over another.
fn make(dir: &Path, path: &Path) -> io::Result<()> {
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
    let new = dir.join(format!("{NAME}.{:016x}", rand::random::<u64>()));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&*key)?;
    file.sync_all()?;
    let linked = fs::hard_link(&new, path);
    fs::remove_file(&new)?;
    linked?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_key_for_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        assert!(in_directory(dir.path()).is_err());
        fs::write(dir.path().join("format"), "x").unwrap();
        let key = in_directory(dir.path()).unwrap();
        assert_eq!(in_directory(dir.path()).unwrap().as_bytes(), key.as_bytes());
        let mode = fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        fs::write(dir.path().join(NAME), "short").unwrap();
        assert!(in_directory(dir.path()).is_err());
    }
}
