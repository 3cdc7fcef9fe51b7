//! The `conclave-server` command.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use conclave_server::{
    Admission, ArchiveError, Config, InviteError, Moved, Server, StartError, StoreLocation, Terms, TlsFiles,
    raise_open_file_limit,
};
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Stores each sealed message once, durably, and pushes it to every member. Holds no key and reads nothing.
#[derive(Parser)]
#[command(name = "conclave-server", version, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    /// Without one, it serves
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: Option<Serve>,
}

/// What to do instead of serving.
#[derive(Subcommand)]
enum Command {
    /// Bring a database to what this version reads and writes, as every start does, and end
    Migrate {
        /// The database: postgres://USER@HOST/DATABASE
        #[arg(long, value_name = "STORE", env = "CONCLAVE_STORE", hide_env_values = true)]
        store: StoreLocation,
    },
    /// Print an invite for a server that takes who was invited; the server may be running
    Invite {
        /// The server's store: fjall:DIRECTORY or postgres://USER@HOST/DATABASE
        #[arg(long, value_name = "STORE", env = "CONCLAVE_STORE", hide_env_values = true)]
        store: StoreLocation,

        /// How many accounts may register with it
        #[arg(long, value_name = "N", default_value_t = 1)]
        uses: u32,

        /// How long it is good for, as in 12h or 7d
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = term)]
        expires: Duration,
    },
    /// Write everything that a store holds to a new file; the embedded store's server has to be stopped
    Export {
        /// The store: fjall:DIRECTORY or postgres://USER@HOST/DATABASE
        #[arg(long, value_name = "STORE", env = "CONCLAVE_STORE", hide_env_values = true)]
        store: StoreLocation,

        /// The file, which must not be there yet
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put everything that was exported into an empty store
    Import {
        /// The store: fjall:DIRECTORY or postgres://USER@HOST/DATABASE
        #[arg(long, value_name = "STORE", env = "CONCLAVE_STORE", hide_env_values = true)]
        store: StoreLocation,

        /// The file
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
}

/// How to serve.
#[derive(Args)]
struct Serve {
    /// Where to keep everything: fjall:DIRECTORY, created if it does not exist, or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "STORE", env = "CONCLAVE_STORE", hide_env_values = true)]
    store: StoreLocation,

    /// Address to listen on, as in 127.0.0.1:7300; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "CONCLAVE_LISTEN")]
    listen: SocketAddr,

    /// Address that clients dial; needed unless they all run on this machine
    #[arg(long, value_name = "HOST:PORT", env = "CONCLAVE_NAME")]
    name: Option<String>,

    /// PEM file with the server's certificate and those that lead from it to an authority; read again on SIGHUP
    #[arg(long, value_name = "FILE", env = "CONCLAVE_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", env = "CONCLAVE_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Where the operator finds /metrics, /healthz and /readyz, as in 127.0.0.1:7301 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", env = "CONCLAVE_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,

    /// Who may register: open to all, by invite, or closed
    #[arg(long, value_name = "WHO", env = "CONCLAVE_REGISTRATION", default_value = "open")]
    registration: Admission,

    /// Proxies in front of the server, with commas between, that say in X-Forwarded-For for whom they speak
    #[arg(long, value_name = "ADDRESS,…", env = "CONCLAVE_TRUST_PROXY", value_delimiter = ',')]
    trust_proxy: Vec<IpAddr>,

    /// Threads that own sockets [default: one per core]
    #[arg(long, value_name = "N", env = "CONCLAVE_WORKERS")]
    workers: Option<usize>,

    /// How to write the log, which goes to standard error; RUST_LOG chooses what is in it
    #[arg(long, value_enum, default_value_t = LogFormat::Pretty, env = "CONCLAVE_LOG_FORMAT")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Pretty,
    /// One object a line, for machines
    Json,
}

const EXIT_CODES: &str = "Exit codes: 0 stopped by a signal, 2 wrong arguments, 3 cannot listen, 4 store in use by \
                          another server, 5 store of another version or not a store, 6 store not usable, 7 certificate not usable, 1 anything \
                          else";

fn main() -> ExitCode {
    let Arguments { command, serve: settings } = Arguments::parse();
    let settings = match (command, settings) {
        (Some(command), _) => {
            start_log(LogFormat::Pretty);
            return end(perform(command));
        }
        (None, Some(settings)) => settings,
        (None, None) => Arguments::command().error(ErrorKind::MissingRequiredArgument, NOTHING_TO_DO).exit(),
    };
    start_log(settings.log_format);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}"), 1),
    };
    end(runtime.block_on(serve(settings)))
}

