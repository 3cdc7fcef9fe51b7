//! The Conclave SDK: a [`Client`] is one open profile, that is engine, encrypted store and connection in one.
//!
//! [`Client::create`] makes an identity and registers it, [`Client::open`] opens it again; then groups are created and
//! changed, messages sent, and what happens is read with [`Client::sync`] (everything new until now) or
//! [`Client::next`] (live). Everything that must survive is in the profile before anything is sent, so a process may
//! die between any two steps.

mod client;
mod error;
mod notice;
mod profile;
mod store;
mod summary;

pub use client::Client;
pub use conclave_wire::entry::EntryKind;
pub use conclave_wire::ids::{AccountId, DeviceId, Epoch, GroupId, Seq, Timestamp};
pub use conclave_wire::name::{Name, NameError};
pub use conclave_wire::reply::Refusal;
pub use conclave_wire::roster::Role;
pub use error::ClientError;
pub use notice::{Notice, NoticeKind, Person};
pub use profile::Unlock;
pub use summary::{
    ContentKind, Delivered, GroupDetail, GroupState, GroupSummary, Identity, MemberDetail, MessageId,
    StoredMessage,
};
