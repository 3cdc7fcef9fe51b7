//! Where a server stores: in a directory of its own, or in a database.

use crate::error::ConfigError;
use clap::builder::{TypedValueParser, ValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use std::ffi::OsStr;
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

impl StoreLocation {
    /// Whether it is a secret, because a password is part of it.
    pub(crate) fn has_password(&self) -> bool {
        match self {
            Self::Embedded(_) => false,
            Self::Postgres(url) => {
                // One that cannot be read is not known to be harmless.
                let url: Result<tokio_postgres::Config, _> = url.parse();
                url.map_or(true, |config| config.get_password().is_some())
            }
        }
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

/// Of a flag or variable. Says what is wrong without what was given, which clap would repeat.
#[derive(Clone)]
struct Quiet;

impl TypedValueParser for Quiet {
    type Value = StoreLocation;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<StoreLocation, clap::Error> {
        let parsed = value.to_str().ok_or(ConfigError::Store).and_then(str::parse);
        parsed.map_err(|error| {
            clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")).with_cmd(command)
        })
    }
}

impl ValueParserFactory for StoreLocation {
    type Parser = ValueParser;

    fn value_parser() -> ValueParser {
        ValueParser::new(Quiet)
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
    let hidden = || "postgres:".to_owned();
    let Some((scheme, rest)) = url.split_once("//") else { return hidden() };
    match rest.rsplit_once('@') {
        // In a password that nobody escaped, or in a parameter: it cannot be told what of this is a secret.
        Some((user, _)) if user.contains('?') => hidden(),
        Some((user, host)) => {
            let host = without_parameters(host);
            let user = user.split_once(':').map_or(user, |(user, _)| user);
            format!("{scheme}//{user}@{host}")
        }
        None => format!("{scheme}//{}", without_parameters(rest)),
    }
}

fn without_parameters(text: &str) -> &str {
    text.split_once('?').map_or(text, |(before, _)| before)
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
        assert_eq!(shown("postgres://me:secret?secret@db/conclave"), "postgres:");
        assert_eq!(shown("postgres://db/conclave?password=x@secret"), "postgres:");
    }
}
