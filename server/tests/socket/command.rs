//! The command: what it prints, how it ends.

use conclave_server::{Config, Server, StartError};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server in a process of its own.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Process {
    pub(crate) fn start(dir: &Path, listen: &str) -> Self {
        Self::spawn(command(dir, listen))
    }

    /// One of several on one database.
    pub(crate) fn on(database: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-server"));
        command.env("CONCLAVE_STORE", database).args(["--listen", "127.0.0.1:0"]);
        Self::spawn(command)
    }

    /// One that takes who was invited, and says what happens to `log`.
    pub(crate) fn logging(store: &str, log: std::fs::File, level: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-server"));
        command.env("CONCLAVE_STORE", store).env("RUST_LOG", level).stderr(log);
        command.args(["--listen", "127.0.0.1:0", "--registration", "invite"]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(line.starts_with("conclave-server 127.0.0.1:") && url.starts_with("ws://"), "{line}");
        Self { child, url }
    }

    /// A server that outlives [`Process::fill_disk`].
    pub(crate) fn on_a_small_disk(dir: &Path) -> Self {
        let server = env!("CARGO_BIN_EXE_conclave-server");
        let script = format!("trap '' XFSZ; exec {server} --store \"fjall:$0\" --listen 127.0.0.1:0");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(dir);
        Self::spawn(command)
    }

    /// A server that may have so many files open, connections among them.
    pub(crate) fn with_few_files(dir: &Path, files: u32) -> Self {
        let server = env!("CARGO_BIN_EXE_conclave-server");
        let script =
            format!("ulimit -n {files}; exec {server} --store \"fjall:$0\" --listen 127.0.0.1:0 --workers 1");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(dir);
        Self::spawn(command)
    }

    /// From now on no file of the server grows beyond `bytes`: to it, the disk is full.
    pub(crate) fn fill_disk(&self, bytes: u64) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(Pid::from_raw(self.child.id().cast_signed()), Resource::Fsize, limit).unwrap();
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(dir: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-server"));
    command.arg("--store").arg(format!("fjall:{}", dir.display())).args(["--listen", listen]);
    command
}

/// Runs a server that must not start; returns its exit code and what it said.
fn refused(dir: &Path, listen: &str, more: &[&str]) -> (i32, String) {
    let mut child = command(dir, listen).args(more).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("panicked") && !said.contains("Error {"), "{said}");
    (child.wait().unwrap().code().unwrap(), said)
}

#[test]
fn says_what_is_wrong_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let server = Process::start(&path("data"), "127.0.0.1:0");
    let address = server.url.trim_start_matches("ws://").to_owned();

    let (code, said) = refused(&path("other"), &address, &[]);
    assert_eq!(code, 3);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    let (code, said) = refused(&path("data"), "127.0.0.1:0", &[]);
    assert_eq!(code, 4);
    assert!(said.contains("in use by another server") && said.contains("--store"), "{said}");

    std::fs::create_dir(path("old")).unwrap();
    std::fs::write(path("old").join("format"), "conclave-server data format 0\n").unwrap();
    let (code, said) = refused(&path("old"), "127.0.0.1:0", &[]);
    assert_eq!(code, 5);
    assert!(said.contains("data format 0"), "{said}");
    std::fs::create_dir(path("foreign")).unwrap();
    std::fs::write(path("foreign").join("letter.txt"), "dear").unwrap();
    let (code, said) = refused(&path("foreign"), "127.0.0.1:0", &[]);
    assert_eq!(code, 5);
    assert!(said.contains("not a data directory"), "{said}");
    std::fs::write(path("file"), "").unwrap();
    let (code, said) = refused(&path("file"), "127.0.0.1:0", &[]);
    assert_eq!(code, 6);
    assert!(said.contains("writable"), "{said}");

    let (code, said) = refused(&path("other"), "0.0.0.0:0", &[]);
    assert_eq!(code, 2);
    assert!(said.contains("--name"), "{said}");
    let (code, said) = refused(&path("other"), "127.0.0.1:0", &["--name", "ws://x"]);
    assert_eq!((code, said.contains("HOST:PORT")), (2, true), "{said}");
    let (code, said) = refused(&path("other"), "127.0.0.1:0", &["--workers", "0"]);
    assert_eq!((code, said.contains("--workers")), (2, true), "{said}");
}

#[test]
fn a_flag_counts_before_the_environment_and_that_before_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.toml");
    let store = dir.path().join("data");
    let settings =
        format!("store = 'fjall:{}'\nlisten = '127.0.0.1:0'\nname = 'file.example'", store.display());
    std::fs::write(&file, settings).unwrap();
    let name = |more: &dyn Fn(&mut Command)| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-server"));
        command.arg("--config").arg(&file);
        more(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(name(&|_| {}), "file.example");
    let variable = |command: &mut Command| {
        command.env("CONCLAVE_NAME", "variable.example");
    };
    assert_eq!(name(&variable), "variable.example");
    let both = |command: &mut Command| {
        variable(command);
        command.args(["--name", "flag.example"]);
    };
    assert_eq!(name(&both), "flag.example");

    // The other commands find the store where the server does, and `serve` may be said.
    let invite =
        |command: &mut Command| command.arg("invite").env("CONCLAVE_CONFIG", &file).output().unwrap();
    let output = invite(&mut Command::new(env!("CARGO_BIN_EXE_conclave-server")));
    assert!(output.stdout.starts_with(b"invite-"), "{output:?}");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_conclave-server"));
    serve.arg("serve").env("CONCLAVE_CONFIG", &file).env("CONCLAVE_NAME", "127.0.0.1:7300");
    Process::spawn(serve);
}

