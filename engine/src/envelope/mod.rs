//! One-to-one envelopes: from one device to another, in two forms, and the wrap that hands over one secret.

mod context;
mod continued;
mod delivery;
mod initial;
mod merkle_path;
mod wrap;

#[cfg(test)]
mod vectors;

pub(crate) use context::{CommittedSecret, EnvelopeContext, Purpose};
pub(crate) use continued::ContinuedOpening;
pub use delivery::OpenError;
pub(crate) use delivery::{Delivery, Opening};
pub(crate) use initial::{InitialEnvelope, InitialOpening, Recipient, Sender, SpentEnvelope, seal_initial};
pub(crate) use wrap::{Wrap, wrap_pad};
