//! What a device does about its account's list of devices: sign the next one, take over newer ones.

use super::Device;
use crate::identity::SignManifestError;
use crate::manifest_chain::{AdoptError, Adopted};
use crate::record::Changes;
use conclave_wire::ids::{DeviceId, Timestamp};
use conclave_wire::limits::{CLOCK_SKEW, MAX_MANIFEST_AGE};
use conclave_wire::manifest::Manifest;
use conclave_wire::membership::Membership;
use thiserror::Error;

/// Why a device is not revoked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// It is not a device of this account.
    #[error("the account has no such device")]
    NotListed,
    /// It is this device.
    #[error("a device does not revoke itself; do it on another device, or erase this profile")]
    ThisDevice,
    /// The manifest cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignManifestError),
}

impl Device {
    /// The account's newest manifest in force, to be given to others.
    pub fn manifest(&self) -> &Manifest {
        self.identity.manifests.newest()
    }

    /// The account's manifests in force, as far back as they are kept, the oldest first.
    pub fn manifests(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.identity.manifests.in_force()
    }

    /// The next manifest, signed here and not in force yet: publish it, then [`adopt`](Self::adopt) what the directory
    /// has. Nobody but the directory is given it before, since another device may have been first with its version.
    pub fn staged_manifest(&self) -> Option<&Manifest> {
        self.identity.manifests.staged()
    }

    /// Whether this device can sign manifests: link, revoke and renew.
    pub fn holds_account_key(&self) -> bool {
        self.identity.account_key().is_ok()
    }

    /// Whether the manifest is half as old as it may become, or from a future that others refuse.
    pub fn manifest_due(&self, now: Timestamp) -> bool {
        let time = self.manifest().body().time;
        time > now.plus(CLOCK_SKEW) || now.since(time) > MAX_MANIFEST_AGE / 2
    }

    /// Signs the manifest again with a new time, so that others keep accepting it. Publish it afterwards: see
    /// [`staged_manifest`](Self::staged_manifest).
    pub fn renew_manifest(&mut self, now: Timestamp) -> Result<Changes, SignManifestError> {
        let next = self.identity.sign_next(self.manifest().memberships(), now)?;
        Ok(self.stage(next))
    }

    /// Signs a manifest without a device of the account, that was lost or is no longer used. Publish it afterwards, see
    /// [`staged_manifest`](Self::staged_manifest), and commit it in every group: the device reads on in a group until
    /// the group's log shows that it was removed.
    pub fn revoke(&mut self, device: &DeviceId, now: Timestamp) -> Result<Changes, RevokeError> {
        if *device == self.id() {
            return Err(RevokeError::ThisDevice);
        }
        if !self.manifest().lists(device) {
            return Err(RevokeError::NotListed);
        }
        let others = self.manifest().memberships().iter().filter(|member| member.device().id() != *device);
        let others: Vec<Membership> = others.copied().collect();
        let next = self.identity.sign_next(&others, now)?;
        Ok(self.stage(next))
    }

    /// Takes over the account's manifests as a directory shows them, the oldest first: those that are known are
    /// compared, newer ones must follow. A manifest that was signed here comes into force in this way too, or is found
    /// to have lost.
    pub fn adopt(&mut self, shown: &[&[u8]]) -> Result<Adopted, AdoptError> {
        let own = self.key();
        self.identity.manifests.adopt(shown, &own)
    }

    pub(crate) fn stage(&mut self, manifest: Manifest) -> Changes {
        let mut changes = Changes::default();
        self.identity.manifests.stage(manifest, &mut changes);
        changes
    }
}
