//! Linking: a new device shows a code, a device of the account approves it.

mod approval;
mod code;
mod new_device;
mod request;

pub use approval::{ApproveError, Approved, ShareAccountKey};
pub use code::{LinkCode, LinkCodeError};
pub(crate) use new_device::RECORD;
pub use new_device::{LinkError, Linking};

#[cfg(test)]
mod adversary;
#[cfg(test)]
mod vectors;
