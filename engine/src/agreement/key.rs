//! Keys, and agreeing with them.

use super::Agreer;
use crate::secret::Secret;

/// An X25519 private key. Wiped when dropped.
pub(crate) struct PrivateKey(Agreer);

impl PrivateKey {
    /// The key that these 32 random bytes are, clamped when it is used (RFC 7748, section 5).
    pub(crate) fn new(bytes: &Secret<32>) -> Self {
        Self(Agreer::new(bytes.as_bytes()))
    }

    /// Its public half.
    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.public()
    }

    /// The shared secret with the holder of `public`; `None` if it is all zeros, which is what every point of small
    /// order gives and which no honest key gives (R4).
    pub(crate) fn agree(&self, public: &[u8; 32]) -> Option<Secret<32>> {
        self.0.agree(public)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every encoding below 2^255 of a point of small order, on the curve or its twist: 0, 1, -1, the two of order 8, and
    /// p, p + 1. (Bernstein, "Curve25519: new Diffie-Hellman speed records", and the list at cr.yp.to/ecdh.html.)
    pub(in crate::agreement) const SMALL_ORDER: [[u8; 32]; 7] = [
        [0; 32],
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        near_p(0xec),
        near_p(0xed),
        near_p(0xee),
        [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
            0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ],
        [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
            0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
        ],
    ];

    const fn near_p(lowest: u8) -> [u8; 32] {
        let mut point = [0xff; 32];
        point[0] = lowest;
        point[31] = 0x7f;
        point
    }

    /// (R4) Whoever agrees, a point of small order gives nothing, with the ignored top bit set or not.
    #[test]
    fn small_order_is_refused() {
        for mut point in SMALL_ORDER {
            for private in [[0; 32], [0xff; 32], [7; 32]] {
                assert!(PrivateKey::new(&Secret::from_bytes(private)).agree(&point).is_none(), "{point:?}");
            }
            point[31] |= 0x80;
            assert!(PrivateKey::new(&Secret::from_bytes([7; 32])).agree(&point).is_none(), "{point:?}");
        }
    }

    /// RFC 7748, section 5.2.
    #[test]
    fn known_answer() {
        let bytes = |text: &str| <[u8; 32]>::try_from(hex::decode(text).unwrap()).unwrap();
        let scalar = bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let point = bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let result = bytes("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
        let agreed = PrivateKey::new(&Secret::from_bytes(scalar)).agree(&point);
        assert_eq!(agreed, Some(Secret::from_bytes(result)));
    }
}
