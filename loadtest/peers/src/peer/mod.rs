//! The peers, each as its own documentation uses it, behind two traits: what talks, and what a large group does.

mod megolm;
mod mls_rs;
mod olm;
mod openmls;

use crate::Failure;
use std::time::Duration;

pub(crate) use megolm::{Megolm, exported_session_bytes};
pub(crate) use mls_rs::{MlsRsGroup, MlsRsPair, Padding};
pub(crate) use olm::{Contact, Olm};
pub(crate) use openmls::{OpenMlsGroup, OpenMlsPair};

/// Olm and Megolm.
pub(crate) const VODOZEMAC: &str = "vodozemac";
/// MLS with AWS-LC.
pub(crate) const MLS_RS: &str = "mls-rs";
/// MLS with RustCrypto.
pub(crate) const OPENMLS: &str = "openmls";

/// Two devices, of which one sends messages and the other reads them.
pub(crate) trait Talk {
    /// Which library.
    fn name(&self) -> &'static str;

    /// From content to what is sent.
    fn seal(&mut self, content: &[u8]) -> Result<Vec<u8>, Failure>;

    /// From what was sent to content.
    fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure>;
}

/// A large group with its founder, a member, and somebody who has not opened her welcome. Each step begins at the same
/// state.
pub(crate) trait LargeGroup {
    /// Which library.
    fn name(&self) -> &'static str;

    /// The founder removes a member and applies that; gives the commit.
    fn remove(&self) -> Result<(Duration, Vec<u8>), Failure>;

    /// The member takes that removal.
    fn take_removal(&self, commit: &[u8]) -> Result<Duration, Failure>;

    /// The newcomer joins.
    fn join(&self) -> Result<Duration, Failure>;

    /// Bytes that the member's store holds.
    fn stored_bytes(&self) -> Result<usize, Failure>;
}
