//! Signing with ed25519-dalek.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

/// A private key, wiped when dropped.
pub(super) struct Signer(SigningKey);

impl Signer {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    pub(super) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(super) fn public(&self) -> VerifyingKey {
        self.0.verifying_key()
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}
