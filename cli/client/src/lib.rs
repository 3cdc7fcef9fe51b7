//! The Conclave SDK: a [`Client`] is one open profile, that is engine, encrypted store and connection in one.
//!
//! ```no_run
//! # async fn run() -> Result<(), conclave_client::ClientError> {
//! use conclave_client::{Client, NoticeKind, Unlock};
//!
//! let unlock = Unlock::KeyFile("/etc/echo/key".into());
//! let mut client = Client::open("/var/lib/echo".as_ref(), &unlock).await?;
//! loop {
//!     let notice = client.next().await?;
//!     if let NoticeKind::Message(message) = notice.kind {
//!         client.send(&notice.label, &message.text).await?;
//!     }
//! }
//! # }
//! ```
//!
//! [`Client::create`] makes an identity and registers it, [`Client::open`] opens it again; then groups are created and
//! changed, messages sent, and what happens is read with [`Client::sync`] (everything new until now) or
//! [`Client::next`] (live).
//!
//! What must survive is in the profile before anything is sent, so a process may die between any two steps: a message
//! that was sealed is posted by the next process, under the same id, and shown once; a change of a group that was
//! staged is posted again, or dropped if another came first. What is read is stored with the cursor that it moves.
//!
//! Every [`ClientError`] says what failed and, after a semicolon, what to do.

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
#[cfg(test)]
mod one_time;
mod profile;
mod receipts;
mod repair;
mod session;
mod store;
mod summary;
mod sync;

pub use client::{Access, Client};
pub use conclave_engine::{GroupState, MessageId};
pub use conclave_wire::entry::{Entry, EntryKind};
pub use conclave_wire::ids::{AccountId, DeviceId, Epoch, GroupId, Seq, Timestamp};
pub use conclave_wire::name::{Name, NameError};
pub use conclave_wire::reply::Refusal;
pub use conclave_wire::roster::Role;
pub use content::MAX_TEXT;
pub use error::{ClientError, what_and_advice};
pub use notice::{Notice, NoticeKind, Person};
pub use profile::Unlock;
pub use receipts::{Compared, GroupReceipt};
pub use summary::{ContentKind, Delivered, GroupDetail, GroupSummary, Identity, MemberDetail, StoredMessage};
