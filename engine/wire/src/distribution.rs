//! Sender-key distributions: a sender key on its way to every other device of a group.
//!
//! ```text
//!     body  version ‖ CBOR [ certificate: bstr, epoch: uint, commitment: bstr 32, ciphertext: bstr ]
//! ```
//!
//! carried in a [`Signed`] by the device that the certificate names. The ciphertext holds the
//! sender key under a content key; `commitment` is to that content key, of which each device gets its own delivery.

use crate::codec::Structure;
use crate::hash::{self, Context};
use crate::ids::{Commitment, Epoch, Opaque};
use crate::signature::{Label, Signed, SignedBody, UnverifiedSigned};
use minicbor::{Decode, Encode};

/// What a distribution says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DistributionBody {
    /// The encoded certificate.
    #[n(0)]
    pub certificate: Opaque,
    /// The epoch in which it is posted; the server refuses any other.
    #[n(1)]
    pub epoch: Epoch,
    /// To the content key.
    #[n(2)]
    pub commitment: Commitment,
    /// The sender key under the content key.
    #[n(3)]
    pub ciphertext: Opaque,
}

impl Structure for DistributionBody {
    const NAME: &'static str = "sender key distribution";
    const MAX_BYTES: usize = 1024;
}

impl SignedBody for DistributionBody {
    fn context() -> &'static Context {
        &hash::DISTRIBUTION
    }
    const LABEL: Label = Label("conclave v1 sign sender key distribution");
}

/// A distribution whose signature has been verified.
pub type Distribution = Signed<DistributionBody>;

/// A distribution as it came.
pub type UnverifiedDistribution = UnverifiedSigned<DistributionBody>;
