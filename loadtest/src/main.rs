//! The `conclave-loadtest` command: what the engine and a server cost, measured and checked while it is measured.

mod args;
mod failure;
mod fanout;
mod program;
mod seal;

use crate::args::{Args, Command};
use crate::failure::Failure;
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(Verdict::Sound) => ExitCode::SUCCESS,
        Ok(Verdict::Violated) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(2)
        }
    }
}

/// What a run that ended says of what it tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Everything held.
    Sound,
    /// Something that must hold did not; the report says what.
    Violated,
}

fn run(command: Command) -> Result<Verdict, Failure> {
    match command {
        Command::Seal(args) => seal::run(&args),
        Command::Fanout(args) => fanout::run(&args),
        Command::Serve(args) => fanout::serve(&args),
    }
}
