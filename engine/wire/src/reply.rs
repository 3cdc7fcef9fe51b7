//! Replies: what a server answers, refusals with their reasons among them.

use crate::entry::Entry;
use crate::ids::{Epoch, GroupId, ManifestVersion, Opaque, Seq};
use crate::letter::Letter;
use crate::name::Name;
use crate::prekeys::OneTimePrekey;
use crate::receipt::ServerKey;
use minicbor::{Decode, Encode};
use thiserror::Error;

/// A group that the asking device is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Membership {
    /// The group.
    #[n(0)]
    pub group: GroupId,
    /// The commit that added the device; what comes before it the device cannot read.
    #[n(1)]
    pub joined: Seq,
    /// The commit that removed the device, if one did: it reads up to that and no further.
    #[n(2)]
    pub left: Option<Seq>,
    /// What the device last acknowledged, 0 if nothing.
    #[n(3)]
    pub acknowledged: Seq,
    /// The last entry that the device may read.
    #[n(4)]
    pub head: Seq,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[non_exhaustive]
pub enum Reply {
    /// What was asked is done.
    #[n(0)]
    Done,
    /// The commit, distribution or message is stored durably at this position.
    #[n(1)]
    Accepted {
        /// The group; new information for the author of a genesis.
        #[n(0)]
        group: GroupId,
        /// Where in its log.
        #[n(1)]
        seq: Seq,
    },
    /// An account.
    #[n(2)]
    Account {
        /// Its encoded manifest.
        #[n(0)]
        manifest: Opaque,
    },
    /// Names, `None` for an account without one.
    #[n(3)]
    Names {
        /// In the order asked.
        #[n(0)]
        names: Vec<Option<Name>>,
    },
    /// Prekeys, `None` for a device without any.
    #[n(4)]
    Prekeys {
        /// In the order asked, encoded.
        #[n(0)]
        prekeys: Vec<Option<Opaque>>,
        /// In the same order, a one-time prekey of each device that has one left. It was given to nobody else. Left out if
        /// there are none.
        #[n(1)]
        one_time: Option<Vec<Option<OneTimePrekey>>>,
    },
    /// The device's groups.
    #[n(5)]
    Groups {
        /// Each once.
        #[n(0)]
        groups: Vec<Membership>,
    },
    /// A page of a log.
    #[n(6)]
    Page {
        /// In log order.
        #[n(0)]
        entries: Vec<Entry>,
        /// The last entry of the log.
        #[n(1)]
        head: Seq,
    },
    /// How many one-time prekeys of the device are left to be given out.
    #[n(8)]
    OneTimeLeft {
        /// So many.
        #[n(0)]
        left: u32,
    },
    /// Letters of the device's mailbox.
    #[n(9)]
    Letters {
        /// In the order in which they came.
        #[n(0)]
        letters: Vec<Letter>,
        /// Whether there are more after these.
        #[n(1)]
        more: bool,
    },
    /// Receipts for commits.
    #[n(10)]
    Receipts {
        /// What they are verified with: the same each time, or the server is another one.
        #[n(0)]
        key: ServerKey,
        /// Encoded, in the order of their epochs.
        #[n(1)]
        receipts: Vec<Opaque>,
    },
    /// No.
    #[n(7)]
    Refused {
        /// Why.
        #[n(0)]
        refusal: Refusal,
    },
}