#[test]
fn settings_that_are_wrong_are_refused_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.toml");
    let secret = "postgres://me:hunter2@db/c";
    let refused = |text: &str, more: &[&str], store: Option<&str>| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-server"));
        command.arg("--config").arg(&file).args(more).envs(store.map(|store| ("CONCLAVE_STORE", store)));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("Error {"), "{said}");
        said
    };
    let listen = ["--listen", "127.0.0.1:0"];
    assert!(
        refused(&format!("stor = '{secret}'"), &[], None).contains("line 1, column 1: unknown field `stor`")
    );
    assert!(refused(&format!("store = {secret}"), &[], None).contains("line 1, column 9"));
    assert!(refused(&format!("workers = '{secret}'"), &listen, None).contains("workers"));
    assert!(refused("", &listen, None).contains("--store"));
    assert!(refused(&format!("store = '{secret}'"), &[], None).contains("--listen"));
    assert!(refused("", &listen, Some("mysql://me:hunter2@db/c")).contains("fjall:DIRECTORY"));
    let half = format!("store = '{secret}'\ntls-cert = 'cert.pem'");
    assert!(refused(&half, &listen, None).contains("--tls-key"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_in_order() {
    use crate::client::Client;
    use crate::people::Person;
    let dir = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let mut command = command(dir.path(), "127.0.0.1:0");
        command.stderr(Stdio::piped());
        let mut server = Process::spawn(command);
        let mut client = Client::registered(&server.url, &Person::new("alice")).await;
        server.signal(signal);
        let goodbye = client.closed().await.unwrap();
        assert_eq!(u16::from(goodbye.code), 1012);
        let ended = tokio::task::spawn_blocking(move || {
            let mut log = String::new();
            server.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            (server.child.wait().unwrap().code(), log)
        });
        let (code, log) = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap().unwrap();
        assert_eq!(code, Some(0));
        // What goes to a file has no colours.
        assert!(log.contains("stopped") && !log.contains('\u{1b}'), "{log}");
    }
}

#[tokio::test]
async fn as_a_library_it_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config::new(dir.path().join("data"), ([127, 0, 0, 1], 0).into());
    let server = Server::start(config()).await.unwrap();
    assert!(matches!(Server::start(config()).await, Err(StartError::DataLocked { .. })));
    let taken = Config::new(dir.path().join("other"), server.local_addr());
    assert!(matches!(Server::start(taken).await, Err(StartError::PortTaken { .. })));
    let address = server.local_addr();
    server.shutdown().await;
    // All is down: the directory and the port are free.
    let again = Server::start(Config::new(dir.path().join("data"), address)).await.unwrap();
    assert_eq!(again.local_addr(), address);
    again.shutdown().await;
}

#[test]
fn starts_from_any_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(dir.path(), ([127, 0, 0, 1], 0).into()).with_name("chat.example:7300");
    // A runtime without I/O or timers.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let server = runtime.block_on(Server::start(config)).unwrap();
    assert_eq!(server.name(), "chat.example:7300");
    runtime.block_on(server.shutdown());
}

#[test]
fn check_says_what_a_start_would_meet_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let check = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-server"));
        command.arg("check").args(["--store", &format!("fjall:{}", data.display())]).args(more);
        let output = command.output().unwrap();
        let [said, complaint] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code().unwrap(), said, complaint)
    };
    let (code, said, _) = check(&["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
    assert_eq!(code, 0, "{said}");
    for what in ["settings", "name", "certificate", "listen", "metrics", "store"] {
        assert!(said.contains(&format!("ok       {what}: ")), "{said}");
    }
    assert!(said.contains("is new") && !data.exists(), "{said}");

    // While a server runs, and with what it has.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Process::start(&data, "127.0.0.1:0");
    let (code, said, _) = check(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!((code, said.matches("is in use now").count()), (0, 2), "{said}");
    drop(server);
    let (code, said, _) = check(&["--listen", "127.0.0.1:0"]);
    assert_eq!((code, said.contains("can be used")), (0, true), "{said}");

    // All that is wrong is told, and the first of it is what it ends with.
    let missing = dir.path().join("cert.pem").display().to_string();
    std::fs::write(data.join("format"), "conclave-server data format 9\n").unwrap();
    let tls = ["--tls-cert", &missing, "--tls-key", &missing];
    let (code, said, complaint) =
        check(&[&["--listen", "192.0.2.1:1", "--name", "a.example"], &tls[..]].concat());
    assert_eq!((code, said.matches("wrong    ").count()), (7, 3), "{said}");
    assert!(complaint.contains("3 things are wrong"), "{complaint}");
    let (code, said, _) = check(&["--listen", "0.0.0.0:1"]);
    assert_eq!((code, said.contains("wrong    name: ")), (2, true), "{said}");
}
