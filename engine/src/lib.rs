//! End-to-end-encrypted groups by epoch-mixed sender keys.
//!
//! Any member sends at any time without coordination, because each device has a sender key of its own; and a member
//! who is removed is shut out at once, because every removal mixes a fresh secret into every sender's chain. The group
//! is one log: the server orders it and stores it, and can neither read it nor change who is in it. What must hold is
//! specified in `docs/protocol.md`, whose rules are cited here as `(R…)`.
//!
//! The engine is sans-IO: no sockets, files, clocks or threads. Time and randomness are arguments. Every call that
//! changes state returns its result together with [`Changes`], records to be stored in one transaction *before*
//! anything that the call returned leaves the device. On an error nothing has changed.
//!
//! # From identity to a removed member
//!
//! ```
//! use conclave_engine::wire::commit::Operation;
//! use conclave_engine::wire::entry::{Entry, EntryKind};
//! use conclave_engine::wire::ids::{Opaque, Seq, Timestamp};
//! use conclave_engine::wire::roster::Role;
//! use conclave_engine::{Device, Event, Group, GroupState, Newcomer, PrekeyBook};
//!
//! let now = Timestamp(1_750_000_000_000);
//! let mut rng = rand::rng();
//!
//! // Each device makes its identity and prekeys. `_changes` goes to its store, here and below.
//! let (mut alice, _changes) = Device::create(now, &mut rng)?;
//! let (mut bob, _changes) = Device::create(now, &mut rng)?;
//!
//! // A server hands out Bob's manifest and prekeys; both verify by themselves.
//! let mut book = PrekeyBook::default();
//! book.insert(&bob.prekeys().ok_or("no prekeys")?.encode())?;
//! let manifest = Opaque(bob.manifest().encoded().to_vec());
//!
//! // Alice founds a group. The log's first entry is its genesis.
//! let new = Group::create(&alice, now, &mut rng)?;
//! let (mut at_alice, genesis) = (new.group, new.commit);
//! let group = at_alice.id();
//! let entry = |seq, kind, body: &[u8], delivery: Option<&Opaque>| Entry {
//!     group,
//!     seq: Seq(seq),
//!     kind,
//!     delivery: delivery.cloned(),
//!     body: Opaque(body.to_vec()),
//! };
//! at_alice.receive(&mut alice, &entry(1, EntryKind::Commit, &genesis, None), now)?;
//!
//! // She adds Bob. The commit takes effect when the log shows it.
//! let add = vec![Operation::Add { role: Role::Member, manifest }];
//! let staged = at_alice.commit(&mut alice, add, b"the note", &book, now, &mut rng)?;
//! let commit = staged.upload.commit;
//! at_alice.receive(&mut alice, &entry(2, EntryKind::Commit, &commit, None), now)?;
//!
//! // Bob walks the history from the genesis, checking every commit, and opens his welcome.
//! let mut walk = Newcomer::new(group);
//! walk.commit(&genesis)?;
//! walk.commit(&commit)?;
//! let welcome = &staged.upload.welcomes[0].welcome;
//! let joined = walk.open(&mut bob, &entry(2, EntryKind::Commit, &commit, Some(welcome)), now)?;
//! let mut at_bob = joined.group;
//! assert_eq!(joined.note, b"the note");
//!
//! // Alice distributes a sender key, then seals.
//! let key = at_alice.distribute(&mut alice, &book, now, &mut rng)?.upload;
//! let for_bob = Some(&key.deliveries[0]);
//! at_alice.receive(&mut alice, &entry(3, EntryKind::Distribution, &key.distribution, None), now)?;
//! at_bob.receive(&mut bob, &entry(3, EntryKind::Distribution, &key.distribution, for_bob), now)?;
//!
//! let sealed = at_alice.seal(b"hello", &mut rng)?;
//! match at_bob.receive(&mut bob, &entry(4, EntryKind::Message, &sealed.message, None), now)?.event {
//!     Event::Message(message) => assert_eq!(message.content, b"hello"),
//!     other => return Err(format!("{other:?}").into()),
//! }
//! at_alice.receive(&mut alice, &entry(4, EntryKind::Message, &sealed.message, None), now)?;
//!
//! // She removes him: his secrets are erased, and the next epoch derives from one that he never gets.
//! let remove = vec![Operation::Remove { account: bob.account() }];
//! let staged = at_alice.commit(&mut alice, remove, b"", &book, now, &mut rng)?;
//! at_bob.receive(&mut bob, &entry(5, EntryKind::Commit, &staged.upload.commit, None), now)?;
//! assert_eq!(at_bob.state(), GroupState::Removed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A second device
//!
//! ```
//! use conclave_engine::wire::ids::Timestamp;
//! use conclave_engine::{Device, LinkCode, Linking, ShareAccountKey};
//!
//! let now = Timestamp(1_750_000_000_000);
//! let mut rng = rand::rng();
//! let (mut laptop, _changes) = Device::create(now, &mut rng)?;
//!
//! // The phone asks to belong to her account, and shows a code. The request may go through anybody's hands.
//! let (phone, _changes) = Linking::begin(laptop.account(), now, &mut rng);
//! let (request, shown) = (phone.request(), phone.code().to_string()); // 5JK7N-XQ2RA-0W8ZD-M4HPT
//!
//! // She types the code on the laptop, which signs the account's next manifest.
//! let typed: LinkCode = shown.parse()?;
//! let approved = laptop.approve_link(&request, &typed, ShareAccountKey::No, now, &mut rng)?;
//!
//! // It is published, and in force when the directory shows it.
//! let directory = laptop.staged_manifest().ok_or("nothing is staged")?.encoded().to_vec();
//! let _adopted = laptop.adopt(&[&directory])?;
//!
//! // Then the phone is given the approval, and is a device of the account.
//! let (phone, _changes) = phone.complete(&approved.approval, now, &mut rng)?;
//! assert_eq!(phone.account(), laptop.account());
//! assert_eq!(phone.manifest(), laptop.manifest());
//!
//! // Who lost the phone revokes it, and then commits the new manifest in each group.
//! let _changes = laptop.revoke(&phone.id(), now)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is missing, and what is wrong
//!
//! An entry that shows that something is missing here tells what: [`ReceiveError::need`] and [`Event::needs`]. Each
//! [`Need`] has its question ([`Group::ask_sender_key`], [`Group::ask_welcome`], [`Group::ask_initial`]), a signed request
//! that other members [`answer`](Group::answer) and whose answer this device [`takes`](Group::accept_answer). How both
//! travel is the embedder's. What somebody did that no honest program does is an [`Alarm`], which a user must see.

