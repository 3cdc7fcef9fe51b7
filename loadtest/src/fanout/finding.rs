//! What went wrong: violations of what must hold, and errors, counted by kind with the first ones in full.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Violation {
    /// Came twice.
    #[error("entry {seq} came again")]
    Duplicate { seq: u64 },
    /// Positions were jumped over.
    #[error("entry {found} came where {expected} was due")]
    Gap { expected: u64, found: u64 },
    /// Came after a later one.
    #[error("entry {seq} came after later ones")]
    Reordered { seq: u64 },
    /// A sender's messages stand in the log in another order than they were posted in.
    #[error("entry {seq} is message {found} of its sender, and {after} was the least that could follow")]
    SenderOrder { seq: u64, after: u64, found: u64 },
    /// From somebody who sends nothing.
    #[error("entry {seq} is from a device that sends nothing here")]
    UnknownSender { seq: u64 },
    /// Accepted, and never seen.
    #[error("{messages} accepted messages of sender {sender} never came")]
    Lost { sender: usize, messages: u64 },
    /// Seen, and never sent.
    #[error("{messages} messages of sender {sender} came that nobody sent")]
    Invented { sender: usize, messages: u64 },
    /// Not what was sent.
    #[error("entry {seq} holds other content than was sent")]
    Content { seq: u64 },
    /// The engine does not take it.
    #[error("the engine refuses entry {seq}: {why}")]
    Refused { seq: u64, why: String },
    /// Not readable at all, or not for this connection.
    #[error("the server sent what cannot be: {0}")]
    Nonsense(String),
    /// Members of one group saw different logs.
    #[error("members {a} and {b} of one group saw different messages or another order")]
    Disagree { a: usize, b: usize },
}

impl Violation {
    fn kind(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "duplicate",
            Self::Gap { .. } => "gap",
            Self::Reordered { .. } => "reordered",
            Self::SenderOrder { .. } => "sender_order",
            Self::UnknownSender { .. } => "unknown_sender",
            Self::Lost { .. } => "lost",
            Self::Invented { .. } => "invented",
            Self::Content { .. } => "content",
            Self::Refused { .. } => "refused_by_engine",
            Self::Nonsense(_) => "nonsense",
            Self::Disagree { .. } => "disagree",
        }
    }
}

/// Examples kept.
const EXAMPLES: usize = 10;

/// What was found so far, from all connections.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<Found>);

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Found {
    /// Things that must never be.
    pub(super) violations: u64,
    pub(super) violation_kinds: BTreeMap<&'static str, u64>,
    pub(super) violation_examples: Vec<String>,
    /// Things that may be, and should not: refusals, lost connections.
    pub(super) errors: u64,
    pub(super) error_kinds: BTreeMap<String, u64>,
}

impl Findings {
    /// A member of a group found this.
    pub(super) fn violation(&self, group: usize, member: usize, violation: &Violation) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.violations += 1;
        *found.violation_kinds.entry(violation.kind()).or_default() += 1;
        if found.violation_examples.len() < EXAMPLES {
            found.violation_examples.push(format!("group {group}, member {member}: {violation}"));
        }
    }

    /// Something did not go as it should.
    pub(super) fn error(&self, what: String) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.errors += 1;
        *found.error_kinds.entry(what).or_default() += 1;
    }

    /// All of it.
    pub(super) fn so_far(&self) -> Found {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
