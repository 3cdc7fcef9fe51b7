//! What the server asks of a store, and nothing about how it is kept.
//!
//! One trait, by what the server does. Everything that writes is one method over a batch: a store makes the whole batch
//! durable once, and decides about each write in order, because only there is it known what the writes before it did.
//! The methods block; they are called from threads that may. `contract.rs` is the suite that every backend passes.

pub(crate) mod archive;
mod compaction;
#[cfg(test)]
pub(crate) mod contract;
pub(crate) mod embedded;
mod format;
#[cfg(test)]
pub(crate) mod hooked;
mod location;
mod opening;
pub(crate) mod postgres;
mod rows;

pub use location::StoreLocation;
pub(crate) use opening::shared_secret;
pub(crate) use opening::{Condition, OpenStore, inspect, open};
pub use opening::{export, import, migrate};

use bytes::Bytes;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{
    AccountId, CommitHash, DeviceId, Epoch, GroupId, LetterNumber, ManifestVersion, Opaque, Seq, Timestamp,
    UploadId,
};
use conclave_wire::letter::{Letter, LetterKind};
use conclave_wire::name::Name;
use conclave_wire::prekeys::OneTimePrekey;
use conclave_wire::public_group::{PublicGroup, Step};
use conclave_wire::reply::{Membership, Refusal};
use conclave_wire::request::Cursor;
use thiserror::Error;

/// Where everything is kept. One server writes to it at a time, by one thread.
pub(crate) trait Store: Send + Sync {
    /// Decides about each write in order, as if those before it were done, and makes what it accepts durable with one
    /// sync. On an error nothing of the batch may be taken to be stored, and nothing must be written any more.
    fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, Rejected>>, StoreError>;

    /// A group with its roster, rebuilt from its leaves.
    fn group(&self, group: &GroupId) -> Result<Option<StoredGroup>, StoreError>;

    /// Whether a device is or was in a group, and what it may read there.
    fn membership(&self, device: &DeviceId, group: &GroupId) -> Result<Option<Membership>, StoreError>;

    /// At most `limit` groups of a device.
    fn memberships(&self, device: &DeviceId, limit: usize) -> Result<Vec<Membership>, StoreError>;

    /// What `device` may read of a group's log, with what hangs on the entries for it. `None` if it never was a member.
    fn read(
        &self,
        device: &DeviceId,
        group: &GroupId,
        range: Range,
        bounds: PageBounds,
    ) -> Result<Option<Page>, StoreError>;

    /// An account of the directory.
    fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError>;

    /// A device of the directory.
    fn device(&self, device: &DeviceId) -> Result<Option<StoredDevice>, StoreError>;

    /// The head commit of a group, without its roster.
    fn head(&self, group: &GroupId) -> Result<Option<CommitHash>, StoreError>;

    /// Letters of a device's mailbox, without those that are too old.
    fn letters(&self, device: &DeviceId, wanted: LettersWanted) -> Result<Letters, StoreError>;

    /// Whether other servers may write to it as well, so that what was read is not true for long.
    fn is_shared(&self) -> bool {
        false
    }

    /// An upload in parts, as far as it has come. `None` if there is none, it is being forgotten, or an entry has it.
    fn upload(&self, upload: &UploadId) -> Result<Option<StoredUpload>, StoreError>;
}

/// One write.
#[derive(Debug)]
pub(crate) enum Write {
    /// An entry at the end of its group's log.
    Append(Append),
    /// A name, an account and one of its devices in the directory.
    Register(Registration),
    /// New prekeys of a registered device.
    PublishPrekeys {
        /// The device.
        device: DeviceId,
        /// Its encoded prekeys.
        prekeys: Opaque,
    },
    /// How far a device has processed a log. Only ever moves forward.
    Acknowledge {
        /// The device.
        device: DeviceId,
        /// How far.
        cursor: Cursor,
    },
    /// One-time prekeys of a registered device, in place of those that are there if `replace`.
    PublishOneTime {
        /// The device.
        device: DeviceId,
        /// Theirs.
        prekeys: Vec<OneTimePrekey>,
        /// Whether those that are there go.
        replace: bool,
    },
    /// One one-time prekey of each of these devices, for somebody who asks: nobody else will have it.
    TakeOneTime(Vec<DeviceId>),
    /// The next part of an upload, or one that is there already.
    StagePart(Part),
    /// Forgets, in small steps, uploads that began before this and that no entry has named.
    ForgetUploads {
        /// When the last one to forget began.
        before: Timestamp,
    },
    /// A letter into its mailbox.
    KeepLetter(LetterToKeep),
    /// Empties a device's mailbox up to a letter.
    ForgetLetters {
        /// Whose.
        device: DeviceId,
        /// The last one to go.
        through: LetterNumber,
    },
    /// Takes letters that are too old out of the next few mailboxes.
    SweepMailboxes {
        /// Those after this device's; `None` begins with the first.
        after: Option<DeviceId>,
        /// The time.
        now: Timestamp,
    },
    /// Deletes, in small steps, what the next few groups' logs keep no longer.
    TrimLogs {
        /// Those after this group; `None` begins with the first.
        after: Option<GroupId>,
        /// What they keep.
        keep: Keep,
    },
}

