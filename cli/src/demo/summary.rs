//! The end: what was counted, and whether everything held.

use super::cast::{Cast, Ledger, exactly};
use super::page::Page;
use crate::failure::Failure;
use serde::Serialize;

/// What was counted on the way.
#[derive(Default)]
pub(super) struct Counts {
    /// Messages of others in the members' logs, byte for byte as they were sent.
    pub(super) messages_read: usize,
    pub(super) removed_could_read: usize,
    pub(super) newcomer_read_past: usize,
    /// Commits in the log, the first one included.
    pub(super) epochs: usize,
    pub(super) plaintext_on_server: usize,
    pub(super) plaintext_in_profiles: usize,
    pub(super) server_files: usize,
    pub(super) server_bytes: u64,
}

/// What `conclave demo --json` prints; documented in `docs/cli.md`.
#[derive(Serialize)]
pub(super) struct SummaryShape {
    messages_sent: usize,
    messages_read: usize,
    plaintext_found_on_server: bool,
    removed_could_read: usize,
    newcomer_read_past: usize,
    epochs: usize,
    server_files: usize,
    server_bytes: u64,
    checks: Vec<CheckShape>,
    ok: bool,
}

#[derive(Serialize)]
struct CheckShape {
    property: String,
    holds: bool,
}

impl Counts {
    /// Counts what everybody has read of the others.
    pub(super) fn count_reading(&mut self, cast: &mut Cast, ledger: &Ledger) -> Result<(), Failure> {
        for person in cast.everybody() {
            let others: Vec<_> =
                ledger.said.iter().filter(|said| said.sender != person.name).cloned().collect();
            self.messages_read += exactly(&person.history()?, &others);
        }
        Ok(())
    }
}

/// Shows the summary. Says whether everything held.
pub(super) fn show(page: &mut Page<'_>, counts: &Counts, ledger: &Ledger) -> Result<bool, Failure> {
    let (holding, of) = tally(page);
    page.section("Summary", "Every figure was counted in this run.")?;
    let rows = [
        ("messages sent", ledger.said.len().to_string()),
        ("messages read, byte for byte", counts.messages_read.to_string()),
        ("pieces of them found on the server", counts.plaintext_on_server.to_string()),
        ("read by Carol after her removal", counts.removed_could_read.to_string()),
        ("read by Erin of what came before", counts.newcomer_read_past.to_string()),
        ("epochs", counts.epochs.to_string()),
        ("properties that held", format!("{holding} of {of}")),
    ];
    for (what, count) in rows {
        page.line(&format!("{what:36}{count:>10}"))?;
    }
    page.line("")?;
    let holds = holding == of;
    page.line(if holds { "Everything held." } else { "NOT EVERYTHING HELD: see the lines marked FAILED." })?;
    Ok(holds)
}

/// The summary for programs.
pub(super) fn object(page: &Page<'_>, counts: &Counts, ledger: &Ledger) -> SummaryShape {
    let (holding, of) = tally(page);
    let checks = page.checks().iter();
    SummaryShape {
        messages_sent: ledger.said.len(),
        messages_read: counts.messages_read,
        plaintext_found_on_server: counts.plaintext_on_server > 0,
        removed_could_read: counts.removed_could_read,
        newcomer_read_past: counts.newcomer_read_past,
        epochs: counts.epochs,
        server_files: counts.server_files,
        server_bytes: counts.server_bytes,
        checks: checks
            .map(|check| CheckShape { property: check.property.clone(), holds: check.holds })
            .collect(),
        ok: holding == of,
    }
}

fn tally(page: &Page<'_>) -> (usize, usize) {
    let checks = page.checks();
    (checks.iter().filter(|check| check.holds).count(), checks.len())
}
