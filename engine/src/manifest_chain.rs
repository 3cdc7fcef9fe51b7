//! The manifests of our own account, as this device knows them: those in force, and one that waits to be published.
//!
//! ```text
//!     record  manifest/ version 8     version ‖ CBOR manifest: bstr
//!     record  staged manifest         version ‖ CBOR manifest: bstr
//! ```
//!
//! Kept are the newest 64 in force, so that a group that recorded an older one can be brought forward. They link by hash
//! (R11), so that whoever trusts the newest has checked them all.

use crate::record::{Changes, LoadError, Scope};
use conclave_wire::codec::Structure;
use conclave_wire::ids::{AccountId, DeviceKey, ManifestVersion, Opaque};
use conclave_wire::limits::MAX_MANIFEST_CHAIN;
use conclave_wire::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError};
use conclave_wire::manifest_fork::ManifestFork;
use minicbor::{Decode, Encode};
use thiserror::Error;

/// Prefix of the records of manifests in force.
pub(crate) const MANIFEST: &[u8] = b"manifest/";
/// The record of the one that waits.
pub(crate) const STAGED: &[u8] = b"staged manifest";

/// What became of the manifest that this device had signed and that waited to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagedManifest {
    /// It is in force.
    InForce,
    /// Another device of the account was first with that version. What it was to do is not done: approve or revoke
    /// again, and do not hand over an approval that was made with it.
    Lost,
}

/// Manifests that were taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// What became of the one that waited; `None` if none did, or it still waits.
    pub staged: Option<StagedManifest>,
    /// To store.
    pub changes: Changes,
}

/// Why manifests of the own account are not taken over. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// None, or too many at once.
    #[error(
        "there must be 1 to {MAX_MANIFEST_CHAIN} device manifests; adopt a longer chain in pieces, the oldest first"
    )]
    Count,
    /// One is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// One is of another account.
    #[error("a device manifest of another account was shown as ours; do not trust this server")]
    Account,
    /// They are not one chain: one does not follow the one before it.
    #[error("the device manifests that were shown do not follow each other")]
    Order,
    /// The first is too new to follow what this device knows.
    #[error("device manifests after version {newest} are missing before version {shown}; fetch those first")]
    Gap {
        /// The newest that this device knows.
        newest: ManifestVersion,
        /// The first one shown.
        shown: ManifestVersion,
    },
    /// The newest shown is older than what this device knows.
    #[error(
        "the newest device manifest shown is version {shown}, but version {newest} is known; do not trust this server"
    )]
    RolledBack {
        /// The newest that this device knows.
        newest: ManifestVersion,
        /// The newest shown.
        shown: ManifestVersion,
    },
    /// The account signed two manifests that cannot both be in its chain. The proof can be shown to others.
    #[error(
        "the account's device manifests fork at version {}; its key was stolen, or the server played two devices off \
         against each other: compare your devices, and move to a new account if you did not sign both",
        .0.shown().body().version
    )]
    Forked(Box<ManifestFork>),
    /// The newest no longer lists this device.
    #[error(
        "the account revoked this device with its device manifest of version {version}; erase the profile"
    )]
    Revoked {
        /// The manifest that says so.
        version: ManifestVersion,
    },
}

/// Those in force, never none, and one that waits.
pub(crate) struct ManifestChain {
    /// Oldest first, each followed by the next, and the last by `newest`.
    older: Vec<Manifest>,
    newest: Manifest,
    staged: Option<Manifest>,
}

impl ManifestChain {
    /// With one manifest in force.
    pub(crate) fn new(only: Manifest) -> Self {
        Self { older: Vec::new(), newest: only, staged: None }
    }

    /// Those of a list, oldest first, in which each follows the one before.
    pub(crate) fn from_list(list: Vec<Manifest>) -> Result<Self, AdoptError> {
        let mut older = list;
        let newest = older.pop().ok_or(AdoptError::Count)?;
        let chain = Self { older, newest, staged: None };
        if linked(chain.in_force()) { Ok(chain) } else { Err(AdoptError::Order) }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.newest.account()
    }

    pub(crate) fn newest(&self) -> &Manifest {
        &self.newest
    }

    /// Oldest first.
    pub(crate) fn in_force(&self) -> impl DoubleEndedIterator<Item = &Manifest> + Clone {
        self.older.iter().chain([&self.newest])
    }

    pub(crate) fn staged(&self) -> Option<&Manifest> {
        self.staged.as_ref()
    }

    /// Keeps a manifest that follows the newest until it is published, or another one is.
    pub(crate) fn stage(&mut self, manifest: Manifest, changes: &mut Changes) {
        put(changes, STAGED.to_vec(), &manifest);
        self.staged = Some(manifest);
    }

    /// Takes over manifests that were shown, the oldest first, to the device of this key (R16).
    pub(crate) fn adopt(&mut self, shown: &[&[u8]], own: &DeviceKey) -> Result<Adopted, AdoptError> {
        let new = self.judge(shown, own)?;
        let mut changes = Changes::default();
        let mut staged = None;
        if let (Some(waiting), Some(first)) = (&self.staged, new.first()) {
            let in_force = waiting.hash() == first.hash();
            staged = Some(if in_force { StagedManifest::InForce } else { StagedManifest::Lost });
            self.staged = None;
            changes.delete(Scope::Device, STAGED.to_vec());
        }
        for manifest in new {
            put(&mut changes, record_name(manifest.body().version), &manifest);
            self.older.push(std::mem::replace(&mut self.newest, manifest));
        }
        let surplus = self.older.len().saturating_sub(MAX_MANIFEST_CHAIN - 1);
        for gone in self.older.drain(..surplus) {
            changes.delete(Scope::Device, record_name(gone.body().version));
        }
        Ok(Adopted { staged, changes })
    }

