//! The client: one open profile.

use crate::error::ClientError;
use crate::notice::Notice;
use crate::profile::Unlock;
use crate::summary::{Delivered, GroupDetail, GroupSummary, Identity, StoredMessage};
use conclave_wire::name::Name;
use conclave_wire::roster::Role;
use std::path::Path;

/// One open profile. While it lives, no other process can open the profile.
#[derive(Debug)]
pub struct Client {
    identity: Identity,
}

fn soon<T>() -> Result<T, ClientError> {
    Err(ClientError::Internal { what: "not built yet".into() })
}

impl Client {
    /// Makes an identity in `dir`, stores it, and registers it under `name` on `server` (`ws://host:port`). If the
    /// registration fails, the profile stays and the same call finishes it later.
    pub async fn create(
        _dir: &Path,
        _unlock: &Unlock,
        _name: Name,
        _server: &str,
    ) -> Result<Self, ClientError> {
        soon()
    }

    /// Opens a profile. Connects when something first needs the server.
    pub async fn open(_dir: &Path, _unlock: &Unlock) -> Result<Self, ClientError> {
        soon()
    }

    /// Who this profile is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Begins a group and adds `members`. Nothing is made if one of the names is unknown.
    pub async fn create_group(
        &mut self,
        _label: &str,
        _members: &[Name],
    ) -> Result<GroupSummary, ClientError> {
        soon()
    }

    /// The groups of this profile, by label. What the profile knows; asks nobody.
    pub fn groups(&mut self) -> Result<Vec<GroupSummary>, ClientError> {
        soon()
    }

    /// A group with its members, by its label or at least 8 digits of its id. What the profile knows; asks nobody.
    pub fn group(&mut self, _label: &str) -> Result<GroupDetail, ClientError> {
        soon()
    }

    /// Adds accounts, as members.
    pub async fn add(&mut self, _label: &str, _names: &[Name]) -> Result<GroupSummary, ClientError> {
        soon()
    }

    /// Removes accounts. When this returns, nothing sent from now on can be read by them.
    pub async fn remove(&mut self, _label: &str, _names: &[Name]) -> Result<GroupSummary, ClientError> {
        soon()
    }

    /// Changes an account's role.
    pub async fn set_role(
        &mut self,
        _label: &str,
        _name: &Name,
        _role: Role,
    ) -> Result<GroupSummary, ClientError> {
        soon()
    }

    /// Sends a text. Returns when the server has it durably and it was seen in the log.
    pub async fn send(&mut self, _label: &str, _text: &str) -> Result<Delivered, ClientError> {
        soon()
    }

    /// Fetches and processes everything new in all groups, and hands out every notice not handed out before.
    pub async fn sync(&mut self) -> Result<Vec<Notice>, ClientError> {
        soon()
    }

    /// Like [`sync`](Self::sync), but leaves the notices to a later `sync` or [`next`](Self::next).
    pub async fn fetch(&mut self) -> Result<(), ClientError> {
        soon()
    }

    /// Waits for the next notice. Keeps the connection up, and connects again with growing pauses when it is lost.
    /// Cancel-safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Notice, ClientError> {
        soon()
    }

    /// The messages of a group that this profile has read or sent, in log order. Asks nobody.
    pub fn history(&mut self, _label: &str) -> Result<Vec<StoredMessage>, ClientError> {
        soon()
    }

    /// Ends the connection in order and closes the profile. Dropping the client does the same, in haste.
    pub async fn close(self) {}
}
