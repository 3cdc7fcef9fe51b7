//! Requests: what a client asks of a server on the one socket.

use crate::ids::{AccountId, DeviceId, Epoch, GroupId, Opaque, Seq};
use crate::login::Login;
use crate::name::Name;
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
        let done = ServerFrame::Reply { id: RequestId(7), reply: Reply::Done };
        assert_eq!(codec::encode(&done), [1, 0x82, 1, 0x82, 7, 0x82, 0, 0x80]);
    }
}
