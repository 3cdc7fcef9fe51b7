//! What a figure was measured on, and with what.

use crate::failure::Failure;
use serde::Serialize;
use std::fs;

/// Facts about this machine and this build.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
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
    pub(crate) fn here() -> Self {
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
            rustc: env!("LOADTEST_RUSTC_VERSION"),
            rustflags: env!("LOADTEST_RUSTFLAGS"),
            profile: env!("LOADTEST_PROFILE"),
        }
    }

    /// For the head of a table.
    pub(crate) fn lines(&self) -> String {
        let load =
            self.load_average_before.map_or(String::new(), |load| format!(", load average {load} before"));
        let debug = if self.profile == "release" { "" } else { " (figures of such a build mean nothing)" };
        format!(
            "{} × {}, {}{load}\n{}, profile {}{debug}, flags: {}",
            self.cores, self.cpu, self.system, self.rustc, self.profile, self.rustflags
        )
    }
}

/// Keeps the calling thread, and threads that it starts from now on, to some processors.
#[cfg(target_os = "linux")]
pub(crate) fn pin(processors: impl IntoIterator<Item = usize>) -> Result<(), Failure> {
    let mut set = rustix::thread::CpuSet::new();
    for processor in processors {
        if processor >= rustix::thread::CpuSet::MAX_CPU {
            return Err(Failure::Settings(format!("there is no processor {processor}")));
        }
        set.set(processor);
    }
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| Failure::system("cannot keep to the processor asked for")(error.into()))
}

/// Not known how to on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_: impl IntoIterator<Item = usize>) -> Result<(), Failure> {
    Err(Failure::Settings("--pin works on Linux only".into()))
}

/// Raises the limit on open files as far as it may be.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it stays low, connecting says so.
    let _ = setrlimit(Resource::Nofile, limit);
}
