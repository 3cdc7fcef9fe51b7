//! Serving, from the settings to the signal that ends it.

use crate::arguments::{Gathered, Served};
use crate::failure::Failure;
use conclave_server::{Config, LogFormat, Server, raise_open_file_limit};
use std::io::IsTerminal;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// How the targets of what this server says itself begin.
const OURS: &str = "conclave_server";

/// Serves until a signal comes.
pub(crate) fn serve(served: Served) -> Result<(), Failure> {
    let Gathered { settings, exposed } = served.gather()?;
    start_log(settings.log_format.unwrap_or_default());
    if let Some(file) = exposed {
        tracing::warn!(
            file = %file.display(),
            "everybody on this machine can read the settings, and the store's password with them; take that right away"
        );
    }
    let config = settings.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format_args!("cannot start: {error}"), 1))?;
    runtime.block_on(run(config))
}

async fn run(config: Config) -> Result<(), Failure> {
    // Each connection is an open file, and the usual limit is 1,024.
    let files = raise_open_file_limit();
    tracing::debug!(files, "limit on open files");
    let cannot_hear =
        |error: std::io::Error| Failure::new(format_args!("cannot listen for signals: {error}"), 1);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_hear)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_hear)?;

    let mut hangup = signal(SignalKind::hangup()).map_err(cannot_hear)?;

    let mut server = Server::start(config).await?;
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
                return Err(Failure::new("the server ended by itself; the log above says why", 1));
            }
        }
    }
    tracing::info!("stopping");
    server.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// Starts the log, which goes to standard error. Whatever `RUST_LOG` asks for, it has no contents in it.
pub(crate) fn start_log(format: LogFormat) {
    // Of the libraries underneath, only what an operator can act on.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,conclave_server=info"));
    // Colours are for a terminal, and for one whose owner wants them.
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    // What libraries say below that level has what they were given in it: the database's has every row that is written.
    let discreet = filter_fn(|event| *event.level() <= Level::INFO || event.target().starts_with(OURS));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match format {
        LogFormat::Json => lines.json().boxed(),
        _ => lines.boxed(),
    };
    tracing_subscriber::registry().with(filter).with(discreet).with(lines).init();
}