/// What logs keep, seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Messages from this time on.
    pub(crate) messages: Timestamp,
    /// Distributions from this time on, and what hangs on an entry for a device. Not later than `messages`.
    pub(crate) keys: Timestamp,
    /// Bytes of messages in one group; the oldest go.
    pub(crate) group_bytes: u64,
}

/// A letter on its way to a mailbox.
#[derive(Debug)]
pub(crate) struct LetterToKeep {
    /// Whose mailbox.
    pub(crate) to: DeviceId,
    /// What its body is.
    pub(crate) kind: LetterKind,
    /// The group that both devices are in.
    pub(crate) group: GroupId,
    /// Who leaves it.
    pub(crate) from: DeviceId,
    /// The body.
    pub(crate) body: Bytes,
    /// When it came.
    pub(crate) now: Timestamp,
}

/// A part of what hangs on an entry that is still to come.
#[derive(Debug)]
pub(crate) struct Part {
    /// The upload.
    pub(crate) upload: UploadId,
    /// Whose.
    pub(crate) by: DeviceId,
    /// Which part, from 0.
    pub(crate) number: u32,
    /// What hangs on the entry, for whom.
    pub(crate) deliveries: Vec<(DeviceId, Bytes)>,
    /// When it came.
    pub(crate) now: Timestamp,
}

/// An entry to append.
#[derive(Debug)]
pub(crate) struct Append {
    /// The group.
    pub(crate) group: GroupId,
    /// What it is, and on which condition it is appended.
    pub(crate) change: Change,
    /// The encoded commit, distribution or message.
    pub(crate) body: Bytes,
    /// What hangs on it, for whom.
    pub(crate) deliveries: Vec<(DeviceId, Bytes)>,
    /// What hangs on it and came before it.
    pub(crate) staged: Option<StagedUpload>,
    /// When it came.
    pub(crate) now: Timestamp,
}

/// An upload as it was when the entry that names it was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StagedUpload {
    /// Which.
    pub(crate) upload: UploadId,
    /// Of how many parts. If there are more when the entry is appended, they were not checked with it.
    pub(crate) parts: u32,
}

/// What an append does to its group. Only this is decided when it is appended: everything else was checked before,
/// against the roster of the same epoch.
#[derive(Debug)]
pub(crate) enum Change {
    /// The head is the commit before this one, or this is a genesis; and no distribution came in between.
    Commit(Box<Step>),
    /// The epoch is still current.
    Distribution(Epoch),
    /// The epoch is still current.
    Message(Epoch),
}

impl Change {
    pub(crate) fn kind(&self) -> EntryKind {
        match self {
            Self::Commit(_) => EntryKind::Commit,
            Self::Distribution(_) => EntryKind::Distribution,
            Self::Message(_) => EntryKind::Message,
        }
    }
}

/// An account with the device that registers it.
#[derive(Debug)]
pub(crate) struct Registration {
    /// The name wanted.
    pub(crate) name: Name,
    /// The account.
    pub(crate) account: AccountId,
    /// Its encoded manifest.
    pub(crate) manifest: Opaque,
    /// The device.
    pub(crate) device: DeviceId,
    /// Its encoded prekeys.
    pub(crate) prekeys: Opaque,
    /// Whether an account that is not known yet may be entered.
    pub(crate) admitted: Admitted,
}

/// Whether somebody new may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Yes.
    Free,
    /// If the invite has not been used too often.
    Invited(Invited),
    /// No, and why.
    Refused(Refusal),
}

/// An invite that is good, but for how often it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invited {
    /// Which.
    pub(crate) id: InviteId,
    /// How many may use it.
    pub(crate) uses: u32,
}

/// An invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InviteId(pub(crate) [u8; 16]);

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Appended at this position.
    Appended(Seq),
    /// A repeat of the commit that is the head already, at this position.
    Repeated(Seq),
    /// Done.
    Done,
    /// Done, and so many one-time prekeys of the device are left.
    OneTimeLeft(u32),
    /// Done, and the account has a newer manifest than before, perhaps without some of its devices.
    ManifestChanged,
    /// Mailboxes up to this device's are swept; `None` if there are no more.
    SweptTo(Option<DeviceId>),
    /// Logs up to this group's are trimmed.
    Trimmed {
        /// The last of them; `None` if there are no more, and the next is the first again.
        to: Option<GroupId>,
        /// How many entries went.
        entries: u64,
        /// Whether it stopped because that is enough for one step.
        more: bool,
    },
    /// These were taken, in the order of the devices.
    OneTimeTaken(Vec<Option<OneTimePrekey>>),
}

