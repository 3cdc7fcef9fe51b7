//! Other devices' prekeys, and which of them may be encrypted to.

use crate::addressee::Addressee;
use conclave_wire::ids::{DeviceId, Timestamp};
use conclave_wire::prekeys::{Prekeys, PrekeysError};
use libcrux_ml_kem::mlkem768;
use std::collections::BTreeMap;
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};

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
}

/// Prekeys to which an envelope can be sealed: verified, and both keys valid.
#[derive(Clone, Debug)]
pub(crate) struct UsablePrekeys(Prekeys);

impl UsablePrekeys {
    fn new(prekeys: Prekeys) -> Result<Self, PrekeyBookError> {
        let body = prekeys.body();
        let kem_valid = mlkem768::validate_public_key(&(*body.kem.as_bytes()).into());
        // Whether a point has small order does not depend on the scalar that probes it.
        let probe = StaticSecret::from([1; 32]).diffie_hellman(&PublicKey::from(*body.agreement.as_bytes()));
        if kem_valid && probe.was_contributory() { Ok(Self(prekeys)) } else { Err(PrekeyBookError::Unusable) }
    }

    pub(crate) fn verified(&self) -> &Prekeys {
        &self.0
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
        self.book.0.get(&to.device).filter(|prekeys| {
            let prekeys = prekeys.verified();
            prekeys.check_age(self.now).is_ok() && to.pinned.is_none_or(|pin| prekeys.meets(&pin))
        })
    }
}

/// Other devices' prekeys, as a server handed them out, verified on insertion.
#[derive(Clone, Debug, Default)]
pub struct PrekeyBook(BTreeMap<DeviceId, UsablePrekeys>);

impl PrekeyBook {
    /// Verifies encoded prekeys and keeps them; returns whose they are.
    pub fn insert(&mut self, encoded: &[u8]) -> Result<DeviceId, PrekeyBookError> {
        let prekeys = UsablePrekeys::new(Prekeys::decode_and_verify(encoded)?)?;
        let device = prekeys.verified().body().device.id();
        self.0.insert(device, prekeys);
        Ok(device)
    }
}
