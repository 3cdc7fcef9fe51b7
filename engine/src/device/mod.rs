//! This device, and what goes between it and one other.

mod deliver;
mod open;
mod state;

pub(crate) use open::Opened;
pub use state::{Device, DeviceError};
