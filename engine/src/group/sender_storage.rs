//! The records of other devices' sender keys.
//!
//! | name | content | rewritten by |
//! |---|---|---|
//! | `sender/` device | since, certificate, generation, slot, link while it has no key | its distributions, heals, resets |
//! | `secrets/` page | for each of 32 slots: seed, chain key at index 0, link | commits, distributions |
//! | `chain/` device | chain, skipped keys, link, pending messages, what was read last | its messages |
//!
//! As long as nothing was read on a chain in this epoch, its key stands in the page. The first message moves it to a
//! record of its own, and writes the page without it in the same transaction, because the old chain key must be gone; a
//! further message rewrites that record alone. A commit folds everything back: it writes the pages and deletes the
//! chains' records (R91).

use super::epoch::SeedAndChain;
use super::message_id::MessageId;
use super::pending::Pending;
use super::records::{ChainRecord, ChainRecordRef, SecretsPage, SenderRecord, SlotRecord, SlotRecordRef};
use super::sender_key::{PeerKey, PeerSender};
use super::state::Group;
use super::storage::link;
use crate::ratchet::{Chain, ReceivingChain};
use crate::record::{Changes, LoadError};
use crate::slots::{Page, Slots};
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::codec;
use conclave_wire::ids::{DeviceId, MessageIndex, Opaque};
use minicbor::bytes::ByteArray;
use std::collections::{BTreeMap, BTreeSet};

const SENDER: &[u8] = b"sender/";
const SECRETS: &[u8] = b"secrets/";
const CHAIN: &[u8] = b"chain/";

/// Where the senders' records are.
#[derive(Default)]
pub(super) struct SenderPlaces {
    slots: Slots,
    /// Those whose chain stands in a record of its own.
    apart: BTreeSet<DeviceId>,
}

impl Group {
    /// After a sender's generation or certificate changed; its secrets are written by
    /// [`put_sender_chain`](Self::put_sender_chain).
    pub(super) fn put_sender_key(&mut self, device: &DeviceId, changes: &mut Changes) {
        let Some(sender) = self.senders.get(device) else { return };
        let certificate = sender.key.as_ref().map(|key| Opaque(key.certificate.encode()));
        let slot = self.places.slots.take(device);
        let record = SenderRecord {
            since: sender.since,
            certificate,
            generation: sender.generation,
            slot,
            awaited: sender.link.filter(|_| sender.awaits()).map(ByteArray::from),
            certificate_hash: sender.certificate,
            from_log: sender.from_log,
        };
        changes.put(self.scope(), [SENDER, device.as_bytes()].concat(), &record);
    }

    /// After a sender's secrets, link or pending messages changed.
    pub(super) fn put_sender_chain(&mut self, device: &DeviceId, changes: &mut Changes) {
        self.put_chains_of(std::slice::from_ref(device), changes);
    }

    /// After another key came in the place of a sender's in the midst of an epoch: its seed stands in the page wherever
    /// its chain stands.
    pub(super) fn put_sender_anew(&mut self, device: &DeviceId, changes: &mut Changes) {
        self.put_sender_key(device, changes);
        self.put_chain(device, changes);
        if let Some(slot) = self.places.slots.get(device) {
            self.put_page(slot.page(), changes);
        }
    }

    /// As [`put_sender_chain`](Self::put_sender_chain), each page once.
    pub(super) fn put_chains_of(&mut self, devices: &[DeviceId], changes: &mut Changes) {
        let mut pages = BTreeSet::new();
        for device in devices {
            if self.put_chain(device, changes) {
                pages.extend(self.places.slots.get(device).map(|slot| slot.page()));
            }
        }
        for page in pages {
            self.put_page(page, changes);
        }
    }

    /// After a commit: every page, and no chain apart that was not read since.
    pub(super) fn put_sender_chains(&mut self, changes: &mut Changes) {
        let senders: Vec<DeviceId> = self.senders.keys().copied().collect();
        for device in senders {
            self.put_chain(&device, changes);
        }
        for page in self.places.slots.pages() {
            self.put_page(page, changes);
        }
        self.places.slots.trim();
    }

    /// Forgets senders, and writes that.
    pub(super) fn delete_senders(&mut self, devices: &[DeviceId], changes: &mut Changes) {
        for page in self.forget_senders(devices, changes) {
            self.put_page(page, changes);
        }
    }

    /// As [`delete_senders`](Self::delete_senders), where [`put_sender_chains`](Self::put_sender_chains) follows and
    /// writes the pages, which are returned.
    pub(super) fn forget_senders(&mut self, devices: &[DeviceId], changes: &mut Changes) -> BTreeSet<Page> {
        let mut pages = BTreeSet::new();
        for device in devices {
            self.senders.remove(device);
            let Some(slot) = self.places.slots.release(device) else { continue };
            changes.delete(self.scope(), [SENDER, device.as_bytes()].concat());
            if self.places.apart.remove(device) {
                changes.delete(self.scope(), [CHAIN, device.as_bytes()].concat());
            }
            pages.insert(slot.page());
        }
        pages
    }

