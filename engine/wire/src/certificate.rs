//! Sender-key certificates: a device vouches for the signing key of one of its sender keys.
//!
//! ```text
//!     body  version ‖ CBOR [ group: bstr 32, device: bstr 32, generation: uint, time: uint ms, start epoch: uint,
//!                            head: bstr 32, signing key: bstr 32, commitment: bstr 32, first link: bool ]
//! ```
//!
//! carried in a [`Signed`] by the device. `commitment` is to the first seed and chain key.
//! `first link` says that the device's chain of links begins anew with this certificate (its first, or the first after
//! a restore) instead of running on from the generation before (R65).

use crate::byte_newtype::byte_newtype;
use crate::codec::Structure;
use crate::hash::{self, Context};
use crate::ids::{CertificateHash, CommitHash, Commitment, DeviceId, Epoch, Generation, GroupId, Timestamp};
use crate::signature::{Label, Signed, SignedBody, UnverifiedSigned};
use minicbor::{Decode, Encode};

byte_newtype!(
    /// The Ed25519 public key that signs the messages of one generation.
    SenderPublicKey, 32
);

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateBody {
    /// The group that the sender key serves.
    #[n(0)]
    pub group: GroupId,
    /// Whose it is.
    #[n(1)]
    pub device: DeviceId,
    /// Which of the device's sender keys.
    #[n(2)]
    pub generation: Generation,
    /// When it was made.
    #[n(3)]
    pub time: Timestamp,
    /// The epoch in which it was made.
    #[n(4)]
    pub start_epoch: Epoch,
    /// The head commit then.
    #[n(5)]
    pub head: CommitHash,
    /// What verifies its messages.
    #[n(6)]
    pub signing_key: SenderPublicKey,
    /// To the first seed and chain key.
    #[n(7)]
    pub commitment: Commitment,
    /// Whether links begin anew.
    #[n(8)]
    pub first_link: bool,
}

impl Structure for CertificateBody {
    const NAME: &'static str = "sender key certificate";
    const MAX_BYTES: usize = 256;
}

impl SignedBody for CertificateBody {
    fn context() -> &'static Context {
        &hash::CERTIFICATE
    }
    const LABEL: Label = Label("conclave v1 sign sender key certificate");
}

/// A certificate whose signature has been verified.
pub type Certificate = Signed<CertificateBody>;

/// A certificate as it came.
pub type UnverifiedCertificate = UnverifiedSigned<CertificateBody>;

impl Certificate {
    /// Hash of the body, which every message of the generation binds.
    pub fn hash(&self) -> CertificateHash {
        CertificateHash::from_bytes(*self.digest())
    }
}
