//! Why a step could not be taken.

use std::fmt::Display;
use thiserror::Error;

/// Why a step could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The engine refused what it must do. That is a defect, of the engine or of who measures.
    #[error("the engine refused {what}: {why}")]
    Engine {
        /// Which step.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// The engine says that what was asked for is more than it does.
    #[error("{0}")]
    NotPossible(String),
    /// What came out is not what went in.
    #[error("{0}")]
    Wrong(&'static str),
}

impl Trouble {
    /// For `map_err` on an engine call.
    pub fn engine<E: Display>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Engine { what, why: error.to_string() }
    }
}
