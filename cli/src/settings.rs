//! The settings that hold for this run, from flags, environment and defaults.

use crate::args::Common;
use crate::failure::Failure;
use crate::key_file;
use crate::passphrase;
use conclave_client::{ClientError, Unlock};
use std::env;
use std::path::PathBuf;

/// Settings, resolved.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where the profile is. `demo` needs none, so that a machine without a home is no error before it is used.
    profile: Option<PathBuf>,
    /// A key file instead of a passphrase.
    key_file: Option<PathBuf>,
    /// JSON for programs instead of text for people.
    pub(crate) json: bool,
}

/// Whether a passphrase is chosen or only given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// For a new profile: asked twice, since a typing error would lock its owner out for ever.
    New,
    /// For one that exists.
    Known,
}

impl Settings {
    /// Flags win over the environment, which wins over defaults.
    pub(crate) fn resolve(flags: Common) -> Result<Self, Failure> {
        let profile = flags.profile.filter(|dir| !dir.as_os_str().is_empty()).or_else(default_profile);
        Ok(Self { profile, key_file: flags.key_file, json: flags.json })
    }

    /// The profile's directory.
    pub(crate) fn profile(&self) -> Result<&std::path::Path, Failure> {
        self.profile.as_deref().ok_or(Failure::NoHome)
    }

    /// What opens the profile: the key file if one is named, else the passphrase from the environment, else the one
    /// that is typed now.
    pub(crate) fn unlock(&self, asking: Asking) -> Result<Unlock, Failure> {
        if let Some(path) = &self.key_file {
            if asking == Asking::New {
                key_file::make_if_missing(path)
                    .map_err(|error| ClientError::KeyFile { path: path.clone(), why: error.to_string() })?;
            }
            return Ok(Unlock::KeyFile(path.clone()));
        }
        Ok(Unlock::Passphrase(passphrase::obtain(asking)?))
    }
}

fn default_profile() -> Option<PathBuf> {
    // The XDG specification: a relative path in the variable is to be ignored.
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = || env::home_dir().filter(|dir| dir.is_absolute()).map(|home| home.join(".local/share"));
    Some(data.or_else(home)?.join("conclave"))
}
