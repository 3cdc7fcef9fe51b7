//! Structures that carry a signature: unverified as they arrive, verified by moving through [`UnverifiedSigned::verify`].

use super::key::{self, SigningKey};
use super::{Label, Signature, SignatureError};
use crate::codec::{self, DecodeError, Structure};
use crate::hash::Context;
use crate::ids::Opaque;
use minicbor::{Decode, Encode};

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
        let signature = key::sign(key, B::LABEL, &digest);
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
        key::verify(key, B::LABEL, &self.0.digest, &self.0.signature)?;
        Ok(self.0)
    }

    /// Skips verification; for structures that this program verified before it stored them.
    pub fn trust_own_storage(self) -> Signed<B> {
        self.0
    }
}
