//! The clock of the load: says when each message is due, and how late this program wakes up.
//!
//! A thread of its own sleeps, because the runtime's timers only know milliseconds.

use super::drive::{Shared, Wake};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How often the lag is probed where nothing is due at a time.
const PROBE_EVERY: Duration = Duration::from_millis(10);

/// Makes a message due for each of `senders` in turn, `rate` times a second, evenly spread, until the measurement ends.
pub(super) fn start(
    shared: &Arc<Shared>,
    senders: Vec<(UnboundedSender<Wake>, usize)>,
    rate: f64,
) -> std::io::Result<()> {
    let shared = Arc::clone(shared);
    let pace = move || {
        let clock = &shared.meter.clock;
        let step = 1e9 / rate / senders.len().max(1) as f64;
        let mut ticks = 0.0;
        loop {
            for (sender, seat) in &senders {
                let intended = whole(ticks * step);
                ticks += 1.0;
                if intended >= clock.until() {
                    return;
                }
                sleep_until(clock.at(intended));
                // A connection that has ended sends nothing.
                let _ = sender.send(Wake::Due { seat: *seat, intended });
            }
        }
    };
    thread::Builder::new().name("pace".into()).spawn(pace).map(drop)
}

/// Measures how late a sleeping thread wakes up and its message is handled, until the measurement ends.
pub(super) fn probe(shared: &Arc<Shared>) -> std::io::Result<()> {
    let (sender, mut receiver): (_, UnboundedReceiver<u64>) = unbounded_channel();
    let listening = Arc::clone(shared);
    tokio::spawn(async move {
        while let Some(intended) = receiver.recv().await {
            listening.meter.lag(0, intended);
        }
    });
    let shared = Arc::clone(shared);
    let tick = move || {
        let clock = &shared.meter.clock;
        let step = u64::try_from(PROBE_EVERY.as_nanos()).unwrap_or(u64::MAX);
        let mut intended = clock.now();
        while intended < clock.until() {
            sleep_until(clock.at(intended));
            if sender.send(intended).is_err() {
                return;
            }
            intended += step;
        }
    };
    thread::Builder::new().name("probe".into()).spawn(tick).map(drop)
}

fn sleep_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}

/// Nanoseconds; a run ends long before they stop fitting.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(nanos: f64) -> u64 {
    nanos as u64
}
