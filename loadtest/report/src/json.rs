//! The JSON file: one document, rewritten whole as results come, so that an interrupted run keeps what it measured.

use crate::machine::Machine;
use serde::Serialize;
use std::path::{Path, PathBuf};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Version of the document's fields. Raised when one changes its meaning or goes; new ones may come without.
const SCHEMA: u32 = 1;

/// What every document says before its results.
#[derive(Debug, Serialize)]
struct Document<'a, R> {
    schema: u32,
    tool: &'static str,
    version: &'static str,
    command: &'static str,
    command_line: Vec<String>,
    started: String,
    /// Whether the run came to its end.
    complete: bool,
    machine: &'a Machine,
    #[serde(flatten)]
    results: &'a R,
}

/// Who measures.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its crate.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it was told to do.
    pub command: &'static str,
}

/// The results cannot be written.
#[derive(Debug, Error)]
#[error("cannot write {}: {source}; choose another file with --json", path.display())]
pub struct SaveError {
    path: PathBuf,
    source: std::io::Error,
}

/// Writes documents of one run, if a file was asked for.
pub struct Saver {
    path: Option<PathBuf>,
    program: Program,
    started: String,
    machine: Machine,
}

impl Saver {
    /// For a run that starts now.
    pub fn new(program: Program, path: Option<PathBuf>, machine: Machine) -> Self {
        Self { path, program, started: now(), machine }
    }

    /// Writes what is known so far.
    pub fn save<R: Serialize>(&self, results: &R, complete: bool) -> Result<(), SaveError> {
        let Some(path) = &self.path else { return Ok(()) };
        let document = Document {
            schema: SCHEMA,
            tool: self.program.name,
            version: self.program.version,
            command: self.program.command,
            command_line: std::env::args().collect(),
            started: self.started.clone(),
            complete,
            machine: &self.machine,
            results,
        };
        replace(path, &document).map_err(|source| SaveError { path: path.clone(), source })
    }
}

/// A reader sees the old document or the new one, never half of one.
fn replace<R: Serialize>(path: &Path, document: &Document<'_, R>) -> std::io::Result<()> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// The time, as in `2026-11-23T11:44:17Z`.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}
