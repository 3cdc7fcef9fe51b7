//! What a server is told when it starts.

use crate::admission::Admission;
use crate::error::ConfigError;
use crate::limits::MAX_WORKERS;
use crate::retention::Retention;
use crate::store::StoreLocation;
use crate::transport::certificates::TlsFiles;
use std::net::{IpAddr, SocketAddr};

/// Settings of one server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is stored.
    pub store: StoreLocation,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The authority under which clients reach this server and for which they sign their logins, `host` or
    /// `host:port`. May be left out on a loopback address.
    pub name: Option<String>,
    /// The certificate for `wss://`; without one, connections are not encrypted.
    pub tls: Option<TlsFiles>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served to the operator; nowhere if left out.
    pub watch: Option<SocketAddr>,
    /// Who may register.
    pub admission: Admission,
    /// Proxies in front of this server that are believed when they say for whom they speak, in `X-Forwarded-For`.
    pub trusted_proxies: Vec<IpAddr>,
    /// What is kept of each group's log.
    pub retention: Retention,
    /// Threads that own sockets; one per core if left out.
    pub workers: Option<usize>,
}

impl Config {
    /// The settings that have no default.
    pub fn new(store: impl Into<StoreLocation>, listen: SocketAddr) -> Self {
        Self {
            store: store.into(),
            listen,
            name: None,
            tls: None,
            watch: None,
            admission: Admission::Open,
            trusted_proxies: Vec::new(),
            retention: Retention::default(),
            workers: None,
        }
    }

    /// Sets the name under which clients reach this server.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Sets the certificate, and with it that connections are encrypted.
    pub fn with_tls(self, files: TlsFiles) -> Self {
        Self { tls: Some(files), ..self }
    }

    /// Sets where the operator sees what the server counts; port 0 takes a free one.
    pub fn with_watch(self, listen: SocketAddr) -> Self {
        Self { watch: Some(listen), ..self }
    }

    /// Sets who may register.
    pub fn with_admission(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// Sets which proxies are believed when they say for whom they speak.
    pub fn with_trusted_proxies(self, trusted_proxies: Vec<IpAddr>) -> Self {
        Self { trusted_proxies, ..self }
    }

    /// Sets what is kept of each group's log.
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Sets the number of threads that own sockets.
    pub fn with_workers(self, workers: usize) -> Self {
        Self { workers: Some(workers), ..self }
    }

    /// What can be checked without touching anything.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if let Some(workers) = self.workers
            && (workers == 0 || workers > MAX_WORKERS)
        {
            return Err(ConfigError::Workers { workers, max: MAX_WORKERS });
        }
        if self.watch == Some(self.listen) && self.listen.port() != 0 {
            return Err(ConfigError::AddressTwice { address: self.listen });
        }
        Ok(())
    }

    pub(crate) fn worker_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.unwrap_or_else(|| cores().min(MAX_WORKERS))
    }
}
