//! Keeping a group's record of the own account's devices up to date.

use super::state::Group;
use crate::device::Device;
use crate::limits::MAX_MANIFESTS_BEHIND;
use conclave_wire::commit::Operation;
use conclave_wire::ids::{DeviceKey, Opaque};
use conclave_wire::limits::MAX_MANIFEST_CHAIN;
use std::collections::BTreeSet;

impl Group {
    /// The update that is to be committed before anything is sent, if the group records the own account with other
    /// devices than its newest manifest lists (R108): until then a revoked device reads on, and a new one reads nothing.
    /// A manifest that was only signed again waits until the group is [`MAX_MANIFESTS_BEHIND`] versions behind.
    pub fn update_due(&self, device: &Device) -> Option<Operation> {
        let roster = self.roster();
        let leaves = roster.leaves_of(&self.me.account).iter().filter_map(|index| roster.leaf(*index));
        let recorded = leaves.clone().next()?;
        let chain = device.manifests_after(recorded.manifest_version);
        let newest = chain.last()?;
        let present: BTreeSet<DeviceKey> = leaves.map(|leaf| leaf.device).collect();
        let listed: BTreeSet<DeviceKey> = newest.body().devices.iter().copied().collect();
        let behind = newest.body().version.0.saturating_sub(recorded.manifest_version.0);
        // One that begins further on leads nowhere: another device of the account may hold what is missing.
        let follows = chain.first()?.body().previous == Some(recorded.manifest);
        if !follows || (present == listed && behind < MAX_MANIFESTS_BEHIND) {
            return None;
        }
        let manifests = chain.iter().take(MAX_MANIFEST_CHAIN);
        let manifests = manifests.map(|manifest| Opaque(manifest.encoded().to_vec())).collect();
        Some(Operation::UpdateDevices { manifests })
    }
}
