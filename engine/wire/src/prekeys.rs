//! Prekeys: the short-lived encryption keys of a device, signed ones and one-time ones.
//!
//! ```text
//!     body  version ‖ CBOR [ device key: bstr 32, time: uint ms, x25519: bstr 32, ml-kem-768: bstr 1184 ]
//! ```
//!
//! carried in a [`Signed`] by the device. The identity is one signing key; what is encrypted
//! to a device goes to these, which it replaces daily while it is online. One-time prekeys come beside them:
//!
//! ```text
//!     one-time prekey  CBOR [ id: uint 32 bit, x25519: bstr 32 ]
//! ```
//!
//! Nobody signs these. Who exchanges one makes an envelope that does not open, which whoever carries it could drop as
//! well; what it can be read with is bound by the signed prekeys all the same (R59).

use crate::byte_newtype::byte_newtype;
use crate::codec::{DecodeError, Structure};
use crate::hash::{self, Context};
use crate::ids::{DeviceKey, OneTimePrekeyId, PrekeysHash, Timestamp};
use crate::limits::{CLOCK_SKEW, MAX_PREKEYS_AGE};
use crate::roster::PinnedPrekeys;
use crate::signature::{Label, SignatureError, Signed, SignedBody, UnverifiedSigned};
use minicbor::{Decode, Encode};
use thiserror::Error;

byte_newtype!(
    /// An X25519 public key.
    AgreementKey, 32
);
byte_newtype!(
    /// An ML-KEM-768 encapsulation key (FIPS 203).
    KemKey, 1184
);

/// The public halves of a device's prekeys.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PrekeysBody {
    /// The device that made and signed them.
    #[n(0)]
    pub device: DeviceKey,
    /// When.
    #[n(1)]
    pub time: Timestamp,
    /// For X25519.
    #[n(2)]
    pub agreement: AgreementKey,
    /// For ML-KEM-768.
    #[n(3)]
    pub kem: KemKey,
}

impl Structure for PrekeysBody {
    const NAME: &'static str = "prekeys";
    const MAX_BYTES: usize = 1300;
}

impl SignedBody for PrekeysBody {
    fn context() -> &'static Context {
        &hash::PREKEYS
    }
    const LABEL: Label = Label("conclave v1 sign prekeys");
}

/// Longest encoded prekeys.
pub const MAX_PREKEYS_BYTES: usize = PrekeysBody::MAX_BYTES + 80;

/// Prekeys whose signature has been verified.
pub type Prekeys = Signed<PrekeysBody>;

/// Prekeys as they came.
pub type UnverifiedPrekeys = UnverifiedSigned<PrekeysBody>;

impl Prekeys {
    /// Parses prekeys and verifies that the device they name signed them. A device's id is the hash of its key, so
    /// nothing else is needed to know whose they are.
    pub fn decode_and_verify(bytes: &[u8]) -> Result<Self, PrekeysError> {
        let unverified = UnverifiedPrekeys::decode(bytes)?;
        let device = unverified.claimed().device;
        Ok(unverified.verify(device.as_bytes())?)
    }

    /// Hash of the body: what an envelope names.
    pub fn hash(&self) -> PrekeysHash {
        PrekeysHash::from_bytes(*self.digest())
    }

    /// Refuses prekeys that are older than [`MAX_PREKEYS_AGE`] or from the future (R14).
    pub fn check_age(&self, now: Timestamp) -> Result<(), PrekeysAgeError> {
        let time = self.body().time;
        if time > now.plus(CLOCK_SKEW) || now.since(time) > MAX_PREKEYS_AGE {
            return Err(PrekeysAgeError);
        }
        Ok(())
    }

    /// Whether these are the prekeys that a heal pinned, or newer ones (R15). At the pin's own time only the pinned ones
    /// are: of two that a device made at one time, nothing else says which it gave up.
    pub fn meets(&self, pin: &PinnedPrekeys) -> bool {
        let time = self.body().time;
        time > pin.time || (time == pin.time && self.hash() == pin.hash)
    }
}

/// A one-time prekey: one envelope is sealed to it, beside the signed prekeys, and its private half is erased when that
/// envelope is opened (R59).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OneTimePrekey {
    /// Which of its device's.
    #[n(0)]
    pub id: OneTimePrekeyId,
    /// For X25519.
    #[n(1)]
    pub key: AgreementKey,
}

/// Why prekeys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrekeysError {
    /// Not prekeys.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The device that they name did not sign them.
    #[error("the device's signature of its prekeys is not valid")]
    Signature(#[from] SignatureError),
}

/// Prekeys too old to encrypt to, or from the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the device's prekeys are older than 90 days or from the future; it must come online, or a clock be set right"
)]
pub struct PrekeysAgeError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_time_prekey_is_an_id_and_a_key() {
        let prekey = OneTimePrekey { id: OneTimePrekeyId(500), key: AgreementKey::from_bytes([7; 32]) };
        let encoded = minicbor::to_vec(prekey).unwrap();
        assert_eq!(encoded, [&[0x82, 0x19, 0x01, 0xf4, 0x58, 32][..], &[7; 32]].concat());
        assert_eq!(minicbor::decode::<OneTimePrekey>(&encoded).unwrap(), prekey);
        let wide = [&[0x82, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0, 0x58, 32][..], &[7; 32]].concat();
        assert!(minicbor::decode::<OneTimePrekey>(&wide).is_err(), "an id has 32 bits");
    }
}
