//! The command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measures Conclave's engine beside vodozemac, mls-rs and OpenMLS.
#[derive(Debug, Parser)]
#[command(name = "conclave-peers", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Also write the results to this file, as they come
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Keep to this processor
    #[arg(long, value_name = "CPU")]
    pub(crate) pin: Option<usize>,

    /// Devices in the large group
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(16..=5_000))]
    pub(crate) devices: u32,

    /// Also grow groups to 10,000 and 100,000 devices: takes long, and much memory
    #[arg(long)]
    pub(crate) large: bool,

    /// Measure only this part, for instance to look at it with a profiler
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<Part>,

    /// Few repetitions and small groups: shows that it works, not what it costs
    #[arg(long)]
    pub(crate) quick: bool,

    /// Where Conclave's randomness begins; the peers take theirs from the system
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Messages,
    CatchUp,
    SenderKeys,
    LargeGroup,
    Growth,
}
