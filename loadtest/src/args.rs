//! The command line as it is written.

use clap::{Args as ClapArgs, Parser, Subcommand};
use conclave_server::StoreLocation;
use std::path::PathBuf;
use std::time::Duration;

/// Measures Conclave, and checks while it measures.
#[derive(Debug, Parser)]
#[command(name = "conclave-loadtest", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 if all held, 1 if something that must hold did not, 2 if the run could not be made.
The JSON's fields are described in loadtest/README.md.";

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The engine alone: what sealing, opening, distributing and removing cost
    Seal(SealArgs),
    /// A server with real clients over real sockets: deliveries, latency, what it costs
    Fanout(FanoutArgs),
    /// The server that `fanout` starts, as a process of its own so that its CPU time can be read
    #[command(hide = true)]
    Serve(ServeArgs),
}

/// Settings of `seal`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SealArgs {
    /// Sizes of groups for which distribution and removal are measured
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [10, 100, 1000])]
    #[arg(value_parser = clap::value_parser!(u32).range(4..=100_000))]
    pub(crate) devices: Vec<u32>,

    /// Members of those groups whose sender key a member who processes a removal holds, at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) senders: u32,

    /// Repetitions, of which median and spread are shown
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) repetitions: Option<u32>,

    /// Few repetitions and small groups: shows that it works, not what it costs
    #[arg(long)]
    pub(crate) quick: bool,

    /// Keep to this processor
    #[arg(long, value_name = "CPU")]
    pub(crate) pin: Option<usize>,

    /// Where the randomness begins; 0 takes it from the system
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Also write the results to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Settings of `fanout`.
#[derive(Debug, ClapArgs)]
pub(crate) struct FanoutArgs {
    /// Groups
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) groups: u32,

    /// Devices in each group
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) members: u32,

    /// Devices in all, each with one socket; fewer than groups × members puts each in several groups
    /// [default: groups × members]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) connections: Option<u32>,

    /// Loopback addresses that connections come from, 127.0.0.1 and the next ones; each has ports for 28,000
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,

    /// Members of each group that send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) senders: u32,

    /// Bytes of content in each message
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=65_519))]
    pub(crate) size: u32,

    /// Messages of each sender under way at once: posted, and not yet with every member
    #[arg(long, default_value_t = 1, conflicts_with = "rate")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) window: u32,

    /// Messages a second of each sender, whether or not the ones before have arrived; latency counts from the moment
    /// at which each should have been sent
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,

    /// How long to measure, as in 500ms, 10s, 2m; at most one hour
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,

    /// How long to send before measuring
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub(crate) warm_up: Duration,

    /// Stop sending after this many messages in all
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    pub(crate) max_messages: u64,

    /// Every receiver is a whole engine that opens and verifies every message (default)
    #[arg(long, conflicts_with = "sealed")]
    pub(crate) encrypted: bool,

    /// Receivers only count and check sequence numbers, so that the server is what is measured
    #[arg(long)]
    pub(crate) sealed: bool,

    /// Test this server instead of starting one; its CPU time cannot be read
    #[arg(long, value_name = "ws://HOST:PORT")]
    pub(crate) server: Option<String>,

    /// Load a server that is not on this machine
    #[arg(long)]
    pub(crate) i_own_this_server: bool,

    /// Keep the started server to the first processor and the load to the others
    #[arg(long, conflicts_with = "server")]
    pub(crate) pin: bool,

    /// Threads of the started server that own sockets [default: one for each processor, with --pin one]
    #[arg(long, value_name = "N", conflicts_with = "server")]
    pub(crate) workers: Option<usize>,

    /// Where the started server stores, as it is told [default: fjall: in a temporary directory]
    #[arg(long, value_name = "STORE", conflicts_with = "server")]
    pub(crate) store: Option<StoreLocation>,

    /// Servers to start on one database, to which the connections go in turn
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "server", conflicts_with = "pin")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) nodes: u8,

    /// Where the randomness begins; 0 takes it from the system
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Also write the results to this file, while they come
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Settings of the started server.
#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Where it stores
    #[arg(long, value_name = "STORE", env = "CONCLAVE_STORE", hide_env_values = true)]
    pub(crate) store: StoreLocation,

    /// Threads that own sockets
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,

    /// Keep to this processor
    #[arg(long, value_name = "CPU")]
    pub(crate) pin: Option<usize>,
}

/// Longest measurement: a mistyped unit must not load a server for a day.
const MAX_DURATION: Duration = Duration::from_secs(3600);

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| "write it as 500ms, 10s or 2m".to_owned())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err("write it with its unit, as 500ms, 10s or 2m".into()),
    };
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if duration > MAX_DURATION { Err("at most 60m".into()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("60m"), Ok(MAX_DURATION));
        for bad in ["", "10", "s", "10h", "-1s", "61m", "1e9s", "ten"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
