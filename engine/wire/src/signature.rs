//! Signatures: Ed25519 over a label and a digest, and the structures that carry one.
//!
//! No signature of this protocol covers a message body: it covers the ASCII label of its purpose followed by a 32-byte
//! digest of its own context (R4), so a signature made for one purpose never serves another. Verification is strict
//! (RFC 8032 with small-order keys and non-canonical points refused).

use crate::byte_newtype::byte_newtype;
use crate::codec::{self, DecodeError, Structure};
use crate::hash::Context;
use crate::ids::Opaque;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use minicbor::{Decode, Encode};
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

/// Signs `label ‖ digest`.
pub fn sign(key: &SigningKey, label: Label, digest: &[u8; 32]) -> Signature {
    Signature::from_bytes(key.sign(&signed_bytes(label, digest)).to_bytes())
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
    /// Decompresses an encoded key.
    pub fn parse(key: &[u8; 32]) -> Result<Self, SignatureError> {
        VerifyingKey::from_bytes(key).map(Self).map_err(|_| SignatureError)
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

fn signed_bytes(label: Label, digest: &[u8; 32]) -> Vec<u8> {
    [label.0.as_bytes(), digest].concat()
}

/// A structure that is sent inside a [`Signed`].
pub trait SignedBody: Structure {
    /// Context of the digest, which is also the structure's own hash.
    fn context() -> &'static Context;
    /// Label of the signature.
    const LABEL: Label;
}

/// ```text
///     CBOR [ body: bstr (version ‖ CBOR of B), signature: bstr 64 ]
/// ```
#[derive(Encode, Decode)]
struct Carrier {
    #[n(0)]
    body: Opaque,
    #[n(1)]
    signature: Signature,
}

struct CarrierOf<B>(Carrier, std::marker::PhantomData<B>);

impl<C, B> Encode<C> for CarrierOf<B> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        self.0.encode(e, ctx)
    }
}

impl<'b, C, B> Decode<'b, C> for CarrierOf<B> {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(Carrier::decode(d, ctx)?, std::marker::PhantomData))
    }
}

impl<B: SignedBody> Structure for CarrierOf<B> {
    const NAME: &'static str = B::NAME;
    const MAX_BYTES: usize = B::MAX_BYTES + 80;
}

/// A body whose signature has been verified, or was made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<B> {
    body: B,
    encoded_body: Vec<u8>,
    digest: [u8; 32],
    signature: Signature,
}

impl<B: SignedBody> Signed<B> {
    /// Signs `body` with `key`, which must be the key that the body's readers will expect.
    pub fn new(body: B, key: &SigningKey) -> Self {
        let encoded_body = codec::encode(&body);
        let digest = B::context().hash(&[&encoded_body]);
        let signature = sign(key, B::LABEL, &digest);
        Self { body, encoded_body, digest, signature }
    }

    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&CarrierOf::<B>(
            Carrier { body: Opaque(self.encoded_body.clone()), signature: self.signature },
            std::marker::PhantomData,
        ))
    }

    /// What was signed.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// Hash of the body's bytes, the structure's identity.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// A body that came with a signature nobody has looked at yet.
#[derive(Clone, Debug)]
pub struct UnverifiedSigned<B>(Signed<B>);

impl<B: SignedBody> UnverifiedSigned<B> {
    /// Parses; checks form only.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let carrier = codec::decode::<CarrierOf<B>>(bytes)?.0;
        let body = codec::decode::<B>(&carrier.body.0)?;
        let digest = B::context().hash(&[&carrier.body.0]);
        Ok(Self(Signed { body, encoded_body: carrier.body.0, digest, signature: carrier.signature }))
    }

    /// What the body claims, for choosing the key to verify with.
    pub fn claimed(&self) -> &B {
        &self.0.body
    }

    /// Verifies the signature with `key`.
    pub fn verify(self, key: &[u8; 32]) -> Result<Signed<B>, SignatureError> {
        verify(key, B::LABEL, &self.0.digest, &self.0.signature)?;
        Ok(self.0)
    }

    /// Skips verification; for structures that this program verified before it stored them.
    pub fn trust_own_storage(self) -> Signed<B> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (R4) A signature serves one label and one digest.
    #[test]
    fn label_and_digest_are_covered() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = sign(&key, Label("conclave v1 sign a"), &[1; 32]);
        assert_eq!(verify(&public, Label("conclave v1 sign a"), &[1; 32], &signature), Ok(()));
        assert!(verify(&public, Label("conclave v1 sign b"), &[1; 32], &signature).is_err());
        assert!(verify(&public, Label("conclave v1 sign a"), &[2; 32], &signature).is_err());
        // a public key of small order accepts nothing
        assert!(verify(&[0; 32], Label("conclave v1 sign a"), &[1; 32], &signature).is_err());
    }
}
