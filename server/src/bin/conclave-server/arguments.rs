//! What the command is asked.

use clap::{Args, Parser, Subcommand};
use conclave_server::{ConfigError, Settings, SettingsError, StoreLocation};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Stores each sealed message once, durably, and pushes it to every member. Holds no key and reads nothing.
#[derive(Parser)]
#[command(name = "conclave-server", version, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// Without one, it serves
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) serve: Served,
}

const EXIT_CODES: &str = "Exit codes: 0 stopped by a signal, or nothing is wrong, 2 wrong settings, 3 cannot listen, 4 store in use by \
                          another server, 5 store of another version or not a store, 6 store not usable, 7 certificate not usable, 1 anything \
                          else";

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve until a signal comes, as without any command
    Serve(Served),
    /// Say whether a server would start with these settings; starts none, and changes nothing
    Check(Served),
    /// Bring a database to what this version reads and writes, as every start does, and end
    Migrate(OfStore),
    /// Print an invite for a server that takes who was invited; the server may be running
    Invite {
        #[command(flatten)]
        of: OfStore,

        /// How many accounts may register with it
        #[arg(long, value_name = "N", default_value_t = 1)]
        uses: u32,

        /// How long it is good for, as in 12h or 7d
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = term)]
        expires: Duration,
    },
    /// Write everything that a store holds to a new file; the embedded store's server has to be stopped
    Export {
        #[command(flatten)]
        of: OfStore,

        /// The file, which must not be there yet
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put everything that was exported into an empty store
    Import {
        #[command(flatten)]
        of: OfStore,

        /// The file
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
}

/// How to serve.
#[derive(Args)]
pub(crate) struct Served {
    /// TOML file with settings, named as these options are; an option or a variable counts more
    #[arg(long, value_name = "FILE", env = "CONCLAVE_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

/// Which store.
#[derive(Args)]
pub(crate) struct OfStore {
    /// TOML file with the server's settings, of which the store is one
    #[arg(long, value_name = "FILE", env = "CONCLAVE_CONFIG")]
    config: Option<PathBuf>,

    /// The server's store: fjall:DIRECTORY or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "STORE", env = "CONCLAVE_STORE", hide_env_values = true)]
    store: Option<StoreLocation>,
}

/// Why there are no settings.
#[derive(Debug, Error)]
pub(crate) enum Unsettled {
    #[error(transparent)]
    File(#[from] SettingsError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Settings of all places in one.
pub(crate) struct Gathered {
    pub(crate) settings: Settings,
    /// A file that others can read, and that has a password.
    pub(crate) exposed: Option<PathBuf>,
}

impl Served {
    /// Flags and variables, and for what they leave out the file.
    pub(crate) fn gather(self) -> Result<Gathered, SettingsError> {
        let Some(file) = self.config else {
            return Ok(Gathered { settings: self.settings, exposed: None });
        };
        let from_file = Settings::read(&file)?;
        let exposed = from_file.are_exposed_in(&file).then_some(file);
        Ok(Gathered { settings: self.settings.or(from_file), exposed })
    }
}

impl OfStore {
    /// Where it is.
    pub(crate) fn location(self) -> Result<StoreLocation, Unsettled> {
        if let Some(store) = self.store {
            return Ok(store);
        }
        let from_file = |file: &Path| Settings::read(file).map(|settings| settings.store);
        let store = self.config.as_deref().map(from_file).transpose()?.flatten();
        store.ok_or_else(|| ConfigError::Missing { setting: "store" }.into())
    }
}

/// Hours or days.
fn term(text: &str) -> Result<Duration, String> {
    let hours = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(hours), _) => hours.parse::<u32>().ok(),
        (_, Some(days)) => days.parse::<u32>().ok().and_then(|days| days.checked_mul(24)),
        _ => None,
    };
    let hours = hours.ok_or("write hours or days, as in 12h or 7d")?;
    Ok(Duration::from_secs(u64::from(hours) * 3600))
}
