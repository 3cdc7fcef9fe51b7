//! What goes between this device and each other device of a group.
//!
//! Chains belong to a group, not only to two devices: the log of the group decides in which order their envelopes are
//! read, and two logs have no order between them (R58).

mod deliver;
mod open;
mod peer;
#[cfg(test)]
mod refusals;

pub(crate) use deliver::Dispatch;
pub(crate) use open::Opened;
pub(crate) use peer::{ChainId, OpenedChain, Peer, Upload};

use crate::record::{Changes, Scope};
use conclave_wire::ids::{DeviceId, GroupId};
use std::collections::BTreeMap;

/// First part of the names of these records.
pub(crate) const PEER: &[u8] = b"peer/";

/// The chains to and from all other devices of one group.
#[derive(Debug)]
pub(crate) struct Pairwise {
    group: GroupId,
    peers: BTreeMap<DeviceId, Peer>,
}

impl Pairwise {
    pub(crate) fn new(group: GroupId) -> Self {
        Self { group, peers: BTreeMap::new() }
    }

    /// Takes the chains to and from one device as they were stored.
    pub(crate) fn load(&mut self, device: DeviceId, peer: Peer) {
        self.peers.insert(device, peer);
    }

    /// The log has shown an upload of ours: the chains that its initial envelopes opened are the ones to use.
    pub(crate) fn install(&mut self, upload: Upload, changes: &mut Changes) {
        self.settle(|peer| peer.install(upload), changes);
    }

    /// An upload of ours will not be in the log.
    pub(crate) fn discard(&mut self, upload: Upload, changes: &mut Changes) {
        self.settle(|peer| peer.discard(upload), changes);
    }

    /// Erases the chains to and from a device that was removed.
    pub(crate) fn forget(&mut self, device: &DeviceId, changes: &mut Changes) {
        if self.peers.remove(device).is_some() {
            changes.delete(Scope::Group(self.group), name(device));
        }
    }

    /// Erases all chains.
    pub(crate) fn forget_all(&mut self, changes: &mut Changes) {
        for device in std::mem::take(&mut self.peers).keys() {
            changes.delete(Scope::Group(self.group), name(device));
        }
    }

    /// Writes all chains.
    pub(crate) fn put_all(&self, changes: &mut Changes) {
        for device in self.peers.keys() {
            self.put(device, changes);
        }
    }

    fn settle(&mut self, change: impl Fn(&mut Peer) -> bool, changes: &mut Changes) {
        for (device, peer) in &mut self.peers {
            if change(peer) {
                changes.put(Scope::Group(self.group), name(device), peer);
            }
        }
    }

    fn put(&self, device: &DeviceId, changes: &mut Changes) {
        if let Some(peer) = self.peers.get(device) {
            changes.put(Scope::Group(self.group), name(device), peer);
        }
    }
}

fn name(device: &DeviceId) -> Vec<u8> {
    [PEER, device.as_bytes()].concat()
}
