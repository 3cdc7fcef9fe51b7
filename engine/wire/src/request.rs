//! Requests: what a client asks of a server on the one socket.

use crate::ids::{AccountId, DeviceId, Epoch, GroupId, LetterNumber, Opaque, Seq, UploadId};
use crate::letter::LetterKind;
use crate::login::Login;
use crate::name::Name;
use crate::prekeys::OneTimePrekey;
use minicbor::{Decode, Encode};

/// Where a device stands in a group's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cursor {
    /// The group.
    #[n(0)]
    pub group: GroupId,
    /// The last entry that the device has processed and stored.
    #[n(1)]
    pub seq: Seq,
}

/// A newcomer's welcome.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WelcomeFor {
    /// The newcomer's device.
    #[n(0)]
    pub device: DeviceId,
    /// The sealed welcome.
    #[n(1)]
    pub welcome: Opaque,
}

/// What hangs on an entry for one device.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeliveryFor {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// Its delivery of a commit secret or content key, or its welcome.
    #[n(1)]
    pub delivery: Opaque,
}

/// A request. Only `Register` and `Login` are answered before the connection has identified itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[non_exhaustive]
pub enum Request {
    /// Enters an account in the directory and logs its device in. Answered with `Done`; repeating it is harmless.
    #[n(0)]
    Register {
        /// The name wanted.
        #[n(0)]
        name: Name,
        /// The account's encoded manifest.
        #[n(1)]
        manifest: Opaque,
        /// The device's encoded prekeys.
        #[n(2)]
        prekeys: Opaque,
        /// The device's proof.
        #[n(3)]
        login: Login,
        /// The operator's invite, where the server asks for one.
        #[n(4)]
        invite: Option<String>,
    },
    /// Identifies the connection. Answered with `Done`.
    #[n(1)]
    Login {
        /// The device's proof.
        #[n(0)]
        login: Login,
    },
    /// Finds an account by its name. Answered with `Account`.
    #[n(2)]
    Lookup {
        /// The name.
        #[n(0)]
        name: Name,
    },
    /// Asks for the names of accounts. Answered with `Names`, in the same order.
    #[n(3)]
    Names {
        /// The accounts, at most [`crate::limits::MAX_ACCOUNTS_PER_REQUEST`].
        #[n(0)]
        accounts: Vec<AccountId>,
    },
    /// Asks for devices' prekeys. Answered with `Prekeys`, in the same order.
    #[n(4)]
    Prekeys {
        /// The devices, at most [`crate::limits::MAX_PREKEYS_PER_REQUEST`].
        #[n(0)]
        devices: Vec<DeviceId>,
    },
    /// Replaces the device's own prekeys. Answered with `Done`.
    #[n(5)]
    PublishPrekeys {
        /// The encoded prekeys.
        #[n(0)]
        prekeys: Opaque,
    },
    /// Asks in which groups the device is. Answered with `Groups`.
    #[n(6)]
    Groups,
    /// Begins a group or changes one. Answered with `Accepted`.
    #[n(7)]
    Commit {
        /// The encoded commit.
        #[n(0)]
        commit: Opaque,
        /// If the commit has a secret, one delivery for each recipient in leaf order, those that the commit names
        /// unreachable left out. Else none.
        #[n(1)]
        deliveries: Vec<Opaque>,
        /// One for each added device that the commit does not name unreachable.
        #[n(2)]
        welcomes: Vec<WelcomeFor>,
        /// The upload whose parts hold the deliveries and welcomes; then there are none here.
        #[n(3)]
        staged: Option<UploadId>,
    },
    /// Posts a sender key. Answered with `Accepted`.
    #[n(8)]
    Distribute {
        /// The group.
        #[n(0)]
        group: GroupId,
        /// The encoded distribution.
        #[n(1)]
        distribution: Opaque,
        /// One delivery for each other device in leaf order; empty for a device that cannot be reached.
        #[n(2)]
        deliveries: Vec<Opaque>,
        /// The upload whose parts hold the deliveries; then there are none here.
        #[n(3)]
        staged: Option<UploadId>,
    },
    /// Posts a message. Answered with `Accepted`.
    #[n(9)]
    Post {
        /// The group.
        #[n(0)]
        group: GroupId,
        /// The encoded message.
        #[n(1)]
        message: Opaque,
    },
    /// Reads a group's log. Answered with `Page`.
    #[n(10)]
    Fetch {
        /// The group.
        #[n(0)]
        group: GroupId,
        /// Entries after this one.
        #[n(1)]
        after: Seq,
        /// At most this many; the server may send fewer.
        #[n(2)]
        limit: u32,
    },
    /// Reads a group's commits alone, for walking from the genesis. Answered with `Page`.
    #[n(11)]
    FetchCommits {
        /// The group.
        #[n(0)]
        group: GroupId,
        /// The first epoch wanted.
        #[n(1)]
        from: Epoch,
        /// At most this many; the server may send fewer.
        #[n(2)]
        limit: u32,
    },
    /// Asks for everything after each cursor, now and as it comes: pushes begin at the entry after the cursor, without
    /// a gap and without a duplicate. Also subscribes the connection to groups that the device is added to from now
    /// on, whose pushes begin with the commit that added it. Answered with `Done`. A second subscription replaces the
    /// first for the groups that it names.
    #[n(12)]
    Subscribe {
        /// One for each group, at most [`crate::limits::MAX_CURSORS`].
        #[n(0)]
        cursors: Vec<Cursor>,
    },
    /// Tells what the device has processed and stored. Answered with `Done`.
    #[n(13)]
    Acknowledge {
        /// How far.
        #[n(0)]
        cursor: Cursor,
    },
    /// Leaves a letter for another device of a group. Answered with `Done`; who repeats it leaves two.
    #[n(14)]
    SendLetter {
        /// A group that both devices are in.
        #[n(0)]
        group: GroupId,
        /// Whom it is for.
        #[n(1)]
        to: DeviceId,
        /// What it is.
        #[n(2)]
        kind: LetterKind,
        /// The encoded request or answer, at most [`crate::limits::MAX_LETTER`].
        #[n(3)]
        body: Opaque,
    },
    /// Reads the device's own mailbox. Answered with `Letters`.
    #[n(15)]
    FetchLetters {
        /// Letters after this one.
        #[n(0)]
        after: LetterNumber,
    },
    /// Empties the device's own mailbox up to a letter, this one included. Answered with `Done`.
    #[n(16)]
    ForgetLetters {
        /// The last one to go.
        #[n(0)]
        through: LetterNumber,
    },
    /// Publishes one-time prekeys of the device beside its signed ones. Answered with `OneTimeLeft`; with none, only that
    /// is asked. Those with the lowest ids beyond [`crate::limits::MAX_ONE_TIME_PREKEYS`] are forgotten.
    #[n(17)]
    PublishOneTime {
        /// Their public halves, at most [`crate::limits::MAX_ONE_TIME_PREKEYS`].
        #[n(0)]
        prekeys: Vec<OneTimePrekey>,
        /// Whether those that were published before are forgotten: the device does not have their private halves any more.
        #[n(1)]
        replace: bool,
    },
    /// Asks for the server's receipts for a group's commits. Answered with `Receipts`.
    #[n(18)]
    Receipts {
        /// The group.
        #[n(0)]
        group: GroupId,
        /// The first epoch wanted. At most [`crate::limits::MAX_RECEIPTS`] are given.
        #[n(1)]
        from: Epoch,
    },
    /// Uploads a part of what hangs on a commit or distribution that would not fit a frame with it; that follows, and
    /// names the upload. Answered with `Done`; repeating a part is harmless, and changes nothing. An upload that no
    /// entry has named within an hour is forgotten.
    #[n(25)]
    StagePart {
        /// The upload, begun by its part 0.
        #[n(0)]
        upload: UploadId,
        /// Which part, counted from 0; parts come in order.
        #[n(1)]
        number: u32,
        /// At most [`crate::limits::MAX_PART_DELIVERIES`], each device once in an upload.
        #[n(2)]
        deliveries: Vec<DeliveryFor>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::frame::{ClientFrame, RequestId, ServerFrame};
    use crate::reply::Reply;

    /// The shapes that docs/protocol.md shows: a variant is `[number, [fields]]`, fields or none.
    #[test]
    fn enums_are_number_and_fields() {
        let frame = |request| codec::encode(&ClientFrame { id: RequestId(7), request });
        assert_eq!(frame(Request::Groups), [1, 0x82, 7, 0x82, 6, 0x80]);
        let lookup = Request::Lookup { name: "al".parse().unwrap() };
        assert_eq!(frame(lookup), [1, 0x82, 7, 0x82, 2, 0x81, 0x62, b'a', b'l']);
        // What an older program sends, and what it is sent: optional fields at the end are left out.
        let commit = |staged| {
            let (commit, deliveries, welcomes) = (Opaque(vec![1]), Vec::new(), Vec::new());
            frame(Request::Commit { commit, deliveries, welcomes, staged })
        };
        assert_eq!(commit(None), [1, 0x82, 7, 0x82, 7, 0x83, 0x41, 1, 0x80, 0x80]);
        assert_eq!(
            codec::decode::<ClientFrame>(&commit(None)).map(|frame| codec::encode(&frame)),
            Ok(commit(None))
        );
        let staged = commit(Some(UploadId::from_bytes([9; 16])));
        assert_eq!(staged[..11], [1, 0x82, 7, 0x82, 7, 0x84, 0x41, 1, 0x80, 0x80, 0x50]);
        let done = ServerFrame::Reply { id: RequestId(7), reply: Reply::Done };
        assert_eq!(codec::encode(&done), [1, 0x82, 1, 0x82, 7, 0x82, 0, 0x80]);
    }
}
