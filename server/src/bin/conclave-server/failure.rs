//! How the command ends when it does not end well.

use crate::arguments::Unsettled;
use conclave_server::{ArchiveError, ConfigError, InviteError, SettingsError, StartError};
use std::fmt::Display;
use std::process::ExitCode;

/// What the command ends with.
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Display, code: u8) -> Self {
        Self { message: message.to_string(), code }
    }

    /// Says it, and gives the code to end with.
    pub(crate) fn tell(&self) -> ExitCode {
        eprintln!("conclave-server: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(error, 2)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error, 2)
    }
}

impl From<Unsettled> for Failure {
    fn from(error: Unsettled) -> Self {
        Self::new(error, 2)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let code = code_of(&error);
        Self::new(error, code)
    }
}

impl From<InviteError> for Failure {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::Store(error) => error.into(),
            error => Self::new(error, 2),
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => error.into(),
            error => Self::new(error, 6),
        }
    }
}

/// The exit code of what keeps a server from starting.
pub(crate) fn code_of(error: &StartError) -> u8 {
    match error {
        StartError::Config(_) => 2,
        StartError::PortTaken { .. } | StartError::Listen { .. } => 3,
        StartError::DataLocked { .. } => 4,
        StartError::DataVersion { .. }
        | StartError::DataForeign { .. }
        | StartError::DatabaseVersion { .. } => 5,
        StartError::Data { .. } | StartError::Database { .. } | StartError::Unfinished { .. } => 6,
        StartError::Tls(_) => 7,
        _ => 1,
    }
}
