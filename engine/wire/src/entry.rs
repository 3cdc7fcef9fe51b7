//! Log entries, as a server hands them to one device.

use crate::ids::{GroupId, Opaque, Seq};
use minicbor::{Decode, Encode};

/// What an entry's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EntryKind {
    /// A [`crate::commit`].
    #[n(0)]
    Commit,
    /// A [`crate::distribution`].
    #[n(1)]
    Distribution,
    /// A [`crate::message`].
    #[n(2)]
    Message,
}

/// One entry of a group's log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// The group.
    #[n(0)]
    pub group: GroupId,
    /// Position in the group's log, contiguous from 1.
    #[n(1)]
    pub seq: Seq,
    /// What the body is.
    #[n(2)]
    pub kind: EntryKind,
    /// What hangs on the entry for the device that reads it: its delivery of a commit secret or content key, or its
    /// welcome.
    #[n(3)]
    pub delivery: Option<Opaque>,
    /// The encoded commit, distribution or message.
    #[n(4)]
    pub body: Opaque,
}
