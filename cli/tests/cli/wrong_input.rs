//! Wrong names, groups, rights and messages: each gets an answer that says what to do, and a stable exit code.

use crate::support::{Town, conclave, error_object};
use snapbox::str;
use std::time::{Duration, Instant};

#[test]
fn usage() {
    conclave().assert().code(2);
    conclave().args(["init", "Bob", "--server", "ws://x"]).assert().code(2).stderr_eq(str![[""]]);
    conclave().args(["group", "add", "team"]).assert().code(2).stderr_eq(str![[""]]);
    let output = conclave().args(["--json", "sned", "team"]).assert().code(2);
    assert_eq!(error_object(output.get_output())["class"], "usage");
}

#[test]
fn unknown_name() {
    let town = Town::with(&["alice", "bob"]);
    let create = town.conclave("alice").args(["group", "create", "team", "bbo"]).assert();
    create.code(3).stdout_eq("").stderr_eq(str![[""]]);
    // Nothing was made.
    assert!(town.json("alice", &["group", "list"]).is_empty());
    town.json("alice", &["group", "create", "team"]);
    town.conclave("alice").args(["group", "add", "team", "bbo"]).assert().code(3).stderr_eq(str![[""]]);
    town.conclave("alice").args(["group", "remove", "team", "bbo"]).assert().code(3);
    // Known here, but not in the group.
    town.conclave("alice").args(["group", "remove", "team", "bob"]).assert().code(3).stderr_eq(str![[""]]);
}

#[test]
fn unknown_group() {
    let town = Town::with(&["alice", "bob"]);
    for args in [
        &["send", "taem", "hello"][..],
        &["log", "taem"],
        &["group", "show", "taem"],
        &["group", "add", "taem", "bob"],
        &["group", "remove", "taem", "bob"],
    ] {
        let output = town.conclave("alice").arg("--json").args(args).assert().code(3).stdout_eq("");
        let error = error_object(output.get_output());
        assert_eq!((&error["class"], &error["exit_code"]), (&"not_found".into(), &3.into()), "{args:?}");
    }
    town.conclave("alice").args(["send", "taem", "hello"]).assert().code(3).stderr_eq(str![[""]]);
}

#[test]
fn not_allowed() {
    let town = Town::with(&["alice", "bob", "carol"]);
    town.json("alice", &["group", "create", "team", "bob", "carol"]);
    town.conclave("bob").arg("listen").assert().success();
    // A member may not remove anybody.
    town.conclave("bob").args(["group", "remove", "team", "alice"]).assert().code(4).stderr_eq(str![[""]]);
    town.conclave("alice").args(["group", "add", "team", "bob"]).assert().code(4).stderr_eq(str![[""]]);
    town.conclave("alice").args(["group", "create", "team"]).assert().code(11).stderr_eq(str![[""]]);
    town.conclave("alice").args(["group", "create", "te\u{1b}am"]).assert().code(11).stderr_eq(str![[""]]);

    town.conclave("alice").args(["group", "remove", "team", "bob"]).assert().success();
    town.conclave("bob")
        .args(["send", "team", "hello?"])
        .assert()
        .code(4)
        .stdout_eq("")
        .stderr_eq(str![[""]]);
    town.conclave("bob").args(["group", "add", "team", "bob"]).assert().code(4);
    town.conclave("bob").args(["group", "list"]).assert().success().stdout_eq(str![[""]]);
}

#[test]
fn messages_that_cannot_be_sent() {
    let town = Town::with(&["alice"]);
    town.json("alice", &["group", "create", "team"]);
    let send = || town.conclave("alice").args(["send", "team", "-"]);
    send().stdin("").assert().code(11).stderr_eq(str![[""]]);
    town.conclave("alice").args(["send", "team", ""]).assert().code(11).stderr_eq(str![[""]]);
    send().stdin(&b"abc\xff"[..]).assert().code(11).stderr_eq(str![[""]]);
    send().stdin(vec![b'x'; (64 << 10) + 1]).assert().code(11).stderr_eq(str![[""]]);
    // Room for padding and a header goes off the 64 KiB.
    send().stdin(vec![b'x'; 64 << 10]).assert().code(11);
    assert!(town.json("alice", &["log", "team"]).is_empty());
}

#[test]
fn ten_megabytes_get_their_answer_at_once() {
    let town = Town::with(&["alice"]);
    town.json("alice", &["group", "create", "team"]);
    let since = Instant::now();
    let output = town.conclave("alice").args(["send", "team", "-"]).stdin(vec![b'x'; 10 << 20]).assert();
    output.code(11).stderr_eq(str![[""]]);
    assert!(since.elapsed() < Duration::from_secs(20), "not quick");
}

#[test]
fn the_longest_message_arrives() {
    let town = Town::with(&["alice", "bob"]);
    town.json("alice", &["group", "create", "team", "bob"]);
    let text = "é".repeat(32_000);
    town.conclave("alice").args(["send", "team", "-"]).stdin(text.clone()).assert().success();
    let read = town.json("bob", &["log", "team"]);
    assert_eq!(read[0]["text"], text);
}
