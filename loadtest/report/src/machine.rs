//! What a figure was measured on, and with what.

use serde::Serialize;
use std::{fs, io};
use thiserror::Error;

/// Facts about this machine and this build.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    cores: usize,
    cpu: String,
    memory_mib: Option<u64>,
    system: String,
    load_average_before: Option<f64>,
    rustc: &'static str,
    rustflags: &'static str,
    profile: &'static str,
}

impl Machine {
    /// Looks around.
    pub fn here() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
        };
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let memory = field("/proc/meminfo", "MemTotal:");
        let memory_kib = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        let load = fs::read_to_string("/proc/loadavg").ok();
        Self {
            cores,
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            memory_mib: memory_kib.map(|kib| kib / 1024),
            system: format!("{} {}", std::env::consts::OS, kernel.trim()),
            load_average_before: load.and_then(|text| text.split(' ').next()?.parse().ok()),
            rustc: env!("REPORT_RUSTC_VERSION"),
            rustflags: env!("REPORT_RUSTFLAGS"),
            profile: env!("REPORT_PROFILE"),
        }
    }

    /// For the head of a table.
    pub fn lines(&self) -> String {
        let load =
            self.load_average_before.map_or(String::new(), |load| format!(", load average {load} before"));
        let debug = if self.profile == "release" { "" } else { " (figures of such a build mean nothing)" };
        format!(
            "{} × {}, {}{load}\n{}, profile {}{debug}, flags: {}",
            self.cores, self.cpu, self.system, self.rustc, self.profile, self.rustflags
        )
    }
}

/// Why a thread cannot be kept to a processor.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PinError {
    /// No such processor.
    #[error("there is no processor {0}")]
    NoSuch(usize),
    /// This system is not Linux.
    #[error("--pin works on Linux only")]
    NotKnownHow,
    /// The system refused.
    #[error("cannot keep to the processor asked for: {0}; leave --pin away")]
    System(#[source] io::Error),
}

/// Keeps the calling thread, and threads that it starts from now on, to some processors.
#[cfg(target_os = "linux")]
pub fn pin(processors: impl IntoIterator<Item = usize>) -> Result<(), PinError> {
    let mut set = rustix::thread::CpuSet::new();
    for processor in processors {
        if processor >= rustix::thread::CpuSet::MAX_CPU {
            return Err(PinError::NoSuch(processor));
        }
        set.set(processor);
    }
    rustix::thread::sched_setaffinity(None, &set).map_err(|error| PinError::System(error.into()))
}

/// Not known how to on this system.
#[cfg(not(target_os = "linux"))]
pub fn pin(_: impl IntoIterator<Item = usize>) -> Result<(), PinError> {
    Err(PinError::NotKnownHow)
}

/// Raises the limit on open files as far as it may be; returns how many there may be.
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it stays low, what is returned says so.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
