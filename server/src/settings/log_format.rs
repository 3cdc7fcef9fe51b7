//! How the log is written.

use clap::ValueEnum;
use std::str::FromStr;
use thiserror::Error;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people
    #[default]
    Pretty,
    /// One object a line, for machines
    Json,
}

/// Not a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write pretty or json")]
pub struct NoLogFormat;

impl FromStr for LogFormat {
    type Err = NoLogFormat;

    fn from_str(text: &str) -> Result<Self, NoLogFormat> {
        <Self as ValueEnum>::from_str(text, false).map_err(|_| NoLogFormat)
    }
}
