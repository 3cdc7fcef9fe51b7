//! The client: one open profile.

use crate::connection::Servers;
use crate::directory::Names;
use crate::error::ClientError;
use crate::handout::Handout;
use crate::local::{Local, now};
use crate::profile::{Lock, Profile, Unlock};
use crate::session::Session;
use crate::store::{Contact, ProfileRow, damaged};
use crate::summary::Identity;
use conclave_engine::{Device, Scope};
use conclave_wire::name::Name;
use std::path::Path;

/// One open profile. While it lives, no other process can open the profile.
///
/// Calls that need the server connect when there is no connection; they return errors whose text says what failed and,
/// after a semicolon, what to do.
pub struct Client {
    pub(crate) identity: Identity,
    pub(crate) servers: Servers,
    pub(crate) profile: ProfileRow,
    pub(crate) local: Local,
    pub(crate) session: Session,
    pub(crate) names: Names,
    pub(crate) handout: Handout,
    /// Let go last, after the store is closed.
    _lock: Lock,
}

impl Client {
    /// Makes an identity in `dir`, stores it, and registers it under `name` on `server` (`wss://host:port`, or
    /// `ws://host:port` on this machine; several nodes of one with commas between). If the registration fails, the profile
    /// stays, and the same call finishes it later, under another name if need be.
    pub async fn create(dir: &Path, unlock: &Unlock, name: Name, server: &str) -> Result<Self, ClientError> {
        Self::create_with(dir, unlock, name, server, Access::default()).await
    }

    /// Like [`create`](Self::create), with what this server needs beside its address.
    pub async fn create_with(
        dir: &Path,
        unlock: &Unlock,
        name: Name,
        server: &str,
        access: Access,
    ) -> Result<Self, ClientError> {
        let Access { open_network: plain, invite } = access;
        Servers::parse(server, plain)?;
        let wanted = ProfileRow {
            name,
            server: server.to_owned(),
            registered: false,
            published: None,
            manifest: None,
            plain,
            invite,
            receipt_key: None,
        };
        let (dir, unlock, first) = (dir.to_owned(), unlock.clone(), wanted.clone());
        let profile = unblock(move || make(&dir, &unlock, &first)).await?;
        let mut client = Self::load(profile, wanted.clone())?;
        let contact = Contact { name: Some(wanted.name.clone()), ..Contact::new(client.identity.account) };
        client.local.write(|step| {
            step.set_profile(&wanted)?;
            step.set_contact(&contact)
        })?;
        client.ensure_connected().await?;
        Ok(client)
    }

    /// Opens a profile. Connects when something first needs the server.
    pub async fn open(dir: &Path, unlock: &Unlock) -> Result<Self, ClientError> {
        let (dir, unlock) = (dir.to_owned(), unlock.clone());
        let (profile, row) = unblock(move || Profile::open(&dir, &unlock)).await?;
        Self::load(profile, row)
    }

    fn load(profile: Profile, row: ProfileRow) -> Result<Self, ClientError> {
        let Profile { store, lock } = profile;
        let device =
            Device::load(store.records(Scope::Device)?).map_err(|error| damaged(&error.to_string()))?;
        let identity = Identity {
            name: row.name.clone(),
            account: device.account(),
            device: device.id(),
            server: row.server.clone(),
        };
        Ok(Self {
            identity,
            servers: Servers::parse(&row.server, row.plain)?,
            profile: row,
            local: Local::new(store, device)?,
            session: Session::default(),
            names: Names::default(),
            handout: Handout::default(),
            _lock: lock,
        })
    }

    /// Who this profile is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Ends the connection in order and closes the profile. Dropping the client does the same, in haste.
    pub async fn close(mut self) {
        self.acknowledge(true).await;
        if let Some(connection) = self.session.connection.take() {
            connection.close().await;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Err(error) = self.clear_handed() {
            tracing::warn!(%error, "some notices will be handed out again");
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// What a server needs beside its address.
#[derive(Clone, Default)]
pub struct Access {
    /// That nothing encrypts the way to it, although it is another machine: who can listen there learns what the server
    /// learns, that is who talks to whom and how much.
    pub open_network: bool,
    /// Its operator's invite, if it takes only who was invited. Kept, encrypted, until the server has taken it.
    pub invite: Option<String>,
}

/// Without the invite.
impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let invited = self.invite.is_some();
        f.debug_struct("Access").field("open_network", &self.open_network).field("invited", &invited).finish()
    }
}

/// Makes the profile, or opens one that was made and not registered.
fn make(dir: &Path, unlock: &Unlock, row: &ProfileRow) -> Result<Profile, ClientError> {
    Profile::create(dir, unlock, |step| {
        let (_, changes) = Device::create(now(), &mut rand::rng())
            .map_err(|error| ClientError::Internal { what: error.to_string() })?;
        step.apply(&changes)?;
        step.set_profile(row)
    })
    .map(|(profile, _)| profile)
}

/// Runs what takes a while, as stretching a passphrase does, beside the runtime's own threads.
async fn unblock<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(ClientError::Internal { what: format!("opening the profile failed: {error}") }),
    }
}
