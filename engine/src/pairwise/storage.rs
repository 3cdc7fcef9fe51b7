//! The records of pairwise chains.
//!
//! | name | content | rewritten by |
//! |---|---|---|
//! | `peer/` device | slot or none, chains from it | what it delivers to us |
//! | `outgoing/` page | for each of 32 slots: chains to it | what we deliver |
//!
//! A commit secret or content key for everybody steps every outgoing chain, and so writes pages and no record per peer.
//! A step that was taken is gone from the page that is written (R55).

use super::Pairwise;
use super::peer::{IncomingChain, Outgoing, Peer};
use crate::record::{Changes, LoadError, Scope};
use crate::slots::{Page, Slot, Slots};
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{DeviceId, GroupId};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

const PEER: &[u8] = b"peer/";
const OUTGOING: &[u8] = b"outgoing/";

#[derive(Encode, Decode)]
struct PeerRecord {
    #[n(0)]
    slot: Option<Slot>,
    #[n(1)]
    incoming: Vec<IncomingChain>,
}

impl Structure for PeerRecord {
    const NAME: &'static str = "incoming pairwise chains record";
    const MAX_BYTES: usize = 64 << 10;
}

/// Encodes as [`PeerRecord`] does.
#[derive(Encode)]
struct PeerRecordRef<'a> {
    #[n(0)]
    slot: Option<Slot>,
    #[n(1)]
    incoming: &'a [IncomingChain],
}

/// By slot. Those at the end that are null are left out.
#[derive(Encode, Decode)]
#[cbor(transparent)]
struct OutgoingPage(#[n(0)] Vec<Option<Outgoing>>);

impl Structure for OutgoingPage {
    const NAME: &'static str = "page of outgoing pairwise chains";
    const MAX_BYTES: usize = 8192;
}

impl Pairwise {
    fn scope(&self) -> Scope {
        Scope::Group(self.group)
    }

    /// After what a peer delivered was opened.
    pub(super) fn put_peer(&self, device: &DeviceId, changes: &mut Changes) {
        if let Some(peer) = self.peers.get(device) {
            let record = PeerRecordRef { slot: self.slots.get(device), incoming: &peer.incoming };
            changes.put_encoded(self.scope(), name(device), &record);
        }
    }

    /// A chain to a device has moved: its page is written by [`write_pages`](Self::write_pages).
    pub(super) fn touch(&mut self, device: &DeviceId) {
        self.unwritten.extend(self.slots.get(device).map(Slot::page));
    }

    /// As [`touch`](Self::touch), for a chain to a device that may be the first.
    pub(super) fn touch_new(&mut self, device: &DeviceId, changes: &mut Changes) {
        if self.slots.get(device).is_none() {
            self.slots.take(device);
            self.put_peer(device, changes);
        }
        self.touch(device);
    }

    /// Deletes the record of a peer that was forgotten; its page is written by [`write_pages`](Self::write_pages).
    pub(super) fn delete_peer(&mut self, device: &DeviceId, changes: &mut Changes) {
        changes.delete(self.scope(), name(device));
        self.unwritten.extend(self.slots.release(device).map(Slot::page));
    }

    /// Writes the pages on which something has moved. Every call of [`Pairwise`] that moves something ends with this.
    pub(super) fn write_pages(&mut self, changes: &mut Changes) {
        for page in std::mem::take(&mut self.unwritten) {
            let chains = |device| self.peers.get(device?).map(|peer| &peer.outgoing).filter(|c| !c.is_none());
            let mut outgoing: Vec<Option<&Outgoing>> = self.slots.on(page).map(chains).collect();
            while outgoing.pop_if(|last| last.is_none()).is_some() {}
            if outgoing.is_empty() {
                changes.delete(self.scope(), page.name(OUTGOING));
            } else {
                changes.put_encoded(self.scope(), page.name(OUTGOING), &outgoing);
            }
        }
        self.slots.trim();
    }

    /// Writes all chains.
    pub(crate) fn put_all(&mut self, changes: &mut Changes) {
        for device in self.peers.keys() {
            self.put_peer(device, changes);
        }
        self.unwritten.extend(self.slots.pages());
        self.write_pages(changes);
    }
}

fn name(device: &DeviceId) -> Vec<u8> {
    [PEER, device.as_bytes()].concat()
}

/// Records of peers on their way to becoming peers.
#[derive(Default)]
pub(crate) struct PeerParts {
    peers: Vec<(DeviceId, PeerRecord)>,
    pages: BTreeMap<Page, Vec<Option<Outgoing>>>,
}

const DAMAGED: LoadError = LoadError::Damaged("pairwise chains");

impl PeerParts {
    /// Takes a record; says whether it is one of these.
    pub(crate) fn take(&mut self, name: &[u8], bytes: &[u8]) -> Result<bool, LoadError> {
        if let Some(rest) = name.strip_prefix(PEER) {
            let device = rest.try_into().map(DeviceId::from_bytes).map_err(|_| DAMAGED)?;
            self.peers.push((device, codec::decode(bytes)?));
        } else if let Some(rest) = name.strip_prefix(OUTGOING) {
            let page = Page::parse(rest).ok_or(DAMAGED)?;
            self.pages.insert(page, codec::decode::<OutgoingPage>(bytes)?.0);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    pub(crate) fn assemble(mut self, group: GroupId) -> Result<Pairwise, LoadError> {
        let slots = self.peers.iter().filter_map(|(device, record)| Some((*device, record.slot?)));
        let slots = Slots::load(slots).ok_or(DAMAGED)?;
        let mut peers = BTreeMap::new();
        for (device, PeerRecord { slot, incoming }) in self.peers {
            let page = slot.and_then(|slot| self.pages.get_mut(&slot.page())?.get_mut(slot.within()));
            let outgoing = page.and_then(Option::take).unwrap_or_default();
            peers.insert(device, Peer { outgoing, incoming });
        }
        // What nobody claimed.
        if self.pages.values().flatten().any(Option::is_some) {
            return Err(DAMAGED);
        }
        Ok(Pairwise { group, peers, slots, unwritten: BTreeSet::new() })
    }
}
