//! What is left in memory of secrets that were dropped, looked at through the kernel.

mod dropped;
mod memory;
mod wanted;

pub(crate) use dropped::{PATTERN, is_wiped, place_of};
pub(crate) use memory::Memory;
pub(crate) use wanted::Wanted;
