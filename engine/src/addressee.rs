//! Whom something is sent to.

use conclave_wire::ids::{AccountId, DeviceId};
use conclave_wire::roster::{Leaf, PinnedPrekeys};

/// A device that something is sent to, as its leaf in the roster names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addressee {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    /// The prekeys of its last heal: nothing is encrypted to older ones (R15).
    pub(crate) pinned: Option<PinnedPrekeys>,
}

impl From<&Leaf> for Addressee {
    fn from(leaf: &Leaf) -> Self {
        Self { account: leaf.account, device: leaf.device.id(), pinned: leaf.pinned }
    }
}
