//! What `fanout` measured, and how it is shown.

use super::finding::Found;
use super::meter::Latency;
use super::plan::{Arrivals, Depth, Plan};
use conclave_report::figure;
use serde::Serialize;
use std::fmt::{self, Display};

/// Everything measured so far; what is not known yet is `null`.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) settings: Settings,
    definitions: Definitions,
    pub(super) server: ServerFacts,
    pub(super) setup_seconds: Option<f64>,
    pub(super) measured_seconds: Option<f64>,
    /// Accepted within the measurement.
    pub(super) messages: u64,
    pub(super) messages_per_s: Option<f64>,
    /// Pushed within the measurement to members other than the sender.
    pub(super) deliveries: u64,
    pub(super) deliveries_per_s: Option<f64>,
    pub(super) cpu_us_per_delivery: Option<f64>,
    pub(super) latency_ms: Option<Latency>,
    /// Where several servers were started: to members that another one serves than the sender's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_elsewhere_ms: Option<Latency>,
    pub(super) opened_ms: Option<Latency>,
    pub(super) accepted_ms: Option<Latency>,
    pub(super) generator_lag_ms: Option<Latency>,
    pub(super) generator_cpu_seconds: Option<f64>,
    /// Whether this program kept up with itself: its own lag is small beside the latency that it reports.
    pub(super) reliable: bool,
    /// Open loop: messages that were due and could not be sent before the run gave up.
    pub(super) never_sent: u64,
    /// Accepted over the whole run, warm-up included; each was checked at every member.
    pub(super) messages_checked: u64,
    pub(super) interrupted: bool,
    #[serde(flatten)]
    pub(super) found: Found,
}

/// The settings as they were used.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    groups: usize,
    members: usize,
    connections: usize,
    source_addresses: u8,
    senders: usize,
    size: usize,
    arrivals: Arrivals,
    depth: Depth,
    warm_up_seconds: f64,
    duration_seconds: f64,
    seed: u64,
    pinned: bool,
    workers: Option<usize>,
    nodes: usize,
}

/// The server under test.
#[derive(Debug, Default, Serialize)]
pub(super) struct ServerFacts {
    pub(super) url: String,
    /// Whether this program started it, as a process of its own.
    pub(super) started_here: bool,
    pub(super) file_system: Option<String>,
    /// Within the measurement.
    pub(super) cpu_seconds: Option<f64>,
    pub(super) cores_used: Option<f64>,
    /// Before the first connection.
    pub(super) rss_kib_empty: Option<u64>,
    /// With all connections in their groups, before the first message.
    pub(super) rss_kib_idle: Option<u64>,
    pub(super) rss_kib_end: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Definitions {
    delivery: &'static str,
    latency_ms: &'static str,
    latency_elsewhere_ms: &'static str,
    opened_ms: &'static str,
    accepted_ms: &'static str,
    generator_lag_ms: &'static str,
    cpu_us_per_delivery: &'static str,
    window: &'static str,
}

const DEFINITIONS: Definitions = Definitions {
    delivery: "one message pushed to one member other than its sender; the sender's own copy is checked and not counted",
    latency_ms: "from the post (open loop: from the moment intended for it) until another member's task has the frame; \
                 sealing is inside, opening is not; with several servers only to members on the sender's own",
    latency_elsewhere_ms: "the same to members on another server than the sender's",
    opened_ms: "the same until that member has opened, verified and compared the message",
    accepted_ms: "from the post (or the moment intended for it) until the sender has the server's answer, which comes \
                  after the message is durable",
    generator_lag_ms: "how much later than intended this program itself acted: open loop, each message as it reaches its \
                       sender's task; else a probe every 10 ms",
    cpu_us_per_delivery: "user and system time of the server's process within the measurement, by deliveries",
    window: "messages of one sender that are posted and not yet with every member of the group",
};

impl Results {
    pub(super) fn new(plan: &Plan, server: ServerFacts) -> Self {
        let settings = Settings {
            groups: plan.groups,
            members: plan.members,
            connections: plan.connections,
            source_addresses: plan.sources.count(),
            senders: plan.senders,
            size: plan.size,
            arrivals: plan.arrivals,
            depth: plan.depth,
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            duration_seconds: plan.duration.as_secs_f64(),
            seed: plan.seed,
            pinned: plan.pin,
            workers: plan.workers,
            nodes: plan.nodes,
        };
        Self {
            settings,
            definitions: DEFINITIONS,
            server,
            setup_seconds: None,
            measured_seconds: None,
            messages: 0,
            messages_per_s: None,
            deliveries: 0,
            deliveries_per_s: None,
            cpu_us_per_delivery: None,
            latency_ms: None,
            latency_elsewhere_ms: None,
            opened_ms: None,
            accepted_ms: None,
            generator_lag_ms: None,
            generator_cpu_seconds: None,
            reliable: false,
            never_sent: 0,
            messages_checked: 0,
            interrupted: false,
            found: Found::default(),
        }
    }

