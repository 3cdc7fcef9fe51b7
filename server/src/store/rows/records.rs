//! Values that are more than bytes, and the keys of every row.

use crate::limits::{MAX_KEPT_UPLOADS, MAX_LETTERS};
use crate::store::StoreError;
use conclave_wire::codec::{self, Structure};
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{
    AccountId, CommitHash, DeviceId, Epoch, GroupId, LeafIndex, LetterNumber, Opaque, Seq, Timestamp,
    UploadId,
};
use conclave_wire::letter::LetterKind;
use conclave_wire::limits::MAX_LETTER;
use conclave_wire::name::Name;
use minicbor::{Decode, Encode};

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::store) struct HeadRecord {
    /// The last entry.
    #[n(0)]
    pub(super) seq: Seq,
    /// The current epoch.
    #[n(1)]
    pub(super) epoch: Epoch,
    /// The commit that began it.
    #[n(2)]
    pub(super) commit: CommitHash,
    /// Where that commit stands.
    #[n(3)]
    pub(super) commit_seq: Seq,
    /// Its time.
    #[n(4)]
    pub(super) commit_time: Timestamp,
    /// The last distribution, 0 for none.
    #[n(5)]
    pub(super) last_distribution: Seq,
    /// Leaves of the roster, blanks included.
    #[n(6)]
    pub(super) leaf_count: u32,
    /// Bytes of all messages that ever were in the log.
    #[n(7)]
    pub(super) bytes: u64,
    /// When the last entry came, by the server's clock; never before the one ahead of it.
    #[n(8)]
    pub(super) came: Timestamp,
    /// When that was last noted in the table `dated`.
    #[n(9)]
    pub(super) dated: Timestamp,
    /// What `bytes` was then.
    #[n(10)]
    pub(super) dated_bytes: u64,
}

/// What is known of a group's entries before some point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct DatedRecord {
    /// When the last of them came.
    #[n(0)]
    pub(super) came: Timestamp,
    /// Bytes of all messages among them.
    #[n(1)]
    pub(super) bytes: u64,
}

impl Structure for DatedRecord {
    const NAME: &'static str = "dated record";
    const MAX_BYTES: usize = 32;
}

/// How far a group's log is trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct TrimRecord {
    /// Messages up to this are gone, or going.
    #[n(0)]
    pub(super) messages: Seq,
    /// They are gone up to this.
    #[n(1)]
    pub(super) messages_gone: Seq,
    /// Distributions up to this are gone or going, but for the last one, and what hung on any entry.
    #[n(2)]
    pub(super) keys: Seq,
    /// They are gone up to this, with what came in parts.
    #[n(3)]
    pub(super) keys_gone: Seq,
    /// The last row of `delivery` that was looked at, without its group; `None` if all of them were.
    #[n(4)]
    pub(super) deliveries_seen: Option<Opaque>,
}

impl Structure for TrimRecord {
    const NAME: &'static str = "trim record";
    const MAX_BYTES: usize = 128;
}

impl Structure for HeadRecord {
    const NAME: &'static str = "head record";
    const MAX_BYTES: usize = 128;
}

/// Which part of a group's log a device may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct MemberRecord {
    /// The commit that added it.
    #[n(0)]
    pub(super) joined: Seq,
    /// The commit that removed it, if one did since.
    #[n(1)]
    pub(super) left: Option<Seq>,
}

impl Structure for MemberRecord {
    const NAME: &'static str = "member record";
    const MAX_BYTES: usize = 32;
}

/// An account of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct AccountRecord {
    /// Its name, for ever.
    #[n(0)]
    pub(super) name: Name,
    /// Its encoded manifest.
    #[n(1)]
    pub(super) manifest: Opaque,
}

impl Structure for AccountRecord {
    const NAME: &'static str = "account record";
    const MAX_BYTES: usize = 8 << 10;
}

/// A device of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct DeviceRecord {
    /// The account that it belongs to.
    #[n(0)]
    pub(super) account: AccountId,
    /// Its encoded prekeys.
    #[n(1)]
    pub(super) prekeys: Opaque,
}

impl Structure for DeviceRecord {
    const NAME: &'static str = "device record";
    const MAX_BYTES: usize = 2 << 10;
}

/// An upload in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct UploadRecord {
    /// Whose.
    #[n(0)]
    pub(super) by: DeviceId,
    /// When its first part came.
    #[n(1)]
    pub(super) began: Timestamp,
    /// How many have come.
    #[n(2)]
    pub(super) parts: u32,
    /// Bytes of all its deliveries.
    #[n(3)]
    pub(super) bytes: u64,
    /// Bytes of its largest delivery.
    #[n(4)]
    pub(super) largest: u64,
    /// What is to become of it.
    #[n(5)]
    pub(super) state: UploadState,
}

