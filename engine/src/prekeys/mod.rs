//! Both sides of prekeys: the private halves of our own, and the book of other devices'.

mod book;
mod private;

pub use book::{PrekeyBook, PrekeyBookError};
pub(crate) use book::{Reach, UsablePrekeys};
pub(crate) use private::{PrekeysRecord, PrivatePrekeys};
