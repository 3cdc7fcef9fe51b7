//! What a server counts, for its operator.
//!
//! Each server has a recorder of its own: a process may run several. Handles are made once, at the start; what happens
//! often costs an atomic addition, or less: hubs add up what they push and tell it once a round.

mod reason;

use crate::log::{Health, Room};
use crate::store::Change;
use conclave_wire::reply::{Refusal, Reply};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
};
use metrics::{gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::collections::BTreeMap;
use std::time::Duration;

/// Bounds of the time that a store takes: from a fast disk's sync to a database in trouble.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Bounds of how many writes share one sync.
const WRITES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Everything that a server counts.
pub(crate) struct Metrics {
    prometheus: PrometheusHandle,
    /// Sockets that were opened.
    pub(crate) connections: Counter,
    open: Gauge,
    most: Gauge,
    logins: [Counter; 2],
    entries: [Counter; 3],
    trimmed: Counter,
    /// Frames that were queued for members when they came.
    pub(crate) pushes: Counter,
    /// Subscriptions that were sent to the log: when they began, too slow, or without an entry in between.
    pub(crate) fell_behind: Counter,
    batch: Histogram,
    write: Histogram,
    store_errors: Counter,
    refusals: BTreeMap<&'static str, Counter>,
    queue: Gauge,
    ready: Gauge,
}

impl Metrics {
    /// With everything at zero.
    pub(crate) fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_writes".to_owned()), WRITES)?
            .build_recorder();
        let prometheus = recorder.handle();
        Ok(metrics::with_local_recorder(&recorder, || Self::make(prometheus)))
    }

    fn make(prometheus: PrometheusHandle) -> Self {
        describe();
        gauge!("conclave_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let refusal = |reason| (reason, counter!("conclave_refusals_total", "reason" => reason));
        Self {
            prometheus,
            connections: counter!("conclave_connections_total"),
            open: gauge!("conclave_connections_open"),
            most: gauge!("conclave_connections_max"),
            logins: ["accepted", "refused"]
                .map(|outcome| counter!("conclave_logins_total", "outcome" => outcome)),
            entries: ["commit", "distribution", "message"]
                .map(|kind| counter!("conclave_entries_total", "kind" => kind)),
            trimmed: counter!("conclave_trimmed_entries_total"),
            pushes: counter!("conclave_pushes_total"),
            fell_behind: counter!("conclave_fell_behind_total"),
            batch: histogram!("conclave_batch_writes"),
            write: histogram!("conclave_store_write_seconds"),
            store_errors: counter!("conclave_store_errors_total"),
            refusals: reason::ALL.iter().copied().map(refusal).collect(),
            queue: gauge!("conclave_log_queue_bytes"),
            ready: gauge!("conclave_ready"),
        }
    }

    /// So many sockets may be open.
    pub(crate) fn may_open(&self, most: usize) {
        self.most.set(u32::try_from(most).unwrap_or(u32::MAX));
    }

    /// A device has logged in, or was not let in.
    pub(crate) fn logged_in(&self, reply: &Reply) {
        let [accepted, refused] = &self.logins;
        if *reply == Reply::Done { accepted.increment(1) } else { refused.increment(1) }
    }

    /// A batch was written, or could not be.
    pub(crate) fn wrote(&self, writes: usize, took: Duration, stored: bool) {
        self.batch.record(u32::try_from(writes).unwrap_or(u32::MAX));
        self.write.record(took);
        if !stored {
            self.store_errors.increment(1);
        }
    }

    /// An entry is in the log.
    pub(crate) fn appended(&self, change: &Change) {
        let [commits, distributions, messages] = &self.entries;
        match change {
            Change::Commit(_) => commits.increment(1),
            Change::Distribution(_) => distributions.increment(1),
            Change::Message(_) => messages.increment(1),
        }
    }

    /// So many entries are no longer kept.
    pub(crate) fn trimmed(&self, entries: u64) {
        self.trimmed.increment(entries);
    }

    /// An answer goes out; refusals are counted.
    pub(crate) fn answered(&self, reply: &Reply) {
        if let Reply::Refused { refusal } = reply {
            self.refused(refusal);
        }
    }

    /// A refusal goes out.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        if let Some(counter) = self.refusals.get(reason::of(refusal)) {
            counter.increment(1);
        }
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn render(&self, open: usize, health: &Health, room: &Room) -> String {
        self.open.set(u32::try_from(open).unwrap_or(u32::MAX));
        self.ready.set(u8::from(health.is_ready()));
        self.queue.set(u32::try_from(room.taken()).unwrap_or(u32::MAX));
        self.prometheus.run_upkeep();
        self.prometheus.render()
    }
}

fn describe() {
    describe_gauge!("conclave_build_info", "1, with the server's version.");
    describe_counter!("conclave_connections_total", "Sockets that were opened.");
    describe_gauge!("conclave_connections_open", "Sockets that are open.");
    describe_gauge!("conclave_connections_max", "Sockets that may be open; further ones wait.");
    describe_counter!("conclave_logins_total", "Logins and registrations, by whether they were accepted.");
    describe_counter!("conclave_entries_total", "Entries that were stored, by kind.");
    describe_counter!(
        "conclave_trimmed_entries_total",
        "Entries that were deleted because they are too old, or their group has too much."
    );
    describe_counter!("conclave_pushes_total", "Entries that were queued for members as they came.");
    describe_counter!(
        "conclave_fell_behind_total",
        "Subscriptions sent to the log: when they begin, when their socket is too slow, or when an entry is missing."
    );
    describe_histogram!("conclave_batch_writes", "Writes that share one sync of the store.");
    describe_histogram!("conclave_store_write_seconds", Unit::Seconds, "Time to store a batch durably.");
    describe_counter!("conclave_store_errors_total", "Batches that could not be stored.");
    describe_counter!("conclave_refusals_total", "Requests that were refused, by reason.");
    describe_gauge!("conclave_log_queue_bytes", Unit::Bytes, "Bytes that wait to be stored.");
    describe_gauge!("conclave_ready", "1 if the server can store, else 0.");
}