    /// For the line that is shown while it runs.
    pub(super) fn line(&self) -> String {
        let rate = self.deliveries_per_s.map_or("–".into(), figure);
        let latency = self.latency_ms.map_or(String::new(), |latency| {
            format!(", p50 {} p99 {} ms", figure(latency.p50), figure(latency.p99))
        });
        let Found { violations, errors, .. } = self.found;
        format!("{rate} deliveries/s{latency}, {violations} violations, {errors} errors")
    }
}

impl Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { groups, members, connections, senders, size, arrivals, depth, .. } = &self.settings;
        let arrivals = match arrivals {
            Arrivals::Window(window) => format!("{window} outstanding each"),
            Arrivals::Rate(rate) => format!("{rate} a second each"),
        };
        let depth = match depth {
            Depth::Encrypted => "every member opens and compares every message",
            Depth::Sealed => "members count and check order only",
        };
        writeln!(
            f,
            "{groups} groups of {members} on {connections} connections, {senders} senders in each, {arrivals}"
        )?;
        writeln!(f, "{size} B of content; {depth}")?;
        let nodes = self.settings.nodes;
        let kind = match self.server.started_here {
            true if nodes > 1 => format!("the first of {nodes} started here"),
            true => "started here".to_owned(),
            false => "not started here".to_owned(),
        };
        let stored =
            self.server.file_system.as_deref().map_or(String::new(), |kind| format!(", data on {kind}"));
        writeln!(f, "server {}, {kind}{stored}\n", self.server.url)?;

        let optional = |value: Option<f64>| value.map_or("–".into(), figure);
        writeln!(f, "deliveries/s         {}", optional(self.deliveries_per_s))?;
        writeln!(f, "messages/s           {}", optional(self.messages_per_s))?;
        writeln!(f, "server CPU           {} µs per delivery", optional(self.cpu_us_per_delivery))?;
        writeln!(f, "server cores used    {}", optional(self.server.cores_used))?;
        let kib = |value: Option<u64>| value.map_or("–".into(), |kib| figure(kib as f64 / 1024.0));
        let ServerFacts { rss_kib_empty, rss_kib_idle, rss_kib_end, .. } = self.server;
        let (empty, idle, end) = (kib(rss_kib_empty), kib(rss_kib_idle), kib(rss_kib_end));
        writeln!(
            f,
            "server memory        {empty} MiB empty, {idle} with all in their groups, {end} at the end"
        )?;
        writeln!(f, "\nms                        p50      p99    p99.9      max")?;
        for (name, latency) in [
            ("pushed to a member", &self.latency_ms),
            ("on another server", &self.latency_elsewhere_ms),
            ("opened by it", &self.opened_ms),
            ("accepted", &self.accepted_ms),
            ("generator's own lag", &self.generator_lag_ms),
        ] {
            if let Some(Latency { p50, p99, p999, max, .. }) = latency {
                let [p50, p99, p999, max] = [p50, p99, p999, max].map(|value| figure(*value));
                writeln!(f, "{name:<20} {p50:>8} {p99:>8} {p999:>8} {max:>8}")?;
            }
        }
        if !self.reliable {
            writeln!(
                f,
                "\nNot reliable: this program did not keep up with itself, so the latencies are partly its own."
            )?;
        }
        if self.never_sent > 0 {
            writeln!(
                f,
                "\n{} messages were due and could not be sent: the rate is too high.",
                self.never_sent
            )?;
        }
        let Found { violations, errors, .. } = self.found;
        let checked = self.messages_checked;
        writeln!(
            f,
            "\n{checked} messages checked at every member: {violations} violations, {errors} errors"
        )?;
        for (kind, count) in &self.found.violation_kinds {
            writeln!(f, "  violation {kind}: {count}")?;
        }
        for example in &self.found.violation_examples {
            writeln!(f, "    {example}")?;
        }
        for (kind, count) in &self.found.error_kinds {
            writeln!(f, "  {count} × {kind}")?;
        }
        Ok(())
    }
}
