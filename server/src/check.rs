//! Whether a server would start: everything that can be found out without starting one, and without changing anything.

use crate::config::Config;
use crate::error::StartError;
use crate::name::ServerNames;
use crate::store::{self, Condition};
use crate::transport::certificates::Certificates;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpSocket;

/// One thing that was looked at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checked {
    /// What, in a word.
    pub what: &'static str,
    /// What it is like, for people; or why no server would start with it, and what to do.
    pub found: Result<String, StartError>,
}

/// Looks at everything that a server needs to start: its name, its certificate, its addresses and its store. That a server
/// runs already, with these settings or others, is said and is no error. Blocks, as long as connecting to a database
/// takes.
pub fn check(config: &Config) -> Vec<Checked> {
    let mut all = vec![
        Checked {
            what: "settings",
            found: config.check().map(|()| "fit together".to_owned()).map_err(Into::into),
        },
        Checked { what: "name", found: name(config) },
        Checked { what: "certificate", found: certificate(config) },
        Checked { what: "listen", found: address(config.listen) },
    ];
    if let Some(watch) = config.watch {
        all.push(Checked { what: "metrics", found: address(watch) });
    }
    all.push(Checked { what: "store", found: store(config) });
    all
}

fn name(config: &Config) -> Result<String, StartError> {
    let names = ServerNames::new(config.name.as_deref(), config.listen)?;
    // Without a name it is the address, whose port may be chosen at the start.
    let chosen = config.name.is_none() && config.listen.port() == 0;
    Ok(match chosen {
        true => "clients dial this machine, at the port that is taken".to_owned(),
        false => format!("clients dial {}", names.announced()),
    })
}

fn certificate(config: &Config) -> Result<String, StartError> {
    let Some(files) = config.tls.clone() else { return Ok("none: connections are not encrypted".to_owned()) };
    let said = format!("{} fits its key", files.certificates.display());
    Certificates::load(files)?;
    Ok(said)
}

/// Whether the system would let a server listen there. Bound for a moment, and never listened on.
fn address(listen: SocketAddr) -> Result<String, StartError> {
    let bind = || {
        let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(listen)
    };
    match bind() {
        Ok(()) => Ok(format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Ok(format!("{listen} is in use now; by this server, if it is running"))
        }
        Err(source) => Err(StartError::Listen { listen, source }),
    }
}

fn store(config: &Config) -> Result<String, StartError> {
    let store = &config.store;
    Ok(match store::inspect(store)? {
        Condition::New => format!("{store} is new, and is made by the first start"),
        Condition::Ready => format!("{store} can be used"),
        Condition::Behind(1) => format!("{store} can be used after one migration, which a start makes"),
        Condition::Behind(number) => {
            format!("{store} can be used after {number} migrations, which a start makes")
        }
        Condition::InUse => format!("{store} is in use now; by this server, if it is running"),
    })
}
