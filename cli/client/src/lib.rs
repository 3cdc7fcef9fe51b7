//! The Conclave SDK: a [`Client`] is one open profile, that is engine, encrypted store and connection in one.
//!
//! [`Client::create`] makes an identity and registers it, [`Client::open`] opens it again; then groups are created and
//! changed, messages sent, and what happens is read with [`Client::sync`] (everything new until now) or
//! [`Client::next`] (live). Everything that must survive is in the profile before anything is sent, so a process may
//! die between any two steps.

mod client;
mod connection;
mod content;
mod directory;
mod error;
mod examine;
mod groups;
mod handout;
mod label;
mod local;
mod notice;
mod profile;
mod session;
mod store;
mod summary;
mod sync;

pub use client::Client;
pub use conclave_engine::{GroupState, MessageId};
pub use conclave_wire::entry::{Entry, EntryKind};
pub use conclave_wire::ids::{AccountId, DeviceId, Epoch, GroupId, Seq, Timestamp};
pub use conclave_wire::name::{Name, NameError};
pub use conclave_wire::reply::Refusal;
pub use conclave_wire::roster::Role;
pub use content::MAX_TEXT;
pub use error::ClientError;
pub use notice::{Notice, NoticeKind, Person};
pub use profile::Unlock;
pub use summary::{ContentKind, Delivered, GroupDetail, GroupSummary, Identity, MemberDetail, StoredMessage};