/// Why a write was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The append is of another epoch.
    EpochStale {
        /// The current one.
        epoch: Epoch,
        /// The last entry.
        head: Seq,
    },
    /// The commit is not on top of the head, or not of the last distribution.
    HeadMoved {
        /// The last entry.
        head: Seq,
    },
    /// No such group.
    UnknownGroup,
    /// The name is another account's.
    NameTaken,
    /// The account has another name.
    AlreadyRegistered(Name),
    /// The device is another account's.
    DeviceTaken,
    /// The directory has another manifest of the account with this version.
    ManifestConflict(ManifestVersion),
    /// The account's newest manifest does not list the device.
    DeviceRevoked,
    /// The account is new, and may not register.
    NotAdmitted(Refusal),
    /// The account is new, and its invite is used up.
    InviteUsedUp,
    /// No such device.
    UnknownDevice,
    /// The mailbox has no room, or none for this sender.
    MailboxFull,
    /// Another part of the upload is next.
    PartOutOfOrder {
        /// Which.
        expected: u32,
    },
    /// The upload would be larger than [`MAX_UPLOAD_BYTES`](conclave_wire::limits::MAX_UPLOAD_BYTES).
    UploadTooLarge,
    /// The device has as many uploads under way as it may.
    TooManyUploads,
    /// There is no such upload, it is not as it was when it was checked, or another entry has it.
    UnknownUpload,
}

/// A group as stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredGroup {
    /// Its epoch, head commit and roster.
    pub(crate) public: PublicGroup,
    /// Where the head commit stands in the log.
    pub(crate) commit_seq: Seq,
}

/// Which entries to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Range {
    /// All after this one. What comes before the commit that added the device is left out.
    After(Seq),
    /// Commits alone from this epoch on, those from before the device was added too.
    Commits(Epoch),
}

/// How much to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageBounds {
    /// Entries.
    pub(crate) entries: usize,
    /// Bytes of their frame, unless the first entry alone is larger.
    pub(crate) bytes: usize,
}

/// A page of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// In log order.
    pub(crate) entries: Vec<Entry>,
    /// What the device may read.
    pub(crate) membership: Membership,
    /// Whether these are all that there are.
    pub(crate) complete: bool,
}

/// Which letters to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LettersWanted {
    /// Those after this one.
    pub(crate) after: LetterNumber,
    /// The time, for which of them are too old.
    pub(crate) now: Timestamp,
    /// How much of them.
    pub(crate) bounds: PageBounds,
}

/// Letters of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letters {
    /// In the order in which they came.
    pub(crate) letters: Vec<Letter>,
    /// Whether there are more after these.
    pub(crate) more: bool,
}

/// How an account is found.
#[derive(Clone, Debug)]
pub(crate) enum AccountKey {
    /// By its name.
    Name(Name),
    /// By its id.
    Id(AccountId),
}

/// An account of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredAccount {
    /// Its name.
    pub(crate) name: Name,
    /// Its encoded manifest.
    pub(crate) manifest: Opaque,
}

/// A device of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredDevice {
    /// The account that it belongs to.
    pub(crate) account: AccountId,
    /// Its encoded prekeys.
    pub(crate) prekeys: Opaque,
}

/// An entry as it is for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogEntry {
    /// Where in the log.
    pub(crate) seq: Seq,
    /// What it is.
    pub(crate) kind: EntryKind,
    /// Its body.
    pub(crate) body: Bytes,
}

/// An upload in parts, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredUpload {
    /// Whose.
    pub(crate) by: DeviceId,
    /// How many parts have come.
    pub(crate) parts: u32,
    /// Bytes of its largest delivery.
    pub(crate) largest: u64,
    /// The devices that it has something for, each once, in order.
    pub(crate) devices: Vec<DeviceId>,
}

/// A store that cannot do what it is there for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// The engine failed: the disk, most likely.
    #[error("the storage engine failed: {0}")]
    Engine(#[from] fjall::Error),
    /// A record is not what was written.
    #[error("the store holds a damaged {0}")]
    Damaged(&'static str),
    /// The database does not do what it is asked, or is not there. Nothing of what was asked is stored; later it may be.
    #[error("the database cannot be used: {reason}")]
    Database {
        /// What it or the connection said.
        reason: String,
    },
    /// The connection was lost while the database committed, and nobody can say what became of it.
    #[error("the connection to the database was lost during a commit, and it cannot say what became of it")]
    OutcomeUnknown,
}

impl StoreError {
    /// What is wrong, without the words around it.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Database { reason } => reason,
            other => other.to_string(),
        }
    }

    /// What a writer is to make of it.
    pub(crate) fn consequence(&self) -> Consequence {
        match self {
            // After a failed sync nobody knows what is on the disk, and only opening the store again finds out.
            Self::Engine(_) | Self::Damaged(_) => Consequence::Stop,
            Self::Database { .. } => Consequence::Refuse,
            Self::OutcomeUnknown => Consequence::FallSilent,
        }
    }
}

/// What follows from an error of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// Nothing is written any more until the server has been started again.
    Stop,
    /// What was asked is refused, and the next may do.
    Refuse,
    /// Nobody is told anything about what was asked; who asked finds out for himself.
    FallSilent,
}
