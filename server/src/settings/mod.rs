//! What an operator sets: by flag, by environment and in one file.

mod error;
mod file;
mod given;
mod log_format;

pub use error::SettingsError;
pub use given::Settings;
pub use log_format::{LogFormat, NoLogFormat};
