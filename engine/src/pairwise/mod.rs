//! What goes between this device and each other device of a group.
//!
//! Chains belong to a group, not only to two devices: the log of the group decides in which order their envelopes are
//! read, and two logs have no order between them (R58).

mod deliver;
#[cfg(test)]
mod lifetimes;
#[cfg(test)]
mod one_time;
mod open;
mod peer;
#[cfg(test)]
mod refusals;
mod storage;
#[cfg(test)]
mod test_pair;

pub(crate) use deliver::Dispatch;
pub(crate) use open::Opened;
pub(crate) use peer::{ChainId, OpenedChain, Upload};
pub(crate) use storage::PeerParts;

use crate::record::Changes;
use crate::slots::{Page, Slots};
use conclave_wire::ids::{DeviceId, GroupId};
use peer::Peer;
use std::collections::{BTreeMap, BTreeSet};

/// The chains to and from all other devices of one group.
#[derive(Debug)]
pub(crate) struct Pairwise {
    group: GroupId,
    peers: BTreeMap<DeviceId, Peer>,
    /// Of the peers to which there are chains, or were.
    slots: Slots,
    /// Pages to write before the present call returns.
    unwritten: BTreeSet<Page>,
}

impl Pairwise {
    pub(crate) fn new(group: GroupId) -> Self {
        Self { group, peers: BTreeMap::new(), slots: Slots::default(), unwritten: BTreeSet::new() }
    }

    /// The log has shown an upload of ours: the chains that its initial envelopes opened are the ones to use.
    pub(crate) fn install(&mut self, upload: Upload, changes: &mut Changes) {
        self.settle(|peer| peer.install(upload), changes);
    }

    /// An upload of ours will not be in the log.
    pub(crate) fn discard(&mut self, upload: Upload, changes: &mut Changes) {
        self.settle(|peer| peer.discard(upload), changes);
    }

    /// Forgets the chain to one device, which asked for an initial envelope.
    pub(crate) fn drop_outgoing(&mut self, device: &DeviceId, changes: &mut Changes) {
        if self.peers.get_mut(device).is_some_and(Peer::drop_outgoing) {
            self.touch(device);
            self.write_pages(changes);
        }
    }

    /// Chains to many devices, as if the log had shown that they were opened.
    #[cfg(test)]
    pub(crate) fn open_many(
        &mut self,
        devices: impl Iterator<Item = DeviceId>,
        rng: &mut impl rand_core::CryptoRng,
        now: conclave_wire::ids::Timestamp,
        changes: &mut Changes,
    ) {
        for device in devices {
            let key = crate::secret::Secret::random(rng);
            let chain = crate::ratchet::Chain::new(key, conclave_wire::ids::MessageIndex(0));
            let opened = OpenedChain { id: [1; 4], chain };
            self.peers.entry(device).or_default().open_outgoing(opened, Upload::Commit, now);
            self.touch_new(&device, changes);
        }
        self.install(Upload::Commit, changes);
    }

    /// Every secret in it.
    #[cfg(test)]
    pub(crate) fn secrets(&self) -> Vec<[u8; 32]> {
        self.peers.values().flat_map(Peer::secrets).collect()
    }

    fn settle(&mut self, change: impl Fn(&mut Peer) -> bool, changes: &mut Changes) {
        for (device, peer) in &mut self.peers {
            if change(peer) {
                self.unwritten.extend(self.slots.get(device).map(|slot| slot.page()));
            }
        }
        self.write_pages(changes);
    }

    /// Every secret in the chains to and from one device.
    #[cfg(test)]
    pub(crate) fn secrets_of(&self, device: &DeviceId) -> Vec<[u8; 32]> {
        self.peers.get(device).map(Peer::secrets).unwrap_or_default()
    }

    /// Erases the chains to and from devices that were removed or healed.
    pub(crate) fn forget(&mut self, devices: &[DeviceId], changes: &mut Changes) {
        for device in devices {
            if self.peers.remove(device).is_some() {
                self.delete_peer(device, changes);
            }
        }
        self.write_pages(changes);
    }

    /// Erases all chains, but for those that our commit has opened and the log is about to confirm.
    pub(crate) fn renew_all(&mut self, changes: &mut Changes) {
        let (mut kept, mut ended) = (Vec::new(), Vec::new());
        for (device, peer) in &mut self.peers {
            if peer.keep_staged() { kept.push(*device) } else { ended.push(*device) }
        }
        for device in kept {
            self.put_peer(&device, changes);
            self.touch(&device);
        }
        self.forget(&ended, changes);
    }

    /// Erases all chains.
    pub(crate) fn forget_all(&mut self, changes: &mut Changes) {
        let devices: Vec<DeviceId> = self.peers.keys().copied().collect();
        self.forget(&devices, changes);
    }
}