mod addressee;
mod aead;
mod agreement;
mod backup;
mod device;
mod envelope;
mod group;
mod identity;
mod kdf;
mod kem;
pub mod limits;
mod linking;
mod manifest_chain;
mod padding;
mod pairwise;
mod prekeys;
mod ratchet;
mod record;
mod safety_number;
mod secret;
mod slots;

// The harness of the integration tests serves the tests in this crate too, which look inside.
#[cfg(test)]
extern crate self as conclave_engine;
#[cfg(test)]
mod speed;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod wiping;

pub use backup::{BackupError, BackupKey, RestoreError, Restored};
pub use conclave_wire as wire;
pub use device::{Device, DeviceError, RevokeError};
pub use envelope::OpenError;
pub use group::{
    AcceptError, Alarm, Answer, AnswerContent, AnswerError, AskError, AskedFor, CaughtUp, CertificateError,
    CommitUpload, Continuity, CreateError, DistributeError, Distributed, DistributionUpload, Event,
    ForgedMember, Group, GroupMessage, GroupState, JoinError, Joined, KeyRepair, LeaveError, MessageId, Need,
    NewGroup, Newcomer, NotedReceipt, Origin, ReceiptError, ReceiveError, Received, Recovered, Repair,
    Repaired, SealError, Sealed, SealedRun, Sender, SplitView, StageError, StagedCommit, Verdict,
};
pub use identity::{IdentityError, SignManifestError};
pub use linking::{ApproveError, Approved, LinkCode, LinkCodeError, LinkError, Linking, ShareAccountKey};
pub use manifest_chain::{AdoptError, Adopted, StagedManifest};
pub use prekeys::{PrekeyBook, PrekeyBookError};
pub use record::{Change, Changes, LoadError, RecordKey, RecordValue, Records, Scope};
pub use safety_number::{SafetyNumber, ScanError};
