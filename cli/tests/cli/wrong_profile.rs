//! Profiles that are not there, in use, damaged, or locked with another secret.

use crate::support::{Town, conclave, interrupt};
use snapbox::cmd::Command;
use snapbox::str;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};

#[test]
fn no_profile() {
    let town = Town::new();
    for args in [&["whoami"][..], &["send", "team", "x"], &["listen"], &["log", "team"], &["group", "list"]] {
        town.conclave("alice").args(args).assert().code(7).stdout_eq("");
    }
    town.conclave("alice").arg("whoami").assert().code(7).stderr_eq(str![[r#"
error: there is no profile in [..]/alice
  → make one with `conclave init`

"#]]);
}

#[test]
fn no_home() {
    let output = conclave().env_remove("HOME").env_remove("XDG_DATA_HOME").env("CONCLAVE_PASSPHRASE", "x");
    // Where the system knows a home without the variable, there is just no profile in it.
    output.arg("whoami").assert().code(7);
}

#[test]
fn the_default_is_the_data_directory() {
    let town = Town::new();
    let with_home =
        || conclave().env("XDG_DATA_HOME", town.path("data")).env("CONCLAVE_PASSPHRASE", "sesame");
    with_home().args(["init", "alice", "--server", town.url()]).assert().success();
    assert!(town.path("data/conclave").is_dir());
    with_home().arg("whoami").assert().success();
    let dir = town.path("data/conclave");
    let by_variable = conclave().env("CONCLAVE_PROFILE", dir).env("CONCLAVE_PASSPHRASE", "sesame");
    by_variable.arg("whoami").assert().success();
}

#[test]
fn one_too_many() {
    let town = Town::with(&["alice"]);
    town.init("alice").code(7).stdout_eq("").stderr_eq(str![[r#"
error: there is a profile in [..]/alice already
  → use it, or choose another directory

"#]]);
}

#[test]
fn in_use() {
    let town = Town::with(&["alice", "bob"]);
    town.json("alice", &["group", "create", "team", "bob"]);
    let mut child = town.spawn("bob", &["listen", "--follow"]);
    // A first line, and the process surely has the profile.
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    town.conclave("bob").arg("whoami").assert().code(7).stdout_eq("").stderr_eq(str![[r#"
error: the profile in [..]/bob is in use by another process
  → end that one first, or use another profile

"#]]);
    interrupt(&child);
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    town.conclave("bob").arg("whoami").assert().success();
}

#[test]
fn another_secret() {
    let town = Town::with(&["alice", "bob"]);
    let alice = || conclave().arg("--profile").arg(town.path("alice")).arg("whoami");
    let key_of_bob = alice().arg("--key-file").arg(town.path("bob.key"));
    key_of_bob.assert().code(8).stdout_eq("").stderr_eq(str![[r#"
error: the passphrase or key file does not open this profile
  → try again (it cannot be recovered)

"#]]);
    alice().env("CONCLAVE_PASSPHRASE", "guess").assert().code(8).stderr_eq(str![[r#"
error: the passphrase or key file does not open this profile
  → try again (it cannot be recovered)

"#]]);
    alice().arg("--key-file").arg(town.path("no.key")).assert().code(8).stderr_eq(str![[r#"
error: the key file [..]/no.key cannot be used (No such file or directory (os error 2))
  → name the file that this profile was made with

"#]]);
    fs::write(town.path("short.key"), "x").unwrap();
    alice().arg("--key-file").arg(town.path("short.key")).assert().code(8);
}

#[test]
fn passphrases() {
    let town = Town::new();
    let alice = |passphrase: &str| {
        let command: Command = conclave().arg("--profile").arg(town.path("alice"));
        command.env("CONCLAVE_PASSPHRASE", passphrase)
    };
    let init = |passphrase: &str| alice(passphrase).args(["init", "alice", "--server", town.url()]).assert();
    init("").code(8).stderr_eq(str![[r#"
error: the passphrase is empty
  → give one, or use --key-file FILE

"#]]);
    init("correct horse").success();
    alice("correct horse").arg("whoami").assert().success();
    alice("correct house").arg("whoami").assert().code(8).stdout_eq("").stderr_eq(str![[r#"
error: the passphrase or key file does not open this profile
  → try again (it cannot be recovered)

"#]]);
}

/// Whatever file of a profile is damaged, the answer is an error and no panic; and no message is made up.
#[test]
fn damaged() {
    let town = Town::with(&["alice"]);
    town.json("alice", &["group", "create", "team"]);
    town.json("alice", &["send", "team", "hello"]);
    let files: Vec<_> =
        fs::read_dir(town.path("alice")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let whole: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let mut damaged = 0;
    for (file, content) in files.iter().zip(&whole) {
        for broken in [&b"not what was written"[..], &content[..content.len() / 2]] {
            fs::write(file, broken).unwrap();
            let output = town.conclave("alice").args(["--json", "log", "team"]).assert();
            let output = output.get_output();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(!error.contains("panicked"), "{error}");
            if !output.status.success() {
                assert!(matches!(output.status.code(), Some(7..=9)), "{}: {error}", file.display());
                damaged += 1;
            }
            // Opening may have mended or made files.
            for (file, content) in files.iter().zip(&whole) {
                fs::write(file, content).unwrap();
            }
        }
    }
    assert!(damaged > 0, "no damage was noticed");
    town.conclave("alice").args(["log", "team"]).assert().success();
}