/// Why a server refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, Error, Encode, Decode)]
#[non_exhaustive]
pub enum Refusal {
    /// The request's version is not spoken here.
    #[n(0)]
    #[error("the server speaks protocol versions {min} to {max}; upgrade the older side")]
    UnknownVersion {
        /// Lowest version spoken.
        #[n(0)]
        min: u8,
        /// Highest version spoken.
        #[n(1)]
        max: u8,
    },
    /// The request could not be parsed.
    #[n(1)]
    #[error("the server cannot read the request: {reason}")]
    Malformed {
        /// What is wrong.
        #[n(0)]
        reason: String,
    },
    /// A list or limit in the request is larger than allowed.
    #[n(2)]
    #[error("the request is too large: {what}, at most {max}")]
    TooLarge {
        /// What there is too much of.
        #[n(0)]
        what: String,
        /// How much there may be.
        #[n(1)]
        max: u64,
    },
    /// The connection has not logged in.
    #[n(3)]
    #[error("log in first")]
    NotIdentified,
    /// The connection has logged in already.
    #[n(4)]
    #[error("this connection has logged in already")]
    AlreadyIdentified,
    /// The login's signature is not valid for this server and connection.
    #[n(5)]
    #[error("the login is not valid here; connect to the server under its own name, {server}")]
    LoginFailed {
        /// The server's name.
        #[n(0)]
        server: String,
    },
    /// The account or device is not registered here.
    #[n(6)]
    #[error("this device is not registered here")]
    NotRegistered,
    /// The name belongs to another account.
    #[n(7)]
    #[error("the name is taken; choose another")]
    NameTaken,
    /// The account has another name already.
    #[n(8)]
    #[error("the account is registered already, as {name}")]
    AlreadyRegistered {
        /// Its name.
        #[n(0)]
        name: Name,
    },
    /// The manifest or prekeys are invalid.
    #[n(9)]
    #[error("the account's manifest or prekeys are not valid: {reason}")]
    InvalidAccount {
        /// What is wrong.
        #[n(0)]
        reason: String,
    },
    /// Nobody has that name.
    #[n(10)]
    #[error("nobody here has that name")]
    UnknownName,
    /// There is no such group, or the device is not in it: the server does not say which.
    #[n(11)]
    #[error("there is no such group, or this device is not in it")]
    NotMember,
    /// Sealed in another epoch than the current one: process the log, then seal again.
    #[n(12)]
    #[error("the group is in epoch {epoch}; process its log up to {head} and send again")]
    EpochStale {
        /// The current epoch.
        #[n(0)]
        epoch: Epoch,
        /// The last entry of the log.
        #[n(1)]
        head: Seq,
    },
    /// The commit lost a race: not on top of the head, or not of the last distribution.
    #[n(13)]
    #[error("the group has moved on; process its log up to {head} and try again")]
    HeadMoved {
        /// The last entry of the log.
        #[n(0)]
        head: Seq,
    },
    /// The commit breaks a rule.
    #[n(14)]
    #[error("the commit is not valid: {reason}")]
    InvalidCommit {
        /// Which.
        #[n(0)]
        reason: String,
    },
    /// Not one delivery for each recipient, or one welcome for each newcomer.
    #[n(15)]
    #[error("the upload has {found} deliveries or welcomes where the roster asks for {expected}")]
    WrongDeliveries {
        /// How many the roster asks for.
        #[n(0)]
        expected: u64,
        /// How many there are.
        #[n(1)]
        found: u64,
    },
    /// The distribution or message is not the poster's, or not well formed.
    #[n(16)]
    #[error("the entry is not valid: {reason}")]
    InvalidEntry {
        /// What is wrong.
        #[n(0)]
        reason: String,
    },
    /// A limit was reached.
    #[n(18)]
    #[error("limit reached: {limit}; try again in {retry_after_ms} ms")]
    RateLimited {
        /// Which.
        #[n(0)]
        limit: String,
        /// When to try again.
        #[n(1)]
        retry_after_ms: u64,
    },
    /// The server cannot store anything at present. Nothing of the request was stored.
    #[n(19)]
    #[error("the server cannot store anything at present; try again later, or tell its operator")]
    Unavailable,
    /// There is no room for the letter.
    #[n(20)]
    #[error("the device has not fetched what was left for it before; try again later")]
    MailboxFull,
    /// The server takes nobody new.
    #[n(26)]
    #[error("the server takes no new accounts; ask its operator")]
    RegistrationClosed,
    /// The server takes who was invited.
    #[n(27)]
    #[error("the server takes who has an invite; ask its operator for one")]
    InviteNeeded,
    /// The invite is not one of this server's.
    #[n(28)]
    #[error("the invite is not one of this server's; check that it is whole, or ask for another")]
    InviteInvalid,
    /// The invite's time is over.
    #[n(29)]
    #[error("the invite has expired; ask for another")]
    InviteExpired,
    /// As many have registered with the invite as may.
    #[n(30)]
    #[error("the invite is used up; ask for another")]
    InviteUsedUp,
    /// The account's newest manifest does not list the device.
    #[n(31)]
    #[error("this device no longer belongs to the account; link it again from a device that does")]
    DeviceRevoked,
    /// The directory has another manifest of the same version.
    #[n(32)]
    #[error("the directory has another manifest of version {version}; publish one with a higher version")]
    ManifestConflict {
        /// The version that two manifests have.
        #[n(0)]
        version: ManifestVersion,
    },
    /// A part of an upload came before the one ahead of it.
    #[n(33)]
    #[error("the upload's next part is number {expected}")]
    PartOutOfOrder {
        /// The part that is next.
        #[n(0)]
        expected: u32,
    },
    /// The upload that the entry names is not here: forgotten, named by another entry already, or somebody else's.
    #[n(34)]
    #[error("the server does not have the upload, or no longer; upload its parts again")]
    UnknownUpload,
}
