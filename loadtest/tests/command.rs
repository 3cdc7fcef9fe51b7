//! The command as it is run: real processes, real sockets, short.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn loadtest(arguments: &str, json: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-loadtest"));
    command.args(arguments.split_whitespace());
    if let Some(json) = json {
        command.arg("--json").arg(json);
    }
    command.output().unwrap()
}

/// Runs, expects success, and reads the JSON.
fn measured(arguments: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("results.json");
    let output = loadtest(arguments, Some(&json));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments}: {stdout}{stderr}");
    assert_eq!(stderr, "", "progress is for terminals");
    assert!(!stdout.contains('\u{1b}'), "{stdout}");
    let results: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(results["schema"], 1);
    assert_eq!(results["complete"], true);
    assert!(results["machine"]["cores"].as_u64().unwrap() > 0);
    assert!(results["machine"]["rustc"].as_str().unwrap().starts_with("rustc "));
    assert!(results["started"].as_str().unwrap().ends_with('Z'));
    results
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn seal_measures_every_size_and_group() {
    let results = measured("seal --quick");
    let messages = results["messages"].as_array().unwrap();
    let sizes: Vec<u64> = messages.iter().map(|row| row["content_bytes"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [32, 256, 1024, 4096, 16384, 65519]);
    for row in messages {
        let wire = row["wire_bytes"].as_u64().unwrap();
        assert_eq!(wire, row["content_bytes"].as_u64().unwrap() + row["overhead_bytes"].as_u64().unwrap());
        for side in [&row["seal"], &row["open"]] {
            assert!(number(&side["us"]["min"]) > 0.0);
            assert!(number(&side["us"]["min"]) <= number(&side["us"]["median"]));
            assert!(number(&side["us"]["median"]) <= number(&side["us"]["max"]));
            assert!(number(&side["primitives_us"]["median"]) > 0.0);
            assert!(number(&side["times_primitives"]) > 0.0);
        }
    }
    let catch_up = &results["catch_up"].as_array().unwrap()[0];
    assert!(number(&catch_up["us"]["median"]) > 0.0 && number(&catch_up["backlog"]) > 0.0);
    let groups = results["groups"].as_array().unwrap();
    for work in ["distribute", "take_sender_key", "remove", "take_removal", "join"] {
        for devices in [4, 10] {
            let row = groups.iter().find(|row| row["work"] == work && row["devices"] == devices).unwrap();
            assert!(number(&row["us"]["median"]) > 0.0, "{row}");
        }
    }
    // a wrap is far smaller than a first contact
    let bytes = |contact: &str| {
        let of =
            |row: &&Value| row["work"] == "distribute" && row["contact"] == contact && row["devices"] == 10;
        number(&groups.iter().find(of).unwrap()["bytes"])
    };
    assert!(bytes("known") * 5.0 < bytes("first"));
    assert!(results["timed_region"]["seal"].as_str().unwrap().contains("records"));
}

fn check_fanout(results: &Value) {
    assert_eq!((&results["violations"], &results["errors"]), (&0.into(), &0.into()), "{results:#}");
    for field in ["deliveries_per_s", "messages_per_s", "cpu_us_per_delivery", "setup_seconds"] {
        assert!(number(&results[field]) > 0.0, "{field}");
    }
    let latency = &results["latency_ms"];
    assert!(number(&latency["p50"]) > 0.0);
    assert!(number(&latency["p50"]) <= number(&latency["p99"]));
    assert!(number(&latency["p99"]) <= number(&latency["p999"]));
    assert!(number(&results["accepted_ms"]["count"]) > 0.0);
    assert!(number(&results["generator_lag_ms"]["p99"]) >= 0.0);
    assert!(number(&results["messages_checked"]) >= number(&results["messages"]));
    assert_eq!(results["server"]["started_here"], true);
    assert!(number(&results["server"]["rss_kib_idle"]) > 0.0);
}

#[test]
fn fanout_delivers_and_every_member_opens() {
    let results = measured("fanout --groups 2 --members 3 --duration 1s --warm-up 100ms");
    check_fanout(&results);
    assert_eq!(results["settings"]["depth"], "encrypted");
    assert!(number(&results["opened_ms"]["p50"]) > 0.0);
    // each message goes to the two members who did not send it; those at the edges of the measurement to fewer
    let (messages, deliveries) = (number(&results["messages"]), number(&results["deliveries"]));
    assert!((deliveries - 2.0 * messages).abs() <= 16.0, "{messages} {deliveries}");
}

#[test]
fn fanout_with_shared_connections_many_senders_and_a_window() {
    let results = measured(
        "fanout --groups 3 --members 4 --connections 5 --senders 3 --window 8 --size 100 --source-addresses 2 --duration 1s --warm-up 0s",
    );
    check_fanout(&results);
    assert_eq!(results["settings"]["arrivals"]["window"], 8);
    assert_eq!(results["settings"]["source_addresses"], 2);
}

#[test]
fn fanout_sealed_at_a_rate() {
    let results = measured(
        "fanout --sealed --groups 2 --members 5 --senders 2 --rate 20 --duration 1s --warm-up 100ms",
    );
    check_fanout(&results);
    assert_eq!(results["settings"]["depth"], "sealed");
    assert_eq!(results["opened_ms"], Value::Null);
    // 2 groups × 2 senders × 20 a second × 1.1 s, warm-up included
    assert_eq!(number(&results["messages_checked"]), 88.0);
    assert_eq!(results["never_sent"], 0);
}

/// Every member has every message, whichever server it is on, and how long that took is told apart.
#[test]
fn fanout_over_several_servers() {
    let postgres = conclave_postgres_fixture::Postgres::start();
    let store = postgres.database("conclave");
    let results = measured(&format!(
        "fanout --groups 2 --members 6 --nodes 3 --store {store} --duration 1s --warm-up 100ms"
    ));
    check_fanout(&results);
    assert_eq!(results["settings"]["nodes"], 3);
    // Of six members two are on each server, one of which sends.
    let counts = ["latency_ms", "latency_elsewhere_ms"].map(|field| number(&results[field]["count"]));
    assert!(counts[0] > 0.0 && (counts[1] / counts[0] - 4.0).abs() < 0.5, "{counts:?}");
    assert!(number(&results["latency_elsewhere_ms"]["p50"]) > 0.0);
}

/// A server that only looks who comes: it holds connections until there are six, and closes them.
#[test]
fn connections_come_from_several_addresses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let who = std::thread::spawn(move || {
        let accepted: Vec<_> = (0..6).map(|_| listener.accept().unwrap()).collect();
        accepted.iter().map(|(_, peer)| peer.ip().to_string()).collect::<BTreeSet<_>>()
    });
    let output =
        loadtest(&format!("fanout --groups 1 --members 6 --source-addresses 3 --server {url}"), None);
    assert_eq!(output.status.code(), Some(2), "it is no server");
    assert_eq!(who.join().unwrap().into_iter().collect::<Vec<_>>(), ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
}

#[test]
fn fanout_stops_at_the_most_messages() {
    let results = measured("fanout --groups 1 --members 2 --max-messages 7 --duration 1s --warm-up 0s");
    assert_eq!(results["messages_checked"], 7);
}

/// What a user may get wrong, and a word of what is said about it.
#[test]
fn what_cannot_be_run_says_why() {
    for (arguments, word) in [
        ("fanout --server ws://192.0.2.1:7300 --duration 1s", "--i-own-this-server"),
        ("fanout --server http://127.0.0.1:7300", "ws://HOST:PORT"),
        ("fanout --server ws://127.0.0.1:1 --groups 1 --members 2", "connection"),
        ("fanout --groups 1 --members 3 --connections 2", "--connections"),
        ("fanout --members 2 --senders 3", "--senders"),
        ("fanout --duration 2h", "10s"),
        ("fanout --groups 1 --members 30000 --workers 2", "--source-addresses 2"),
        ("fanout --source-addresses 0", "254"),
        ("fanout --rate 5 --window 5", "--window"),
        ("fanout --groups 1 --members 2 --store fjall:/proc/nowhere", "did not start"),
        ("fanout --nodes 3", "--store postgres://"),
        ("seal --devices 1", "1"),
    ] {
        let output = loadtest(arguments, None);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(stderr.contains(word), "{arguments}: {stderr}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let output = loadtest("fanout --groups 1 --members 2 --duration 1s", Some(Path::new("/proc/none.json")));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--json"));
}

/// A server that dies under the load fails the run.
#[test]
fn a_server_that_dies_is_a_violation() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_conclave-loadtest"))
        .args(["serve", "--store"])
        .arg(format!("fjall:{}", folder.path().join("data").display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let json = folder.path().join("results.json");
    let run = Command::new(env!("CARGO_BIN_EXE_conclave-loadtest"))
        .args([
            "fanout",
            "--groups",
            "1",
            "--members",
            "3",
            "--warm-up",
            "0s",
            "--duration",
            "3s",
            "--server",
        ])
        .arg(url.trim())
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The file says when the groups are ready; the server is killed while messages flow.
    let begun = Instant::now();
    let ready = || {
        let text = std::fs::read(&json).unwrap_or_default();
        serde_json::from_slice::<Value>(&text).is_ok_and(|results| results["setup_seconds"].is_number())
    };
    while !ready() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    server.kill().unwrap();
    server.wait().unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let results: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(results["violation_kinds"]["connection_ended"], 3, "{results:#}");
    assert_eq!(results["server"]["started_here"], false);
    assert_eq!(results["cpu_us_per_delivery"], Value::Null);
}
