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
    /// In place of entries that are no longer kept: all from the one after the reader's last up to this position. No body.
    #[n(3)]
    Trimmed,
}

/// One entry of a group's log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// The group.
    #[n(0)]
    pub group: GroupId,
    /// Position in the group's log, contiguous from 1; the last one of what is no longer kept.
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

impl Entry {
    /// Says of a log that nothing is kept of it up to `seq`, beside what comes before this.
    pub fn trimmed(group: GroupId, seq: Seq) -> Self {
        Self { group, seq, kind: EntryKind::Trimmed, delivery: None, body: Opaque(Vec::new()) }
    }

    /// Whether it comes right after the entry at `cursor`.
    pub fn follows(&self, cursor: Seq) -> bool {
        match self.kind {
            EntryKind::Trimmed => self.seq > cursor,
            _ => self.seq > cursor && cursor.next() == Some(self.seq),
        }
    }
}
