//! What the tests share: a server, people with profiles, and the two programs.

use conclave_server::{Config, Server};
use serde_json::Value;
use snapbox::cmd::{Command, OutputAssert};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Long enough for the slowest machine, short enough to notice a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A scratch directory with a server in this process and people in processes of their own.
pub(crate) struct Town {
    dir: tempfile::TempDir,
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
    url: String,
}

impl Town {
    /// A running server that knows nobody.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = Config::new(dir.path().join("server"), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let server = runtime.block_on(Server::start(config.with_workers(1))).unwrap();
        let url = server.url();
        Self { dir, server: Some(server), runtime, url }
    }

    /// A server and people who are registered there.
    pub(crate) fn with(names: &[&str]) -> Self {
        let town = Self::new();
        for name in names {
            town.init(name).success();
        }
        town
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `conclave` with that person's profile and key file.
    pub(crate) fn conclave(&self, name: &str) -> Command {
        conclave()
            .arg("--profile")
            .arg(self.path(name))
            .arg("--key-file")
            .arg(self.path(&format!("{name}.key")))
    }

    /// The same as a process that a test talks to while it runs.
    pub(crate) fn spawn(&self, name: &str, args: &[&str]) -> Child {
        std::process::Command::new(snapbox::cmd::cargo_bin!("conclave"))
            .arg("--profile")
            .arg(self.path(name))
            .arg("--key-file")
            .arg(self.path(&format!("{name}.key")))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Registers a person. The key file is made first where there is none.
    pub(crate) fn init(&self, name: &str) -> OutputAssert {
        self.conclave(name).args(["init", name, "--server", self.url()]).assert()
    }

    /// Runs a command that has to succeed, for the objects that it prints.
    pub(crate) fn json(&self, name: &str, args: &[&str]) -> Vec<Value> {
        objects(self.conclave(name).arg("--json").args(args).assert().success().get_output())
    }

    pub(crate) fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

/// `conclave` in an environment that says nothing.
pub(crate) fn conclave() -> Command {
    let mut command = Command::new(snapbox::cmd::cargo_bin!("conclave"));
    for variable in
        ["COLUMNS", "CONCLAVE_PROFILE", "CONCLAVE_PASSPHRASE", "CONCLAVE_LOG", "NO_COLOR", "CLICOLOR_FORCE"]
    {
        command = command.env_remove(variable);
    }
    command.timeout(PATIENCE)
}

/// What a command printed, one object a line.
pub(crate) fn objects(output: &std::process::Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// The error object that a command printed.
pub(crate) fn error_object(output: &std::process::Output) -> Value {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let object: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    object["error"].clone()
}

/// The server's program. Another package builds it; where nobody has yet, this does.
pub(crate) fn server_program() -> PathBuf {
    let conclave = snapbox::cmd::cargo_bin!("conclave");
    let program =
        Path::new(&conclave).with_file_name(format!("conclave-server{}", std::env::consts::EXE_SUFFIX));
    static BUILT: std::sync::Once = std::sync::Once::new();
    BUILT.call_once(|| {
        if program.exists() {
            return;
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let release = program.parent().is_some_and(|dir| dir.ends_with("release"));
        let mut build = std::process::Command::new(cargo);
        build.args(["build", "--package", "conclave-server", "--bin", "conclave-server"]);
        if release {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    });
    program
}

/// A server as a process of its own, which can be killed.
pub(crate) struct ServerProcess {
    data: PathBuf,
    listen: SocketAddr,
    child: Child,
}

impl ServerProcess {
    pub(crate) fn start(data: &Path) -> Self {
        let listen = free_port();
        Self { data: data.to_owned(), listen, child: start_server(data, listen) }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.listen)
    }

    /// `kill -9`, then starts it again on the same data and port.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = start_server(&self.data, self.listen);
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn start_server(data: &Path, listen: SocketAddr) -> Child {
    let child = std::process::Command::new(server_program())
        .arg("--store")
        .arg(format!("fjall:{}", data.display()))
        .args(["--listen", &listen.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while std::net::TcpStream::connect(listen).is_err() {
        assert!(since.elapsed() < PATIENCE, "the server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Asks a process to end, as Ctrl-C does.
pub(crate) fn interrupt(child: &Child) {
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}
