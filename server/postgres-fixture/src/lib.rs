//! A PostgreSQL of a test's own: made in a temporary directory, reached by a socket in it, gone with the test.
//!
//! Runs as an unprivileged user also where the test runs as root, which PostgreSQL refuses to do. It ends when the value is
//! dropped, and when the test's process ends in whatever way: it is started by a shell that waits for that.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take; recovery after a kill is part of it.
const START: Duration = Duration::from_secs(60);

/// What it says when processes of one that was killed have not ended yet.
const HELD_BY_OTHERS: &str = "is still in use";

/// The superuser of the databases, who needs no password on the socket.
const USER: &str = "conclave";

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    account: Option<Account>,
    dir: TempDir,
    keeper: Option<Child>,
}

/// An account of this machine without rights.
#[derive(Clone, Copy, Debug)]
struct Account {
    user: u32,
    group: u32,
}

impl Default for Postgres {
    fn default() -> Self {
        Self::start()
    }
}

impl Postgres {
    /// Makes one and starts it. Fails the test where PostgreSQL is not installed.
    pub fn start() -> Self {
        let programs = programs().expect(
            "PostgreSQL is not installed, and this test needs it: install the package postgresql, or run scripts/test",
        );
        // Not where the environment says: another account may not come there. And short, for the socket's path.
        let dir = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let account = (fs::metadata(dir.path()).unwrap().uid() == 0).then(nobody);
        // Whoever it runs as has to come through here, and owns what is in it.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        for part in ["data", "socket"] {
            let path = dir.path().join(part);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            if let Some(Account { user, group }) = account {
                chown(&path, Some(user), Some(group)).unwrap();
            }
        }
        let mut postgres = Self { programs, account, dir, keeper: None };
        let mut init = postgres.command("initdb");
        init.args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"]);
        check(init.arg("--pgdata").arg(postgres.data()).output().unwrap());
        postgres.run();
        postgres
    }

    /// Makes a database and returns its URL.
    pub fn database(&self, name: &str) -> String {
        let mut create = self.command("createdb");
        create.arg("--host").arg(self.socket()).args(["--username", USER, name]);
        check(create.output().unwrap());
        self.url(name)
    }

    /// The URL of a database that was made.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://{USER}@/{name}?host={}", self.socket().display())
    }

    /// Runs a statement, and returns the first column of what it gives.
    pub fn query(&self, database: &str, statement: &str) -> String {
        let mut psql = self.command("psql");
        psql.arg("--host").arg(self.socket()).args(["--username", USER, "--no-psqlrc", "--quiet"]);
        psql.args(["--tuples-only", "--no-align", "--command", statement, database]);
        let output = check(psql.output().unwrap());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.signal("KILL");
        let until = Instant::now() + START;
        // Its children notice by themselves, later; a new one does not start before they have.
        while self.is_running() {
            assert!(Instant::now() < until, "PostgreSQL does not die");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.let_go();
    }

    /// Starts it again after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        self.run();
    }

    /// Starts it, and again as long as processes of one that was killed are still there.
    fn run(&mut self) {
        let until = Instant::now() + START;
        self.launch();
        loop {
            let ready = self.command("pg_isready").arg("--host").arg(self.socket()).arg("--quiet").status();
            if ready.unwrap().success() {
                return;
            }
            let log = fs::read(self.dir.path().join("log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            assert!(Instant::now() < until, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
            if log.contains(HELD_BY_OTHERS) {
                self.let_go();
                self.launch();
            }
        }
    }

    /// A shell that starts it, and ends it when nobody holds the shell's input open any more.
    fn launch(&mut self) {
        let mut shell = self.of_account("/bin/sh".as_ref());
        shell.args(["-c", r#""$@" & child=$!; read -r _; kill -QUIT $child; wait $child"#, "sh"]);
        shell.arg(self.programs.join("postgres")).arg("-D").arg(self.data()).arg("-k").arg(self.socket());
        // A killed process leaves what it wrote with the system: only a power failure would need more.
        for setting in ["listen_addresses=", "fsync=off", "max_connections=60", "log_min_messages=fatal"] {
            shell.args(["-c", setting]);
        }
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        self.keeper = Some(shell.spawn().unwrap());
    }

    fn signal(&self, signal: &str) {
        let process = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let process = process.lines().next().unwrap();
        let kill = format!("kill -{signal} {process}");
        check(Command::new("/bin/sh").args(["-c", &kill]).output().unwrap());
    }

    fn is_running(&self) -> bool {
        let Ok(process) = fs::read_to_string(self.data().join("postmaster.pid")) else { return false };
        let stat = Path::new("/proc").join(process.lines().next().unwrap()).join("stat");
        // A zombie has ended.
        fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z "))
    }

    fn let_go(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn command(&self, program: &str) -> Command {
        self.of_account(&self.programs.join(program))
    }

    fn of_account(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
        command.current_dir("/").env_remove("PGOPTIONS");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.let_go();
    }
}

fn check(output: Output) -> Output {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Where PostgreSQL's programs are: on the path, or where distributions put them, the newest first.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = Vec::new();
    for (dir, within) in [("/usr/lib/postgresql", "bin"), ("/usr/libexec", "")] {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        versions.extend(entries.map(|entry| entry.path().join(within)));
    }
    versions.sort();
    places.extend(versions.into_iter().rev());
    let needed = ["initdb", "postgres", "createdb", "psql", "pg_isready"];
    places.into_iter().find(|dir| needed.iter().all(|program| dir.join(program).is_file()))
}

/// The account that owns nothing.
fn nobody() -> Account {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = accounts.lines().find(|line| line.starts_with("nobody:"));
    let mut fields = line.expect("an account named nobody").split(':').skip(2);
    let mut number = || fields.next().and_then(|field| field.parse().ok()).expect("its number");
    Account { user: number(), group: number() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_and_survives_its_death() {
        let mut postgres = Postgres::start();
        postgres.database("one");
        postgres.query("one", "create table t (n integer)");
        postgres.query("one", "insert into t values (7)");
        postgres.kill();
        postgres.restart();
        assert_eq!(postgres.query("one", "select n from t"), "7");
    }

    #[test]
    fn it_starts_again_once_what_was_killed_is_gone() {
        let mut postgres = Postgres::start();
        let writer = "select pid from pg_stat_activity where backend_type = 'walwriter'";
        let writer = postgres.query("postgres", writer);
        let tell = |signal: &str| {
            let kill = format!("kill -{signal} {writer}");
            check(Command::new("/bin/sh").args(["-c", &kill]).output().unwrap());
        };
        // It does not notice that the others are gone, and holds on to what it shared with them.
        tell("STOP");
        postgres.kill();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(1));
                tell("CONT");
            });
            postgres.restart();
        });
        assert_eq!(postgres.query("postgres", "select 1"), "1");
    }
}
