//! Help, as it is printed; what scripts and documents refer to.

use crate::support::conclave;
use snapbox::str;

#[test]
fn the_command() {
    conclave().arg("--help").assert().success().stderr_eq("").stdout_eq(str![[r#"
Group messaging, encrypted end to end: the server stores what it cannot read

Usage: conclave [OPTIONS] <COMMAND>

Commands:
  init    Make a profile and register its name on a server
  whoami  Show who this profile is
  group   Create, look at and change groups
  send    Send one message to a group
  listen  Show what is new in all groups
  log     Show the messages of a group that this profile has, in log order
  demo    Show with a server and five people on this machine that it all holds
  help    Print this message or the help of the given subcommand(s)

Options:
  -h, --help     Print help
  -V, --version  Print version

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

The passphrase is asked for, or taken from CONCLAVE_PASSPHRASE; it never stands
on the command line.
Exit codes and JSON shapes are in docs/cli.md.

"#]]);
}

#[test]
fn init() {
    conclave().args(["init", "--help"]).assert().success().stdout_eq(str![[r#"
Make a profile and register its name on a server

Usage: conclave init [OPTIONS] --server <URL> <NAME>

Arguments:
  <NAME>  The name that others will find: a-z, 0-9, '.', '_', '-'

Options:
      --server <URL>        The server's address, wss://HOST:PORT, or
                            ws://HOST:PORT on this machine; of several nodes,
                            all with commas between
      --invite-file <FILE>  File with the operator's invite; or it stands in
                            CONCLAVE_INVITE
      --open-network        Allow another machine, with nothing that encrypts
                            the way to it
  -h, --help                Print help

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

"#]]);
}

#[test]
fn group() {
    conclave().args(["group", "--help"]).assert().success().stdout_eq(str![[r#"
Create, look at and change groups

Usage: conclave group [OPTIONS] <COMMAND>

Commands:
  create   Create a group and add members to it
  list     List the groups of this profile
  show     Show a group and its members
  receipt  Show the server's receipt for a group, or compare another member's:
           two that differ prove that it shows you two groups
  add      Add members; they read what comes after, nothing before
  remove   Remove members; they keep what they had and read nothing after
  help     Print this message or the help of the given subcommand(s)

Options:
  -h, --help  Print help

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

"#]]);
}

#[test]
fn group_create() {
    conclave().args(["group", "create", "--help"]).assert().success().stdout_eq(str![[r#"
Create a group and add members to it

Usage: conclave group create [OPTIONS] <GROUP> [NAME]...

Arguments:
  <GROUP>    What to call it
  [NAME]...  Who else is in it from the start

Options:
  -h, --help  Print help

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

"#]]);
}

#[test]
fn group_remove() {
    conclave().args(["group", "remove", "--help"]).assert().success().stdout_eq(str![[r#"
Remove members; they keep what they had and read nothing after

Usage: conclave group remove [OPTIONS] <GROUP> <NAME>...

Arguments:
  <GROUP>    The group's label, or at least 8 digits of its id
  <NAME>...  Whom to remove

Options:
  -h, --help  Print help

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

"#]]);
}

#[test]
fn send() {
    conclave().args(["send", "--help"]).assert().success().stdout_eq(str![[r#"
Send one message to a group

Usage: conclave send [OPTIONS] <GROUP> <TEXT>

Arguments:
  <GROUP>  The group's label, or at least 8 digits of its id
  <TEXT>   The message, or - to read it from standard input

Options:
  -h, --help  Print help

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

"#]]);
}

#[test]
fn listen() {
    conclave().args(["listen", "--help"]).assert().success().stdout_eq(str![[r#"
Show what is new in all groups

Usage: conclave listen [OPTIONS]

Options:
      --follow  Go on until interrupted
  -h, --help    Print help

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

"#]]);
}

#[test]
fn log() {
    conclave().args(["log", "--help"]).assert().success().stdout_eq(str![[r#"
Show the messages of a group that this profile has, in log order

Usage: conclave log [OPTIONS] <GROUP>

Arguments:
  <GROUP>  The group's label, or at least 8 digits of its id

Options:
  -h, --help  Print help

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

"#]]);
}

#[test]
fn demo() {
    conclave().args(["demo", "--help"]).assert().success().stdout_eq(str![[r#"
Show with a server and five people on this machine that it all holds

Usage: conclave demo [OPTIONS]

Options:
  -h, --help  Print help

For every command:
      --profile <DIR>    Where the profile is [default: conclave in the XDG data
                         directory] [env: CONCLAVE_PROFILE]
      --key-file <FILE>  Key file instead of a passphrase; made by init where
                         there is none
      --json             Print JSON, errors too

"#]]);
}
