//! Whether an X25519 public key has small order, so that an agreement with it is the same for everybody (R13).

use conclave_wire::prekeys::AgreementKey;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::traits::IsIdentity;

/// A u-coordinate stands for a point of the curve, whose group has 8 times a prime many points, or of its twist, where it
/// is 4 times a prime. So a point has small order exactly if 8 times it is the neutral element. An agreement tells the
/// same, for its scalar is a multiple of 8, and takes 255 steps to it in place of 4.
pub(super) fn has_small_order(key: &AgreementKey) -> bool {
    const EIGHT: [bool; 4] = [true, false, false, false];
    MontgomeryPoint(*key.as_bytes()).mul_bits_be(EIGHT.into_iter()).is_identity()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::SeedRng;
    use rand_core::Rng;
    use x25519_dalek::{PublicKey, StaticSecret};

    /// Every encoding of a u-coordinate of small order: of the neutral element and the point of order 2, of order 4 on
    /// the twist and on the curve, of order 8 on the curve (RFC 7748 section 6.1, <https://cr.yp.to/ecdh.html>).
    fn small() -> Vec<[u8; 32]> {
        let hex = |text: &str| <[u8; 32]>::try_from(hex::decode(text).unwrap()).unwrap();
        let prime = hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        let near_prime = |low: u8| {
            let mut encoded = prime;
            encoded[0] = low;
            encoded
        };
        let mut one = [0; 32];
        one[0] = 1;
        let mut encodings = vec![
            [0; 32],
            one,
            hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
            near_prime(0xec),
            // The prime itself and the next: not canonical.
            near_prime(0xed),
            near_prime(0xee),
        ];
        // The highest bit is ignored.
        let high = encodings.clone().into_iter().map(|mut encoded| {
            encoded[31] |= 0x80;
            encoded
        });
        encodings.extend(high);
        encodings
    }

    /// What an agreement finds.
    fn agreement_is_empty(key: &AgreementKey, scalar: [u8; 32]) -> bool {
        let shared = StaticSecret::from(scalar).diffie_hellman(&PublicKey::from(*key.as_bytes()));
        !shared.was_contributory()
    }

    /// (R13) All that have small order, in each encoding.
    #[test]
    fn every_encoding_of_a_small_order() {
        for encoded in small() {
            let key = AgreementKey::from_bytes(encoded);
            assert!(has_small_order(&key), "{key}");
            assert!(agreement_is_empty(&key, [1; 32]), "{key}");
        }
    }

    /// (R13) None that has not: their neighbours, the coordinates that are not canonical and not small, and points on the
    /// curve and on the twist, the factors of 8 and of 4 included. An agreement with any scalar says the same.
    #[test]
    fn no_other_point() {
        let mut rng = SeedRng::new(1);
        let mut random = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        let mut keys: Vec<[u8; 32]> = (0..300).map(|_| random()).collect();
        let on_curve = keys.iter().filter(|key| MontgomeryPoint(**key).to_edwards(0).is_some()).count();
        assert!((100..200).contains(&on_curve), "{on_curve} of 300 on the curve, the others on the twist");
        let neighbours = |low: u8| {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (low, 0x7f);
            let mut zeros = [0; 32];
            zeros[0] = low;
            [key, zeros]
        };
        keys.extend([2, 9, 0xeb, 0xef, 0xff].into_iter().flat_map(neighbours));
        for key in keys {
            let key = AgreementKey::from_bytes(key);
            assert!(!has_small_order(&key), "{key}");
            assert!(!agreement_is_empty(&key, random()), "{key}");
        }
    }
}
