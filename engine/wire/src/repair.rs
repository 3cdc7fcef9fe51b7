//! Repair requests: a device asks for what it could not be given, or has lost.
//!
//! ```text
//!     body      version ‖ CBOR [ question, group: bstr 32, epoch: uint, head: bstr 32, asker: bstr 32, since: uint,
//!                                prekeys: [prekeys: bstr 32, time: uint ms], time: uint ms ]
//!     question  [0, [known: null / [generation: uint, certificate: bstr 32], of: bstr 32]]   a sender key
//!               [1, [? to: bstr 32]]                                                         a welcome
//!               [2, [? to: bstr 32]]                                                         an initial envelope
//! ```
//!
//! carried in a [`Signed`] by the asking device; where `to` is missing, anybody is asked. `since` is the asker's in the roster, so that a request dies with a
//! removal; `prekeys` are the asker's newest ones, so that nobody is made to answer to older ones.

use crate::codec::Structure;
use crate::hash::{self, Context};
use crate::ids::{CertificateHash, CommitHash, DeviceId, Epoch, Generation, GroupId, Timestamp};
use crate::roster::PinnedPrekeys;
use crate::signature::{Label, Signed, SignedBody, UnverifiedSigned};
use minicbor::{Decode, Encode};

/// What is asked, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Question {
    /// The present sender key of a device, which alone answers.
    #[n(0)]
    SenderKey {
        /// The last one that the asker knows of.
        #[n(0)]
        known: Option<KnownKey>,
        /// Whose.
        #[n(1)]
        of: DeviceId,
    },
    /// The secrets of the present epoch.
    #[n(1)]
    Welcome {
        /// Who is asked; anybody if `None`.
        #[n(0)]
        to: Option<DeviceId>,
    },
    /// That the next delivery to the asker is an initial envelope.
    #[n(2)]
    Initial {
        /// Who is asked; everybody if `None`.
        #[n(0)]
        to: Option<DeviceId>,
    },
}

impl Question {
    /// Who is asked; `None` if it is not one device.
    pub fn to(&self) -> Option<DeviceId> {
        match self {
            Self::SenderKey { of, .. } => Some(*of),
            Self::Welcome { to } | Self::Initial { to } => *to,
        }
    }
}

/// A sender key as its certificate names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KnownKey {
    /// Which of the device's sender keys.
    #[n(0)]
    pub generation: Generation,
    /// Its certificate.
    #[n(1)]
    pub certificate: CertificateHash,
}

/// What a repair request says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RepairRequestBody {
    /// What is asked, and of whom.
    #[n(0)]
    pub question: Question,
    /// In which group.
    #[n(1)]
    pub group: GroupId,
    /// The asker's epoch.
    #[n(2)]
    pub epoch: Epoch,
    /// The asker's head commit: who has another in the same epoch sees that the group is split.
    #[n(3)]
    pub head: CommitHash,
    /// Who asks.
    #[n(4)]
    pub asker: DeviceId,
    /// The asker's `since` in the roster.
    #[n(5)]
    pub since: Epoch,
    /// The asker's newest prekeys; an answer goes to none that are older.
    #[n(6)]
    pub prekeys: PinnedPrekeys,
    /// When it asks.
    #[n(7)]
    pub time: Timestamp,
}

impl Structure for RepairRequestBody {
    const NAME: &'static str = "repair request";
    const MAX_BYTES: usize = 256;
}

impl SignedBody for RepairRequestBody {
    fn context() -> &'static Context {
        &hash::REPAIR_REQUEST
    }
    const LABEL: Label = Label("conclave v1 sign repair request");
}

/// A repair request whose signature has been verified, or was made here.
pub type RepairRequest = Signed<RepairRequestBody>;

/// A repair request as it came.
pub type UnverifiedRepairRequest = UnverifiedSigned<RepairRequestBody>;
