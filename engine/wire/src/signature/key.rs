//! Keys, and signing and verifying with them.

use super::Signer;
use crate::byte_newtype::byte_newtype;
use ed25519_dalek::VerifyingKey;
use thiserror::Error;

byte_newtype!(
    /// An Ed25519 signature.
    Signature, 64
);

/// The purpose of a signature: the text that it covers before the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(pub &'static str);

/// A signature does not belong to what it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature is not valid")]
pub struct SignatureError;

/// An Ed25519 private key, made ready once for many signatures. Wiped when dropped, never printed. In an allocation of its
/// own: moving it leaves no copy behind.
pub struct SigningKey(Box<Signer>);

impl SigningKey {
    /// The key that grows from 32 secret random bytes (the private key of RFC 8032).
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(Box::new(Signer::new(seed)))
    }

    /// The 32 secret bytes that it grew from, for storing it. The copy is the caller's to wipe.
    pub fn to_bytes(&self) -> [u8; 32] {
        *self.0.seed()
    }

    /// The same, where they lie.
    pub fn seed(&self) -> &[u8; 32] {
        self.0.seed()
    }

    /// A second holder of the same key.
    pub fn duplicate(&self) -> Self {
        Self::from_bytes(self.0.seed())
    }

    /// Its public half.
    pub fn verifying_key(&self) -> PublicKey {
        PublicKey(self.0.public())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// Signs `label ‖ digest`.
pub fn sign(key: &SigningKey, label: Label, digest: &[u8; 32]) -> Signature {
    Signature::from_bytes(key.0.sign(&signed_bytes(label, digest)))
}

/// Verifies a signature over `label ‖ digest` by the holder of `key`, an encoded Ed25519 public key.
pub fn verify(
    key: &[u8; 32],
    label: Label,
    digest: &[u8; 32],
    signature: &Signature,
) -> Result<(), SignatureError> {
    PublicKey::parse(key)?.verify(label, digest, signature)
}

/// An Ed25519 public key, decompressed once for many verifications.
#[derive(Clone, Debug)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Decompresses an encoded key; refuses one that is not a point, or not in its one canonical encoding.
    pub fn parse(key: &[u8; 32]) -> Result<Self, SignatureError> {
        // The library accepts a coordinate that is not reduced. (The other non-canonical encoding, a sign without an x,
        // belongs to points of small order, which strict verification refuses.)
        if !is_reduced(key) {
            return Err(SignatureError);
        }
        VerifyingKey::from_bytes(key).map(Self).map_err(|_| SignatureError)
    }

    /// The encoded key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The encoded key.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Verifies a signature over `label ‖ digest`, strictly.
    pub fn verify(
        &self,
        label: Label,
        digest: &[u8; 32],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        self.0.verify_strict(&signed_bytes(label, digest), &signature).map_err(|_| SignatureError)
    }
}

/// Whether the coordinate in an encoded point, its lower 255 bits in little-endian order, is below 2^255 - 19.
fn is_reduced(key: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = key;
    *lowest < 0xed || middle.iter().any(|byte| *byte != 0xff) || highest & 0x7f != 0x7f
}

fn signed_bytes(label: Label, digest: &[u8; 32]) -> Vec<u8> {
    [label.0.as_bytes(), digest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label = Label("conclave v1 sign a");

    /// (R4) A signature serves one label and one digest.
    #[test]
    fn label_and_digest_are_covered() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = sign(&key, LABEL, &[1; 32]);
        assert_eq!(verify(&public, LABEL, &[1; 32], &signature), Ok(()));
        assert!(verify(&public, Label("conclave v1 sign b"), &[1; 32], &signature).is_err());
        assert!(verify(&public, LABEL, &[2; 32], &signature).is_err());
        // a public key of small order accepts nothing
        assert!(verify(&[0; 32], LABEL, &[1; 32], &signature).is_err());
    }

    /// (R4) A key whose coordinate is not reduced is refused, also where the library by itself would take it.
    #[test]
    fn non_canonical_keys_are_refused() {
        let mut taken_by_the_library = 0;
        for (lowest, sign) in (0xed..=0xff).flat_map(|lowest| [(lowest, 0x7f), (lowest, 0xff)]) {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (lowest, sign);
            assert_eq!(PublicKey::parse(&key).err(), Some(SignatureError));
            let library = VerifyingKey::from_bytes(&key);
            taken_by_the_library += usize::from(library.is_ok_and(|key| !key.is_weak()));
        }
        assert!(taken_by_the_library > 0, "the check has nothing to do");
        // The largest reduced coordinate, -1, is a point: of small order, which only verification refuses.
        let mut largest = [0xff; 32];
        (largest[0], largest[31]) = (0xec, 0x7f);
        assert!(PublicKey::parse(&largest).is_ok());
    }

    /// (R4) A signature with a scalar that is not reduced is refused: adding the group's order changes nothing else.
    #[test]
    fn a_signature_has_one_form() {
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut bytes = *sign(&key, LABEL, &[1; 32]).as_bytes();
        let mut carry = 0;
        for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            [*byte, _] = sum.to_le_bytes();
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        let second = Signature::from_bytes(bytes);
        assert!(key.verifying_key().verify(LABEL, &[1; 32], &second).is_err());
    }

    #[test]
    fn a_duplicate_is_the_same_key() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let second = key.duplicate();
        assert_eq!(second.to_bytes(), key.to_bytes());
        assert_eq!(sign(&second, LABEL, &[1; 32]), sign(&key, LABEL, &[1; 32]));
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }
}
