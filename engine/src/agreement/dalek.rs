//! X25519 with x25519-dalek.

use crate::secret::Secret;
use x25519_dalek::{PublicKey, StaticSecret};

/// A private key, wiped when dropped.
pub(super) struct Agreer(StaticSecret);

impl Agreer {
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        Self(StaticSecret::from(*bytes))
    }

    pub(super) fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    pub(super) fn agree(&self, public: &[u8; 32]) -> Option<Secret<32>> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*public));
        shared.was_contributory().then(|| Secret::from_bytes(shared.to_bytes()))
    }
}
