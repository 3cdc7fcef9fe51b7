//! What is printed: safe to look at, one object a line, and quiet when nobody reads.

use crate::support::{Town, interrupt};
use serde_json::Value;
use snapbox::str;
use std::io::{BufRead as _, BufReader, Read as _};

#[test]
fn people_see_this() {
    let town = Town::new();
    town.init("alice").success().stderr_eq("").stdout_eq(str![[r#"
alice is registered on ws://127.0.0.1:[..]
the profile is in [..]/alice

"#]]);
    town.init("bob").success();
    town.conclave("alice").arg("whoami").assert().success().stdout_eq(str![[r#"
name     alice
account  [..]
device   [..]
server   ws://127.0.0.1:[..]

"#]]);
    town.conclave("alice").args(["group", "list"]).assert().success().stdout_eq(str![[r#"
no groups; make one with `conclave group create GROUP NAME...`

"#]]);
    town.conclave("alice").args(["group", "create", "team", "bob"]).assert().success().stdout_eq(str![[r#"
created: team has 2 members, epoch 1

"#]]);
    town.conclave("alice").args(["group", "list"]).assert().success().stdout_eq(str![[r#"
team   2 members  epoch 1

"#]]);
    town.conclave("alice").args(["group", "show", "team"]).assert().success().stdout_eq(str![[r#"
team
id       [..]
epoch    1
members  2
  alice             owner   account [..]…  (you)
  bob               member  account [..]…

"#]]);
    town.conclave("alice").args(["send", "team", "Hello, Bob"]).assert().success().stdout_eq(str![[r#"
sent to team as #4

"#]]);
    let two_lines = town.conclave("bob").args(["send", "team", "-"]).stdin("one\ntwo\n");
    two_lines.assert().success().stdout_eq(str![[r#"
sent to team as #6

"#]]);
    town.conclave("bob").arg("listen").assert().success().stderr_eq("").stdout_eq(str![[r#"
[team] #2  * alice added you
[team] #4  [..]  alice: Hello, Bob

"#]]);
    town.conclave("bob").arg("listen").assert().success().stderr_eq("").stdout_eq("");
    town.conclave("alice").args(["log", "team"]).assert().success().stderr_eq("").stdout_eq(str![[r#"
#4  [..]  alice: Hello, Bob
#6  [..]  bob: one
    | two

"#]]);
}

/// One word of the server to all members, and what is no such word.
#[test]
fn receipts() {
    let town = Town::with(&["alice", "bob"]);
    town.conclave("alice").args(["group", "create", "team", "bob"]).assert().success();
    let said = |who: &str, args: &[&str]| {
        let output = town.conclave(who).args(["group", "receipt", "team"]).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let receipt = said("alice", &[]);
    assert!(receipt.starts_with("receipt-"), "{receipt}");
    assert_eq!(said("bob", &[]), receipt);
    assert_eq!(said("bob", &[&receipt]), "the same: you both see epoch 1 of one group");
    let shown: Value = serde_json::from_str(&said("bob", &["--json"])).unwrap();
    assert_eq!(shown, serde_json::json!({ "epoch": 1, "receipt": receipt }));
    let same = serde_json::json!({ "compared": "same", "epoch": 1, "proof": null, "server_key": null });
    let compared: Value = serde_json::from_str(&said("bob", &["--json", &receipt])).unwrap();
    assert_eq!(compared, same);
    let cut = town.conclave("bob").args(["group", "receipt", "team", &receipt[..60]]).assert();
    cut.code(11).stdout_eq("").stderr_eq(str![[r#"
error: the receipt cannot be compared: [..]
  → ask whom it is from to send it whole

"#]]);
}

#[test]
fn programs_see_this() {
    let town = Town::with(&["alice", "bob"]);
    let run = |name: &str, args: &[&str]| town.conclave(name).arg("--json").args(args).assert().success();
    run("alice", &["whoami"]).stdout_eq(str![[r#"
{"name":"alice","account":"[..]","device":"[..]","server":"ws://127.0.0.1:[..]"}

"#]]);
    run("alice", &["group", "create", "team", "bob"]).stdout_eq(str![[r#"
{"group":"team","group_id":"[..]","epoch":1,"state":"active","cursor":2,"member_count":2}

"#]]);
    run("alice", &["send", "team", "Hello, Bob"]).stdout_eq(str![[r#"
{"group":"team","group_id":"[..]","seq":4,"id":"[..]"}

"#]]);
    run("alice", &["group", "show", "team"]).stdout_eq(str![[r#"
{"group":"team","group_id":"[..]","epoch":1,"state":"active","cursor":4,"member_count":2,"members":[{"name":"alice","account":"[..]","role":"owner","devices":1,"me":true},{"name":"bob","account":"[..]","role":"member","devices":1,"me":false}]}

"#]]);
    run("bob", &["listen"]).stdout_eq(str![[r#"
{"kind":"joined","group":"team","sender":"alice","seq":2,"text":null,"time":null,"group_id":"[..]","sender_account":"[..]"}
{"kind":"message","group":"team","sender":"alice","seq":4,"text":"Hello, Bob","time":"[..]Z","group_id":"[..]","sender_account":"[..]","id":"[..]","own":false}

"#]]);
    run("bob", &["log", "team"]).stdout_eq(str![[r#"
{"kind":"message","group":"team","sender":"alice","seq":4,"text":"Hello, Bob","time":"[..]Z","group_id":"[..]","sender_account":"[..]","id":"[..]","own":false}

"#]]);
}

#[test]
fn what_others_write_cannot_act_on_a_terminal() {
    let town = Town::with(&["alice", "bob"]);
    town.json("alice", &["group", "create", "team", "bob"]);
    let evil = "a\u{1b}[2J\u{9b}31m b\u{7}\u{202e}\u{2066}\r\n#9  2000-01-01 00:00:00  carol: no\u{0}";
    town.conclave("alice").args(["send", "team", "-"]).stdin(evil).assert().success();
    for args in [&["listen"][..], &["log", "team"], &["group", "list"], &["group", "show", "team"]] {
        for json in [false, true] {
            let flags: &[&str] = if json { &["--json"] } else { &[] };
            let output = town.conclave("bob").args(flags).args(args).assert().success();
            let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
            let acts = |c: char| {
                (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c) || c == '\u{2066}'
            };
            assert!(!text.contains(acts), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with("#9")), "{text}");
        }
    }
    // The text itself is whole.
    assert_eq!(town.json("bob", &["log", "team"])[0]["text"], evil);
}

#[test]
fn following_shows_each_message_as_it_comes() {
    let town = Town::with(&["alice", "bob"]);
    town.json("alice", &["group", "create", "team", "bob"]);
    let mut child = town.spawn("bob", &["--json", "listen", "--follow"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["kind"], "joined");
    for text in ["one", "two", "three"] {
        let sent = &town.json("alice", &["send", "team", text])[0];
        let heard = next();
        assert_eq!((&heard["kind"], &heard["text"]), (&"message".into(), &text.into()));
        assert_eq!(
            (&heard["sender"], &heard["group"], &heard["seq"]),
            (&"alice".into(), &"team".into(), &sent["seq"])
        );
        assert!(heard["time"].as_str().unwrap().ends_with('Z'));
    }
    interrupt(&child);
    assert!(child.wait().unwrap().success(), "Ctrl-C ends it in order");
    // What was shown is not shown again.
    assert!(town.json("bob", &["listen"]).is_empty());
}

#[test]
fn nobody_reads_on() {
    let town = Town::with(&["alice"]);
    town.json("alice", &["group", "create", "team"]);
    for _ in 0..3 {
        town.conclave("alice").args(["send", "team", "-"]).stdin(vec![b'x'; 60_000]).assert().success();
    }
    let mut child = town.spawn("alice", &["log", "team"]);
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn no_colour_in_a_pipe_and_none_where_it_is_unwanted() {
    let town = Town::new();
    let plain = town.conclave("alice").arg("whoami").assert().code(7);
    assert!(!plain.get_output().stderr.contains(&0x1b));
    let forced = town.conclave("alice").env("CLICOLOR_FORCE", "1").arg("whoami").assert().code(7);
    assert!(forced.get_output().stderr.contains(&0x1b));
    let unwanted = town.conclave("alice").env("NO_COLOR", "1").arg("whoami").assert().code(7);
    assert!(!unwanted.get_output().stderr.contains(&0x1b));
}
