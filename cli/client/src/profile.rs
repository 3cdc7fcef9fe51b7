//! The profile directory: what opens it, and that only one process at a time has it open.

use std::path::PathBuf;
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
