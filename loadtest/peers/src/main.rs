//! Conclave's engine beside the libraries that one would pick instead: the same work, alternately, in one run, built with
//! the same compiler and flags.

mod args;
mod bench;
mod compare;
mod peer;
mod results;

use crate::args::Args;
use crate::bench::Bench;
use clap::Parser as _;
use std::process::ExitCode;

/// Whatever went wrong; it ends the run.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match Bench::run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(2)
        }
    }
}
