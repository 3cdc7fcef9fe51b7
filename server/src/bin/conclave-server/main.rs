//! The `conclave-server` command.

mod arguments;
mod checking;
mod failure;
mod serving;

use arguments::{Arguments, Command};
use clap::Parser;
use conclave_server::{LogFormat, Moved, StoreLocation, Terms};
use failure::Failure;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let Arguments { command, serve } = Arguments::parse();
    match perform(command.unwrap_or(Command::Serve(serve))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    if !matches!(command, Command::Serve(_)) {
        serving::start_log(LogFormat::Pretty);
    }
    match command {
        Command::Serve(serve) => serving::serve(serve),
        Command::Check(served) => checking::check(served),
        Command::Migrate(of) => migrate(&of.location()?),
        Command::Invite { of, uses, expires } => {
            let terms = Terms { uses, expires_in: expires };
            println!("{}", conclave_server::invite(&of.location()?, terms)?);
            Ok(())
        }
        Command::Export { of, to } => {
            let store = of.location()?;
            let moved = conclave_server::export(&store, &to, &mut report())?;
            println!("{store} is in {}: {} rows, {} bytes", to.display(), moved.rows, moved.bytes);
            Ok(())
        }
        Command::Import { of, from } => {
            let store = of.location()?;
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

fn migrate(store: &StoreLocation) -> Result<(), Failure> {
    let done = conclave_server::migrate(store)?;
    for migration in &done {
        println!("{migration}");
    }
    let word = if done.is_empty() { "had nothing to change" } else { "is up to date" };
    println!("{store} {word}");
    Ok(())
}
