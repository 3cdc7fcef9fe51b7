//! Key files: what opens a profile where nobody is there to type a passphrase.

use rand::Rng as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Makes a key file of 32 random bytes that only its owner can read. Leaves one that exists as it is.
pub(crate) fn make_if_missing(path: &Path) -> io::Result<()> {
    match create_new(path) {
        Ok(mut file) => {
            let mut key = Zeroizing::new([0; 32]);
            rand::rng().fill_bytes(key.as_mut());
            file.write_all(key.as_ref())?;
            // A profile that was made with a key which then is lost cannot be opened again.
            file.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        make_if_missing(&path).unwrap();
        let key = std::fs::read(&path).unwrap();
        assert_eq!(key.len(), 32);
        assert_ne!(key, [0; 32]);
        make_if_missing(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), key);
        assert!(make_if_missing(&dir.path().join("no/key")).is_err());
    }
}
