//! What became of a write, as its poster is told.

use crate::limits::MAX_KEPT_UPLOADS;
use crate::store::{Rejected, Write, Written};
use conclave_wire::limits::MAX_UPLOAD_BYTES;
use conclave_wire::reply::{Refusal, Reply};

/// The answer to a write; `None` if nothing of its batch was stored.
pub(super) fn reply(write: &Write, outcome: Option<&Result<Written, Rejected>>) -> Reply {
    let refusal = match outcome {
        None => Refusal::Unavailable,
        Some(Ok(
            Written::Done | Written::ManifestChanged | Written::SweptTo(_) | Written::Trimmed { .. },
        )) => return Reply::Done,
        Some(Ok(Written::OneTimeLeft(left))) => return Reply::OneTimeLeft { left: *left },
        Some(Ok(Written::OneTimeTaken(taken))) => {
            return Reply::Prekeys { prekeys: Vec::new(), one_time: Some(taken.clone()) };
        }
        Some(Ok(Written::Appended(seq) | Written::Repeated(seq))) => match write {
            Write::Append(append) => return Reply::Accepted { group: append.group, seq: *seq },
            _ => return Reply::Done,
        },
        Some(Err(rejected)) => match rejected.clone() {
            Rejected::EpochStale { epoch, head } => Refusal::EpochStale { epoch, head },
            Rejected::HeadMoved { head } => Refusal::HeadMoved { head },
            Rejected::UnknownGroup => Refusal::NotMember,
            Rejected::NameTaken => Refusal::NameTaken,
            Rejected::AlreadyRegistered(name) => Refusal::AlreadyRegistered { name },
            Rejected::DeviceTaken => {
                Refusal::InvalidAccount { reason: "the device belongs to another account".to_owned() }
            }
            Rejected::ManifestConflict(version) => Refusal::ManifestConflict { version },
            Rejected::DeviceRevoked => Refusal::DeviceRevoked,
            Rejected::NotAdmitted(refusal) => refusal,
            Rejected::InviteUsedUp => Refusal::InviteUsedUp,
            Rejected::UnknownDevice if matches!(write, Write::KeepLetter(_)) => Refusal::InvalidEntry {
                reason: "the device that the letter is for is not registered here".to_owned(),
            },
            Rejected::UnknownDevice => Refusal::NotRegistered,
            Rejected::PartOutOfOrder { expected } => Refusal::PartOutOfOrder { expected },
            Rejected::UploadTooLarge => {
                Refusal::TooLarge { what: "the deliveries of an upload".to_owned(), max: MAX_UPLOAD_BYTES }
            }
            Rejected::TooManyUploads => Refusal::TooLarge {
                what: "uploads under way of one device".to_owned(),
                max: MAX_KEPT_UPLOADS as u64,
            },
            Rejected::MailboxFull => Refusal::MailboxFull,
            Rejected::UnknownUpload => Refusal::UnknownUpload,
        },
    };
    Reply::Refused { refusal }
}
