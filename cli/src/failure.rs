//! What is told when a command fails: to people in two lines, to programs as an object, and by the exit status.

use crate::escape;
use crate::input::InputError;
use crate::passphrase::PassphraseError;
use anstyle::{AnsiColor, Style};
use conclave_client::{ClientError, what_and_advice};
use serde::Serialize;
use std::process::ExitCode;
use thiserror::Error;

/// Why a command failed. Displayed, each says what failed, then after a semicolon what to do.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
    #[error("no directory for the profile: HOME is not set; name one with --profile DIR")]
    NoHome,
    #[error("the runtime does not start: {0}; free some memory, or raise the limit on threads")]
    Runtime(std::io::Error),
    #[error("the output cannot be written: {0}; check the disk it goes to")]
    Output(std::io::Error),
    /// Whoever read the output has had enough. Not an error: nothing is said and the status is 0.
    #[error("the output was closed")]
    OutputClosed,
    #[error(
        "DANGER: the server shows you and the other member two groups under one name; distrust it, keep what you have, and begin the \
         group anew elsewhere"
    )]
    Forked,
    /// The report has said which.
    #[error("a property does not hold; read the lines marked FAILED and report them")]
    PropertyBroken,
}

/// Status of wrong usage, as clap and most programs have it.
const USAGE: u8 = 2;

impl Failure {
    /// Tells it on standard error. Gives the status to end with.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if matches!(self, Self::OutputClosed) {
            return ExitCode::SUCCESS;
        }
        let text = self.to_string();
        let (what, advice) = what_and_advice(&text);
        tell(
            &Told { class: class(self.exit_code()), message: what, advice, exit_code: self.exit_code() },
            json,
        );
        ExitCode::from(self.exit_code())
    }

    /// The classes are those of `docs/cli.md`.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) | Self::Input(InputError::Length(error)) => error.exit_code(),
            Self::Input(InputError::NotText(_)) => 11,
            Self::Passphrase(_) => 8,
            Self::Forked => 6,
            Self::NoHome => 7,
            Self::OutputClosed => 0,
            Self::Input(InputError::Read(_) | InputError::Invite { .. })
            | Self::Demo(_)
            | Self::Runtime(_)
            | Self::Output(_)
            | Self::PropertyBroken => 1,
        }
    }
}

/// What clap has to say about the command line, or the help that was asked for.
pub(crate) fn report_usage(usage: &clap::Error) -> ExitCode {
    let asked = !usage.use_stderr();
    let json = std::env::args_os().any(|arg| arg == "--json");
    if asked || !json {
        // Printing fails only where nobody reads.
        let _ = usage.print();
        return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
    }
    let text = usage.render().to_string();
    // The paragraph that says what is wrong; usage and hints follow after an empty line.
    let said = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let message = said.split_whitespace().collect::<Vec<_>>().join(" ");
    tell(&Told { class: class(USAGE), message: &message, advice: "try --help", exit_code: USAGE }, json);
    ExitCode::from(USAGE)
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    error: &'a Told<'a>,
}

/// An error, as programs read it.
#[derive(Serialize)]
struct Told<'a> {
    class: &'static str,
    message: &'a str,
    advice: &'a str,
    exit_code: u8,
}

fn tell(told: &Told<'_>, json: bool) {
    if json {
        let object = serde_json::to_string(&ErrorObject { error: told }).unwrap_or_default();
        anstream::eprintln!("{}", escape::json(&object));
        return;
    }
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    anstream::eprintln!("{red}error:{red:#} {}", escape::line(told.message));
    if !told.advice.is_empty() {
        anstream::eprintln!("  → {}", escape::line(told.advice));
    }
}

/// The name of an exit status, for JSON.
fn class(exit_code: u8) -> &'static str {
    match exit_code {
        USAGE => "usage",
        3 => "not_found",
        4 => "not_allowed",
        5 => "unavailable",
        6 => "danger",
        7 => "profile",
        8 => "unlock",
        9 => "storage",
        10 => "refused",
        11 => "content",
        12 => "queued",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_and_what_to_do() {
        let text = ClientError::WrongPassphrase.to_string();
        let (what, advice) = what_and_advice(&text);
        assert_eq!(what, "the passphrase or key file does not open this profile");
        assert_eq!(advice, "try again (it cannot be recovered)");
        let source = "connection refused; os error 111".into();
        let text = ClientError::Unreachable { server: "ws://x:1".into(), source }.to_string();
        let (what, _) = what_and_advice(&text);
        assert!(what.ends_with("os error 111)"), "{what}");
    }
}
