//! Slots: the place that each device has in records which hold a page of devices.
//!
//! A device takes the lowest free slot and keeps it, so that what changes for many devices at once changes few records.

use crate::limits::SLOTS_PER_PAGE;
use conclave_wire::ids::{DeviceId, LeafIndex};
use conclave_wire::limits::MAX_LEAVES;
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// A device's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct Slot(#[n(0)] u32);

/// Which page of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Page(u32);

impl Slot {
    fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn page(self) -> Page {
        Page(self.0 / SLOTS_PER_PAGE)
    }

    /// Where in its page.
    pub(crate) fn within(self) -> usize {
        (self.0 % SLOTS_PER_PAGE) as usize
    }
}

impl Page {
    /// The page of a leaf, where pages hold leaves of a roster by their indices.
    pub(crate) fn of_leaf(index: LeafIndex) -> Self {
        Self(index.0 / SLOTS_PER_PAGE)
    }

    /// The leaves on it.
    pub(crate) fn leaves(self) -> impl Iterator<Item = LeafIndex> {
        let first = self.0.saturating_mul(SLOTS_PER_PAGE);
        (first..first.saturating_add(SLOTS_PER_PAGE)).map(LeafIndex)
    }

    /// The name of the page's record.
    pub(crate) fn name(self, prefix: &[u8]) -> Vec<u8> {
        [prefix, &self.0.to_be_bytes()].concat()
    }

    /// Out of the part of a name that follows the prefix.
    pub(crate) fn parse(rest: &[u8]) -> Option<Self> {
        rest.try_into().ok().map(u32::from_be_bytes).map(Self)
    }
}

/// Who stands where. As many slots as there were ever devices at once, at most [`MAX_LEAVES`].
#[derive(Debug, Default)]
pub(crate) struct Slots {
    of: BTreeMap<DeviceId, Slot>,
    devices: Vec<Option<DeviceId>>,
    free: BTreeSet<Slot>,
}

impl Slots {
    /// Takes slots as they were stored; `None` if two devices have the same one, or one is out of range.
    pub(crate) fn load(stored: impl IntoIterator<Item = (DeviceId, Slot)>) -> Option<Self> {
        let mut slots = Self::default();
        for (device, slot) in stored {
            if slot.index() >= MAX_LEAVES {
                return None;
            }
            if slot.index() >= slots.devices.len() {
                slots.devices.resize(slot.index() + 1, None);
            }
            let place = slots.devices.get_mut(slot.index())?;
            if place.replace(device).is_some() || slots.of.insert(device, slot).is_some() {
                return None;
            }
        }
        slots.free =
            (0..).map(Slot).zip(&slots.devices).filter(|(_, d)| d.is_none()).map(|(s, _)| s).collect();
        Some(slots)
    }

    pub(crate) fn get(&self, device: &DeviceId) -> Option<Slot> {
        self.of.get(device).copied()
    }

    /// The slot of a device, which it takes if it has none.
    pub(crate) fn take(&mut self, device: &DeviceId) -> Slot {
        if let Some(slot) = self.get(device) {
            return slot;
        }
        let slot = self.free.pop_first().unwrap_or_else(|| {
            self.devices.push(None);
            Slot(u32::try_from(self.devices.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(place) = self.devices.get_mut(slot.index()) {
            *place = Some(*device);
        }
        self.of.insert(*device, slot);
        slot
    }

    /// Frees a device's slot; says which it was.
    pub(crate) fn release(&mut self, device: &DeviceId) -> Option<Slot> {
        let slot = self.of.remove(device)?;
        if let Some(place) = self.devices.get_mut(slot.index()) {
            *place = None;
        }
        self.free.insert(slot);
        Some(slot)
    }

    /// All pages that there were since the slots were last [`trimmed`](Self::trim).
    pub(crate) fn pages(&self) -> impl Iterator<Item = Page> + use<> {
        let pages = self.devices.len().div_ceil(SLOTS_PER_PAGE as usize);
        (0..u32::try_from(pages).unwrap_or(u32::MAX)).map(Page)
    }

    /// Who stands on the slots of a page.
    pub(crate) fn on(&self, page: Page) -> impl Iterator<Item = Option<&DeviceId>> {
        let (skipped, taken) = (page.0 as usize * SLOTS_PER_PAGE as usize, SLOTS_PER_PAGE as usize);
        self.devices.iter().skip(skipped).take(taken).map(Option::as_ref)
    }

    /// Forgets free slots after the last one that is taken.
    pub(crate) fn trim(&mut self) {
        while self.devices.pop_if(|device| device.is_none()).is_some() {
            self.free.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u8) -> DeviceId {
        DeviceId::from_bytes([n; 32])
    }

    #[test]
    fn the_lowest_free_slot_is_taken_and_kept() {
        let mut slots = Slots::default();
        for n in 0..4 {
            assert_eq!(slots.take(&device(n)), Slot(u32::from(n)));
        }
        assert_eq!(slots.take(&device(2)), Slot(2));
        assert_eq!((slots.release(&device(2)), slots.release(&device(0))), (Some(Slot(2)), Some(Slot(0))));
        assert_eq!(slots.release(&device(0)), None);
        assert_eq!((slots.take(&device(9)), slots.take(&device(8))), (Slot(0), Slot(2)));
        let on: Vec<_> = slots.on(Page(0)).collect();
        assert_eq!(on, [Some(&device(9)), Some(&device(1)), Some(&device(8)), Some(&device(3))]);
    }

    #[test]
    fn what_is_loaded_goes_on_the_same() {
        let mut slots = Slots::default();
        for n in 0..70 {
            slots.take(&device(n));
        }
        for n in [69, 68, 3, 40] {
            slots.release(&device(n));
        }
        let stored: Vec<_> = slots.of.iter().map(|(device, slot)| (*device, *slot)).collect();
        let mut loaded = Slots::load(stored).unwrap();
        assert_eq!((slots.pages().count(), loaded.pages().count()), (3, 3));
        slots.trim();
        assert_eq!(slots.devices, loaded.devices);
        assert_eq!(slots.free, loaded.free);
        assert_eq!(slots.take(&device(100)), loaded.take(&device(100)));
    }

    #[test]
    fn contradictions() {
        let load = |stored: &[(u8, u32)]| {
            Slots::load(stored.iter().map(|(n, slot)| (device(*n), Slot(*slot)))).is_some()
        };
        assert!(load(&[(1, 0), (2, 5)]));
        assert!(!load(&[(1, 0), (2, 0)]));
        assert!(!load(&[(1, 0), (1, 1)]));
        assert!(!load(&[(1, u32::MAX)]));
    }
}
