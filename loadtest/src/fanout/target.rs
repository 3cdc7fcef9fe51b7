//! The server under test: where it is, and whether it may be loaded.

use crate::failure::Failure;
use std::net::{SocketAddr, ToSocketAddrs};
use tokio_tungstenite::tungstenite::http::Uri;

/// Where the server's socket is, below its address.
const PATH: &str = "/v1/socket";

/// A server that this program may load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// What a login is bound to.
    name: String,
    socket: SocketAddr,
}

impl Target {
    /// Parses `ws://HOST:PORT` and resolves it once; all of the load goes there. Refuses another machine unless `owned`.
    pub(super) fn parse(given: &str, owned: bool) -> Result<Self, Failure> {
        let refuse = || Failure::Address { given: given.to_owned() };
        let uri: Uri = given.parse().map_err(|_| refuse())?;
        let authority = uri.authority().ok_or_else(refuse)?;
        let plain =
            matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        if uri.scheme_str() != Some("ws") || !plain {
            return Err(refuse());
        }
        let (host, port) = (authority.host(), uri.port_u16().unwrap_or(80));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let resolved = (bare, port).to_socket_addrs().map_err(|_| refuse())?;
        let addresses: Vec<SocketAddr> = resolved.collect();
        if !owned && !addresses.iter().all(|address| address.ip().is_loopback()) {
            return Err(Failure::NotLoopback { host: host.to_owned() });
        }
        let socket = addresses.first().copied().ok_or_else(refuse)?;
        let host = host.to_ascii_lowercase();
        let name = if port == 80 { host } else { format!("{host}:{port}") };
        Ok(Self { name, socket })
    }

    /// What a login is bound to.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is dialled.
    pub(super) fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// What the handshake asks for.
    pub(super) fn url(&self) -> String {
        format!("ws://{}{PATH}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        let target = Target::parse("ws://127.0.0.1:7300", false).unwrap();
        assert_eq!((target.name(), target.socket().port()), ("127.0.0.1:7300", 7300));
        assert_eq!(target.url(), "ws://127.0.0.1:7300/v1/socket");
        assert_eq!(Target::parse("ws://[::1]:80/", false).unwrap().name(), "[::1]");
    }

    #[test]
    fn another_machine_only_if_it_is_said_to_be_ours() {
        assert!(matches!(Target::parse("ws://192.0.2.1:7300", false), Err(Failure::NotLoopback { .. })));
        assert!(Target::parse("ws://192.0.2.1:7300", true).is_ok());
    }

    #[test]
    fn no_addresses() {
        for bad in
            ["", "127.0.0.1:1", "wss://127.0.0.1:1", "ws://", "ws://127.0.0.1:1/path", "ws://a@127.0.0.1:1"]
        {
            assert!(matches!(Target::parse(bad, true), Err(Failure::Address { .. })), "{bad}");
        }
    }
}
