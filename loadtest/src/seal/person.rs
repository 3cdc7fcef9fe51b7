//! A device with its records, which can be put back to where they were, so that one step can be measured many times.

use crate::failure::Failure;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{GroupId, Opaque, Seq, Timestamp};
use conclave_engine::{Changes, Device, Event, Group, RecordKey, RecordValue, Records, Scope};
use rand::rngs::StdRng;
use std::collections::BTreeMap;

/// When everything here happens.
pub(super) const NOW: Timestamp = Timestamp(1_750_000_000_000);

/// A device in at most one group.
pub(super) struct Person {
    pub(super) device: Device,
    pub(super) group: Option<Group>,
    records: BTreeMap<RecordKey, RecordValue>,
}

impl Person {
    /// A new account with one device.
    pub(super) fn new(rng: &mut StdRng) -> Result<Self, Failure> {
        let (device, changes) = Device::create(NOW, rng).map_err(Failure::engine("a new device"))?;
        let mut person = Self { device, group: None, records: BTreeMap::new() };
        person.keep(changes);
        Ok(person)
    }

    /// Does what a store does.
    pub(super) fn keep(&mut self, changes: Changes) {
        for change in changes.0 {
            match change.value {
                Some(value) => self.records.insert(change.key, value),
                None => self.records.remove(&change.key),
            };
        }
    }

    /// Takes one entry of the log.
    pub(super) fn receive(&mut self, entry: &Entry) -> Result<Event, Failure> {
        let group = self.group.as_mut().ok_or_else(|| Failure::Wrong("a device without its group".into()))?;
        let received =
            group.receive(&mut self.device, entry, NOW).map_err(Failure::engine("an entry of the log"))?;
        self.keep(received.changes);
        Ok(received.event)
    }

    /// Device and group as they are now, read back from the records.
    pub(super) fn reload(&self) -> Result<(Device, Group), Failure> {
        let group = self.group.as_ref().ok_or_else(|| Failure::Wrong("a device without its group".into()))?;
        let id = group.id();
        let device = Device::load(self.records_of(Scope::Device)).map_err(Failure::engine("its records"))?;
        let group = Group::load(id, self.records_of(Scope::Group(id)));
        Ok((device, group.map_err(Failure::engine("a group's records"))?))
    }

    fn records_of(&self, scope: Scope) -> Records {
        let records = self.records.iter().filter(|(key, _)| key.scope == scope);
        records.map(|(key, value)| (key.name.clone(), value.clone())).collect()
    }
}

/// An entry as one device is handed it.
pub(super) fn entry(
    group: GroupId,
    seq: Seq,
    kind: EntryKind,
    body: &[u8],
    delivery: Option<&Opaque>,
) -> Entry {
    Entry { group, seq, kind, delivery: delivery.cloned(), body: Opaque(body.to_vec()) }
}

/// Bytes that changes ask a store to write.
pub(super) fn stored_bytes(changes: &Changes) -> usize {
    let size = |value: &RecordValue| value.as_bytes().len();
    changes.0.iter().map(|change| change.key.name.len() + change.value.as_ref().map_or(0, size)).sum()
}
