//! How connections to the database are made: with which settings, whom they trust, and how long anything may take.

use super::trouble::no_connection;
use crate::error::StartError;
use crate::limits::{
    DATABASE_CONNECT, DATABASE_LOCK, DATABASE_PATIENCE, DATABASE_READERS, DATABASE_STATEMENT,
    DATABASE_TRANSACTION,
};
use crate::store::{StoreError, StoreLocation};
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Connections to one database.
#[derive(Clone)]
pub(super) struct Connections {
    /// For reading.
    readers: Pool,
    /// One, for the log writer: it never waits for readers.
    writer: Pool,
    pub(super) config: Config,
}

impl Connections {
    /// Takes the settings from a URL. Connects to nothing yet.
    pub(super) fn new(location: &StoreLocation, url: &str) -> Result<Self, StartError> {
        let unusable = |reason: String| StartError::Database { store: location.to_string(), reason };
        let mut config: Config =
            url.parse().map_err(|error: tokio_postgres::Error| unusable(plain(&error)))?;
        config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(DATABASE_CONNECT));
        if config.get_application_name().is_none() {
            config.application_name("conclave-server");
        }
        // Asking for encryption where there is some, and trusting whom it meets, would keep nobody out who can come
        // between: so it is asked for, with a certificate that verifies, or the database is on this machine.
        if config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(if is_local(&config) { SslMode::Disable } else { SslMode::Require });
        }
        let pool = |size| pool(&config, size).map_err(&unusable);
        Ok(Self { readers: pool(DATABASE_READERS)?, writer: pool(1)?, config: config.clone() })
    }

    pub(super) async fn reader(&self) -> Result<Object, StoreError> {
        self.readers.get().await.map_err(|error| no_connection(&error))
    }

    pub(super) async fn writer(&self) -> Result<Object, PoolError> {
        self.writer.get().await
    }
}

/// Whether the database is on this machine.
fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        Host::Unix(_) => true,
    }) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

fn pool(config: &Config, size: usize) -> Result<Pool, String> {
    // Each checks that the connection is alive before it is used again.
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match config.get_ssl_mode() {
        SslMode::Disable => Manager::from_config(config.clone(), NoTls, recycling),
        _ => Manager::from_config(config.clone(), MakeRustlsConnect::new(tls()?), recycling),
    };
    let settings = settings();
    let set = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let settings = settings.clone();
        Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
    });
    let wait = Some(DATABASE_PATIENCE);
    let pool = Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait, create: wait, recycle: wait })
        .post_create(set);
    pool.build().map_err(|error| error.to_string())
}

/// What every connection is told first: how long anything may take, and that what was committed stays.
fn settings() -> String {
    let ms = Duration::as_millis;
    format!(
        "set statement_timeout = {}; set lock_timeout = {}; set idle_in_transaction_session_timeout = {}; \
         select set_config('synchronous_commit', 'on', false) \
         where current_setting('synchronous_commit') in ('off', 'local')",
        ms(&DATABASE_STATEMENT),
        ms(&DATABASE_LOCK),
        ms(&DATABASE_TRANSACTION)
    )
}

/// TLS that trusts whom the machine trusts.
pub(super) fn tls() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What is wrong with a URL, without the URL.
fn plain(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("its URL cannot be read: {source}"),
        None => "its URL cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_elsewhere_is_reached_encrypted() {
        let mode = |url: &str| {
            let location = StoreLocation::Postgres(url.to_owned());
            Connections::new(&location, url).unwrap().config.get_ssl_mode()
        };
        for local in ["postgres://localhost/c", "postgres://me@127.0.0.1:5433/c", "postgres:///c?host=/run"] {
            assert_eq!(mode(local), SslMode::Disable, "{local}");
        }
        for remote in
            ["postgres://db.example/c", "postgres://10.0.0.7/c", "postgres://localhost,db.example/c"]
        {
            assert_eq!(mode(remote), SslMode::Require, "{remote}");
        }
        assert_eq!(mode("postgres://10.0.0.7/c?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://localhost/c?sslmode=require"), SslMode::Require);
    }
}
