//! What is measured while messages flow: counts and histograms, in shards so that connections do not wait for each other.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const SHARDS: usize = 16;

/// Longest time that a histogram tells apart: two minutes, in microseconds.
const LONGEST: u64 = 120_000_000;

/// Times since the run began, in nanoseconds, and which of them count.
#[derive(Debug)]
pub(super) struct Clock {
    origin: Instant,
    from: u64,
    until: AtomicU64,
}

impl Clock {
    /// Counts what is intended after `warm_up`, for `duration`.
    pub(super) fn new(warm_up: Duration, duration: Duration) -> Self {
        let from = nanos(warm_up);
        Self { origin: Instant::now(), from, until: AtomicU64::new(from.saturating_add(nanos(duration))) }
    }

    pub(super) fn now(&self) -> u64 {
        nanos(self.origin.elapsed())
    }

    pub(super) fn at(&self, time: u64) -> Instant {
        self.origin + Duration::from_nanos(time)
    }

    pub(super) fn from(&self) -> u64 {
        self.from
    }

    pub(super) fn until(&self) -> u64 {
        self.until.load(Ordering::Relaxed)
    }

    /// Ends the measurement now, if it has not ended.
    pub(super) fn stop(&self) {
        self.until.fetch_min(self.now(), Ordering::Relaxed);
    }

    fn counts(&self, time: u64) -> bool {
        time >= self.from && time < self.until()
    }
}

/// Everything that connections report.
pub(super) struct Meter {
    pub(super) clock: Clock,
    shards: Vec<Shard>,
    /// Messages posted, warm-up included.
    posted: AtomicU64,
}

struct Shard {
    deliveries: AtomicU64,
    messages: AtomicU64,
    pushed: Times,
    elsewhere: Times,
    opened: Times,
    accepted: Times,
    lag: Times,
}

struct Times(Mutex<Option<Histogram<u64>>>);

/// A distribution of times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

/// What the meter shows.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) deliveries: u64,
    pub(super) messages: u64,
    pub(super) pushed: Option<Latency>,
    pub(super) elsewhere: Option<Latency>,
    pub(super) opened: Option<Latency>,
    pub(super) accepted: Option<Latency>,
    pub(super) lag: Option<Latency>,
}

impl Meter {
    pub(super) fn new(clock: Clock) -> Self {
        let shard = || Shard {
            deliveries: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            pushed: Times::new(),
            elsewhere: Times::new(),
            opened: Times::new(),
            accepted: Times::new(),
            lag: Times::new(),
        };
        Self { clock, shards: (0..SHARDS).map(|_| shard()).collect(), posted: AtomicU64::new(0) }
    }

    /// Another member than its sender was pushed a message that should have been posted at `intended`; `elsewhere` if that
    /// was by another server than the one that took it.
    pub(super) fn pushed(&self, connection: usize, now: u64, intended: u64, elsewhere: bool) {
        let Some(shard) = self.shard(connection) else { return };
        if self.clock.counts(now) {
            shard.deliveries.fetch_add(1, Ordering::Relaxed);
        }
        if self.clock.counts(intended) {
            let times = if elsewhere { &shard.elsewhere } else { &shard.pushed };
            times.record(now.saturating_sub(intended));
        }
    }

    /// That member has opened and compared it.
    pub(super) fn opened(&self, connection: usize, intended: u64) {
        let Some(shard) = self.shard(connection) else { return };
        if self.clock.counts(intended) {
            shard.opened.record(self.clock.now().saturating_sub(intended));
        }
    }

    /// The server said that it has a message.
    pub(super) fn accepted(&self, connection: usize, intended: u64) {
        let Some(shard) = self.shard(connection) else { return };
        let now = self.clock.now();
        if self.clock.counts(now) {
            shard.messages.fetch_add(1, Ordering::Relaxed);
        }
        if self.clock.counts(intended) {
            shard.accepted.record(now.saturating_sub(intended));
        }
    }

    /// This program itself did something later than it meant to.
    pub(super) fn lag(&self, connection: usize, intended: u64) {
        let Some(shard) = self.shard(connection) else { return };
        if self.clock.counts(intended) {
            shard.lag.record(self.clock.now().saturating_sub(intended));
        }
    }

    /// Counts a message to be posted, unless `most` were.
    pub(super) fn may_post(&self, most: u64) -> bool {
        self.posted.fetch_add(1, Ordering::Relaxed) < most
    }

    /// Everything so far.
    pub(super) fn read(&self) -> Reading {
        let sum = |count: fn(&Shard) -> &AtomicU64| {
            self.shards.iter().map(|shard| count(shard).load(Ordering::Relaxed)).sum()
        };
        let merge = |times: fn(&Shard) -> &Times| Times::merge(self.shards.iter().map(times));
        Reading {
            deliveries: sum(|shard| &shard.deliveries),
            messages: sum(|shard| &shard.messages),
            pushed: merge(|shard| &shard.pushed),
            elsewhere: merge(|shard| &shard.elsewhere),
            opened: merge(|shard| &shard.opened),
            accepted: merge(|shard| &shard.accepted),
            lag: merge(|shard| &shard.lag),
        }
    }

    fn shard(&self, connection: usize) -> Option<&Shard> {
        self.shards.get(connection % SHARDS)
    }
}

impl Times {
    fn new() -> Self {
        Self(Mutex::new(empty()))
    }

    fn record(&self, nanos: u64) {
        if let Some(times) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            times.saturating_record((nanos / 1000).max(1));
        }
    }

    fn merge<'a>(parts: impl Iterator<Item = &'a Self>) -> Option<Latency> {
        let mut all = empty()?;
        for part in parts {
            if let Some(times) = &*part.0.lock().unwrap_or_else(PoisonError::into_inner) {
                // All have the same bounds, so they add up.
                let _ = all.add(times);
            }
        }
        let ms = |micros: u64| micros as f64 / 1000.0;
        (!all.is_empty()).then(|| Latency {
            count: all.len(),
            p50: ms(all.value_at_quantile(0.5)),
            p99: ms(all.value_at_quantile(0.99)),
            p999: ms(all.value_at_quantile(0.999)),
            max: ms(all.max()),
        })
    }
}

/// Three significant digits up to two minutes; `None` only were these bounds not valid.
fn empty() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST, 3).ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_intended_within_the_measurement_counts() {
        let meter = Meter::new(Clock::new(Duration::from_secs(10), Duration::from_secs(5)));
        let second = 1_000_000_000;
        meter.pushed(1, 9 * second, 8 * second, false);
        meter.pushed(2, 11 * second, 9 * second, false);
        meter.pushed(17, 12 * second, 11 * second, false);
        meter.pushed(4, 17 * second, 14 * second, false);
        let reading = meter.read();
        assert_eq!(reading.deliveries, 2);
        let latency = reading.pushed.unwrap();
        assert_eq!(latency.count, 2);
        assert!((999.0..1001.0).contains(&latency.p50) && (2990.0..3010.0).contains(&latency.max));
        assert_eq!((reading.opened, reading.elsewhere), (None, None));
        meter.pushed(4, 13 * second, 11 * second, true);
        let reading = meter.read();
        assert_eq!((reading.deliveries, reading.pushed.unwrap().count), (3, 2));
        assert!((1990.0..2010.0).contains(&reading.elsewhere.unwrap().max));
    }

    #[test]
    fn most_messages() {
        let meter = Meter::new(Clock::new(Duration::ZERO, Duration::ZERO));
        assert_eq!((0..5).filter(|_| meter.may_post(3)).count(), 3);
    }
}
