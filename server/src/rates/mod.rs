//! How often somebody may ask: what keeps one address or one device from using up what all share.
//!
//! Leaky buckets (GCRA), by address for those who are not known yet, by device for those who are. Who is at its limit is told
//! which, and when to come again. This machine is exempt: what runs here could do worse.

mod peer;

pub(crate) use peer::{Peer, TrustedProxies};

use crate::limits::{
    CONNECTIONS_PER_MINUTE, FORGET_RATES_EVERY, FOUNDINGS_PER_HOUR, PREKEYS_PER_HOUR, REGISTRATIONS_PER_HOUR,
    RENEWALS_PER_HOUR, REQUEST_BYTES, REQUESTS_PER_MINUTE,
};
use conclave_wire::ids::{AccountId, DeviceId, GroupId};
use conclave_wire::reply::Refusal;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use peer::AddressKey;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// All limits of a server.
pub(crate) struct Rates {
    connections: Limit<AddressKey>,
    registrations: Limit<AddressKey>,
    requests: Limit<DeviceId>,
    prekeys: Limit<DeviceId>,
    renewals: Limit<(DeviceId, GroupId)>,
    foundings: Limit<AccountId>,
    clock: DefaultClock,
    /// When what was not heard of lately was last forgotten.
    forgot: Mutex<Instant>,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            connections: Limit::new("connections from one address", per_minute(CONNECTIONS_PER_MINUTE)),
            registrations: Limit::new("registrations from one address", per_hour(REGISTRATIONS_PER_HOUR)),
            requests: Limit::new("requests of one device", per_minute(REQUESTS_PER_MINUTE)),
            prekeys: Limit::new("prekeys that one device asks for", per_hour(PREKEYS_PER_HOUR)),
            renewals: Limit::new("heals and updates of one device in a group", per_hour(RENEWALS_PER_HOUR)),
            foundings: Limit::new("groups that one account founds", per_hour(FOUNDINGS_PER_HOUR)),
            clock: DefaultClock::default(),
            forgot: Mutex::new(Instant::now()),
        }
    }
}

impl Rates {
    /// Somebody opens a socket.
    pub(crate) fn connect(&self, peer: Peer) -> Result<(), Refusal> {
        peer.address().map_or(Ok(()), |address| self.connections.take(&self.clock, &address, 1))
    }

    /// Somebody registers.
    pub(crate) fn register(&self, peer: Peer) -> Result<(), Refusal> {
        peer.address().map_or(Ok(()), |address| self.registrations.take(&self.clock, &address, 1))
    }

    /// A device asks for something, in a request of so many bytes. A long one counts as several, so that what one device
    /// has stored in a minute is bounded too.
    pub(crate) fn ask(&self, peer: Peer, device: DeviceId, bytes: usize) -> Result<(), Refusal> {
        let count = u32::try_from(bytes / REQUEST_BYTES).unwrap_or(u32::MAX).saturating_add(1);
        peer.address().map_or(Ok(()), |_| self.requests.take(&self.clock, &device, count))
    }

    /// A device asks for the prekeys of so many.
    pub(crate) fn ask_prekeys(&self, peer: Peer, device: DeviceId, of: usize) -> Result<(), Refusal> {
        let of = u32::try_from(of).unwrap_or(u32::MAX);
        peer.address().map_or(Ok(()), |_| self.prekeys.take(&self.clock, &device, of))
    }

    /// A device heals itself in a group, or brings an account there to other devices.
    pub(crate) fn renew(&self, peer: Peer, device: DeviceId, group: GroupId) -> Result<(), Refusal> {
        peer.address().map_or(Ok(()), |_| self.renewals.take(&self.clock, &(device, group), 1))
    }

    /// An account founds a group, from whichever of its devices.
    pub(crate) fn found(&self, peer: Peer, account: AccountId) -> Result<(), Refusal> {
        peer.address().map_or(Ok(()), |_| self.foundings.take(&self.clock, &account, 1))
    }

    /// Forgets now and then who has not been heard of lately.
    pub(crate) fn forget(&self) {
        let mut forgot = self.forgot.lock().unwrap_or_else(PoisonError::into_inner);
        if forgot.elapsed() < FORGET_RATES_EVERY {
            return;
        }
        *forgot = Instant::now();
        self.connections.forget();
        self.registrations.forget();
        self.requests.forget();
        self.prekeys.forget();
        self.renewals.forget();
        self.foundings.forget();
    }
}

