//! The link request: what a new device asks of its account, encrypted under its own code.
//!
//! ```text
//!     request  version ‖ CBOR [ account: bstr 32, prekeys: bstr, membership: bstr 64, salt: bstr 16 ]
//!     code     first 100 bits of H("link code", request)                                          13 bytes, 4 bits zero
//!     key 32 ‖ nonce 24 = KDF("link request", code)
//!     sealed   version ‖ CBOR [ ciphertext: bstr ]           ciphertext = AEAD(key, nonce, empty, request)
//! ```
//!
//! `prekeys` are the signed prekeys that the approval is sealed to and nothing else ever; they carry the device's key.
//! `membership` is its countersignature. Only the sealed form leaves the device. A key serves one plaintext, since the
//! code is that plaintext's hash, in which the salt differs; and who knows the code can make no other request that it fits.

use super::code::LinkCode;
use crate::aead;
use crate::kdf;
use crate::secret::SecretBytes;
use conclave_wire::codec::{self, DecodeError, Structure};
use conclave_wire::ids::{AccountId, Opaque};
use conclave_wire::prekeys::MAX_PREKEYS_BYTES;
use conclave_wire::signature::Signature;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

/// What a new device asks.
#[derive(Encode, Decode)]
pub(super) struct LinkRequest {
    #[n(0)]
    pub(super) account: AccountId,
    #[n(1)]
    pub(super) prekeys: Opaque,
    #[n(2)]
    pub(super) membership: Signature,
    #[cbor(with = "minicbor::bytes")]
    #[n(3)]
    pub(super) salt: [u8; 16],
}

impl Structure for LinkRequest {
    const NAME: &'static str = "link request";
    const MAX_BYTES: usize = MAX_PREKEYS_BYTES + 128;
}

/// What travels.
#[derive(Encode, Decode)]
struct SealedRequest {
    #[n(0)]
    ciphertext: Opaque,
}

impl Structure for SealedRequest {
    const NAME: &'static str = "sealed link request";
    const MAX_BYTES: usize = LinkRequest::MAX_BYTES + aead::TAG + 8;
}

/// Why a sealed request does not open.
pub(super) enum UnsealError {
    Decode(DecodeError),
    Code,
}

/// An encoded request; its hash stays a secret of who knows the code.
pub(super) struct EncodedRequest(SecretBytes);

impl EncodedRequest {
    pub(super) fn new(request: &LinkRequest) -> Self {
        Self::from_bytes(Zeroizing::new(codec::encode(request)))
    }

    pub(super) fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(SecretBytes(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0.0
    }

    pub(super) fn hash(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(kdf::LINK_CODE.hash(&[self.as_bytes()]))
    }

    pub(super) fn code(&self) -> LinkCode {
        LinkCode::of(&self.hash())
    }

    pub(super) fn decode(&self) -> Result<LinkRequest, DecodeError> {
        codec::decode(self.as_bytes())
    }

    /// The bytes to hand to a device of the account, by whatever way.
    pub(super) fn seal(&self) -> Vec<u8> {
        let (key, nonce) = kdf::derive_aead(&kdf::LINK_REQUEST, &[self.code().as_bytes()]);
        let plaintext = Zeroizing::new(self.as_bytes().to_vec());
        codec::encode(&SealedRequest { ciphertext: Opaque(aead::seal(&key, &nonce, &[], plaintext)) })
    }

    /// Opens with the code, and checks that the code is this request's own (R18).
    pub(super) fn unseal(sealed: &[u8], code: &LinkCode) -> Result<Self, UnsealError> {
        let sealed: SealedRequest = codec::decode(sealed).map_err(UnsealError::Decode)?;
        let (key, nonce) = kdf::derive_aead(&kdf::LINK_REQUEST, &[code.as_bytes()]);
        let opened = aead::open(&key, &nonce, &[], &sealed.ciphertext.0).map_err(|_| UnsealError::Code)?;
        let request = Self::from_bytes(opened);
        if request.code() == *code { Ok(request) } else { Err(UnsealError::Code) }
    }
}
