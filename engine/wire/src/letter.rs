//! Letters: what one device of a group leaves for another at the server, beside the log.
//!
//! ```text
//!     letter  [ number: uint, kind: uint, group: bstr 32, from: bstr 32, body: bstr ]
//! ```
//!
//! The body is a [`crate::repair`] request, which its asker signed, or the answer to one, an envelope to the device that
//! the letter is for. `group` and `from` are the server's word, to sort by; what counts is inside.

use crate::ids::{DeviceId, GroupId, LetterNumber, Opaque};
use minicbor::{Decode, Encode};

/// What a letter's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum LetterKind {
    /// A repair request.
    #[n(0)]
    RepairRequest,
    /// The answer to a repair request.
    #[n(1)]
    RepairAnswer,
}

/// A letter, as the device that it is for finds it in its mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Letter {
    /// Where in the mailbox; only ever grows.
    #[n(0)]
    pub number: LetterNumber,
    /// What the body is.
    #[n(1)]
    pub kind: LetterKind,
    /// The group that both devices are in.
    #[n(2)]
    pub group: GroupId,
    /// Who left it.
    #[n(3)]
    pub from: DeviceId,
    /// The encoded request or answer.
    #[n(4)]
    pub body: Opaque,
}
