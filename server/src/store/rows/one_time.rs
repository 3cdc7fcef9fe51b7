//! One-time prekeys: each is given out once, and is gone before anybody has it.

use super::records;
use super::stage::Stage;
use super::{Rows, Table};
use crate::store::{Rejected, StoreError, Written};
use conclave_wire::ids::{DeviceId, OneTimePrekeyId};
use conclave_wire::limits::MAX_ONE_TIME_PREKEYS;
use conclave_wire::prekeys::{AgreementKey, OneTimePrekey};

impl<R: Rows> Stage<'_, R> {
    /// Takes what a device publishes, in place of what is there if `replace`. Beyond the bound the lowest ids go.
    pub(super) fn publish_one_time(
        &mut self,
        device: &DeviceId,
        prekeys: &[OneTimePrekey],
        replace: bool,
    ) -> Result<Result<Written, Rejected>, StoreError> {
        if self.row(Table::Device, device.as_bytes())?.is_none() {
            return Ok(Err(Rejected::UnknownDevice));
        }
        let mut kept = self.one_time(device)?;
        if replace {
            for id in kept.drain(..) {
                self.set(Table::OneTime, key(device, id), None);
            }
        }
        for prekey in prekeys {
            self.put(Table::OneTime, key(device, prekey.id), prekey.key.as_bytes().to_vec());
            if !kept.contains(&prekey.id) {
                kept.push(prekey.id);
            }
        }
        kept.sort_unstable();
        let beyond = kept.len().saturating_sub(MAX_ONE_TIME_PREKEYS);
        for id in kept.drain(..beyond) {
            self.set(Table::OneTime, key(device, id), None);
        }
        Ok(Ok(Written::OneTimeLeft(u32::try_from(kept.len()).unwrap_or(u32::MAX))))
    }

    /// Takes one of each device, of those that have any.
    pub(super) fn take_one_time(
        &mut self,
        devices: &[DeviceId],
    ) -> Result<Result<Written, Rejected>, StoreError> {
        let mut taken = Vec::with_capacity(devices.len());
        for device in devices {
            let Some(id) = self.one_time(device)?.first().copied() else {
                taken.push(None);
                continue;
            };
            let key = key(device, id);
            let bytes = self.row(Table::OneTime, &key)?.ok_or(StoreError::Damaged("one-time prekey"))?;
            self.set(Table::OneTime, key, None);
            let agreement = AgreementKey::from_bytes(records::fixed(&bytes, "one-time prekey")?);
            taken.push(Some(OneTimePrekey { id, key: agreement }));
        }
        Ok(Ok(Written::OneTimeTaken(taken)))
    }

    /// Those of a device that are left, as this batch has left them, in order.
    fn one_time(&self, device: &DeviceId) -> Result<Vec<OneTimePrekeyId>, StoreError> {
        let stored = self.rows.prefix(Table::OneTime, device.as_bytes(), MAX_ONE_TIME_PREKEYS + 1);
        let mut left = std::collections::BTreeSet::new();
        for row in stored {
            left.insert(id_of(row?.0.as_ref())?);
        }
        for (key, is_there) in self.changed_of(Table::OneTime, device.as_bytes()) {
            let id = id_of(key)?;
            if is_there {
                left.insert(id)
            } else {
                left.remove(&id)
            };
        }
        Ok(left.into_iter().collect())
    }
}

fn key(device: &DeviceId, id: OneTimePrekeyId) -> Vec<u8> {
    [device.as_bytes().as_slice(), &id.0.to_be_bytes()].concat()
}

fn id_of(key: &[u8]) -> Result<OneTimePrekeyId, StoreError> {
    Ok(OneTimePrekeyId(u32::from_be_bytes(records::suffix(key, "one-time prekey's key")?)))
}
