//! The name under which a server accepts logins: the authority that clients dial.

use crate::error::ConfigError;
use std::net::SocketAddr;

/// The names for which a login may be signed, the first of which is announced (R80).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerNames {
    announced: String,
    /// Other ways to write the same authority.
    aliases: Vec<String>,
}

impl ServerNames {
    /// The names of a server that listens on `listen`, its port already known, and that was given `name` or none.
    ///
    /// A loopback address without a name is reached as that address, as `localhost` and as `[::1]`. With a name only the
    /// name is accepted: what clients reach as `localhost` may then be another program that passes logins on.
    pub(crate) fn new(name: Option<&str>, listen: SocketAddr) -> Result<Self, ConfigError> {
        match name {
            Some(name) => Self::given(name),
            None if listen.ip().is_loopback() => {
                let port = listen.port();
                let announced = without_own_port(&listen.to_string());
                let aliases = ["127.0.0.1", "localhost", "[::1]"]
                    .map(|host| without_own_port(&format!("{host}:{port}")))
                    .into_iter()
                    .filter(|alias| *alias != announced)
                    .collect();
                Ok(Self { announced, aliases })
            }
            None => Err(ConfigError::NameRequired { listen }),
        }
    }

    /// The name that clients are told.
    pub(crate) fn announced(&self) -> &str {
        &self.announced
    }

    /// Every name for which a login is accepted.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.announced).chain(&self.aliases).map(String::as_str)
    }

    fn given(name: &str) -> Result<Self, ConfigError> {
        let name = name.to_ascii_lowercase();
        let invalid = || ConfigError::InvalidName { name: name.clone() };
        let (host, port) = split(&name).ok_or_else(invalid)?;
        if !is_host(host) {
            return Err(invalid());
        }
        if let Some(port) = port {
            let number: u16 = port.parse().map_err(|_| invalid())?;
            if number == 0 || number.to_string() != port {
                return Err(invalid());
            }
        }
        let announced = without_own_port(&name);
        // A client may dial the scheme's other port explicitly, `ws://…:443`.
        let aliases = if announced == name { Vec::new() } else { vec![name] };
        Ok(Self { announced, aliases })
    }
}

/// The port is left out if it is the scheme's own: 80 for `ws`, 443 for `wss` at a proxy in front.
fn without_own_port(authority: &str) -> String {
    let host = authority.strip_suffix(":80").or_else(|| authority.strip_suffix(":443"));
    host.unwrap_or(authority).to_owned()
}

fn split(name: &str) -> Option<(&str, Option<&str>)> {
    let after_host =
        if name.starts_with('[') { name.find(']')? + 1 } else { name.find(':').unwrap_or(name.len()) };
    let (host, rest) = name.split_at_checked(after_host)?;
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        let inner = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
        !label.is_empty() && label.len() <= 63 && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: Option<&str>, listen: &str) -> Vec<String> {
        ServerNames::new(name, listen.parse().unwrap()).unwrap().all().map(str::to_owned).collect()
    }

    #[test]
    fn loopback_needs_no_name() {
        assert_eq!(names(None, "127.0.0.1:7300"), ["127.0.0.1:7300", "localhost:7300", "[::1]:7300"]);
        assert_eq!(names(None, "[::1]:7300"), ["[::1]:7300", "127.0.0.1:7300", "localhost:7300"]);
        assert_eq!(names(None, "127.0.0.1:80"), ["127.0.0.1", "localhost", "[::1]"]);
    }

    #[test]
    fn other_addresses_need_one() {
        let listen = "0.0.0.0:7300".parse().unwrap();
        assert_eq!(ServerNames::new(None, listen), Err(ConfigError::NameRequired { listen }));
    }

    #[test]
    fn given_names() {
        assert_eq!(names(Some("Chat.Example:7300"), "0.0.0.0:1"), ["chat.example:7300"]);
        assert_eq!(names(Some("chat.example:443"), "0.0.0.0:1"), ["chat.example", "chat.example:443"]);
        assert_eq!(names(Some("chat.example"), "127.0.0.1:1"), ["chat.example"]);
        assert_eq!(names(Some("[2001:db8::1]:7300"), "[::]:1"), ["[2001:db8::1]:7300"]);
        for bad in [
            "",
            ":7300",
            "a b",
            "ws://chat.example",
            "chat.example/",
            "chat.example:",
            "x:0",
            "x:70000",
            "x:07",
        ] {
            let refused = ServerNames::new(Some(bad), "127.0.0.1:1".parse().unwrap());
            assert!(matches!(refused, Err(ConfigError::InvalidName { .. })), "{bad}");
        }
    }
}
