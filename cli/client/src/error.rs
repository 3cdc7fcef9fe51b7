//! Errors: what failed, then what to do about it.

use conclave_wire::ids::AccountId;
use conclave_wire::name::Name;
use conclave_wire::reply::Refusal;
use std::path::PathBuf;
use thiserror::Error;

/// A cause behind an error, for those who look.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is a profile where one was to be made.
    #[error("there is a profile in {} already; use it, or choose another directory", dir.display())]
    ProfileExists {
        /// Where.
        dir: PathBuf,
    },
    /// There is no profile.
    #[error("there is no profile in {}; make one with `conclave init`", dir.display())]
    NoProfile {
        /// Where.
        dir: PathBuf,
    },
    /// Another process has the profile open.
    #[error("the profile in {} is in use by another process; end that one first, or use another profile", dir.display())]
    ProfileLocked {
        /// Where.
        dir: PathBuf,
    },
    /// The profile's files are not what was written.
    #[error(
        "the profile is damaged ({what}); restore it from a backup, or make a new one in another directory"
    )]
    ProfileDamaged {
        /// What is wrong.
        what: String,
    },
    /// The profile was written by another version of this program.
    #[error("the profile has format {found}, this program knows {known}; use the newer program")]
    ProfileVersion {
        /// The format found.
        found: u32,
        /// The format known.
        known: u32,
    },
    /// The passphrase or key file does not open the profile.
    #[error("the passphrase or key file does not open this profile; try again (it cannot be recovered)")]
    WrongPassphrase,
    /// The key file cannot be used.
    #[error("the key file {} cannot be used ({why}); name the file that this profile was made with", path.display())]
    KeyFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The profile cannot be read or written.
    #[error("the profile cannot be read or written: {what}; check the disk and the directory's permissions")]
    Storage {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: Source,
    },
    /// The address is not one that this program can dial.
    #[error("{address} is not an address to connect to; {why}")]
    BadAddress {
        /// The address.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No connection.
    #[error(
        "the server {server} cannot be reached ({source}); check that it runs and that the address is right"
    )]
    Unreachable {
        /// The address.
        server: String,
        /// Why.
        source: Source,
    },
    /// Nobody vouches for the server's certificate: it may be somebody else.
    #[error(
        "the server {server} is not trusted: {reason}; check the address, and that this machine knows the authority that issued its certificate (SSL_CERT_FILE names one)"
    )]
    Untrusted {
        /// The address.
        server: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// The server goes by another name than it was dialled by.
    #[error("the server at {dialled} calls itself {name}; dial that, or set the server's name")]
    ServerName {
        /// The name that follows from the address.
        dialled: String,
        /// The name that the server gives.
        name: String,
    },
    /// The server speaks another version, or not this protocol.
    #[error("the server speaks another version of the protocol ({what}); upgrade the older side")]
    OtherServerVersion {
        /// What it said.
        what: String,
    },
    /// The server does not know this profile's device.
    #[error("{server} does not know this profile any more; ask its operator, or make a new profile there")]
    NotRegistered {
        /// The address.
        server: String,
    },
    /// The name belongs to another account.
    #[error("the name {name} is taken on this server; choose another")]
    NameTaken {
        /// Which.
        name: Name,
    },
    /// Nobody has that name.
    #[error("nobody on this server is called {name}; check the spelling, or ask them to register")]
    UnknownName {
        /// Which.
        name: Name,
    },
    /// The directory gives another account for a name than before.
    #[error(
        "DANGER: the account of {name} was {pinned}, and the server now gives {found} for it: somebody may be posing as {name}; nothing was sent, ask {name} over another channel before you go on"
    )]
    AccountChanged {
        /// Whose.
        name: Name,
        /// The account that was pinned.
        pinned: AccountId,
        /// The account that the server gives now.
        found: AccountId,
    },
    /// The directory gives another name for an account than before, or an older list of its devices.
    #[error(
        "DANGER: what the server says about {name} contradicts what it said before ({what}); nothing was sent, ask {name} over another channel before you go on"
    )]
    Contradiction {
        /// About whom.
        name: Name,
        /// What.
        what: String,
    },
    /// What was given as a receipt cannot be compared.
    #[error("the receipt cannot be compared: {reason}; ask whom it is from to send it whole")]
    BadReceipt {
        /// Why.
        reason: String,
    },
    /// No group has that label.
    #[error("there is no group {label} in this profile; `conclave group list` shows those that there are")]
    UnknownGroup {
        /// The label.
        label: String,
    },
    /// Several groups' ids begin like that.
    #[error("{label} could be several groups; give more digits")]
    AmbiguousGroup {
        /// What was given.
        label: String,
    },
    /// A group has that label already.
    #[error("there is a group {label} already; choose another label")]
    GroupExists {
        /// The label.
        label: String,
    },
    /// The label cannot be used.
    #[error(
        "this cannot be a group's label; give 1 to 64 characters, not only spaces, and none that cannot be seen"
    )]
    BadLabel,
    /// This account is not in the group.
    #[error("this account is not in {label} any more; an admin can add it again")]
    NotMember {
        /// The group.
        label: String,
    },
    /// This device has missed a secret of the group.
    #[error(
        "this device cannot follow {label} since it missed a secret; ask an admin to remove and add this account"
    )]
    NeedWelcome {
        /// The group.
        label: String,
    },
    /// The server has no keys to which something for the other account could be sealed.
    #[error("there are no usable keys of {name} on the server; {name} must come online once, then try again")]
    NoPrekeys {
        /// Whose.
        name: Name,
    },
    /// The other account is not in the group.
    #[error("{name} is not in {label}; `conclave group show {label}` lists its members")]
    NotInGroup {
        /// Whose.
        name: Name,
        /// The group.
        label: String,
    },
    /// The other account is in the group already.
    #[error("{name} is in {label} already; leave the name out")]
    AlreadyInGroup {
        /// Whose.
        name: Name,
        /// The group.
        label: String,
    },
    /// A rule of the group forbids it.
    #[error("not allowed: {why}; `conclave group show` tells who may")]
    NotAllowed {
        /// Which.
        why: String,
    },
    /// The group kept changing while this change was tried.
    #[error("{label} kept changing while this was tried; try again in a moment")]
    Busy {
        /// The group.
        label: String,
    },
    /// What would have to be sent at once does not fit.
    #[error("{what} does not fit into one request of {max} bytes; {advice}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        max: usize,
        /// What to do.
        advice: &'static str,
    },
    /// Nothing to send.
    #[error("the message is empty; give some text")]
    MessageEmpty,
    /// Too much to send.
    #[error("the message is longer than {max} bytes; send it in parts")]
    MessageTooLong {
        /// How long it may be.
        max: usize,
    },
    /// The message is stored and goes out when the server can be reached.
    #[error(
        "the message to {label} is kept and goes out with the next connection ({source}); do not send it again"
    )]
    Queued {
        /// The group.
        label: String,
        /// Why not now.
        source: Box<ClientError>,
    },
    /// The server cannot store anything at present.
    #[error("the server cannot store anything at present; try again later, or tell its operator")]
    Unavailable,
    /// The server refused.
    #[error("the server refused: {0}")]
    Refused(Refusal),
    /// A defect, or a server that answers something else than it was asked.
    #[error("{what} (this should not happen; please report it)")]
    Internal {
        /// What.
        what: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed a little later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Unavailable | Self::Refused(Refusal::RateLimited { .. })
        )
    }

    /// The exit status of a command that ends with this error; the numbers never change their meaning.
    ///
    /// | status | meaning |
    /// |---|---|
    /// | 1 | anything else |
    /// | 3 | no such name or group |
    /// | 4 | not allowed, or not a member |
    /// | 5 | the server cannot be reached, or cannot store |
    /// | 6 | the directory contradicts a pinned account: danger |
    /// | 7 | no profile, one too many, or in use |
    /// | 8 | wrong passphrase or key file |
    /// | 9 | the profile is damaged, of another version, or its disk fails |
    /// | 10 | the server refused, is not trusted, or speaks another version |
    /// | 11 | the message, label or receipt cannot be used |
    /// | 12 | the message is kept and goes out by itself: not to be sent again |
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownName { .. }
            | Self::UnknownGroup { .. }
            | Self::AmbiguousGroup { .. }
            | Self::NotInGroup { .. } => 3,
            Self::NotMember { .. }
            | Self::NeedWelcome { .. }
            | Self::NotAllowed { .. }
            | Self::NoPrekeys { .. }
            | Self::AlreadyInGroup { .. } => 4,
            Self::Unreachable { .. } | Self::Unavailable | Self::Busy { .. } => 5,
            Self::AccountChanged { .. } | Self::Contradiction { .. } => 6,
            Self::ProfileExists { .. } | Self::NoProfile { .. } | Self::ProfileLocked { .. } => 7,
            Self::WrongPassphrase | Self::KeyFile { .. } => 8,
            Self::ProfileDamaged { .. } | Self::ProfileVersion { .. } | Self::Storage { .. } => 9,
            Self::OtherServerVersion { .. }
            | Self::ServerName { .. }
            | Self::Untrusted { .. }
            | Self::BadAddress { .. }
            | Self::NotRegistered { .. }
            | Self::NameTaken { .. }
            | Self::Refused(_) => 10,
            Self::MessageEmpty
            | Self::MessageTooLong { .. }
            | Self::BadLabel
            | Self::GroupExists { .. }
            | Self::BadReceipt { .. }
            | Self::TooLarge { .. } => 11,
            Self::Queued { .. } => 12,
            Self::Internal { .. } => 1,
        }
    }
}
/// What failed, and what to do about it: the two parts of every error's and alarm's text, which stand in this order with a
/// semicolon between.
pub fn what_and_advice(text: &str) -> (&str, &str) {
    text.rsplit_once("; ").unwrap_or((text, ""))
}
