//! Frames of the one socket: binary WebSocket messages of at most 1 MiB, each one structure.
//!
//! ```text
//!     client  version ‖ CBOR [ id: uint, request ]
//!     server  version ‖ CBOR [0, [name: text, nonce: bstr 32]]     hello, the first frame of a connection
//!             version ‖ CBOR [1, [id: uint, reply]]                answer to the request of that id
//!             version ‖ CBOR [2, [entry]]                          push of a new log entry
//!             version ‖ CBOR [3, []]                               letters wait in the mailbox
//! ```

use crate::codec::Structure;
use crate::entry::Entry;
use crate::limits::MAX_FRAME;
use crate::login::Nonce;
use crate::reply::Reply;
use crate::request::Request;
use minicbor::{Decode, Encode};

/// Chosen by the client, repeated in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct RequestId(#[n(0)] pub u32);

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClientFrame {
    /// Which request this is.
    #[n(0)]
    pub id: RequestId,
    /// What is asked.
    #[n(1)]
    pub request: Request,
}

impl Structure for ClientFrame {
    const NAME: &'static str = "request";
    const MAX_BYTES: usize = MAX_FRAME;
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ServerFrame {
    /// The first frame of every connection.
    #[n(0)]
    Hello {
        /// The name under which this server accepts logins.
        #[n(0)]
        name: String,
        /// The challenge for a login.
        #[n(1)]
        nonce: Nonce,
    },
    /// The answer to one request.
    #[n(1)]
    Reply {
        /// Which request.
        #[n(0)]
        id: RequestId,
        /// The answer.
        #[n(1)]
        reply: Reply,
    },
    /// A new entry of a group that the client subscribed to.
    #[n(2)]
    Push {
        /// The entry.
        #[n(0)]
        entry: Entry,
    },
    /// Letters have come into the device's mailbox, to be fetched. Told to who has subscribed to anything; it may come
    /// without need, and one that is lost is made up for by fetching when the connection begins.
    #[n(3)]
    LettersWait,
}

impl Structure for ServerFrame {
    const NAME: &'static str = "server frame";
    const MAX_BYTES: usize = MAX_FRAME;
}
