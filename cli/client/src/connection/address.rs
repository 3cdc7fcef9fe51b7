//! Server addresses: what may be dialled, and the name that a login is bound to.

use crate::error::ClientError;
use std::net::IpAddr;
use tokio_tungstenite::tungstenite::http::Uri;

/// Where the server's socket is, below its address.
const PATH: &str = "/v1/socket";

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// As it is.
    Ws,
    /// Encrypted on the way.
    Wss,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

/// A server's address, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    given: String,
    scheme: Scheme,
    host: String,
    port: u16,
    name: String,
}

impl Address {
    /// Parses `wss://host:port` or `ws://host:port`. Without encryption on the way, an eavesdropper learns what a server
    /// learns: who talks to whom. So with `ws` other hosts than this one are refused unless `plain` allows it.
    pub(crate) fn parse(given: &str, plain: bool) -> Result<Self, ClientError> {
        let refuse = |why| ClientError::BadAddress { address: given.to_owned(), why };
        let form = "write it as wss://HOST:PORT, or ws://HOST:PORT on this machine";
        let uri: Uri = given.parse().map_err(|_| refuse(form))?;
        let scheme = match uri.scheme_str() {
            Some("ws") => Scheme::Ws,
            Some("wss") => Scheme::Wss,
            _ => return Err(refuse(form)),
        };
        let authority = uri.authority().ok_or_else(|| refuse(form))?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(refuse("give host and port alone: wss://HOST:PORT"));
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err(refuse(form));
        }
        // `port_u16` is absent for "host:" and "host:99999" as well, where the text goes on after the host.
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().len() == authority.host().len() => scheme.port(),
            None => return Err(refuse("the port must be a number from 1 to 65535")),
        };
        if port == 0 {
            return Err(refuse("the port must be a number from 1 to 65535"));
        }
        if scheme == Scheme::Ws && !plain && !is_loopback(&host) {
            return Err(refuse(
                "ws:// is not encrypted on the way, so it is allowed to this machine alone; use wss://, or allow it \
                 explicitly",
            ));
        }
        let name = if port == scheme.port() { host.clone() } else { format!("{host}:{port}") };
        Ok(Self { given: given.to_owned(), scheme, host, port, name })
    }

    /// As the user wrote it.
    pub(crate) fn as_given(&self) -> &str {
        &self.given
    }

    /// What a login is bound to: host and port, the port left out if it is the scheme's own.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a server that announces `name` may be what was dialled. A server on this machine has several names; it
    /// accepts a login for each, and the login is for the one that was dialled.
    pub(crate) fn may_be(&self, name: &str) -> bool {
        let same_machine = || {
            let (host, port) = match name.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
                _ => (name, Some(self.scheme.port())),
            };
            is_loopback(&self.host) && is_loopback(host) && port == Some(self.port)
        };
        name == self.name || same_machine()
    }

    /// Whether what goes to the server is encrypted on the way.
    pub(super) fn is_encrypted(&self) -> bool {
        self.scheme == Scheme::Wss
    }

    /// What the operating system dials.
    pub(super) fn socket(&self) -> (&str, u16) {
        (bare(&self.host), self.port)
    }

    /// What the handshake asks for.
    pub(super) fn url(&self) -> String {
        format!("{}://{}{PATH}", self.scheme.name(), self.name)
    }
}

/// An IPv6 address without its brackets; anything else as it is.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || bare(host).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_addresses() {
        for (given, name, socket) in [
            ("ws://127.0.0.1:7300", "127.0.0.1:7300", ("127.0.0.1", 7300)),
            ("ws://LOCALHOST:7300/", "localhost:7300", ("localhost", 7300)),
            ("ws://localhost", "localhost", ("localhost", 80)),
            ("ws://localhost:80", "localhost", ("localhost", 80)),
            ("ws://[::1]:7300", "[::1]:7300", ("::1", 7300)),
            ("wss://Chat.Example", "chat.example", ("chat.example", 443)),
            ("wss://chat.example:443", "chat.example", ("chat.example", 443)),
            ("wss://chat.example:80", "chat.example:80", ("chat.example", 80)),
        ] {
            let address = Address::parse(given, false).unwrap();
            assert_eq!((address.name(), address.socket()), (name, socket), "{given}");
            let scheme = given.split(':').next().unwrap();
            assert_eq!(address.url(), format!("{scheme}://{name}/v1/socket"));
        }
    }

    #[test]
    fn this_machine_has_several_names() {
        let address = |given| Address::parse(given, true).unwrap();
        assert!(address("ws://localhost:7300").may_be("127.0.0.1:7300"));
        assert!(address("ws://[::1]:7300").may_be("localhost:7300"));
        assert!(address("ws://localhost").may_be("[::1]"));
        assert!(!address("ws://localhost:7300").may_be("127.0.0.1:7301"));
        assert!(!address("ws://localhost:7300").may_be("chat.example:7300"));
        assert!(!address("ws://chat.example:7300").may_be("localhost:7300"));
        assert!(!address("ws://chat.example:7300").may_be("chat.example:7301"));
        assert!(!address("ws://localhost:7300").may_be(""));
    }

    #[test]
    fn refusals_say_why() {
        for (given, part) in [
            ("", "ws://HOST:PORT"),
            ("127.0.0.1:7300", "ws://HOST:PORT"),
            ("http://127.0.0.1:7300", "ws://HOST:PORT"),
            ("wss://", "wss://HOST:PORT"),
            ("wss://chat.example/path", "host and port alone"),
            ("ws://chat.example:7300", "not encrypted"),
            ("ws://127.0.0.1.evil.example:7300", "not encrypted"),
            ("ws://127.0.0.1:7300/path", "host and port alone"),
            ("ws://me@127.0.0.1:7300", "host and port alone"),
            ("ws://127.0.0.1:99999", "port"),
            ("ws://127.0.0.1:0", "port"),
            ("ws://127.0.0.1:", "port"),
        ] {
            let error = Address::parse(given, false).unwrap_err();
            assert!(matches!(error, ClientError::BadAddress { .. }), "{given}");
            assert!(error.to_string().contains(part), "{given}: {error}");
        }
        assert!(Address::parse("ws://chat.example:7300", true).is_ok());
    }
}
