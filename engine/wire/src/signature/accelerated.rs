//! Signing with graviola where the processor can do it, with ed25519-dalek elsewhere: the same bytes either way, because
//! Ed25519 is deterministic (RFC 8032). Neither asks the system for randomness.
//!
//! graviola's key is expanded once, here, and held; dalek's beside it gives the public key, decompressed.

use crate::processor;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use graviola::signing::eddsa::Ed25519SigningKey;

/// A private key, wiped when dropped.
pub(super) struct Signer {
    key: SigningKey,
    /// `None` on a processor that lacks something: graviola would panic there.
    fast: Option<Ed25519SigningKey>,
}

impl Signer {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let fast = processor::suffices().then(|| Ed25519SigningKey::from_bytes(seed).ok()).flatten();
        Self { key: SigningKey::from_bytes(seed), fast }
    }

    pub(super) fn seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    pub(super) fn public(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        match &self.fast {
            Some(fast) => fast.sign(bytes),
            None => self.key.sign(bytes).to_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(seed: &[u8; 32], bytes: &[u8]) {
        let (signer, dalek) = (Signer::new(seed), SigningKey::from_bytes(seed));
        let fast = signer.fast.as_ref().expect("this processor cannot run what the feature is for");
        assert_eq!(fast.sign(bytes), dalek.sign(bytes).to_bytes());
        assert_eq!(signer.sign(bytes), dalek.sign(bytes).to_bytes());
        assert_eq!(fast.public_key().as_bytes(), dalek.verifying_key().to_bytes());
        assert_eq!(signer.public(), dalek.verifying_key());
        assert_eq!(signer.seed(), seed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// (R4) Any seed, any bytes: the same public key and the same signature as dalek's.
        #[test]
        fn signs_as_dalek(seed: [u8; 32], bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            same(&seed, &bytes);
        }
    }

    /// Seeds at the ends, and every length around the blocks of SHA-512.
    #[test]
    fn signs_as_dalek_at_the_edges() {
        for seed in [[0; 32], [0xff; 32], [0x80; 32], [1; 32]] {
            for length in 0..=260 {
                same(&seed, &vec![0xff; length]);
            }
        }
    }
}
