//! Acknowledgements that have been told and not yet written.

use crate::limits::MAX_ACKNOWLEDGEMENTS;
use crate::store::Write;
use conclave_wire::ids::{DeviceId, GroupId, Seq};
use conclave_wire::request::Cursor;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The last acknowledgement of each device in each group.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements {
    pending: Mutex<HashMap<(DeviceId, GroupId), Seq>>,
}

impl Acknowledgements {
    /// Remembers how far a device is. Forgets it when too many wait: that only delivers again.
    pub(crate) fn note(&self, device: DeviceId, cursor: Cursor) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (device, cursor.group);
        if pending.len() < MAX_ACKNOWLEDGEMENTS || pending.contains_key(&key) {
            let seq = pending.entry(key).or_default();
            *seq = cursor.seq.max(*seq);
        }
    }

    /// What is not written yet, if anything.
    pub(crate) fn pending(&self, device: &DeviceId, group: &GroupId) -> Option<Seq> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.get(&(*device, *group)).copied()
    }

    /// Takes all, to be written.
    pub(super) fn take(&self) -> Vec<Write> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let write = |((device, group), seq)| Write::Acknowledge { device, cursor: Cursor { group, seq } };
        pending.drain().map(write).collect()
    }
}
