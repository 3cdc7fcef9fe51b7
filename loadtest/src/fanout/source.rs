//! Where connections come from: one loopback address has some 28,000 ports for them, several have as many each.

use super::target::Target;
use crate::failure::Failure;
use conclave_server::files_for_connections;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// Ports that one address has for outgoing connections, by Linux's default.
const PORTS: usize = 28_000;

/// Files that the generator needs besides its connections: its runtime's and its reports'.
const OTHER_FILES: u64 = 512;

/// The addresses 127.0.0.1, 127.0.0.2, … that connections come from in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sources(u8);

impl Sources {
    /// Checks that so many connections fit.
    pub(super) fn of(addresses: u8, connections: usize, target: Option<&Target>) -> Result<Self, Failure> {
        let needed = connections.div_ceil(PORTS);
        if needed > usize::from(addresses) {
            return Err(Failure::Settings(format!(
                "{connections} connections do not fit the ports of {addresses} address(es), {PORTS} each; add \
                 --source-addresses {needed}"
            )));
        }
        let here = |target: &Target| matches!(target.socket().ip(), IpAddr::V4(ip) if ip.is_loopback());
        if addresses > 1 && !target.is_none_or(here) {
            return Err(Failure::Settings(
                "--source-addresses are loopback addresses, from which the server's cannot be reached; dial \
                 ws://127.0.0.1:PORT, or leave --source-addresses away"
                    .into(),
            ));
        }
        Ok(Self(addresses))
    }

    /// How many there are.
    pub(super) fn count(self) -> u8 {
        self.0
    }

    /// The one of the connection with this number; `None` lets the system choose.
    pub(super) fn address(self, connection: usize) -> Option<Ipv4Addr> {
        let last = u8::try_from(connection % usize::from(self.0.max(1))).ok()?.checked_add(1)?;
        (self.0 > 1).then(|| Ipv4Addr::new(127, 0, 0, last))
    }
}

/// Connects from an address.
pub(super) async fn connect(to: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let stream = match from {
        None => TcpStream::connect(to).await?,
        Some(from) => {
            let socket = TcpSocket::new_v4()?;
            // A port that a socket was bound to stays taken for a minute after an orderly end: too long for the next run.
            socket.set_zero_linger()?;
            socket.bind(SocketAddr::from((from, 0)))?;
            socket.connect(to).await?
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether this process, and a server that it starts, may open a file for each connection.
pub(super) fn check_files(limit: u64, connections: usize) -> Result<(), Failure> {
    // The server keeps more back than the generator needs, or less of few.
    let generator = (connections as u64).saturating_add(OTHER_FILES);
    let needed = generator.max(files_for_connections(connections));
    if limit >= needed {
        return Ok(());
    }
    Err(Failure::Settings(format!(
        "{connections} connections need {needed} open files in each process, and the hard limit is {limit}; raise it \
         as root with `prlimit --pid $$ --nofile={needed}:{needed}` in this shell, or in limits.conf, or lower --connections"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_come_from_every_address_in_turn() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let to = listener.local_addr().unwrap();
        let sources = Sources::of(3, 7, None).unwrap();
        for connection in 0..7 {
            let (dialled, accepted) =
                tokio::join!(connect(to, sources.address(connection)), listener.accept());
            let _dialled = dialled.unwrap();
            let last = u8::try_from(connection % 3 + 1).unwrap();
            assert_eq!(accepted.unwrap().1.ip(), Ipv4Addr::new(127, 0, 0, last));
        }
    }

    #[test]
    fn more_connections_than_ports_need_more_addresses() {
        assert!(Sources::of(1, 28_000, None).is_ok());
        let refused = Sources::of(1, 60_000, None).unwrap_err().to_string();
        assert!(refused.contains("--source-addresses 3"), "{refused}");
        assert!(Sources::of(3, 60_000, None).is_ok());
        let far = Target::parse("ws://[::1]:7300", false).unwrap();
        assert!(Sources::of(1, 10, Some(&far)).is_ok() && Sources::of(2, 10, Some(&far)).is_err());
    }

    #[test]
    fn too_few_files_say_how_to_get_more() {
        assert!(check_files(30_000, 28_000).is_ok());
        assert!(check_files(612, 100).is_ok() && check_files(611, 100).is_err());
        assert!(check_files(2_000, 1_000).is_ok() && check_files(1_999, 1_000).is_err());
        let refused = check_files(1024, 28_000).unwrap_err().to_string();
        assert!(refused.contains("--nofile=30000"), "{refused}");
    }
}
