//! `kill -9` of the server while two people send: what was acknowledged is there, once, and they go on.

use crate::support::{ServerProcess, Town, conclave, interrupt, objects};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROUNDS: usize = 3;

#[test]
fn killed_while_two_send() {
    let scratch = tempfile::tempdir().unwrap();
    let mut server = ServerProcess::start(&scratch.path().join("server"));
    let dir = scratch.path();
    for name in ["alice", "bob", "reader"] {
        person(dir, name).args(["init", name, "--server", &server.url()]).assert().success();
    }
    person(dir, "alice").args(["group", "create", "team", "bob", "reader"]).assert().success();

    let stop = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let senders = ["alice", "bob"].map(|name| scope.spawn(|| send_until(dir, name, &stop)));
        for _ in 0..ROUNDS {
            std::thread::sleep(Duration::from_millis(700));
            server.kill_and_restart();
        }
        std::thread::sleep(Duration::from_millis(700));
        stop.store(true, Ordering::Relaxed);
        senders.map(|sender| sender.join().unwrap())
    });

    // They go on: whatever was left waiting goes out, and new messages do.
    for name in ["alice", "bob"] {
        person(dir, name).args(["send", "team", &format!("{name} goes on")]).assert().success();
    }
    let log = log_of(dir, "reader");
    let by_seq: BTreeMap<u64, &str> =
        log.iter().map(|line| (line["seq"].as_u64().unwrap(), line["text"].as_str().unwrap())).collect();
    assert_eq!(by_seq.len(), log.len(), "a place in the log was given twice");
    for sent in &acknowledged {
        assert!(!sent.is_empty(), "nothing was acknowledged: nothing was tested");
        for (seq, text) in sent {
            assert_eq!(by_seq.get(seq), Some(&text.as_str()), "an acknowledged message is missing");
        }
    }
    let mut texts: Vec<_> = by_seq.values().collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), log.len(), "a message is shown twice");
    for name in ["alice", "bob"] {
        let same = log_of(dir, name);
        let place = |line: &Value| (line["seq"].clone(), line["text"].clone());
        assert!(same.iter().map(place).eq(log.iter().map(place)), "{name} sees another log");
    }
}

/// Sends numbered messages, each by a process of its own, until told to stop. Gives those that were acknowledged.
fn send_until(dir: &Path, name: &str, stop: &AtomicBool) -> Vec<(u64, String)> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("{name} {n}");
        let output = person(dir, name).args(["--json", "send", "team", &text]).assert();
        let output = output.get_output();
        match output.status.code() {
            Some(0) => acknowledged.push((objects(output)[0]["seq"].as_u64().unwrap(), text)),
            // The server is away, or went away with the message on its way, which then goes out later.
            Some(5 | 12) => std::thread::sleep(Duration::from_millis(50)),
            code => panic!("{code:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }
    acknowledged
}

fn log_of(dir: &Path, name: &str) -> Vec<Value> {
    objects(person(dir, name).args(["--json", "log", "team"]).assert().success().get_output())
}

fn person(dir: &Path, name: &str) -> snapbox::cmd::Command {
    conclave().arg("--profile").arg(dir.join(name)).arg("--key-file").arg(dir.join(format!("{name}.key")))
}

/// A person is killed while sending, again and again: nothing acknowledged is lost, nothing comes twice.
#[test]
fn a_sender_is_killed() {
    let town = Town::with(&["alice", "bob"]);
    town.json("alice", &["group", "create", "team", "bob"]);
    for n in 0..12 {
        let mut child = town.spawn("alice", &["send", "team", &format!("killed {n}")]);
        std::thread::sleep(Duration::from_millis(n * 7));
        let _ = child.kill();
        child.wait().unwrap();
    }
    town.json("alice", &["send", "team", "alive"]);
    let log = town.json("bob", &["log", "team"]);
    let texts: Vec<_> = log.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts.last(), Some(&"alive"));
    let mut once = texts.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), texts.len(), "a message came twice: {texts:?}");
    assert_eq!(town.json("alice", &["log", "team"]).len(), texts.len());
}

/// Whoever follows goes on by themselves when the server comes back, and is shown each message once.
#[test]
fn following_survives_the_server() {
    let scratch = tempfile::tempdir().unwrap();
    let mut server = ServerProcess::start(&scratch.path().join("server"));
    let dir = scratch.path();
    for name in ["alice", "bob"] {
        person(dir, name).args(["init", name, "--server", &server.url()]).assert().success();
    }
    person(dir, "alice").args(["group", "create", "team", "bob"]).assert().success();
    let mut follower = std::process::Command::new(snapbox::cmd::cargo_bin!("conclave"))
        .arg("--profile")
        .arg(dir.join("bob"))
        .arg("--key-file")
        .arg(dir.join("bob.key"))
        .args(["--json", "listen", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["kind"], "joined");
    for round in 0..3 {
        let text = format!("round {round}");
        person(dir, "alice").args(["send", "team", &text]).assert().success();
        assert_eq!(next()["text"], text);
        server.kill_and_restart();
    }
    person(dir, "alice").args(["send", "team", "the end"]).assert().success();
    assert_eq!(next()["text"], "the end");
    interrupt(&follower);
    assert!(follower.wait().unwrap().success());
}
