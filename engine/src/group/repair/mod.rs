//! Repair: what a device asks for when it was not given something or has lost it, and how members answer.
//!
//! Requests and answers hang on no entry of the log. A request is signed by a device of the roster and answered for such
//! devices alone; an answer is an initial envelope that opens no pairwise chain, because the log does not order it (R58).

mod accept;
mod accept_sender_key;
mod accept_welcome;
mod answer;
mod answered;
mod ask;
mod asked;
mod envelope;
#[cfg(test)]
mod liars;
mod need;
mod payload;
#[cfg(test)]
mod vectors;

pub use accept::{AcceptError, Repair, Repaired};
pub use accept_sender_key::KeyRepair;
pub use answer::{Answer, AnswerContent, AnswerError};
pub(super) use answered::Answered;
pub use ask::{AskError, AskedFor};
pub(super) use asked::Asked;
pub use need::Need;
