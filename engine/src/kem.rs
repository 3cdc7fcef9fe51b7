//! ML-KEM-768 (FIPS 203) key pairs, expanded from their seed for one use.
//!
//! The library does not wipe its keys. So the 64-byte seed is what is kept, in a type of ours, and the pair that grows
//! from it is overwritten here once it was used. What its arithmetic left on the stack is not.

use crate::secret::Secret;
use libcrux_ml_kem::mlkem768::{self, MlKem768KeyPair};
use std::hint::black_box;

/// An expanded pair, overwritten when dropped.
pub(crate) struct KemPair(MlKem768KeyPair);

impl KemPair {
    pub(crate) fn expand(seed: &Secret<64>) -> Self {
        Self(mlkem768::generate_key_pair(*seed.as_bytes()))
    }

    pub(crate) fn public(&self) -> &[u8; 1184] {
        self.0.pk()
    }

    /// ML-KEM never fails: a ciphertext that does not fit gives a shared secret that nobody knows (FIPS 203, implicit
    /// rejection), and the AEAD fails after it.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; 1088]) -> Secret<32> {
        Secret::from_bytes(mlkem768::decapsulate(self.0.private_key(), &ciphertext.into()))
    }

    #[cfg(test)]
    pub(crate) fn private(&self) -> &[u8; 2400] {
        self.0.sk()
    }
}

impl Drop for KemPair {
    fn drop(&mut self) {
        self.0 = MlKem768KeyPair::from(Default::default(), Default::default());
        // Nothing reads this again; it has to look as if something might.
        black_box(&mut self.0);
    }
}
