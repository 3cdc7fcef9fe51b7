//! A device's own one-time prekeys, with their private halves: each opens one envelope, and is erased with it (R59).
//!
//! ```text
//!     onetime/ id 4   version ‖ CBOR bstr 32 (private half)        as long as it is unused
//!     onetime-next    version ‖ CBOR uint                          the id of the next one
//! ```

use crate::agreement::PrivateKey;
use crate::limits::MAX_ONE_TIME_PREKEYS;
use crate::record::{Changes, LoadError, Scope};
use crate::secret::Secret;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::OneTimePrekeyId;
use conclave_wire::prekeys::{AgreementKey, OneTimePrekey};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use std::collections::BTreeMap;

/// First part of the names of private halves.
const UNUSED: &[u8] = b"onetime/";
const NEXT: &[u8] = b"onetime-next";

/// The private half of a one-time prekey; also its record.
#[derive(Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct OneTimePrivate(#[n(0)] Secret<32>);

impl OneTimePrivate {
    fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    pub(crate) fn agreement(&self) -> PrivateKey {
        PrivateKey::new(&self.0)
    }

    pub(crate) fn public(&self) -> AgreementKey {
        AgreementKey::from_bytes(self.agreement().public())
    }
}

impl Structure for OneTimePrivate {
    const NAME: &'static str = "one-time prekey record";
    const MAX_BYTES: usize = 64;
}

#[derive(Encode, Decode)]
#[cbor(transparent)]
struct NextRecord(#[n(0)] OneTimePrekeyId);

impl Structure for NextRecord {
    const NAME: &'static str = "one-time prekey counter record";
    const MAX_BYTES: usize = 16;
}

/// The unused ones, and where their ids go on.
#[derive(Default)]
pub(crate) struct OneTimePrekeys {
    /// `None` until the first is made.
    next: Option<OneTimePrekeyId>,
    unused: BTreeMap<OneTimePrekeyId, OneTimePrivate>,
}

impl OneTimePrekeys {
    /// Makes `count` new ones, at most [`MAX_ONE_TIME_PREKEYS`], and erases the oldest beyond that many. Fewer where the
    /// ids end.
    pub(crate) fn make(
        &mut self,
        count: usize,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<OneTimePrekey> {
        let mut next = self.next.unwrap_or_else(|| first_id(rng));
        let mut made = Vec::new();
        for _ in 0..count.min(MAX_ONE_TIME_PREKEYS) {
            let (id, Some(after)) = (next, next.next()) else { break };
            let private = OneTimePrivate::generate(rng);
            made.push(OneTimePrekey { id, key: private.public() });
            changes.put(Scope::Device, name(id), &private);
            self.unused.insert(id, private);
            next = after;
        }
        self.next = Some(next);
        changes.put(Scope::Device, NEXT.to_vec(), &NextRecord(next));
        while self.unused.len() > MAX_ONE_TIME_PREKEYS {
            if let Some((oldest, _)) = self.unused.pop_first() {
                changes.delete(Scope::Device, name(oldest));
            }
        }
        made
    }

    /// How many are unused.
    pub(crate) fn len(&self) -> usize {
        self.unused.len()
    }

    pub(crate) fn unused(&self, id: OneTimePrekeyId) -> Option<&OneTimePrivate> {
        self.unused.get(&id)
    }

    /// Erases one that has opened its envelope.
    pub(crate) fn erase(&mut self, id: OneTimePrekeyId, changes: &mut Changes) {
        if self.unused.remove(&id).is_some() {
            changes.delete(Scope::Device, name(id));
        }
    }

    /// Erases all, because a thief may hold them; their ids are not given again.
    pub(crate) fn erase_all(&mut self, changes: &mut Changes) {
        for id in std::mem::take(&mut self.unused).into_keys() {
            changes.delete(Scope::Device, name(id));
        }
    }

    /// Takes a record as it was stored; says whether it is one of these.
    pub(crate) fn load(&mut self, name: &[u8], value: &[u8]) -> Result<bool, LoadError> {
        if name == NEXT {
            self.next = Some(codec::decode::<NextRecord>(value)?.0);
        } else if let Some(id) = name.strip_prefix(UNUSED) {
            let id = id.try_into().map_err(|_| LoadError::Damaged("one-time prekeys"))?;
            self.unused.insert(OneTimePrekeyId(u32::from_be_bytes(id)), codec::decode(value)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Checks, after all records were taken, that no id would be given twice.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        match (self.next, self.unused.last_key_value()) {
            (None, Some(_)) => Err(LoadError::Missing("number of one-time prekeys")),
            (Some(next), Some((last, _))) if next <= *last => Err(LoadError::Damaged("one-time prekeys")),
            _ => Ok(()),
        }
    }
}

/// Ids begin at random in the lower half of their range: a device that lost its records, and with them this counter,
/// does not give again what it once gave.
fn first_id(rng: &mut impl CryptoRng) -> OneTimePrekeyId {
    let mut bytes = [0; 4];
    rng.fill_bytes(&mut bytes);
    OneTimePrekeyId(u32::from_be_bytes(bytes) >> 1)
}

fn name(id: OneTimePrekeyId) -> Vec<u8> {
    [UNUSED, &id.0.to_be_bytes()].concat()
}
