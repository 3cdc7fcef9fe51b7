//! Where a server stores: in a directory of its own, or in a database.

use crate::error::ConfigError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a server stores everything.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreLocation {
    /// The embedded store, in this directory. Created if it does not exist; only one server at a time may use it.
    Embedded(PathBuf),
    /// A PostgreSQL database, by its URL. Any number of servers may use it at once.
    Postgres(String),
}

/// The embedded store in a directory.
impl From<PathBuf> for StoreLocation {
    fn from(dir: PathBuf) -> Self {
        Self::Embedded(dir)
    }
}

/// The embedded store in a directory.
impl From<&Path> for StoreLocation {
    fn from(dir: &Path) -> Self {
        Self::Embedded(dir.to_owned())
    }
}

impl FromStr for StoreLocation {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.split_once(':') {
            Some(("fjall", dir)) if !dir.is_empty() => Ok(Self::Embedded(dir.into())),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            // Not what was given: it may hold a password.
            _ => Err(ConfigError::Store),
        }
    }
}

/// Without the password.
impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(dir) => write!(f, "fjall:{}", dir.display()),
            Self::Postgres(url) => f.write_str(&without_secrets(url)),
        }
    }
}

impl fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreLocation({self})")
    }
}

/// A URL without the user's password, and without parameters, which may be one too.
fn without_secrets(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    let Some((scheme, rest)) = url.split_once("//") else { return "postgres:".to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map_or(user, |(user, _)| user);
            format!("{scheme}//{user}@{host}")
        }
        None => format!("{scheme}//{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let parse = |text: &str| text.parse::<StoreLocation>();
        assert_eq!(parse("fjall:/var/lib/conclave"), Ok(StoreLocation::Embedded("/var/lib/conclave".into())));
        assert_eq!(parse("fjall:C:data"), Ok(StoreLocation::Embedded("C:data".into())));
        for bad in ["", "fjall:", "/var/lib/conclave", "postgres:db", "mysql://host/db", "secret"] {
            assert_eq!(parse(bad), Err(ConfigError::Store), "{bad}");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        let shown = |text: &str| {
            let location: StoreLocation = text.parse().unwrap();
            assert!(!format!("{location:?} {location}").contains("secret"), "{location}");
            location.to_string()
        };
        assert_eq!(shown("postgres://me:secret@db:5432/conclave"), "postgres://me@db:5432/conclave");
        assert_eq!(shown("postgres://me:se@secret@db/conclave"), "postgres://me@db/conclave");
        assert_eq!(shown("postgresql://db/conclave?password=secret"), "postgresql://db/conclave");
        assert_eq!(shown("postgres:///conclave"), "postgres:///conclave");
    }
}
