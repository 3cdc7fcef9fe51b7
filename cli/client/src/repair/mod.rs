//! Repair: what this device needs in its groups it asks for, what others ask of it it answers, all by itself.
//!
//! ```text
//!     entry of a log --> need, stored with it --> question, in the outbox --> mailbox of a member
//!     own mailbox --> question: answer, in the outbox --> mailbox of who asked
//!                 \-> answer: taken by the engine; the need is gone
//! ```
//!
//! A question that nobody answers is asked again, of others where others can answer, ever more seldom, and given up in the
//! end: it begins anew when the next entry cannot be read.

mod answer;
mod ask;
mod letters;
mod need;

pub(crate) use answer::Deaf;
pub(crate) use need::{Need, NeedRow, Needs};
