//! Updates of an account's devices: the chain of its manifests after the one that a roster records (R100).
//!
//! Anybody may commit one, because the account signed each manifest; and nobody can commit an old one, a branch or a
//! part of one, because each names the one before.

use crate::ids::{AccountId, ManifestHash, ManifestVersion, Opaque};
use crate::limits::MAX_MANIFEST_CHAIN;
use crate::listing::{Listing, Verifying};
use crate::manifest::{ManifestBody, ManifestError};
use thiserror::Error;

/// Why manifests do not bring an account up to date.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// No manifest, or more than [`MAX_MANIFEST_CHAIN`].
    #[error("an update has 1 to {MAX_MANIFEST_CHAIN} device manifests")]
    Count,
    /// One is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// One is another account's.
    #[error("the device manifests of an update are of more than one account")]
    Account,
    /// One is not the next after the one before it.
    #[error("a device manifest of the update does not follow the one before it")]
    Broken,
    /// The first is not the next after the one that the roster records: old, of a branch, or further on.
    #[error("the update does not follow the device manifest that the group records")]
    NotNext,
}

/// Valid manifests of one account, each following the one before. Where they are verified [later](Verifying::Later), the
/// account's signature of the last stands for all: it covers the hash of the one before.
pub(crate) struct ManifestChain {
    first: ManifestBody,
    last: Listing,
}

impl ManifestChain {
    pub(crate) fn read(manifests: &[Opaque], verifying: Verifying) -> Result<Self, UpdateError> {
        if manifests.len() > MAX_MANIFEST_CHAIN {
            return Err(UpdateError::Count);
        }
        let mut chain: Option<Self> = None;
        for manifest in manifests {
            let next = verifying.read(&manifest.0)?;
            chain = Some(match chain {
                None => Self { first: next.body().clone(), last: next },
                Some(chain) if next.account() != chain.last.account() => return Err(UpdateError::Account),
                Some(chain)
                    if !next.body().follows(
                        &chain.account(),
                        chain.last.body().version,
                        &chain.last.hash(),
                    ) =>
                {
                    return Err(UpdateError::Broken);
                }
                Some(chain) => Self { last: next, ..chain },
            });
        }
        chain.ok_or(UpdateError::Count)
    }

    pub(crate) fn account(&self) -> AccountId {
        self.first.account
    }

    /// The newest manifest, if the chain leads to it from the one that is recorded.
    pub(crate) fn following(
        self,
        hash: ManifestHash,
        version: ManifestVersion,
    ) -> Result<Listing, UpdateError> {
        if self.first.follows(&self.account(), version, &hash) {
            Ok(self.last)
        } else {
            Err(UpdateError::NotNext)
        }
    }
}
