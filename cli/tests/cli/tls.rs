//! A server with a certificate, reached by `wss://`: who is trusted, and what is said of who is not.

use crate::support::{PATIENCE, conclave, server_program};
use snapbox::str;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A server whose certificate is for `localhost`.
struct Server {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        certify(dir.path(), "localhost");
        let mut child = Command::new(server_program())
            .arg("--store")
            .arg(format!("fjall:{}", dir.path().join("data").display()))
            .args(["--listen", "127.0.0.1:0", "--tls-cert"])
            .arg(dir.path().join("cert.pem"))
            .arg("--tls-key")
            .arg(dir.path().join("key.pem"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(" wss://127.0.0.1:"), "{line}");
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, dir, port }
    }

    fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn init(&self, who: &str, host: &str, trusting: &Path) -> snapbox::cmd::OutputAssert {
        let profile = self.dir.path().join(who);
        let url = format!("wss://{host}:{}", self.port);
        let key = self.dir.path().join(format!("{who}.key"));
        let command = conclave().arg("--profile").arg(profile).arg("--key-file").arg(key);
        command.env("SSL_CERT_FILE", trusting).args(["init", who, "--server", &url]).assert()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a certificate for a name, and its key.
fn certify(dir: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
}

#[test]
fn a_trusted_server_is_used_and_no_other() {
    let server = Server::start();
    let first = server.dir.path().join("first.pem");
    std::fs::copy(server.certificate(), &first).unwrap();
    server.init("alice", "localhost", &first).success();

    let strangers = tempfile::tempdir().unwrap();
    certify(strangers.path(), "localhost");
    let other = strangers.path().join("cert.pem");
    server.init("bob", "localhost", &other).code(10).stdout_eq("").stderr_eq(str![[r#"
error: the server wss://localhost:[..] is not trusted: [..]
  → check the address, and that this machine knows the authority that issued its certificate (SSL_CERT_FILE names one)

"#]]);
    server.init("bob", "127.0.0.1", &first).code(10).stdout_eq("").stderr_eq(str![[r#"
error: the server wss://127.0.0.1:[..] is not trusted: [..]
  → check the address, and that this machine knows the authority that issued its certificate (SSL_CERT_FILE names one)

"#]]);

    // A new certificate is taken without a restart, and a broken one is not.
    certify(server.dir.path(), "localhost");
    hang_up(&server);
    let begun = Instant::now();
    while !is_trusted(&server, &server.certificate()) {
        assert!(begun.elapsed() < PATIENCE, "the new certificate is not taken");
    }
    let second = server.dir.path().join("second.pem");
    std::fs::copy(server.certificate(), &second).unwrap();
    std::fs::write(server.certificate(), "broken").unwrap();
    hang_up(&server);
    server.init("bob", "localhost", &second).success();
}

fn hang_up(server: &Server) {
    let id = server.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

fn is_trusted(server: &Server, certificate: &Path) -> bool {
    let who = format!("probe{}", rand_name());
    let profile = server.dir.path().join(&who);
    let url = format!("wss://localhost:{}", server.port);
    let key = server.dir.path().join(format!("{who}.key"));
    let command = conclave().arg("--profile").arg(profile).arg("--key-file").arg(key);
    let output = command.env("SSL_CERT_FILE", certificate).args(["init", &who, "--server", &url]);
    output.output().unwrap().status.success()
}

fn rand_name() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
