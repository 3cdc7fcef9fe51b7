//! Both sides of prekeys: the private halves of our own, and the book of other devices'.

mod book;
mod one_time;
mod private;
mod small_order;

pub(crate) use book::{GivenOneTime, Reach, UsablePrekeys};
pub use book::{PrekeyBook, PrekeyBookError};
pub(crate) use one_time::{OneTimePrekeys, OneTimePrivate};
pub(crate) use private::{PrekeysRecord, PrivatePrekeys};
