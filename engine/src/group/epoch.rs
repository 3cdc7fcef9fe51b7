//! The key schedule of epochs.
//!
//! ```text
//!     es             = KDF("epoch", init ‖ flag ‖ cs or nothing ‖ H(commit body))     flag 1 if there is a cs, else 0
//!     init'          = KDF("init", es)
//!     confirmation   = KDF("confirm", init')
//!     chain' ‖ seed' = KDF("sender", seed ‖ es)          for every known sender key; its index becomes 0
//! ```
//!
//! `es`, `init`, `cs`, the seeds and the old chains are erased at once: kept, they would let a removed member who kept
//! old seeds rebuild later chains (R42). `es` binds the commit and not only the roster, so that two forks with equal
//! rosters do not interoperate (R41).

use crate::kdf;
use crate::ratchet::Chain;
use crate::secret::Secret;
use conclave_wire::ids::{Confirmation, MessageIndex};

/// What begins with a commit. Dropped as soon as every sender key has been stepped.
pub(crate) struct EpochSecrets {
    es: Secret<32>,
    pub(crate) init: Secret<32>,
    pub(crate) confirmation: Confirmation,
}

impl EpochSecrets {
    /// Derives the next epoch's secrets.
    pub(crate) fn derive(init: &Secret<32>, cs: Option<&Secret<32>>, body_hash: &[u8; 32]) -> Self {
        let (flag, cs): (u8, &[u8]) = cs.map_or((0, &[]), |cs| (1, cs.as_bytes()));
        let es: Secret<32> = kdf::derive(&kdf::EPOCH, &[init.as_bytes(), &[flag], cs, body_hash]);
        let init: Secret<32> = kdf::derive(&kdf::INIT, &[es.as_bytes()]);
        let confirmation = confirmation(&init);
        Self { es, init, confirmation }
    }

    /// Steps one sender key into this epoch.
    pub(crate) fn step(&self, seed: &Secret<32>) -> SeedAndChain {
        let (chain, seed) = kdf::derive_pair(&kdf::SENDER, &[seed.as_bytes(), self.es.as_bytes()]);
        SeedAndChain { seed, chain: Chain::new(chain, MessageIndex(0)) }
    }
}

/// The secret part of a sender key: what the next epoch and the next message derive from.
#[derive(Debug, PartialEq)]
pub(crate) struct SeedAndChain {
    pub(crate) seed: Secret<32>,
    pub(crate) chain: Chain,
}

/// The confirmation that belongs to an epoch's init secret, for who was given that secret in a welcome.
pub(crate) fn confirmation(init: &Secret<32>) -> Confirmation {
    Confirmation::from_bytes(kdf::hash_of_secret(&kdf::CONFIRM, &[init.as_bytes()]))
}
