//! Symmetric ratchets, shared by pairwise chains and sender keys.

mod chain;
mod receiving;
mod receiving_run;
mod skipped_keys;

pub(crate) use chain::{Chain, MessageKey};
pub(crate) use receiving::{Advance, ChainError, ReceivingChain};
