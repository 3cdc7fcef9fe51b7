//! A device with its records, from which it can be read back, so that one step can be measured many times.

use crate::trouble::Trouble;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{GroupId, Opaque, Seq, Timestamp};
use conclave_engine::{Changes, Device, Event, Group, RecordKey, RecordValue, Records, Scope};
use rand::rngs::StdRng;
use std::collections::BTreeMap;

/// When everything here happens.
pub const NOW: Timestamp = Timestamp(1_750_000_000_000);

/// A device in at most one group.
pub struct Person {
    /// The device.
    pub device: Device,
    /// Its group, once it is in one.
    pub group: Option<Group>,
    records: BTreeMap<RecordKey, RecordValue>,
}

impl Person {
    /// A new account with one device.
    pub fn new(rng: &mut StdRng) -> Result<Self, Trouble> {
        let (device, changes) = Device::create(NOW, rng).map_err(Trouble::engine("a new device"))?;
        let mut person = Self { device, group: None, records: BTreeMap::new() };
        person.keep(changes);
        Ok(person)
    }

    /// Does what a store does.
    pub fn keep(&mut self, changes: Changes) {
        for change in changes.0 {
            match change.value {
                Some(value) => self.records.insert(change.key, value),
                None => self.records.remove(&change.key),
            };
        }
    }

    /// Takes one entry of the log.
    pub fn receive(&mut self, entry: &Entry) -> Result<Event, Trouble> {
        let group = self.group.as_mut().ok_or(NO_GROUP)?;
        let received =
            group.receive(&mut self.device, entry, NOW).map_err(Trouble::engine("an entry of the log"))?;
        self.keep(received.changes);
        Ok(received.event)
    }

    /// Device and group as they are now, read back from the records.
    pub fn reload(&self) -> Result<(Device, Group), Trouble> {
        let id = self.group.as_ref().ok_or(NO_GROUP)?.id();
        let device = self.reload_device()?;
        let group = Group::load(id, self.records_of(Scope::Group(id)));
        let mut group = group.map_err(Trouble::engine("a group's records"))?;
        // What the engine takes is measured, whatever a server would take at once.
        group.allow_uploads_of(usize::MAX);
        Ok((device, group))
    }

    /// The device alone.
    pub fn reload_device(&self) -> Result<Device, Trouble> {
        Device::load(self.records_of(Scope::Device)).map_err(Trouble::engine("its records"))
    }

    /// Bytes of all records, keys included, that a store holds for the group.
    pub fn group_bytes(&self) -> usize {
        let of_group = self.records.iter().filter(|(key, _)| key.scope != Scope::Device);
        of_group.map(|(key, value)| key.name.len() + value.as_bytes().len()).sum()
    }

    fn records_of(&self, scope: Scope) -> Records {
        let records = self.records.iter().filter(|(key, _)| key.scope == scope);
        records.map(|(key, value)| (key.name.clone(), value.clone())).collect()
    }
}

const NO_GROUP: Trouble = Trouble::Wrong("a device without its group");

/// An entry as one device is handed it.
pub fn entry(group: GroupId, seq: Seq, kind: EntryKind, body: &[u8], delivery: Option<&Opaque>) -> Entry {
    Entry { group, seq, kind, delivery: delivery.cloned(), body: Opaque(body.to_vec()) }
}

/// Bytes that changes ask a store to write.
pub fn stored_bytes(changes: &Changes) -> usize {
    let size = |value: &RecordValue| value.as_bytes().len();
    changes.0.iter().map(|change| change.key.name.len() + change.value.as_ref().map_or(0, size)).sum()
}
