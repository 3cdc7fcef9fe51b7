//! What a Conclave server may see, and nothing else.
//!
//! Identifiers, the canonical codec, every signed structure with the verification of its signature, the roster and
//! how a commit changes it, and the requests that travel on the one socket. No secrets, no ratchets, no I/O: the
//! server depends on this crate and on no other of the workspace, so it *cannot* hold a key.
//!
//! Parse, don't validate: bytes become an `Unverified…` value by [`codec::decode`], which refuses what is oversized,
//! of another version, trailing or not canonical; an `Unverified…` value becomes a usable one by moving it into the
//! method that checks its signature. The byte layouts are specified in `docs/protocol.md`, whose numbered rules are
//! cited here as `(R…)`.

mod byte_newtype;

pub mod authority;
pub mod certificate;
pub mod codec;
pub mod commit;
mod commit_error;
pub mod distribution;
mod draft;
pub mod endorsement;
pub mod entry;
pub mod frame;
pub mod hash;
pub mod ids;
pub mod leave;
pub mod letter;
pub mod limits;
mod listing;
pub mod login;
pub mod manifest;
pub mod manifest_fork;
pub mod membership;
pub mod merkle;
pub mod message;
pub mod message_entry;
pub mod name;
mod outcome;
pub mod prekeys;
#[cfg(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub mod processor;
pub mod public_group;
pub mod receipt;
pub mod repair;
pub mod reply;
pub mod request;
pub mod roster;
pub mod run;
pub mod signature;
pub mod update;
