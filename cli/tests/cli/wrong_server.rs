//! Servers that are not there, or are not what was asked for; and a server that cannot start.

use crate::support::{PATIENCE, ServerProcess, Town, free_port, server_program};
use snapbox::cmd::Command;
use snapbox::str;

#[test]
fn nobody_listens() {
    let town = Town::new();
    let url = format!("ws://{}", free_port());
    let init = town.conclave("alice").args(["init", "alice", "--server", &url]);
    init.assert().code(5).stdout_eq("").stderr_eq(str![[r#"
error: the server ws://127.0.0.1:[..] cannot be reached (Connection refused (os error 111))
  → check that it runs and that the address is right

"#]]);
    // The profile is kept; with a server, the same command finishes it.
}

#[test]
fn gone_away() {
    let mut town = Town::with(&["alice", "bob"]);
    town.json("alice", &["group", "create", "team", "bob"]);
    town.json("alice", &["send", "team", "before"]);
    town.stop_server();
    town.conclave("alice").args(["send", "team", "x"]).assert().code(5).stdout_eq("").stderr_eq(str![[r#"
error: the server ws://127.0.0.1:[..] cannot be reached (Connection refused (os error 111))
  → check that it runs and that the address is right

"#]]);
    // What is on this machine can be read.
    let log = town.conclave("alice").args(["log", "team"]).assert();
    log.code(5)
        .stdout_eq(str![[r#"
#4  [..]  alice: before

"#]])
        .stderr_eq(str![[r#"
error: the server ws://127.0.0.1:[..] cannot be reached (Connection refused (os error 111))
  → check that it runs and that the address is right

"#]]);
    town.conclave("alice").arg("whoami").assert().success();
    town.conclave("bob").arg("listen").assert().code(5);
}

#[test]
fn addresses() {
    let town = Town::new();
    for address in ["localhost", "http://localhost:1", "ws://", "ws://host:port", "ws://localhost:99999"] {
        let output = town.conclave("alice").args(["init", "alice", "--server", address]).assert();
        output.code(10).stdout_eq("");
    }
    let output = town.conclave("alice").args(["init", "alice", "--server", "http://localhost:1"]).assert();
    output.stderr_eq(str![[r#"
error: http://localhost:1 is not an address to connect to
  → write it as wss://HOST:PORT, or ws://HOST:PORT on this machine

"#]]);
}

#[test]
fn not_a_conclave_server() {
    let town = Town::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let other = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    });
    let output = town.conclave("alice").args(["init", "alice", "--server", &url]).assert();
    let code = output.get_output().status.code();
    assert!(matches!(code, Some(5 | 10)), "{code:?}");
    other.join().unwrap();
}

#[test]
fn a_name_that_is_taken() {
    let town = Town::with(&["alice"]);
    let other = town.conclave("other").args(["init", "alice", "--server", town.url()]);
    other.assert().code(10).stdout_eq("").stderr_eq(str![[r#"
error: the name alice is taken on this server
  → choose another

"#]]);
    // Another name finishes the same profile.
    town.conclave("other").args(["init", "alice2", "--server", town.url()]).assert().success();
}

fn server(data: &std::path::Path, listen: &str) -> Command {
    Command::new(server_program())
        .arg("--store")
        .arg(format!("fjall:{}", data.display()))
        .args(["--listen", listen])
        .timeout(PATIENCE)
}

#[test]
fn a_server_whose_port_is_taken() {
    let scratch = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    server(&scratch.path().join("data"), &listen).assert().failure().stdout_eq("").stderr_eq(str![[r#"
conclave-server: 127.0.0.1:[..] is in use by another program; stop it or choose another port with --listen

"#]]);
}

#[test]
fn a_server_whose_data_is_in_use() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let _running = ServerProcess::start(&data);
    server(&data, "127.0.0.1:0").assert().failure().stdout_eq("").stderr_eq(str![[r#"
conclave-server: [..]/data is in use by another server; stop it or choose another one with --store

"#]]);
}

#[test]
fn a_server_on_a_directory_of_something_else() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("novel.txt"), "Chapter 1").unwrap();
    server(scratch.path(), "127.0.0.1:0").assert().failure().stdout_eq("").stderr_eq(str![[r#"
conclave-server: [..] is not empty and not a data directory of conclave-server; choose another one with --store

"#]]);
}
