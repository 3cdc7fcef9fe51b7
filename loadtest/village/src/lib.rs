//! Groups in memory, whose single steps can be timed again and again.
//!
//! A [`Person`] keeps the records that the engine hands back, so that every repetition of a step begins at the same
//! state. A [`Pair`] exchanges messages; a [`Village`] is a group of any size of which a few devices are followed. Each
//! step times the engine's own call and nothing else by a [`Stopwatch`], and checks what came out. [`Primitives`] says what a message
//! would cost if it were nothing but its primitives.

mod pair;
mod person;
mod primitives;
mod step;
mod stopwatch;
mod trouble;
mod village;

pub use pair::{Pair, content};
pub use person::{NOW, Person, entry, stored_bytes};
pub use primitives::{Made, MadeRun, Primitives};
pub use step::{Contact, Step, delivered_bytes};
pub use stopwatch::Stopwatch;
pub use trouble::Trouble;
pub use village::{MAX_SENDERS, Plan, Two, Village, two};
