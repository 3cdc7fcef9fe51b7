//! Wrong names, groups, rights and messages: each gets an answer that says what to do, and a stable exit code.

use crate::support::{Town, conclave, error_object};
use snapbox::str;
use std::time::{Duration, Instant};

#[test]
fn usage() {
    conclave().assert().code(2);
    conclave().args(["init", "Bob", "--server", "ws://x"]).assert().code(2).stderr_eq(str![[r#"
error: invalid value 'Bob' for '<NAME>': a name is 1 to 32 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit

For more information, try '--help'.

"#]]);
    conclave().args(["group", "add", "team"]).assert().code(2).stderr_eq(str![[r#"
error: the following required arguments were not provided:
  <NAME>...

Usage: conclave group add <GROUP> <NAME>...

For more information, try '--help'.

"#]]);
    let output = conclave().args(["--json", "sned", "team"]).assert().code(2);
    assert_eq!(error_object(output.get_output())["class"], "usage");
}

#[test]
fn unknown_name() {
    let town = Town::with(&["alice", "bob"]);
    let create = town.conclave("alice").args(["group", "create", "team", "bbo"]).assert();
    create.code(3).stdout_eq("").stderr_eq(str![[r#"
error: nobody on this server is called bbo
  → check the spelling, or ask them to register

"#]]);
    // Nothing was made.
    assert!(town.json("alice", &["group", "list"]).is_empty());
    town.json("alice", &["group", "create", "team"]);
    town.conclave("alice").args(["group", "add", "team", "bbo"]).assert().code(3).stderr_eq(str![[r#"
error: nobody on this server is called bbo
  → check the spelling, or ask them to register

"#]]);
    town.conclave("alice").args(["group", "remove", "team", "bbo"]).assert().code(3);
    // Known here, but not in the group.
    town.conclave("alice").args(["group", "remove", "team", "bob"]).assert().code(3).stderr_eq(str![[r#"
error: bob is not in team
  → `conclave group show team` lists its members

"#]]);
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
    town.conclave("alice").args(["send", "taem", "hello"]).assert().code(3).stderr_eq(str![[r#"
error: there is no group taem in this profile
  → `conclave group list` shows those that there are

"#]]);
}

#[test]
fn not_allowed() {
    let town = Town::with(&["alice", "bob", "carol"]);
    town.json("alice", &["group", "create", "team", "bob", "carol"]);
    town.conclave("bob").arg("listen").assert().success();
    // A member may not remove anybody.
    town.conclave("bob").args(["group", "remove", "team", "alice"]).assert().code(4).stderr_eq(str![[r#"
error: not allowed: only an admin or an owner may add and remove accounts
  → `conclave group show` tells who may

"#]]);
    town.conclave("alice").args(["group", "add", "team", "bob"]).assert().code(4).stderr_eq(str![[r#"
error: bob is in team already
  → leave the name out

"#]]);
    town.conclave("alice").args(["group", "create", "team"]).assert().code(11).stderr_eq(str![[r#"
error: there is a group team already
  → choose another label

"#]]);
    town.conclave("alice").args(["group", "create", "te\u{1b}am"]).assert().code(11).stderr_eq(str![[r#"
error: this cannot be a group's label
  → give 1 to 64 characters, not only spaces, and none that cannot be seen

"#]]);

    town.conclave("alice").args(["group", "remove", "team", "bob"]).assert().success();
    town.conclave("bob").args(["send", "team", "hello?"]).assert().code(4).stdout_eq("").stderr_eq(str![[
        r#"
error: this account is not in team any more
  → an admin can add it again

"#
    ]]);
    town.conclave("bob").args(["group", "add", "team", "bob"]).assert().code(4);
    town.conclave("bob").args(["group", "list"]).assert().success().stdout_eq(str![[r#"
team   2 members  epoch 2  (you were removed; you keep what you have read)

"#]]);
}

#[test]
fn messages_that_cannot_be_sent() {
    let town = Town::with(&["alice"]);
    town.json("alice", &["group", "create", "team"]);
    let send = || town.conclave("alice").args(["send", "team", "-"]);
    send().stdin("").assert().code(11).stderr_eq(str![[r#"
error: the message is empty
  → give some text

"#]]);
    town.conclave("alice").args(["send", "team", ""]).assert().code(11).stderr_eq(str![[r#"
error: the message is empty
  → give some text

"#]]);
    send().stdin(&b"abc\xff"[..]).assert().code(11).stderr_eq(str![[r#"
error: what was read is not UTF-8 text, from byte 3 on
  → send text, files come later

"#]]);
    send().stdin(vec![b'x'; (64 << 10) + 1]).assert().code(11).stderr_eq(str![[r#"
error: the message is longer than 65500 bytes
  → send it in parts

"#]]);
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
    output.code(11).stderr_eq(str![[r#"
error: the message is longer than 65500 bytes
  → send it in parts

"#]]);
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
