//! The servers of a profile: several nodes of one, of which any will do.

use super::Address;
use crate::error::ClientError;

/// Most addresses of one profile. A cluster with more has a name in front of it.
const MAX_SERVERS: usize = 16;

/// Addresses, and which of them was last tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Servers {
    all: Vec<Address>,
    current: usize,
}

impl Servers {
    /// Parses addresses with commas between.
    pub(crate) fn parse(given: &str, plain: bool) -> Result<Self, ClientError> {
        let all: Vec<Address> =
            given.split(',').map(|one| Address::parse(one.trim(), plain)).collect::<Result<_, _>>()?;
        if all.len() > MAX_SERVERS {
            let why = "that are more than 16; give the name that is in front of them";
            return Err(ClientError::BadAddress { address: given.to_owned(), why });
        }
        Ok(Self { all, current: 0 })
    }

    /// The one that was last tried; there is always one.
    pub(crate) fn current(&self) -> Result<&Address, ClientError> {
        self.all.get(self.current).ok_or(ClientError::Internal { what: "a profile without a server".into() })
    }

    /// Goes on to the next.
    pub(crate) fn turn(&mut self) {
        self.current = (self.current + 1) % self.all.len().max(1);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_tried_in_turn() {
        let mut servers = Servers::parse("ws://127.0.0.1:1, ws://127.0.0.1:2", false).unwrap();
        let mut tried = Vec::new();
        for _ in 0..3 {
            tried.push(servers.current().unwrap().as_given().to_owned());
            servers.turn();
        }
        assert_eq!(tried, ["ws://127.0.0.1:1", "ws://127.0.0.1:2", "ws://127.0.0.1:1"]);
        assert_eq!(servers.count(), 2);
    }

    #[test]
    fn each_must_be_one() {
        for bad in ["", ",", "ws://127.0.0.1:1,", "ws://127.0.0.1:1,chat", &["ws://[::1]:1"; 17].join(",")] {
            assert!(matches!(Servers::parse(bad, false), Err(ClientError::BadAddress { .. })), "{bad}");
        }
    }
}
