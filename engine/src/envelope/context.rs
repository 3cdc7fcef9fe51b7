//! What an envelope or wrap is for: bound into it, so that it serves nothing else.

use crate::kdf;
use crate::secret::Secret;
use conclave_wire::hash::Context;
use conclave_wire::ids::{Commitment, Epoch, GroupId};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

/// What is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Purpose {
    /// The 32-byte secret of a commit.
    #[n(0)]
    CommitSecret,
    /// The 32-byte content key of a sender-key distribution.
    #[n(1)]
    ContentKey,
    /// A newcomer's welcome.
    #[n(2)]
    Welcome,
    /// The approval of a device that is being linked; it belongs to no group.
    #[n(3)]
    Link,
    /// A sender key, in answer to who asked for it.
    #[n(4)]
    SenderKeyAnswer,
    /// The secrets of the present epoch, in answer to a member who lacks them.
    #[n(5)]
    WelcomeAnswer,
}

impl Purpose {
    /// Context of the commitment to a secret of this purpose; the others are no such secrets.
    pub(crate) fn commitment(self) -> Option<&'static Context> {
        match self {
            Self::CommitSecret => Some(&kdf::COMMIT_SECRET_COMMITMENT),
            Self::ContentKey => Some(&kdf::CONTENT_KEY_COMMITMENT),
            Self::Welcome | Self::Link | Self::SenderKeyAnswer | Self::WelcomeAnswer => None,
        }
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::CommitSecret => 0,
            Self::ContentKey => 1,
            Self::Welcome => 2,
            Self::Link => 3,
            Self::SenderKeyAnswer => 4,
            Self::WelcomeAnswer => 5,
        }
    }
}

/// A secret together with its public commitment.
pub(crate) struct CommittedSecret {
    pub(crate) secret: Secret<32>,
    pub(crate) commitment: Commitment,
}

impl CommittedSecret {
    /// A fresh secret for a commit.
    pub(crate) fn for_commit(rng: &mut impl CryptoRng) -> Self {
        Self::new(&kdf::COMMIT_SECRET_COMMITMENT, rng)
    }

    /// A fresh content key for a distribution.
    pub(crate) fn for_content(rng: &mut impl CryptoRng) -> Self {
        Self::new(&kdf::CONTENT_KEY_COMMITMENT, rng)
    }

    fn new(context: &Context, rng: &mut impl CryptoRng) -> Self {
        let secret: Secret<32> = Secret::random(rng);
        Self { commitment: kdf::commit(context, &[secret.as_bytes()]), secret }
    }
}

/// Purpose, group and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct EnvelopeContext {
    #[n(0)]
    pub(crate) purpose: Purpose,
    #[n(1)]
    pub(crate) group: GroupId,
    #[n(2)]
    pub(crate) epoch: Epoch,
}
