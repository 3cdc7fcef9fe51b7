//! Endorsements: what is left to verify of a device whose manifest a newcomer has read, and not verified (R73).
//!
//! ```text
//!     endorsement  CBOR [ account signature: bstr 64, device signature: bstr 64 ]
//! ```
//!
//! A leaf records the hash of the manifest that lists its device, and that hash is what the account signs: so these two
//! signatures say as much as the manifest itself. A group of a thousand members costs two thousand verifications, most
//! of them for devices that will not be heard of for days; each is made when it is first needed instead.

use crate::ids::LeafIndex;
use crate::manifest::{self, ManifestError};
use crate::membership::Membership;
use crate::roster::{Leaf, LeafChange};
use crate::signature::Signature;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// The signatures that make a device a member's, not yet verified. 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Endorsement {
    #[n(0)]
    account: Signature,
    #[n(1)]
    device: Signature,
}

impl Endorsement {
    pub(crate) fn new(account: Signature, device: Signature) -> Self {
        Self { account, device }
    }

    /// Verifies that the account signed the manifest that the leaf records, and the device that it belongs to the
    /// account.
    pub fn verify(&self, leaf: &Leaf) -> Result<(), ManifestError> {
        manifest::verify_account(&leaf.account, &leaf.manifest, &self.account)?;
        Membership::verify(leaf.account, leaf.device, self.device)
            .map(drop)
            .map_err(|_| ManifestError::DeviceSignature)
    }
}

/// The endorsements of a roster's leaves; a leaf without one is verified.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endorsements(BTreeMap<LeafIndex, Endorsement>);

impl Endorsements {
    pub(crate) fn get(&self, index: LeafIndex) -> Option<&Endorsement> {
        self.0.get(&index)
    }

    pub(crate) fn remove(&mut self, index: LeafIndex) -> bool {
        self.0.remove(&index).is_some()
    }

    pub(crate) fn leaves(&self) -> impl Iterator<Item = LeafIndex> + '_ {
        self.0.keys().copied()
    }

    /// Follows a step: `changes` are the leaves that change, `current` what they were, `new` the endorsements that came with
    /// the manifests which were read and not verified.
    pub(crate) fn advance<'a>(
        &mut self,
        changes: &[LeafChange],
        current: impl Fn(LeafIndex) -> Option<&'a Leaf>,
        new: BTreeMap<LeafIndex, Endorsement>,
    ) {
        for (index, leaf) in changes {
            let stands = |leaf: &Leaf| current(*index).is_some_and(|old| is_endorsed_alike(old, leaf));
            if !leaf.as_ref().is_some_and(stands) {
                self.0.remove(index);
            }
        }
        self.0.extend(new);
    }
}

impl FromIterator<(LeafIndex, Endorsement)> for Endorsements {
    fn from_iter<I: IntoIterator<Item = (LeafIndex, Endorsement)>>(endorsements: I) -> Self {
        Self(endorsements.into_iter().collect())
    }
}

/// Whether one endorsement speaks for both.
fn is_endorsed_alike(a: &Leaf, b: &Leaf) -> bool {
    (a.account, a.device, a.manifest) == (b.account, b.device, b.manifest)
}