    /// Those of the manifests shown that are new, if all is well.
    fn judge(&self, shown: &[&[u8]], own: &DeviceKey) -> Result<Vec<Manifest>, AdoptError> {
        if shown.is_empty() || shown.len() > MAX_MANIFEST_CHAIN {
            return Err(AdoptError::Count);
        }
        let shown: Vec<_> =
            shown.iter().map(|bytes| Manifest::decode_and_verify(bytes)).collect::<Result<_, _>>()?;
        if shown.iter().any(|manifest| manifest.account() != self.account()) {
            return Err(AdoptError::Account);
        }
        if !linked(shown.iter()) {
            return Err(AdoptError::Order);
        }
        let pairs = shown.iter().flat_map(|shown| self.in_force().map(move |known| (known, shown)));
        // Two of one version are the plainer proof.
        let fork = |same: bool| {
            let mut pairs = pairs.clone().filter(|(a, b)| (a.body().version == b.body().version) == same);
            pairs.find_map(|(known, shown)| ManifestFork::new(known, shown))
        };
        if let Some(fork) = fork(true).or_else(|| fork(false)) {
            return Err(AdoptError::Forked(Box::new(fork)));
        }
        let newest = self.newest.body().version;
        let (Some(first), Some(last)) = (shown.first(), shown.last()) else { return Err(AdoptError::Count) };
        let (from, to) = (first.body().version, last.body().version);
        if to < newest {
            return Err(AdoptError::RolledBack { newest, shown: to });
        }
        if newest.next().is_none_or(|next| from > next) {
            return Err(AdoptError::Gap { newest, shown: from });
        }
        if !last.body().devices.contains(own) {
            return Err(AdoptError::Revoked { version: to });
        }
        Ok(shown.into_iter().filter(|manifest| manifest.body().version > newest).collect())
    }

    /// Every record of it, for a device that is new.
    pub(crate) fn put_all(&self, changes: &mut Changes) {
        for manifest in self.in_force() {
            put(changes, record_name(manifest.body().version), manifest);
        }
    }
}

fn linked<'a>(list: impl Iterator<Item = &'a Manifest>) -> bool {
    let mut before: Option<&Manifest> = None;
    for manifest in list {
        let follows = |b: &Manifest| manifest.follows(&b.account(), b.body().version, &b.hash());
        if !before.is_none_or(follows) {
            return false;
        }
        before = Some(manifest);
    }
    true
}

/// Collects the records of a chain while a device is loaded.
#[derive(Default)]
pub(crate) struct ManifestRecords {
    in_force: Vec<Manifest>,
    staged: Option<Manifest>,
}

impl ManifestRecords {
    /// Takes a record of a manifest in force; `version` is the end of its name.
    pub(crate) fn take(&mut self, version: &[u8], record: &ManifestRecord) -> Result<(), LoadError> {
        let manifest = record.manifest()?;
        if version != manifest.body().version.0.to_be_bytes() {
            return Err(LoadError::Damaged("device manifest"));
        }
        self.in_force.push(manifest);
        Ok(())
    }

    /// Takes the record of the one that waits.
    pub(crate) fn take_staged(&mut self, record: &ManifestRecord) -> Result<(), LoadError> {
        self.staged = Some(record.manifest()?);
        Ok(())
    }

    /// The chain, if there is one.
    pub(crate) fn chain(mut self) -> Result<ManifestChain, LoadError> {
        let damaged = |_| LoadError::Damaged("device manifest");
        if self.in_force.is_empty() {
            return Err(LoadError::Missing("device manifest"));
        }
        self.in_force.sort_by_key(|manifest| manifest.body().version);
        let mut chain = ManifestChain::from_list(self.in_force).map_err(damaged)?;
        let newest = &chain.newest;
        let follows =
            |staged: &Manifest| staged.follows(&newest.account(), newest.body().version, &newest.hash());
        if !self.staged.as_ref().is_none_or(follows) {
            return Err(LoadError::Damaged("device manifest"));
        }
        chain.staged = self.staged;
        Ok(chain)
    }
}

/// What is stored of a manifest.
#[derive(Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct ManifestRecord(#[n(0)] Opaque);

impl ManifestRecord {
    fn manifest(&self) -> Result<Manifest, LoadError> {
        Manifest::trust_own_storage(&self.0.0).map_err(|_| LoadError::Damaged("device manifest"))
    }
}

impl Structure for ManifestRecord {
    const NAME: &'static str = "device manifest record";
    const MAX_BYTES: usize = MAX_MANIFEST_BYTES + 8;
}

fn record_name(version: ManifestVersion) -> Vec<u8> {
    [MANIFEST, &version.0.to_be_bytes()].concat()
}

fn put(changes: &mut Changes, name: Vec<u8>, manifest: &Manifest) {
    changes.put(Scope::Device, name, &ManifestRecord(Opaque(manifest.encoded().to_vec())));
}
