//! Where a connection comes from, also behind a proxy.

use actix_http::header::HeaderMap;
use std::net::{IpAddr, Ipv6Addr};

/// The header to which proxies append whom they speak for.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// From this machine.
    Here,
    /// From another.
    Elsewhere(AddressKey),
}

/// What addresses are told apart by: an IPv4 address, or the /64 of an IPv6 address, of which a household has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressKey(IpAddr);

impl Peer {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            here if here.is_loopback() => Self::Here,
            IpAddr::V4(address) => Self::Elsewhere(AddressKey(address.into())),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::Elsewhere(AddressKey(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()))
            }
        }
    }

    pub(super) fn address(self) -> Option<AddressKey> {
        match self {
            Self::Here => None,
            Self::Elsewhere(address) => Some(address),
        }
    }
}

/// Proxies that are believed when they say for whom they speak.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Vec<IpAddr>);

impl TrustedProxies {
    pub(crate) fn new(addresses: Vec<IpAddr>) -> Self {
        Self(addresses.into_iter().map(|address| address.to_canonical()).collect())
    }

    /// Where a connection comes from. What a client claims is believed as far as trusted proxies have written it: they
    /// append on the right, so that is the last address there that is not theirs.
    pub(crate) fn peer(&self, from: IpAddr, headers: &HeaderMap) -> Peer {
        let trusted = |address: &IpAddr| self.0.contains(&address.to_canonical());
        let mut peer = from;
        let said: Vec<&str> =
            headers.get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
        let said = said.join(",");
        for address in said.rsplit(',') {
            if !trusted(&peer) {
                break;
            }
            // What is no address was not written by a proxy that is to be trusted.
            let Ok(address) = address.trim().parse() else { break };
            peer = address;
        }
        Peer::of(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_http::header::{HeaderName, HeaderValue};

    #[test]
    fn only_what_a_trusted_proxy_wrote_is_believed() {
        let peer = |from: &str, said: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in said {
                let name = HeaderName::from_static(FORWARDED_FOR);
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            let trusted = ["127.0.0.1", "10.0.0.1"].map(|address| address.parse().unwrap());
            TrustedProxies::new(trusted.to_vec()).peer(from.parse().unwrap(), &headers)
        };
        let of = |address: &str| Peer::of(address.parse().unwrap());
        assert_eq!(peer("127.0.0.1", &["203.0.113.7"]), of("203.0.113.7"));
        assert_eq!(peer("::ffff:127.0.0.1", &["203.0.113.7"]), of("203.0.113.7"));
        // Two proxies, and what the client had claimed before them.
        assert_eq!(peer("127.0.0.1", &["1.2.3.4, 203.0.113.7, 10.0.0.1"]), of("203.0.113.7"));
        assert_eq!(peer("127.0.0.1", &["1.2.3.4", "203.0.113.7"]), of("203.0.113.7"));
        // From nobody who is trusted.
        assert_eq!(peer("203.0.113.9", &["1.2.3.4"]), of("203.0.113.9"));
        assert_eq!(peer("127.0.0.1", &["nonsense"]), Peer::Here);
        assert_eq!(peer("127.0.0.1", &[]), Peer::Here);
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
