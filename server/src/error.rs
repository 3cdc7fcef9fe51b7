//! Why a server does not start.

use crate::transport::certificates::TlsError;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Settings that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Other machines reach this server under a name that it cannot guess.
    #[error("a server that listens on {listen} needs --name HOST:PORT, the address that clients will use")]
    NameRequired {
        /// Where it should listen.
        listen: SocketAddr,
    },
    /// Not an authority.
    #[error("\"{name}\" is not a server name; write HOST or HOST:PORT, as in chat.example:7300")]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// A setting that has no default was not given.
    #[error(
        "nobody says what {setting} is; give --{setting}, or set it in the environment or in the file of --config"
    )]
    Missing {
        /// Which, as a flag without its dashes or a key of the settings file.
        setting: &'static str,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("{given} was given without {missing}, and they belong together; give --{missing} as well")]
    HalfTls {
        /// What was given, as a flag without its dashes.
        given: &'static str,
        /// What was not.
        missing: &'static str,
    },
    /// One address for two things.
    #[error(
        "{address} cannot be for clients and for the operator at once; choose another one with --metrics-listen"
    )]
    AddressTwice {
        /// Which.
        address: SocketAddr,
    },
    /// Not a store.
    #[error("the store is not one; write --store fjall:DIRECTORY or --store postgres://USER@HOST/DATABASE")]
    Store,
    /// No thread would own a socket, or far too many.
    #[error("--workers must be between 1 and {max}, not {workers}")]
    Workers {
        /// What was given.
        workers: usize,
        /// Most that make sense.
        max: usize,
    },
}

/// Why a server did not start. Each says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another program listens there.
    #[error("{listen} is in use by another program; stop it or choose another port with --listen")]
    PortTaken {
        /// Where this server should have listened.
        listen: SocketAddr,
    },
    /// The system does not let this server listen there.
    #[error("cannot listen on {listen}: {source}; choose another address with --listen")]
    Listen {
        /// Where it should have listened.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another server uses the data directory.
    #[error(
        "{} is in use by another server; stop it or choose another one with --store",
        dir.display()
    )]
    DataLocked {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory was written by another version of the server.
    #[error(
        "{} has data format {found}, this server reads format {expected}; start the version that wrote it, or choose \
         another one with --store",
        dir.display()
    )]
    DataVersion {
        /// The data directory.
        dir: PathBuf,
        /// What its marker file says.
        found: String,
        /// What this server reads and writes.
        expected: u32,
    },
    /// The data directory holds something that no server wrote.
    #[error(
        "{} is not empty and not a data directory of conclave-server; choose another one with --store",
        dir.display()
    )]
    DataForeign {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory cannot be created, read or written.
    #[error(
        "cannot use {} as data directory: {reason}; check that it is writable and that its disk has space",
        dir.display()
    )]
    Data {
        /// The data directory.
        dir: PathBuf,
        /// What the system or the storage engine said.
        reason: String,
    },
    /// The database cannot be reached or used.
    #[error("cannot use {store}: {reason}; check that the database runs, and user, password and rights")]
    Database {
        /// Where it is, without the password.
        store: String,
        /// What it said.
        reason: String,
    },
    /// The database's tables are a newer server's.
    #[error(
        "{store} has tables of another version of the server; start the version that made them, or a newer one"
    )]
    DatabaseVersion {
        /// Where it is, without the password.
        store: String,
    },
    /// The store was being imported into, and that did not come to its end.
    #[error("an import into {store} did not finish; import again, into an empty store")]
    Unfinished {
        /// Which store.
        store: String,
    },
    /// The certificate cannot be used.
    #[error("cannot offer TLS: {0}")]
    Tls(#[from] TlsError),
    /// The system refuses to start a thread.
    #[error("cannot start a thread: {0}; free some memory or raise the limit on threads")]
    Thread(#[source] std::io::Error),
}
