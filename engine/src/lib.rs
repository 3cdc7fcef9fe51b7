//! Skeleton.
#![allow(missing_docs)]
mod aead;
mod device;
mod envelope;
pub mod group;
mod identity;
mod kdf;
pub mod limits;
mod padding;
mod pairwise;
mod prekeys;
mod ratchet;
mod record;
mod secret;
pub use conclave_wire as wire;
pub use device::{Device, DeviceError};
pub use envelope::OpenError;
pub use group::*;
pub use prekeys::{PrekeyBook, PrekeyBookError};
pub use record::*;
