//! Notices: what happened in a group, for the embedder to show.

use crate::summary::StoredMessage;
use conclave_wire::ids::{AccountId, GroupId, Seq};
use conclave_wire::name::Name;
use conclave_wire::roster::Role;

/// Something that happened in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The group.
    pub group: GroupId,
    /// What this profile calls it.
    pub label: String,
    /// Position in its log.
    pub seq: Seq,
    /// What happened.
    pub kind: NoticeKind,
}

/// An account as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The account.
    pub account: AccountId,
    /// Its pinned name, if the directory has told one.
    pub name: Option<Name>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeKind {
    /// Somebody sent a message.
    Message(StoredMessage),
    /// An own message that an earlier call could not deliver is in the log now.
    Sent(StoredMessage),
    /// This account was added.
    Joined {
        /// By whom.
        by: Person,
    },
    /// Others were added.
    Added {
        /// By whom.
        by: Person,
        /// Whom.
        who: Vec<Person>,
    },
    /// Others were removed.
    RemovedMember {
        /// By whom.
        by: Person,
        /// Whom.
        who: Vec<Person>,
    },
    /// An account's role was changed.
    RoleChanged {
        /// By whom.
        by: Person,
        /// Whose.
        who: Person,
        /// The new role.
        role: Role,
    },
    /// This account was removed and reads nothing that follows.
    RemovedMe {
        /// By whom.
        by: Person,
    },
    /// What this device had lacked has been given to it.
    Repaired {
        /// Whose messages can be read again; `None` if it is everybody's: this device can follow the group again.
        who: Option<Person>,
    },
    /// Entries of the log are gone, because this device was away for longer than the server keeps them.
    Trimmed {
        /// How many at most were messages.
        entries: u64,
    },
    /// Something that should not be.
    Alarm {
        /// What.
        what: String,
        /// What to do about it.
        advice: String,
    },
}

impl std::fmt::Display for Person {
    /// The name, or the account's first digits where there is none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => name.fmt(f),
            None => write!(f, "{:.8}", self.account.to_string()),
        }
    }
}
