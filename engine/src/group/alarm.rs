//! Alarms: what a user must see, each with the way out.
//!
//! An alarm says that somebody did what no honest server, member or copy of this program does. It never stops the engine
//! by itself: what to do about it is the user's to decide.

use super::event::{Continuity, Event, GroupMessage, Origin};
use super::receipts::Verdict;
use super::receive::{CertificateError, ReceiveError};
use super::unverified::ForgedMember;
use conclave_wire::ids::{DeviceId, Epoch};
use conclave_wire::public_group::CommitError;
use thiserror::Error;

/// Something that a user must see (R112). Its text ends with the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Alarm {
    /// Two commits follow one: the server shows some members another group than others.
    #[error(
        "the server shows this group in two versions; stop sending, compare with the others by another way, and go on \
         with a server that you trust"
    )]
    Fork,
    /// The server keeps a commit back that others have seen.
    #[error(
        "the server holds back the commits after epoch {current} that others have seen (epoch {found}); fetch the log \
         again, and if that does not help, reach the others by another way"
    )]
    Withheld {
        /// The last epoch that we were shown.
        current: Epoch,
        /// The one that an entry names.
        found: Epoch,
    },
    /// An entry stands where none can: of an epoch that has ended, or after a hole in the sequence numbers.
    #[error(
        "the server's log of the group is out of order; fetch it again from where it was right, and if it stays so, \
         distrust the server"
    )]
    LogOrder,
    /// An entry that no honest server accepts.
    #[error(
        "the server accepted an entry that no honest server accepts; distrust it, and begin the group anew elsewhere"
    )]
    BadEntry,
    /// A device in the roster is not its account's.
    #[error("{0}")]
    Forged(ForgedMember),
    /// A device signed two things of which it can sign one.
    #[error(
        "a device said two different things to the group; ask its owner, and have it replaced or removed"
    )]
    Equivocation {
        /// Which device.
        device: DeviceId,
    },
    /// Somebody else acts as this device.
    #[error(
        "somebody may use a copy of this device; have it replaced, or its account removed from the group, and compare \
         with the others what it said"
    )]
    Cloned,
    /// A member has another view of the group than this device.
    #[error("{0}")]
    SplitView(SplitView),
    /// A message that neither decrypts nor verifies.
    #[error(
        "a message does not fit its sender's key: somebody made it up, or the sender sees another group; ask for the \
         sender's key, which tells"
    )]
    Unauthentic {
        /// The sender that it names.
        device: DeviceId,
    },
    /// Something of a sender is missing.
    #[error(
        "a message before this one is missing; ask its sender what it said, and distrust the server if it happens again"
    )]
    Gap {
        /// Whose.
        device: DeviceId,
    },
    /// A message waits for its sender to vouch for it.
    #[error(
        "a message is held back because its signature does not fit; it is shown if its sender's next message vouches for \
         it, and if not, the server or a member made it up"
    )]
    Pending {
        /// Whose chain it is on.
        device: DeviceId,
    },
}

/// In what a member's view of the group differs from ours, as its signed repair request or answer says (R126). The member
/// may lie; whether the server forked the group, receipts prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SplitView {
    /// It has another commit as the head of the same epoch.
    #[error(
        "a member says that the group's last commit is another one than this device was shown; compare receipts with \
         that member, by another way than this server"
    )]
    Commit {
        /// Who says so.
        device: DeviceId,
    },
    /// It was shown another sender key than this device, its own or ours, under another certificate.
    #[error(
        "a member and this device were shown two sender keys where there is one: the server holds back what was \
         distributed, or the device whose it is was copied; compare with that member by another way than this server"
    )]
    Certificate {
        /// Who says so.
        device: DeviceId,
    },
    /// The certificate is the same, and the secrets under it were not: whoever handed them to us lied.
    #[error(
        "a member's sender key was not the one that this device had been given: whoever welcomed it lied, or the sender \
         did; what was missed can be asked for"
    )]
    Key {
        /// Whose.
        device: DeviceId,
    },
}

impl SplitView {
    /// The member whose view is another.
    pub fn device(&self) -> DeviceId {
        match self {
            Self::Commit { device } | Self::Certificate { device } | Self::Key { device } => *device,
        }
    }
}

impl ReceiveError {
    /// What a user must be told about a refused entry; `None` if it is a repeat, or only something that is missing here.
    pub fn alarm(&self) -> Option<Alarm> {
        Some(match self {
            Self::OutOfOrder { .. } | Self::LogOrder { .. } => Alarm::LogOrder,
            Self::Withheld { current, found } => Alarm::Withheld { current: *current, found: *found },
            Self::Commit(error) => commit_alarm(error),
            Self::Group | Self::NotMember => Alarm::BadEntry,
            Self::NotOurs => Alarm::Cloned,
            Self::Forged(member) => Alarm::Forged(*member),
            Self::Unauthentic { device, .. } => Alarm::Unauthentic { device: *device },
            Self::Certificate(CertificateError::Conflict { device }) | Self::Equivocation { device, .. } => {
                Alarm::Equivocation { device: *device }
            }
            _ => return None,
        })
    }
}

fn commit_alarm(error: &CommitError) -> Alarm {
    match error {
        CommitError::Epoch { expected, found } if u64::from(found.0) > *expected => {
            let current = u32::try_from(expected.saturating_sub(1)).map_or(*found, Epoch);
            Alarm::Withheld { current, found: *found }
        }
        CommitError::Epoch { .. } => Alarm::LogOrder,
        CommitError::Previous => Alarm::Fork,
        _ => Alarm::BadEntry,
    }
}

impl GroupMessage {
    /// What a user must be told beside the message.
    pub fn alarm(&self) -> Option<Alarm> {
        (self.continuity == Continuity::Gap).then_some(Alarm::Gap { device: self.sender.device })
    }
}

impl Event {
    /// What a user must be told about it.
    pub fn alarm(&self) -> Option<Alarm> {
        match self {
            Self::Message(message) => message.alarm(),
            // Within a run nothing can be missing.
            Self::Run(messages) => messages.first().and_then(GroupMessage::alarm),
            Self::Pending { sender } => Some(Alarm::Pending { device: sender.device }),
            Self::EpochChanged { origin: Origin::NotOurs, .. } => Some(Alarm::Cloned),
            _ => None,
        }
    }
}

impl Verdict {
    /// What a user must be told about a receipt.
    pub fn alarm(&self) -> Option<Alarm> {
        match self {
            Self::Consistent => None,
            Self::Contradicts | Self::Fork(_) => Some(Alarm::Fork),
        }
    }
}