    /// Writes or deletes a chain's own record; says whether the page has to be written too.
    fn put_chain(&mut self, device: &DeviceId, changes: &mut Changes) -> bool {
        let Some(sender) = self.senders.get(device) else { return false };
        let name = || [CHAIN, device.as_bytes()].concat();
        let Some(key) = sender.key.as_ref().filter(|_| sender.has_moved()) else {
            if self.places.apart.remove(device) {
                changes.delete(self.scope(), name());
            }
            return true;
        };
        // Encoded from references, so that a chain is not copied for each message that is read.
        changes.put_encoded(self.scope(), name(), &ChainRecordRef(sender, &key.chain));
        self.places.apart.insert(*device)
    }

    fn put_page(&self, page: Page, changes: &mut Changes) {
        let mut secrets: Vec<_> = self
            .places
            .slots
            .on(page)
            .map(|device| {
                let sender = self.senders.get(device?)?;
                let key = sender.key.as_ref()?;
                let at_start = !sender.has_moved();
                Some(SlotRecordRef {
                    seed: &key.seed,
                    chain: at_start.then(|| key.chain.chain().key()),
                    link: sender.link.filter(|_| at_start).map(ByteArray::from),
                })
            })
            .collect();
        while secrets.pop_if(|last| last.is_none()).is_some() {}
        let name = page.name(SECRETS);
        if secrets.is_empty() {
            changes.delete(self.scope(), name);
        } else {
            changes.put_encoded(self.scope(), name, &secrets);
        }
    }
}

/// Records of senders on their way to becoming senders.
#[derive(Default)]
pub(super) struct SenderParts {
    senders: BTreeMap<DeviceId, SenderRecord>,
    pages: BTreeMap<Page, Vec<Option<SlotRecord>>>,
    chains: BTreeMap<DeviceId, ChainRecord>,
}

const DAMAGED: LoadError = LoadError::Damaged("sender key");

impl SenderParts {
    /// Takes a record; says whether it is one of these.
    pub(super) fn take(&mut self, name: &[u8], bytes: &[u8]) -> Result<bool, LoadError> {
        let device = |rest: &[u8]| rest.try_into().map(DeviceId::from_bytes).map_err(|_| DAMAGED);
        if let Some(rest) = name.strip_prefix(SENDER) {
            self.senders.insert(device(rest)?, codec::decode(bytes)?);
        } else if let Some(rest) = name.strip_prefix(SECRETS) {
            let page = Page::parse(rest).ok_or(DAMAGED)?;
            self.pages.insert(page, codec::decode::<SecretsPage>(bytes)?.0);
        } else if let Some(rest) = name.strip_prefix(CHAIN) {
            self.chains.insert(device(rest)?, codec::decode(bytes)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    pub(super) fn assemble(mut self) -> Result<(BTreeMap<DeviceId, PeerSender>, SenderPlaces), LoadError> {
        let slots = self.senders.iter().map(|(device, sender)| (*device, sender.slot));
        let slots = Slots::load(slots).ok_or(DAMAGED)?;
        let apart = self.chains.keys().copied().collect();
        let mut senders = BTreeMap::new();
        for (device, record) in self.senders {
            let page = self.pages.get_mut(&record.slot.page());
            let secrets = page.and_then(|page| page.get_mut(record.slot.within())?.take());
            senders.insert(device, peer_sender(record, secrets, self.chains.remove(&device))?);
        }
        // What nobody claimed.
        if !self.chains.is_empty() || self.pages.values().flatten().any(Option::is_some) {
            return Err(DAMAGED);
        }
        Ok((senders, SenderPlaces { slots, apart }))
    }
}

fn peer_sender(
    record: SenderRecord,
    secrets: Option<SlotRecord>,
    chain: Option<ChainRecord>,
) -> Result<PeerSender, LoadError> {
    let SenderRecord { since, certificate, generation, awaited, certificate_hash, from_log, .. } = record;
    let sender = |key, link, pending| {
        let certificate = certificate_hash;
        PeerSender { since, generation, certificate, from_log, key, link, pending }
    };
    let Some(SlotRecord { seed, chain: at_start, link: link_at_start }) = secrets else {
        let none = sender(None, link(awaited), std::iter::empty().collect());
        return if chain.is_none() { Ok(none) } else { Err(DAMAGED) };
    };
    let ChainRecord { link: last, chain, last_read, pending } = match (at_start, chain) {
        (Some(key), None) => {
            let chain = ReceivingChain::new(Chain::new(key, MessageIndex(0)));
            ChainRecord { link: link_at_start, chain, last_read: None, pending: Vec::new() }
        }
        (None, Some(chain)) => chain,
        // Both, or neither.
        _ => return Err(DAMAGED),
    };
    let certificate = certificate.ok_or(LoadError::Missing("certificate of a sender key"))?;
    let certificate = UnverifiedCertificate::decode(&certificate.0)?.trust_own_storage();
    let key = PeerKey::new(certificate, SeedAndChain { seed, chain: chain.chain().duplicate() });
    let last_read = last_read.map(Into::into);
    let key = Some(PeerKey { chain, last_read, ..key.map_err(|_| DAMAGED)? });
    let pending = pending.into_iter().map(|record| Pending {
        seq: record.seq,
        index: record.index,
        link: *record.link,
        own_link: *record.own_link,
        id: MessageId::from_bytes(*record.id),
        content: record.content.0,
    });
    Ok(sender(key, link(last), pending.collect()))
}