const NOTHING_TO_DO: &str = "--store and --listen are needed to serve; --help shows more";

fn end(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { message, code }) => fail(&message, code),
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    match command {
        Command::Migrate { store } => migrate(&store),
        Command::Invite { store, uses, expires } => {
            println!("{}", conclave_server::invite(&store, Terms { uses, expires_in: expires })?);
            Ok(())
        }
        Command::Export { store, to } => {
            let moved = conclave_server::export(&store, &to, &mut report())?;
            println!("{store} is in {}: {} rows, {} bytes", to.display(), moved.rows, moved.bytes);
            Ok(())
        }
        Command::Import { store, from } => {
            let moved = conclave_server::import(&store, &from, &mut report())?;
            println!("{} is in {store}: {} rows, {} bytes", from.display(), moved.rows, moved.bytes);
            Ok(())
        }
    }
}

/// Tells every few seconds how far it is.
fn report() -> impl FnMut(Moved) {
    const EVERY: Duration = Duration::from_secs(2);
    let mut told = Instant::now();
    move |moved| {
        if told.elapsed() >= EVERY {
            told = Instant::now();
            eprintln!("{} rows, {} bytes so far", moved.rows, moved.bytes);
        }
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

impl From<InviteError> for Failure {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::Store(error) => error.into(),
            error => Self { message: error.to_string(), code: 2 },
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => error.into(),
            error => Self { message: error.to_string(), code: 6 },
        }
    }
}

fn migrate(store: &StoreLocation) -> Result<(), Failure> {
    let done = conclave_server::migrate(store)?;
    for migration in &done {
        println!("{migration}");
    }
    let word = if done.is_empty() { "had nothing to change" } else { "is up to date" };
    println!("{store} {word}");
    Ok(())
}

/// What the command ends with.
struct Failure {
    message: String,
    code: u8,
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let code = match &error {
            StartError::Config(_) => 2,
            StartError::PortTaken { .. } | StartError::Listen { .. } => 3,
            StartError::DataLocked { .. } => 4,
            StartError::DataVersion { .. }
            | StartError::DataForeign { .. }
            | StartError::DatabaseVersion { .. } => 5,
            StartError::Data { .. } | StartError::Database { .. } => 6,
            StartError::Unfinished { .. } => 6,
            StartError::Tls(_) => 7,
            _ => 1,
        };
        Self { message: error.to_string(), code }
    }
}

async fn serve(settings: Serve) -> Result<(), Failure> {
    // Each connection is an open file, and the usual limit is 1,024.
    let files = raise_open_file_limit();
    tracing::debug!(files, "limit on open files");
    let cannot_hear =
        |error: std::io::Error| Failure { message: format!("cannot listen for signals: {error}"), code: 1 };
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_hear)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_hear)?;

    let mut hangup = signal(SignalKind::hangup()).map_err(cannot_hear)?;

    let Serve {
        store,
        listen,
        name,
        tls_cert,
        tls_key,
        metrics_listen: watch,
        registration: admission,
        trust_proxy: trusted_proxies,
        workers,
        ..
    } = settings;
    let tls = tls_cert.zip(tls_key).map(|(certificates, key)| TlsFiles { certificates, key });
    let mut server =
        Server::start(Config { store, listen, name, tls, watch, admission, trusted_proxies, workers })
            .await?;
    println!("conclave-server {} listening on {}", server.name(), server.url());
    if let Some(watch) = server.watch_addr() {
        tracing::info!(%watch, "metrics are served");
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => match server.reload_certificates() {
                Ok(()) => tracing::info!("read the certificate again"),
                Err(error) => tracing::error!(%error, "the certificate stays what it was"),
            },
            () = server.ended() => {
                let message = "the server ended by itself; the log above says why".to_owned();
                return Err(Failure { message, code: 1 });
            }
        }
    }
    tracing::info!("stopping");
    server.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

fn start_log(format: LogFormat) {
    // Of the libraries underneath, only what an operator can act on.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,conclave_server=info"));
    // Colours are for a terminal, and for one whose owner wants them.
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = log.with_ansi(colours);
    match format {
        LogFormat::Pretty => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("conclave-server: {message}");
    ExitCode::from(code)
}
