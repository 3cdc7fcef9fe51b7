//! Other devices' prekeys, and which of them may be encrypted to.

use super::small_order::has_small_order;
use crate::addressee::Addressee;
use conclave_wire::ids::{DeviceId, OneTimePrekeyId, Timestamp};
use conclave_wire::prekeys::{AgreementKey, OneTimePrekey, Prekeys, PrekeysError};
use libcrux_ml_kem::mlkem768;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// Why another device's prekeys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrekeyBookError {
    /// Not prekeys, or not signed by their device.
    #[error(transparent)]
    Prekeys(#[from] PrekeysError),
    /// The ML-KEM key is not a valid one, or the X25519 key has small order.
    #[error("the device's prekeys are not valid keys")]
    Unusable,
    /// The one-time prekey has small order. The signed prekeys may be good without it.
    #[error("the device's one-time prekey is not a valid key; the server exchanged it")]
    OneTime,
}

/// Prekeys to which an envelope can be sealed: verified, and both keys valid.
#[derive(Clone, Debug)]
pub(crate) struct UsablePrekeys(Prekeys);

impl UsablePrekeys {
    pub(crate) fn new(prekeys: Prekeys) -> Result<Self, PrekeyBookError> {
        let body = prekeys.body();
        let kem_valid = mlkem768::validate_public_key(&(*body.kem.as_bytes()).into());
        if kem_valid && !has_small_order(&body.agreement) {
            Ok(Self(prekeys))
        } else {
            Err(PrekeyBookError::Unusable)
        }
    }

    pub(crate) fn verified(&self) -> &Prekeys {
        &self.0
    }
}

/// A one-time prekey that is not of small order.
#[derive(Clone, Copy, Debug)]
struct UsableOneTime(OneTimePrekey);

impl UsableOneTime {
    fn new(prekey: OneTimePrekey) -> Result<Self, PrekeyBookError> {
        if has_small_order(&prekey.key) { Err(PrekeyBookError::OneTime) } else { Ok(Self(prekey)) }
    }
}

/// A one-time prekey on its way into an envelope. A book gives out each once, and sealing takes it away (R59).
#[derive(Debug)]
pub(crate) struct GivenOneTime(OneTimePrekey);

impl GivenOneTime {
    pub(crate) fn id(&self) -> OneTimePrekeyId {
        self.0.id
    }

    pub(crate) fn key(&self) -> &AgreementKey {
        &self.0.key
    }

    #[cfg(test)]
    pub(crate) fn for_vectors(prekey: OneTimePrekey) -> Self {
        Self(prekey)
    }
}

/// What can be encrypted to just now.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    /// Prekeys for first contacts.
    pub(crate) book: &'a PrekeyBook,
    /// Decides which prekeys and chains are too old.
    pub(crate) now: Timestamp,
}

impl Reach<'_> {
    /// A device's prekeys, if they are there, not too old (R14), and not older than those that its leaf pins (R15).
    pub(crate) fn prekeys(&self, to: &Addressee) -> Option<&UsablePrekeys> {
        self.book.0.get(&to.device).map(|known| &known.prekeys).filter(|prekeys| {
            let prekeys = prekeys.verified();
            prekeys.check_age(self.now).is_ok() && to.pinned.is_none_or(|pin| prekeys.meets(&pin))
        })
    }

    /// The one-time prekey that the book has for a device, for the one envelope that is sealed to it now.
    pub(crate) fn give_one_time(&self, device: &DeviceId) -> Option<GivenOneTime> {
        self.book.0.get(device)?.give_one_time()
    }
}

/// Other devices' prekeys, as a server handed them out, verified on insertion.
///
/// A one-time prekey goes into one envelope and no other, whatever becomes of the upload that the envelope is part of.
/// The book sees to that itself, so it can be shared by reference; a clone has the signed prekeys alone.
#[derive(Clone, Debug, Default)]
pub struct PrekeyBook(BTreeMap<DeviceId, Known>);

/// What is known of one device.
#[derive(Debug)]
struct Known {
    prekeys: UsablePrekeys,
    /// Came with these prekeys: when a device heals it gives up both.
    one_time: Option<UsableOneTime>,
    /// Ids below it are not given, for this one or a later one was. A server hands them out as they were made, so this
    /// refuses what it hands out twice and hardly anything else. Wider than an id, to be above each.
    given_below: AtomicU64,
}

impl Known {
    /// Of two calls at the same time at most one gets the prekey.
    fn give_one_time(&self) -> Option<GivenOneTime> {
        let UsableOneTime(prekey) = self.one_time?;
        let above = u64::from(prekey.id.0) + 1;
        (self.given_below.fetch_max(above, Ordering::Relaxed) < above).then_some(GivenOneTime(prekey))
    }
}

impl Clone for Known {
    fn clone(&self) -> Self {
        let given_below = AtomicU64::new(self.given_below.load(Ordering::Relaxed));
        Self { prekeys: self.prekeys.clone(), one_time: None, given_below }
    }
}

impl PrekeyBook {
    /// Verifies encoded prekeys and keeps them; returns whose they are. An unused one-time prekey of the device stays if
    /// these are the prekeys that it came with.
    pub fn insert(&mut self, encoded: &[u8]) -> Result<DeviceId, PrekeyBookError> {
        let prekeys = UsablePrekeys::new(Prekeys::decode_and_verify(encoded)?)?;
        let device = prekeys.verified().body().device.id();
        let known = self.0.remove(&device);
        let same = known.as_ref().is_some_and(|known| known.prekeys.0.hash() == prekeys.0.hash());
        let given_below = known.as_ref().map_or(0, |known| known.given_below.load(Ordering::Relaxed));
        let one_time = known.and_then(|known| known.one_time).filter(|_| same);
        self.0.insert(device, Known { prekeys, one_time, given_below: AtomicU64::new(given_below) });
        Ok(device)
    }

    /// As [`insert`](Self::insert), with a one-time prekey of the same device, in place of the one that the book has. If
    /// one of the two is refused, nothing is kept; where it is the one-time prekey
    /// ([`PrekeyBookError::OneTime`]), insert the others without it.
    pub fn insert_with_one_time(
        &mut self,
        encoded: &[u8],
        one_time: OneTimePrekey,
    ) -> Result<DeviceId, PrekeyBookError> {
        let one_time = UsableOneTime::new(one_time)?;
        let device = self.insert(encoded)?;
        if let Some(known) = self.0.get_mut(&device) {
            known.one_time = Some(one_time);
        }
        Ok(device)
    }
}
