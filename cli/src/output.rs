//! Standard output, which may be a terminal, a file or a pipe that closes.

use crate::escape;
use crate::failure::Failure;
use serde::Serialize;
use std::io::{ErrorKind, StdoutLock, Write};

/// Standard output. Styles reach it only where a terminal shows them and `NO_COLOR` does not forbid them.
pub(crate) struct Output {
    stream: anstream::AutoStream<StdoutLock<'static>>,
}

impl Output {
    /// The standard output of this process.
    pub(crate) fn stdout() -> Self {
        Self { stream: anstream::stdout().lock() }
    }

    /// One line, or several; what came from others must have gone through [`escape`] before.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.stream, "{line}").map_err(write_failed)
    }

    /// One object, on one line.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        let encoded = serde_json::to_string(object).map_err(|error| Failure::Output(error.into()))?;
        self.line(&escape::json(&encoded))
    }

    /// Everything written so far is out when this returns.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stream.flush().map_err(write_failed)
    }
}

fn write_failed(error: std::io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe { Failure::OutputClosed } else { Failure::Output(error) }
}
