//! What a manifest says to a commit that carries it, whether its signatures are verified or left for later (R73).

use crate::endorsement::Endorsement;
use crate::ids::{AccountId, DeviceKey, LeafIndex, ManifestHash};
use crate::manifest::{Manifest, ManifestBody, ManifestError, UnverifiedManifest};
use std::collections::BTreeMap;

/// When the manifests inside commits are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verifying {
    /// At once: by members and the server.
    Now,
    /// When a device is first needed: by a newcomer, who walks through every add that there ever was.
    Later,
}

/// A manifest of a commit.
pub(crate) struct Listing {
    body: ManifestBody,
    hash: ManifestHash,
    /// What is left to verify, for each device; empty if nothing is.
    endorsements: BTreeMap<DeviceKey, Endorsement>,
}

impl From<&Manifest> for Listing {
    fn from(manifest: &Manifest) -> Self {
        Self { body: manifest.body().clone(), hash: manifest.hash(), endorsements: BTreeMap::new() }
    }
}

impl From<UnverifiedManifest> for Listing {
    fn from(manifest: UnverifiedManifest) -> Self {
        let (endorsements, hash) = (manifest.endorsements().collect(), manifest.hash());
        Self { endorsements, hash, body: manifest.into_claimed() }
    }
}

impl Verifying {
    pub(crate) fn read(self, manifest: &[u8]) -> Result<Listing, ManifestError> {
        let manifest = UnverifiedManifest::decode(manifest)?;
        Ok(match self {
            Self::Now => Listing::from(&manifest.verify()?),
            Self::Later => manifest.into(),
        })
    }
}

impl Listing {
    pub(crate) fn body(&self) -> &ManifestBody {
        &self.body
    }

    pub(crate) fn account(&self) -> AccountId {
        self.body.account
    }

    pub(crate) fn hash(&self) -> ManifestHash {
        self.hash
    }

    /// Notes what is left to verify of the device on a leaf.
    pub(crate) fn note_endorsement(
        &self,
        index: LeafIndex,
        device: &DeviceKey,
        endorsements: &mut BTreeMap<LeafIndex, Endorsement>,
    ) {
        if let Some(endorsement) = self.endorsements.get(device) {
            endorsements.insert(index, *endorsement);
        }
    }
}