/// One limit, for each key of its own.
struct Limit<K: Hash + Eq + Clone> {
    name: &'static str,
    limiter: DefaultKeyedRateLimiter<K>,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(name: &'static str, quota: Quota) -> Self {
        Self { name, limiter: DefaultKeyedRateLimiter::keyed(quota) }
    }

    fn take(&self, clock: &DefaultClock, key: &K, count: u32) -> Result<(), Refusal> {
        let Some(count) = NonZeroU32::new(count) else { return Ok(()) };
        let wait = match self.limiter.check_key_n(key, count) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(not_until)) => not_until.wait_time_from(clock.now()),
            // More at once than ever may be: requests are smaller.
            Err(_) => FORGET_RATES_EVERY,
        };
        Err(at_limit(self.name, wait))
    }

    fn forget(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// What somebody is told who is at a limit and has to wait.
pub(crate) fn at_limit(limit: &str, wait: Duration) -> Refusal {
    let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    Refusal::RateLimited { limit: limit.to_owned(), retry_after_ms }
}

fn per_minute(count: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
}

fn per_hour(count: u32) -> Quota {
    Quota::per_hour(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn peer(address: &str) -> Peer {
        Peer::of(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn each_address_has_its_own_and_this_machine_none() {
        let rates = Rates::default();
        for _ in 0..REGISTRATIONS_PER_HOUR {
            rates.register(peer("203.0.113.1")).unwrap();
        }
        let Err(Refusal::RateLimited { limit, retry_after_ms }) = rates.register(peer("203.0.113.1")) else {
            panic!()
        };
        assert_eq!(limit, "registrations from one address");
        assert!((1..=60_000).contains(&retry_after_ms), "{retry_after_ms}");
        rates.register(peer("203.0.113.2")).unwrap();
        // A household has a whole network of these.
        for i in 0..REGISTRATIONS_PER_HOUR {
            rates.register(peer(&format!("2001:db8::{i:x}"))).unwrap();
        }
        assert!(rates.register(peer("2001:db8::ffff")).is_err());
        rates.register(peer("2001:db8:0:1::1")).unwrap();
        for _ in 0..2 * REGISTRATIONS_PER_HOUR {
            rates.register(peer("127.0.0.1")).unwrap();
        }
    }

    #[test]
    fn prekeys_are_counted_one_by_one() {
        let rates = Rates::default();
        let device = DeviceId::from_bytes([1; 32]);
        let ask = |of| rates.ask_prekeys(peer("203.0.113.1"), device, of);
        ask(0).unwrap();
        ask(PREKEYS_PER_HOUR as usize - 1).unwrap();
        assert!(ask(2).is_err());
        ask(1).unwrap();
        assert!(ask(usize::MAX).is_err());
    }

    #[test]
    fn long_requests_count_as_several() {
        let rates = Rates::default();
        let ask = |device, bytes| rates.ask(peer("203.0.113.1"), DeviceId::from_bytes([device; 32]), bytes);
        let longest = conclave_wire::limits::MAX_FRAME;
        let most = REQUESTS_PER_MINUTE as usize / (longest / REQUEST_BYTES + 1);
        (0..most).for_each(|_| ask(1, longest).unwrap());
        assert!(ask(1, longest).is_err());
        // What comes back meanwhile is less than one of these.
        (0..REQUESTS_PER_MINUTE - 100).for_each(|_| ask(2, REQUEST_BYTES - 1).unwrap());
        assert!(ask(2, longest).is_err());
    }

    #[test]
    fn renewals_are_counted_in_each_group() {
        let rates = Rates::default();
        let [one, other] = [[1; 32], [2; 32]].map(GroupId::from_bytes);
        let renew = |group| rates.renew(peer("203.0.113.1"), DeviceId::from_bytes([1; 32]), group);
        (0..RENEWALS_PER_HOUR).for_each(|_| renew(one).unwrap());
        assert!(renew(one).is_err());
        renew(other).unwrap();
    }

    #[test]
    fn who_was_not_heard_of_is_forgotten() {
        let limit = Limit::new("test", Quota::per_second(NonZeroU32::new(1000).unwrap()));
        let clock = DefaultClock::default();
        for i in 0..100 {
            limit.take(&clock, &i, 1).unwrap();
        }
        while !limit.limiter.is_empty() {
            limit.forget();
        }
    }
}