impl Structure for UploadRecord {
    const NAME: &'static str = "upload record";
    const MAX_BYTES: usize = 128;
}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum UploadState {
    /// It waits for further parts, or for its entry.
    #[n(0)]
    Open,
    /// An entry has it.
    #[n(1)]
    Named,
    /// Nothing named it in time: its rows are being deleted.
    #[n(2)]
    Forgotten,
}

/// The uploads of a device that no entry has named, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct UploaderRecord {
    /// Which.
    #[n(0)]
    pub(super) uploads: Vec<UploadId>,
}

impl Structure for UploaderRecord {
    const NAME: &'static str = "uploader record";
    const MAX_BYTES: usize = 16 + 20 * MAX_KEPT_UPLOADS;
}

/// What is in a device's mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct MailboxRecord {
    /// The last number given.
    #[n(0)]
    pub(super) last: LetterNumber,
    /// In the order in which they came.
    #[n(1)]
    pub(super) letters: Vec<Listed>,
}

impl Structure for MailboxRecord {
    const NAME: &'static str = "mailbox record";
    const MAX_BYTES: usize = 16 + 64 * MAX_LETTERS;
}

/// A letter, as its mailbox lists it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Listed {
    /// Which.
    #[n(0)]
    pub(super) number: LetterNumber,
    /// Who left it.
    #[n(1)]
    pub(super) from: DeviceId,
    /// Bytes of its body.
    #[n(2)]
    pub(super) bytes: u64,
    /// When it came, by the server's clock.
    #[n(3)]
    pub(super) came: Timestamp,
}

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct LetterRecord {
    /// What its body is.
    #[n(0)]
    pub(super) kind: LetterKind,
    /// The group that both devices are in.
    #[n(1)]
    pub(super) group: GroupId,
    /// Who left it.
    #[n(2)]
    pub(super) from: DeviceId,
    /// The body.
    #[n(3)]
    pub(super) body: Opaque,
}

impl Structure for LetterRecord {
    const NAME: &'static str = "letter record";
    const MAX_BYTES: usize = 128 + MAX_LETTER;
}

/// Reads back a record that this store wrote.
pub(super) fn decode<T: Structure>(bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode(bytes).map_err(|_| StoreError::Damaged(T::NAME))
}

/// Reads back an integer or identifier.
pub(super) fn fixed<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(what))
}

/// The last `N` bytes of a key, its integer.
pub(super) fn suffix<const N: usize>(key: &[u8], what: &'static str) -> Result<[u8; N], StoreError> {
    key.last_chunk().copied().ok_or(StoreError::Damaged(what))
}

/// Key of a group's entry.
pub(super) fn log_key(group: &GroupId, seq: Seq) -> Vec<u8> {
    [group.as_bytes().as_slice(), &seq.0.to_be_bytes()].concat()
}

/// Key of a delivery.
pub(super) fn delivery_key(group: &GroupId, device: &DeviceId, seq: Seq) -> Vec<u8> {
    [group.as_bytes().as_slice(), device.as_bytes(), &seq.0.to_be_bytes()].concat()
}

/// Key of a commit's position.
pub(super) fn commit_key(group: &GroupId, epoch: Epoch) -> Vec<u8> {
    [group.as_bytes().as_slice(), &epoch.0.to_be_bytes()].concat()
}

/// Key of a leaf.
pub(super) fn leaf_key(group: &GroupId, index: LeafIndex) -> Vec<u8> {
    [group.as_bytes().as_slice(), &index.0.to_be_bytes()].concat()
}

/// Key of what a device is or has read in a group.
pub(super) fn member_key(device: &DeviceId, group: &GroupId) -> Vec<u8> {
    [device.as_bytes().as_slice(), group.as_bytes()].concat()
}

/// Key of what an upload has for a device.
pub(super) fn part_key(upload: &UploadId, device: &DeviceId) -> Vec<u8> {
    [upload.as_bytes().as_slice(), device.as_bytes()].concat()
}

/// Key of a letter.
pub(super) fn letter_key(device: &DeviceId, number: LetterNumber) -> Vec<u8> {
    [device.as_bytes().as_slice(), &number.0.to_be_bytes()].concat()
}

/// Value of a group's entry.
pub(super) fn log_value(kind: EntryKind, body: &[u8]) -> Vec<u8> {
    let kind = match kind {
        EntryKind::Commit => 0,
        EntryKind::Distribution => 1,
        EntryKind::Message => 2,
        // No entry is one: it stands for entries that are not there.
        EntryKind::Trimmed => 3,
    };
    [&[kind], body].concat()
}

/// Takes apart what [`log_value`] made.
pub(super) fn log_entry(value: &[u8]) -> Result<(EntryKind, &[u8]), StoreError> {
    let damaged = StoreError::Damaged("log entry");
    let (kind, body) = value.split_first().ok_or(StoreError::Damaged("log entry"))?;
    let kind = match kind {
        0 => EntryKind::Commit,
        1 => EntryKind::Distribution,
        2 => EntryKind::Message,
        _ => return Err(damaged),
    };
    Ok((kind, body))
}
