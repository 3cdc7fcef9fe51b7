//! Welcomes: what a newcomer needs to read and send from the next entry on, and nothing older.
//!
//! ```text
//!     payload  version ‖ CBOR [ head: bstr 32, init: bstr 32,
//!                               senders: [* [certificate: bstr, seed: bstr 32, chain key: bstr 32, index: uint]],
//!                               note: bstr ]
//! ```
//!
//! sealed to the newcomer in an envelope of purpose welcome, group and epoch. The roster is never taken from it (R70).
//! It carries no links: messages may enter the log between the commit's making and its acceptance, so a link in it
//! could be out of date and raise a false alarm; the newcomer takes the first message of each sender as its baseline.

use crate::secret::Secret;
use conclave_wire::codec::Structure;
use conclave_wire::ids::{CommitHash, MessageIndex, Opaque};
use conclave_wire::limits::MAX_FRAME;
use minicbor::{Decode, Encode};

/// A welcome's content.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(crate) struct Welcome {
    /// The commit that adds the newcomer.
    #[n(0)]
    pub(crate) head: CommitHash,
    /// `init` of the epoch that the commit begins.
    #[n(1)]
    pub(crate) init: Secret<32>,
    /// Every active sender key, as it stands in that epoch.
    #[n(2)]
    pub(crate) senders: Vec<WelcomeSender>,
    /// The embedder's own.
    #[n(3)]
    pub(crate) note: Opaque,
}

impl Structure for Welcome {
    const NAME: &'static str = "welcome";
    const MAX_BYTES: usize = MAX_FRAME;
}

/// One sender key in a welcome.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(crate) struct WelcomeSender {
    #[n(0)]
    pub(crate) certificate: Opaque,
    #[n(1)]
    pub(crate) seed: Secret<32>,
    #[n(2)]
    pub(crate) chain: Secret<32>,
    #[n(3)]
    pub(crate) index: MessageIndex,
}

/// What a sender key takes in a welcome, at most.
pub(crate) const WELCOME_SENDER_BYTES: usize = 450;
