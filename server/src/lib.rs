//! The Conclave server: stores each sealed message once, durably, and pushes it to every member.
//!
//! ```no_run
//! # async fn run() -> Result<(), conclave_server::StartError> {
//! use conclave_server::{Config, Server};
//!
//! let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
//! let store = "fjall:/var/lib/conclave".parse::<conclave_server::StoreLocation>()?;
//! let server = Server::start(Config::new(store, listen)).await?;
//! println!("{} listens on {}", server.name(), server.url());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! The server runs on threads of its own, so it can be started from any runtime. It depends on `conclave-wire` and on
//! nothing else of the workspace: it cannot hold a key, and what it refuses it refuses early only to keep a group's log
//! clean. Clients check everything again.

mod admission;
mod check;
mod clock;
mod config;
mod descriptors;
mod error;
mod fanout;
mod groups;
mod http;
mod limits;
mod log;
mod metrics;
mod name;
mod nodes;
mod rates;
mod receipts;
mod retention;
mod server;
mod service;
mod session;
mod settings;
mod store;
mod transport;
mod watch;

pub use admission::{Admission, InviteError, NoAdmission, Terms, invite};
pub use check::{Checked, check};
pub use config::Config;
pub use descriptors::files_for_connections;
pub use error::{ConfigError, StartError};
pub use limits::MAX_CONNECTIONS_PER_WORKER;
pub use retention::{KeepBytes, KeepMessages, NoAmount, NoTerm, Retention};
pub use server::{Server, raise_open_file_limit};
pub use settings::{LogFormat, NoLogFormat, Settings, SettingsError};
pub use store::archive::{ArchiveError, Moved};
pub use store::{StoreLocation, export, import, migrate};
pub use transport::certificates::{TlsError, TlsFiles};

#[cfg(test)]
#[path = "../tests/socket/people.rs"]
mod people;
