//! X25519 with graviola where the processor can do it, with x25519-dalek elsewhere. Neither asks the system for
//! randomness: private keys come from the engine's.

use super::dalek;
use crate::secret::Secret;
use conclave_wire::processor;
use graviola::key_agreement::x25519::{PublicKey, StaticPrivateKey};

/// A private key, wiped when dropped.
pub(super) enum Agreer {
    Fast(StaticPrivateKey),
    /// On a processor that lacks something: graviola would panic there.
    Portable(dalek::Agreer),
}

impl Agreer {
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        if processor::suffices() {
            Self::Fast(StaticPrivateKey::from_array(bytes))
        } else {
            Self::Portable(dalek::Agreer::new(bytes))
        }
    }

    pub(super) fn public(&self) -> [u8; 32] {
        match self {
            Self::Fast(key) => key.public_key().as_bytes(),
            Self::Portable(key) => key.public(),
        }
    }

    /// graviola fails for one reason only: the result is all zeros.
    pub(super) fn agree(&self, public: &[u8; 32]) -> Option<Secret<32>> {
        match self {
            Self::Fast(key) => {
                let shared = key.diffie_hellman(&PublicKey::from_array(public)).ok()?;
                Some(Secret::from_bytes(shared.0))
            }
            Self::Portable(key) => key.agree(public),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::key::tests::SMALL_ORDER;
    use proptest::prelude::*;

    fn same(private: &[u8; 32], public: &[u8; 32]) {
        let (fast, dalek) = (Agreer::new(private), dalek::Agreer::new(private));
        assert!(matches!(fast, Agreer::Fast(_)), "this processor cannot run what the feature is for");
        assert_eq!(fast.public(), dalek.public());
        assert_eq!(fast.agree(public), dalek.agree(public));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// (R4) Any private key and any 32 bytes as a public one, on the curve or on its twist: the same result.
        #[test]
        fn agrees_as_dalek(private: [u8; 32], public: [u8; 32]) {
            same(&private, &public);
        }
    }

    /// (R4) Points of small order, coordinates that are not reduced, the ignored top bit, and keys at the ends.
    #[test]
    fn agrees_as_dalek_at_the_edges() {
        let unreduced = (0xe0..=0xff).flat_map(|lowest| {
            [0x7f, 0xff].map(|highest| {
                let mut point = [0xff; 32];
                (point[0], point[31]) = (lowest, highest);
                point
            })
        });
        let small = (0..=20).flat_map(|lowest| {
            [0, 0x80].map(|highest| {
                let mut point = [0; 32];
                (point[0], point[31]) = (lowest, highest);
                point
            })
        });
        let points: Vec<_> = unreduced.chain(small).chain(SMALL_ORDER).collect();
        for private in [[0; 32], [0xff; 32], [1; 32], [0x55; 32]] {
            for point in &points {
                same(&private, point);
            }
        }
    }
}
