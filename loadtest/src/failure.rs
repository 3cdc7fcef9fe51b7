//! Why a run could not be made. Each says what to do.

use conclave_report::{PinError, SaveError};
use conclave_village::Trouble;
use conclave_wire::reply::Refusal;
use thiserror::Error;

/// Why a run could not be made.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The target is somebody else's, for all this program knows.
    #[error(
        "{host} is not this machine; a load test of a server that is not yours is an attack. Add --i-own-this-server if it is"
    )]
    NotLoopback {
        /// Where the load would have gone.
        host: String,
    },
    /// Not an address.
    #[error("\"{given}\" is not a server's address; write ws://HOST:PORT")]
    Address {
        /// What was given.
        given: String,
    },
    /// The settings contradict each other.
    #[error("{0}")]
    Settings(String),
    /// The results cannot be written.
    #[error(transparent)]
    Report(#[from] SaveError),
    /// The thread cannot be kept to a processor.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A step of the engine that must succeed did not.
    #[error(transparent)]
    Step(#[from] Trouble),
    /// The started server did not come up.
    #[error("the server did not start: {0}")]
    Server(String),
    /// The server cannot be reached, or the connection ended.
    #[error("the connection to the server failed: {0}")]
    Connection(String),
    /// The server refused a step of the preparation.
    #[error("the server refused {what}: {refusal}")]
    Refused {
        /// Which step.
        what: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// The server answered something that does not fit.
    #[error("the server's answer to {0} does not fit; is it of this version?")]
    Unexpected(&'static str),
    /// The engine refused what it must do. That is a defect, of the engine or of this program.
    #[error("the engine refused {what}: {why}")]
    Engine {
        /// Which step.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// What came out is not what went in.
    #[error("{0}")]
    Wrong(String),
    /// Something of the operating system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Failure {
    /// For `map_err` on an engine call.
    pub(crate) fn engine<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Engine { what, why: error.to_string() }
    }

    /// For `map_err` on a system call.
    pub(crate) fn system(what: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
