//! What an entry of the log meant to this device.

use super::message_id::MessageId;
use crate::record::Changes;
use conclave_wire::ids::{AccountId, DeviceId, Epoch, Generation, LeafIndex, Seq};
use conclave_wire::roster::Role;

/// What [`Group::receive`](super::Group::receive) returns.
#[derive(Debug)]
pub struct Received {
    /// What the entry meant.
    pub event: Event,
    /// Messages that were pending and for which this entry vouches, in the order in which they were sent.
    pub recovered: Vec<Recovered>,
    /// What it changed.
    pub changes: Changes,
}

/// What an entry meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The genesis of a group that this device created.
    Founded,
    /// Another device's message, authentic and decrypted.
    Message(GroupMessage),
    /// Another device's run: several messages that it sealed at once, authentic and decrypted, in its order. The
    /// continuity of the first says whether something is missing before the run; within it nothing can be.
    Run(Vec<GroupMessage>),
    /// A message whose signature is not valid for our view of the group: show nothing. The sender's next authentic
    /// message brings it among the [`recovered`](Received::recovered) ones if it links to it, or drops it.
    Pending {
        /// Whose chain it is on.
        sender: Sender,
    },
    /// Our own message is in the log.
    Sent {
        /// Which.
        id: MessageId,
    },
    /// Our own run is in the log.
    SentRun {
        /// Its messages, in their order.
        ids: Vec<MessageId>,
    },
    /// A device has a new sender key.
    SenderKey {
        /// Whose.
        sender: Sender,
        /// Which of its sender keys.
        generation: Generation,
        /// Whether we can read what it seals. Always so for our own.
        readable: bool,
        /// Its device, if what it delivered is on a pairwise chain that we do not have: the next delivery will not open
        /// either, unless we ask for an initial envelope.
        lost_chain: Option<DeviceId>,
    },
    /// A commit began a new epoch.
    EpochChanged {
        /// The new epoch.
        epoch: Epoch,
        /// Whose commit it was.
        author: AccountId,
        /// Accounts that came in.
        added: Vec<AccountId>,
        /// Accounts that were removed, or left.
        removed: Vec<AccountId>,
        /// Accounts whose role changed, with the new one.
        roles: Vec<(AccountId, Role)>,
        /// Devices that came to accounts which were in the group already.
        devices_added: Vec<(AccountId, DeviceId)>,
        /// Devices that went from accounts which stay.
        devices_removed: Vec<(AccountId, DeviceId)>,
        /// Devices that were healed: what a thief copied of them is of no use from here on.
        healed: Vec<DeviceId>,
        /// Whether the group's secrets began anew. Every device that could open the commit's secret is active again.
        reset: bool,
        /// Whether this device made it.
        origin: Origin,
        /// Whether we have the new epoch's secrets.
        state: GroupState,
        /// The author's device, if what it delivered is on a pairwise chain that we do not have.
        lost_chain: Option<DeviceId>,
    },
    /// Entries that the server no longer keeps, or so it says: the group's messages among them are lost to this device.
    /// Whose they were, the continuity of those that follow tells.
    Trimmed {
        /// The first of them.
        first: Seq,
        /// The last.
        last: Seq,
    },
    /// This device was removed. Its secrets of the group are erased; nothing follows.
    Removed {
        /// Whose commit it was.
        by: AccountId,
    },
}

/// Where a commit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// Another device.
    Other,
    /// It is the commit that this device staged.
    Ours,
    /// It has this device's signature, and this device did not stage it: its state was copied, or an old one restored.
    /// The commit is valid and takes effect; tell the user, and have the device replaced.
    NotOurs,
}

/// How this device stands in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// It sends and reads.
    Active,
    /// It lacks the epoch's secrets, and can neither send nor read until a member sends it a fresh welcome.
    NeedWelcome,
    /// It was removed.
    Removed,
}

/// A device that sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// The account that it belongs to.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// Its place in the roster of this epoch.
    pub leaf: LeafIndex,
}

/// A message, authentic and decrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupMessage {
    /// Who sent it.
    pub sender: Sender,
    /// Its name; show each once per sender.
    pub id: MessageId,
    /// What it says: the embedder's own bytes.
    pub content: Vec<u8>,
    /// Whether something of this sender is missing before it.
    pub continuity: Continuity,
}

impl std::fmt::Debug for GroupMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupMessage")
            .field("sender", &self.sender)
            .field("id", &self.id)
            .field("content", &format_args!("{} bytes", self.content.len()))
            .field("continuity", &self.continuity)
            .finish()
    }
}

/// A message that was pending and has been accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Where in the log it stands.
    pub seq: Seq,
    /// The entry that vouches for it; show it before that one.
    pub vouched_by: Seq,
    /// The message.
    pub message: GroupMessage,
}

/// How a message links to the sender's message before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Continuity {
    /// The first that this device sees of the sender: nothing to compare with.
    First,
    /// It follows the message before.
    Linked,
    /// It does not: the server dropped or reordered a message of this sender. Tell the user.
    Gap,
}
