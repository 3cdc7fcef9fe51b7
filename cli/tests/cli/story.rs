//! The story of the README by hand: four people in processes of their own, one removed, one added later.

use crate::support::Town;
use serde_json::Value;

#[test]
fn by_hand() {
    let town = Town::with(&["alice", "bob", "carol", "dave"]);
    town.json("alice", &["group", "create", "team", "bob", "carol"]);
    town.json("alice", &["send", "team", "one"]);
    town.json("bob", &["send", "team", "two"]);
    town.json("carol", &["send", "team", "three"]);
    for name in ["alice", "bob", "carol"] {
        assert_eq!(read(&town, name), ["one", "two", "three"], "{name}");
    }
    // Not a member: no such group.
    town.conclave("dave").args(["log", "team"]).assert().code(3);

    town.json("alice", &["group", "remove", "team", "carol"]);
    town.json("bob", &["send", "team", "four"]);
    assert_eq!(read(&town, "carol"), ["one", "two", "three"]);
    town.conclave("carol").args(["send", "team", "x"]).assert().code(4);

    town.json("alice", &["group", "add", "team", "dave"]);
    town.json("dave", &["listen"]);
    town.json("dave", &["send", "team", "five"]);
    town.json("bob", &["send", "team", "six"]);
    assert_eq!(read(&town, "dave"), ["five", "six"]);
    assert_eq!(read(&town, "carol"), ["one", "two", "three"]);
    for name in ["alice", "bob"] {
        assert_eq!(read(&town, name), ["one", "two", "three", "four", "five", "six"], "{name}");
    }
    let shown = &town.json("bob", &["group", "show", "team"])[0];
    let mut names: Vec<_> =
        shown["members"].as_array().unwrap().iter().map(|member| &member["name"]).collect();
    names.sort_by_key(|name| name.to_string());
    assert_eq!(names, ["alice", "bob", "dave"]);
}

/// Who is told what.
#[test]
fn what_listen_tells() {
    let town = Town::with(&["alice", "bob", "carol"]);
    town.json("alice", &["group", "create", "team", "bob"]);
    assert_eq!(told(&town, "bob"), ["joined alice"]);
    town.json("alice", &["group", "add", "team", "carol"]);
    town.json("carol", &["send", "team", "hi"]);
    assert_eq!(told(&town, "bob"), ["added alice carol", "message carol"]);
    town.json("alice", &["group", "remove", "team", "carol"]);
    assert_eq!(told(&town, "bob"), ["removed alice carol"]);
    assert_eq!(told(&town, "carol"), ["joined alice", "removed_me alice"]);
    // The seqs of one log, each once, in order.
    assert!(told(&town, "bob").is_empty());
}

/// One profile may be in several groups, and each message goes to one of them.
#[test]
fn two_groups() {
    let town = Town::with(&["alice", "bob", "carol"]);
    town.json("alice", &["group", "create", "work", "bob"]);
    town.json("alice", &["group", "create", "play", "bob", "carol"]);
    town.json("alice", &["send", "work", "to work"]);
    town.json("bob", &["send", "play", "to play"]);
    assert_eq!(texts(&town.json("bob", &["log", "work"])), ["to work"]);
    assert_eq!(texts(&town.json("carol", &["log", "play"])), ["to play"]);
    town.conclave("carol").args(["log", "work"]).assert().code(3);
    let id = town.json("alice", &["group", "show", "work"])[0]["group_id"].as_str().unwrap()[..8].to_owned();
    assert_eq!(texts(&town.json("bob", &["log", &id])), ["to work"]);
}

fn read(town: &Town, name: &str) -> Vec<String> {
    texts(&town.json(name, &["log", "team"]))
}

fn texts(lines: &[Value]) -> Vec<String> {
    assert!(lines.is_sorted_by_key(|line| line["seq"].as_u64().unwrap()));
    lines.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

fn told(town: &Town, name: &str) -> Vec<String> {
    let line = |line: &Value| {
        let mut words =
            vec![line["kind"].as_str().unwrap().to_owned(), line["sender"].as_str().unwrap().to_owned()];
        let who = line["who"].as_array().cloned().unwrap_or_default();
        words.extend(who.iter().map(|name| name.as_str().unwrap().to_owned()));
        words.join(" ")
    };
    town.json(name, &["listen"]).iter().map(line).collect()
}
