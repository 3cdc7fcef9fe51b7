//! Why a settings file cannot be used.

use std::path::PathBuf;
use thiserror::Error;

/// Why a settings file cannot be used. Never says what is in it: that may be the store's password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// It cannot be read.
    #[error("cannot read the settings in {}: {reason}; give a file that the server's account may read with --config", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// What it says is not TOML, or not a setting.
    #[error("{}, line {line}, column {column}: {reason}; correct it, docs/operations.md lists the settings", file.display())]
    Invalid {
        /// Which.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// Which setting, and what is wrong with it.
        reason: String,
    },
}
