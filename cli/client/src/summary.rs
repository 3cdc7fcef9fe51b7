//! What a client tells of itself, its groups and its messages.

use conclave_engine::{GroupState, MessageId};
use conclave_wire::ids::{AccountId, DeviceId, Epoch, GroupId, Seq, Timestamp};
use conclave_wire::name::Name;
use conclave_wire::roster::Role;

/// Who this profile is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name under which the server's directory knows the account.
    pub name: Name,
    /// The account.
    pub account: AccountId,
    /// This device of it.
    pub device: DeviceId,
    /// The server's address, as given when the profile was made.
    pub server: String,
}

/// A group in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// The group.
    pub id: GroupId,
    /// What this profile calls it.
    pub label: String,
    /// Commits so far.
    pub epoch: Epoch,
    /// Accounts in it.
    pub members: usize,
    /// Where this device stands.
    pub state: GroupState,
    /// The last entry of its log that was processed.
    pub cursor: Seq,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDetail {
    /// The group in a line.
    pub summary: GroupSummary,
    /// Its members, in order of their account ids.
    pub members: Vec<MemberDetail>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDetail {
    /// The account.
    pub account: AccountId,
    /// Its pinned name, if the directory has told one.
    pub name: Option<Name>,
    /// What it may do.
    pub role: Role,
    /// How many devices of it are in the group.
    pub devices: usize,
    /// Whether this is the profile's own account.
    pub me: bool,
}

/// Where a sent message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The group.
    pub group: GroupId,
    /// What this profile calls it.
    pub label: String,
    /// Position in its log.
    pub seq: Seq,
    /// The message.
    pub id: MessageId,
}

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentKind {
    /// Text.
    Text,
    /// Something that this version does not know; it is kept as it came.
    Unknown,
}

/// A message that was read or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Position in the group's log.
    pub seq: Seq,
    /// The message.
    pub id: MessageId,
    /// Who sent it.
    pub sender: AccountId,
    /// The sender's pinned name, if the directory has told one.
    pub sender_name: Option<Name>,
    /// Whether this account sent it.
    pub own: bool,
    /// What it holds.
    pub kind: ContentKind,
    /// The text; of an unknown kind, a line that says so.
    pub text: String,
    /// When it was sent, as the sender's clock said.
    pub sent_at: Timestamp,
}
