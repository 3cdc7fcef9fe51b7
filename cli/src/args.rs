//! The command line as it is written, before anything is resolved.

use clap::{Args as ClapArgs, Parser, Subcommand};
use conclave_client::Name;
use std::path::PathBuf;

/// Group messaging, encrypted end to end: the server stores what it cannot read.
#[derive(Debug, Parser)]
#[command(name = "conclave", version, max_term_width = 80, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
The passphrase is asked for, or taken from CONCLAVE_PASSPHRASE; it never stands on the command line.
Exit codes and JSON shapes are in docs/cli.md.";

/// What every command takes.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "For every command")]
pub(crate) struct Common {
    /// Where the profile is [default: conclave in the XDG data directory]
    #[arg(long, global = true, value_name = "DIR", env = "CONCLAVE_PROFILE", hide_env_values = true)]
    pub(crate) profile: Option<PathBuf>,

    /// Key file instead of a passphrase; made by init where there is none
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Print JSON, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a profile and register its name on a server
    Init {
        /// The name that others will find: a-z, 0-9, '.', '_', '-'
        name: Name,
        /// The server's address, wss://HOST:PORT, or ws://HOST:PORT on this
        /// machine; of several nodes, all with commas between
        #[arg(long, value_name = "URL")]
        server: String,
        /// File with the operator's invite; or it stands in CONCLAVE_INVITE
        #[arg(long, value_name = "FILE")]
        invite_file: Option<PathBuf>,
        /// Allow another machine, with nothing that encrypts the way to it
        #[arg(long)]
        open_network: bool,
    },
    /// Show who this profile is
    Whoami,
    /// Create, look at and change groups
    #[command(subcommand)]
    Group(GroupCommand),
    /// Send one message to a group
    Send {
        /// The group's label, or at least 8 digits of its id
        group: String,
        /// The message, or - to read it from standard input
        #[arg(allow_hyphen_values = true)]
        text: String,
    },
    /// Show what is new in all groups
    Listen {
        /// Go on until interrupted
        #[arg(long)]
        follow: bool,
    },
    /// Show the messages of a group that this profile has, in log order
    Log {
        /// The group's label, or at least 8 digits of its id
        group: String,
    },
    /// Show with a server and five people on this machine that it all holds
    Demo,
}

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group and add members to it
    Create {
        /// What to call it
        group: String,
        /// Who else is in it from the start
        #[arg(value_name = "NAME")]
        names: Vec<Name>,
    },
    /// List the groups of this profile
    List,
    /// Show a group and its members
    Show {
        /// The group's label, or at least 8 digits of its id
        group: String,
    },
    /// Show the server's receipt for a group, or compare another member's: two that differ prove that it shows you two groups
    Receipt {
        /// The group's label, or at least 8 digits of its id
        group: String,
        /// The receipt that another member's `group receipt` has shown
        receipt: Option<String>,
    },
    /// Add members; they read what comes after, nothing before
    Add {
        /// The group's label, or at least 8 digits of its id
        group: String,
        /// Whom to add
        #[arg(value_name = "NAME", required = true)]
        names: Vec<Name>,
    },
    /// Remove members; they keep what they had and read nothing after
    Remove {
        /// The group's label, or at least 8 digits of its id
        group: String,
        /// Whom to remove
        #[arg(value_name = "NAME", required = true)]
        names: Vec<Name>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_dash_is_a_text() {
        let args = Args::try_parse_from(["conclave", "send", "team", "-"]).unwrap();
        assert!(matches!(args.command, Command::Send { text, .. } if text == "-"));
    }
}
