//! The started servers: this program once more, each a process of its own, so that its CPU time and memory can be read.

use super::plan::Plan;
use super::target::Target;
use crate::Verdict;
use crate::args::ServeArgs;
use crate::failure::Failure;
use conclave_server::{Config, Server, StoreLocation};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to stop in order.
const STOP: Duration = Duration::from_secs(15);

/// The servers that were started, on one store.
pub(super) struct Servers(Vec<ServerProcess>);

impl Servers {
    /// As many as planned.
    pub(super) fn start(plan: &Plan) -> Result<Self, Failure> {
        (0..plan.nodes).map(|_| ServerProcess::start(plan)).collect::<Result<_, _>>().map(Self)
    }

    /// Where they listen.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.0.iter().map(|server| server.target.clone()).collect()
    }

    /// What all of them have used so far.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.0.iter().try_fold(Usage::default(), |all, server| {
            let Usage { cpu_seconds, rss_kib } = usage(&server.child.id().to_string())?;
            Some(Usage { cpu_seconds: all.cpu_seconds + cpu_seconds, rss_kib: all.rss_kib + rss_kib })
        })
    }

    /// The kind of file system that they store on: on one in memory, syncing costs nothing.
    pub(super) fn file_system(&self) -> Option<String> {
        self.0.first().and_then(ServerProcess::file_system)
    }
}

/// A server that lives as long as this.
struct ServerProcess {
    child: Child,
    target: Target,
    store: StoreLocation,
    /// Removed after the server has stopped.
    _scratch: Option<TempDir>,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) rss_kib: u64,
}

impl ServerProcess {
    /// Starts it on a free port of this machine.
    fn start(plan: &Plan) -> Result<Self, Failure> {
        let (scratch, store) = match &plan.store {
            Some(store) => (None, store.clone()),
            None => {
                let scratch = tempfile::Builder::new().prefix("conclave-loadtest-").tempdir();
                let scratch = scratch.map_err(Failure::system("cannot make a temporary directory"))?;
                let data = scratch.path().join("data");
                (Some(scratch), StoreLocation::Embedded(data))
            }
        };
        let program = std::env::current_exe().map_err(Failure::system("cannot find this program"))?;
        let mut command = Command::new(program);
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        // Not on the command line, which everybody on the machine may read.
        command.env("CONCLAVE_STORE", written(&store));
        if let Some(workers) = plan.workers {
            command.arg("--workers").arg(workers.to_string());
        }
        if plan.pin {
            command.arg("--pin").arg("0");
        }
        let mut child = command.spawn().map_err(Failure::system("cannot start the server"))?;
        let mut url = String::new();
        if let Some(stdout) = child.stdout.take() {
            let read = BufReader::new(stdout).read_line(&mut url);
            read.map_err(Failure::system("cannot read what the server says"))?;
        }
        if url.trim().is_empty() {
            let _ = child.wait();
            return Err(Failure::Server("it says why above".into()));
        }
        let target = Target::parse(url.trim(), false)?;
        Ok(Self { child, target, store, _scratch: scratch })
    }

    fn file_system(&self) -> Option<String> {
        let StoreLocation::Embedded(dir) = &self.store else { return None };
        let data = fs::canonicalize(dir).ok()?;
        let mounts = fs::read_to_string("/proc/mounts").ok()?;
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
        });
        let above = mounts.filter(|(point, _)| data.starts_with(point));
        above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind)
    }
}

/// A store as the server is told, password included.
fn written(store: &StoreLocation) -> std::ffi::OsString {
    match store {
        StoreLocation::Embedded(dir) => {
            let mut written = std::ffi::OsString::from("fjall:");
            written.push(dir);
            written
        }
        StoreLocation::Postgres(url) => url.into(),
        // Stores of other kinds have to be written as they are shown.
        other => other.to_string().into(),
    }
}

impl Drop for ServerProcess {
    /// Closing its standard input asks it to stop.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this program has used so far.
pub(super) fn own_usage() -> Option<Usage> {
    usage("self")
}

fn usage(process: &str) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let ticks = rustix::param::clock_ticks_per_second();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let rss_kib = rss.split_whitespace().next()?.parse().ok()?;
    Some(Usage { cpu_seconds: cpu_ticks(&stat)? as f64 / ticks as f64, rss_kib })
}

/// User and system time of a `stat` line; the program's name before may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// The `serve` command: a server until standard input ends.
pub(crate) fn serve(args: &ServeArgs) -> Result<Verdict, Failure> {
    if let Some(processor) = args.pin {
        conclave_report::pin([processor])?;
    }
    conclave_report::raise_file_limit();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::new(args.store.clone(), listen);
    if let Some(workers) = args.workers {
        config = config.with_workers(workers);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::system("cannot start a runtime"))?;
    runtime.block_on(async {
        let server = Server::start(config).await.map_err(|error| Failure::Server(error.to_string()))?;
        let mut stdout = std::io::stdout();
        let said = writeln!(stdout, "{}", server.url()).and_then(|()| stdout.flush());
        said.map_err(Failure::system("cannot say where the server listens"))?;
        let (ended, mut end) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            drop(ended);
        });
        // An interrupt from the terminal reaches both processes; who started this one decides.
        loop {
            tokio::select! {
                _ = &mut end => break,
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        server.shutdown().await;
        Ok(Verdict::Sound)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_process_with_a_nasty_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12 0 0";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (a"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(own_usage().unwrap().rss_kib > 100);
    }
}
