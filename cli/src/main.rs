//! The `conclave` command: groups and messages from a terminal or a script, and a demonstration of both.

mod args;
mod command;
mod demo;
mod escape;
mod failure;
mod input;
mod interrupt;
mod key_file;
mod moment;
mod output;
mod passphrase;
mod settings;
mod shape;

use crate::args::Args;
use crate::failure::Failure;
use crate::settings::Settings;
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(usage) => return failure::report_usage(&usage),
    };
    log_to_stderr();
    let json = args.common.json;
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let settings = Settings::resolve(args.common)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    runtime.block_on(command::run(args.command, &settings))
}

/// Errors are told by [`Failure`]; the log is for who looks into a defect, and off unless asked for.
fn log_to_stderr() {
    let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("CONCLAVE_LOG") else { return };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
