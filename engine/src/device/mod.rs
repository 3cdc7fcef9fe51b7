//! This device, and what goes between it and one other.

mod deliver;
mod open;
#[cfg(test)]
mod refusals;
mod state;

pub(crate) use open::Opened;
pub use state::{Device, DeviceError};
