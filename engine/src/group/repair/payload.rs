//! What is inside an answer.
//!
//! ```text
//!     sender key  version ‖ CBOR [ head: bstr 32, seq: uint, certificate: bstr, seed: bstr 32, chain key: bstr 32,
//!                                  link: null / bstr 16, index: uint ]
//!     welcome     version ‖ CBOR [ head: bstr 32, seq: uint, init: bstr 32, yours: null / bstr,
//!                                  senders: [* [certificate: bstr, seed: bstr 32, chain key: bstr 32, index: uint]] ]
//! ```
//!
//! sealed to the asker in an initial envelope of purpose 4 or 5, group and epoch. `seq` is the last entry of the log that
//! the answerer had processed. `yours` is the certificate of the asker's own last sender key.

use crate::group::welcome::WelcomeSender;
use crate::secret::Secret;
use conclave_wire::codec::Structure;
use conclave_wire::ids::{CommitHash, MessageIndex, Opaque, Seq};
use conclave_wire::limits::MAX_FRAME;
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

/// A sender key as it stands at its owner, who alone hands it out.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(super) struct SenderKeyAnswer {
    #[n(0)]
    pub(super) head: CommitHash,
    #[n(1)]
    pub(super) seq: Seq,
    #[n(2)]
    pub(super) certificate: Opaque,
    #[n(3)]
    pub(super) seed: Secret<32>,
    #[n(4)]
    pub(super) chain: Secret<32>,
    /// What the next message links to; `None` while messages before it may still come or be lost.
    #[n(5)]
    pub(super) link: Option<ByteArray<16>>,
    #[n(6)]
    pub(super) index: MessageIndex,
}

impl Structure for SenderKeyAnswer {
    const NAME: &'static str = "sender key answer";
    const MAX_BYTES: usize = 640;
}

/// The secrets of the present epoch, as they stand at a member.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(super) struct WelcomeAnswer {
    #[n(0)]
    pub(super) head: CommitHash,
    #[n(1)]
    pub(super) seq: Seq,
    #[n(2)]
    pub(super) init: Secret<32>,
    /// The asker's own last certificate that the answerer has: after a restore the asker must go on above it.
    #[n(3)]
    pub(super) yours: Option<Opaque>,
    /// Every active sender key but the asker's.
    #[n(4)]
    pub(super) senders: Vec<WelcomeSender>,
}

impl Structure for WelcomeAnswer {
    const NAME: &'static str = "welcome answer";
    const MAX_BYTES: usize = MAX_FRAME;
}
