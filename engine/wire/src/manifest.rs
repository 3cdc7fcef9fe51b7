//! Device manifests: which devices an account has, signed by the account, countersigned by each device.
//!
//! ```text
//!     body      version ‖ CBOR [ account: bstr 32, version: uint, time: uint ms,
//!                                previous: bstr 32 / null, devices: [1*32 device key: bstr 32] ]
//!     manifest  version ‖ CBOR [ body: bstr, account signature: bstr 64, [device signature: bstr 64] ]
//! ```
//!
//! All signatures cover the same label and the body's hash; device signatures stand in the order of the devices. The
//! server cannot add a device: it has neither key (R10). Versions grow by one and link by hash (R11).

use crate::codec::{self, DecodeError, Structure};
use crate::hash;
use crate::ids::{AccountId, DeviceId, DeviceKey, ManifestHash, ManifestVersion, Opaque, Timestamp};
use crate::limits::MAX_DEVICES;
use crate::signature::{self, Label, Signature};
use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};
use thiserror::Error;

const LABEL: Label = Label("conclave v1 sign manifest");

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ManifestBody {
    /// The account, which is the key that signs.
    #[n(0)]
    pub account: AccountId,
    /// Grows by one with every manifest of the account, from 0.
    #[n(1)]
    pub version: ManifestVersion,
    /// When it was signed.
    #[n(2)]
    pub time: Timestamp,
    /// The manifest of the version before; `None` for version 0.
    #[n(3)]
    pub previous: Option<ManifestHash>,
    /// The account's devices, at least one, none twice.
    #[n(4)]
    pub devices: Vec<DeviceKey>,
}

impl Structure for ManifestBody {
    const NAME: &'static str = "device manifest";
    const MAX_BYTES: usize = 128 + 34 * MAX_DEVICES;
}

#[derive(Encode, Decode)]
struct Carrier {
    #[n(0)]
    body: Opaque,
    #[n(1)]
    account_signature: Signature,
    #[n(2)]
    device_signatures: Vec<Signature>,
}

impl Structure for Carrier {
    const NAME: &'static str = ManifestBody::NAME;
    const MAX_BYTES: usize = ManifestBody::MAX_BYTES + 80 + 66 * MAX_DEVICES;
}

/// Longest encoded manifest.
pub const MAX_MANIFEST_BYTES: usize = Carrier::MAX_BYTES;

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not a manifest.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No device, too many, one twice, or not one signature for each.
    #[error("the device manifest lists no device, more than {MAX_DEVICES}, one twice, or lacks a signature")]
    Devices,
    /// A version without a predecessor that should have one, or the reverse.
    #[error("the device manifest does not say which one it replaces")]
    Previous,
    /// The account did not sign it.
    #[error("the account's signature of the device manifest is not valid")]
    AccountSignature,
    /// A listed device did not sign it.
    #[error("a device's signature of the device manifest is not valid")]
    DeviceSignature,
}

/// A manifest with all its signatures verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    body: ManifestBody,
    encoded: Vec<u8>,
    hash: ManifestHash,
}

impl Manifest {
    /// Signs a manifest with the account's key and each device's, `devices` in the order of the body.
    pub fn sign(
        body: &ManifestBody,
        account: &SigningKey,
        devices: &[&SigningKey],
    ) -> Result<Self, ManifestError> {
        let encoded_body = codec::encode(body);
        let hash = hash::MANIFEST.hash(&[&encoded_body]);
        let carrier = Carrier {
            body: Opaque(encoded_body),
            account_signature: signature::sign(account, LABEL, &hash),
            device_signatures: devices.iter().map(|key| signature::sign(key, LABEL, &hash)).collect(),
        };
        Self::decode_and_verify(&codec::encode(&carrier))
    }

    /// Parses a manifest and verifies each of its signatures.
    pub fn decode_and_verify(bytes: &[u8]) -> Result<Self, ManifestError> {
        let carrier: Carrier = codec::decode(bytes)?;
        let body: ManifestBody = codec::decode(&carrier.body.0)?;
        check_devices(&body, carrier.device_signatures.len())?;
        if body.previous.is_none() != (body.version == ManifestVersion(0)) {
            return Err(ManifestError::Previous);
        }
        let digest = hash::MANIFEST.hash(&[&carrier.body.0]);
        signature::verify(body.account.as_bytes(), LABEL, &digest, &carrier.account_signature)
            .map_err(|_| ManifestError::AccountSignature)?;
        for (device, signature) in body.devices.iter().zip(&carrier.device_signatures) {
            signature::verify(device.as_bytes(), LABEL, &digest, signature)
                .map_err(|_| ManifestError::DeviceSignature)?;
        }
        Ok(Self { body, encoded: bytes.to_vec(), hash: ManifestHash::from_bytes(digest) })
    }

    /// What it says.
    pub fn body(&self) -> &ManifestBody {
        &self.body
    }

    /// The account whose devices these are.
    pub fn account(&self) -> AccountId {
        self.body.account
    }

    /// The devices' ids, in the manifest's order.
    pub fn device_ids(&self) -> impl Iterator<Item = DeviceId> + '_ {
        self.body.devices.iter().map(DeviceKey::id)
    }

    /// Hash of the body.
    pub fn hash(&self) -> ManifestHash {
        self.hash
    }

    /// The bytes that travel.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

fn check_devices(body: &ManifestBody, signatures: usize) -> Result<(), ManifestError> {
    let mut sorted = body.devices.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let distinct = sorted.len() == body.devices.len();
    if body.devices.is_empty()
        || body.devices.len() > MAX_DEVICES
        || !distinct
        || signatures != body.devices.len()
    {
        return Err(ManifestError::Devices);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(account: &SigningKey, device: &SigningKey) -> ManifestBody {
        ManifestBody {
            account: AccountId::from_bytes(account.verifying_key().to_bytes()),
            version: ManifestVersion(0),
            time: Timestamp(1),
            previous: None,
            devices: vec![DeviceKey::from_bytes(device.verifying_key().to_bytes())],
        }
    }

    /// (R10) Neither the account alone nor the device alone makes a manifest.
    #[test]
    fn both_must_sign() {
        let (account, device, thief) = (
            SigningKey::from_bytes(&[1; 32]),
            SigningKey::from_bytes(&[2; 32]),
            SigningKey::from_bytes(&[3; 32]),
        );
        let body = body(&account, &device);
        let good = Manifest::sign(&body, &account, &[&device]).unwrap();
        assert_eq!(Manifest::decode_and_verify(good.encoded()), Ok(good));
        assert_eq!(Manifest::sign(&body, &thief, &[&device]), Err(ManifestError::AccountSignature));
        assert_eq!(Manifest::sign(&body, &account, &[&thief]), Err(ManifestError::DeviceSignature));
        assert_eq!(Manifest::sign(&body, &account, &[]), Err(ManifestError::Devices));
    }

    #[test]
    fn device_lists_are_bounded_and_distinct() {
        let (account, device) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let mut twice = body(&account, &device);
        twice.devices.push(twice.devices[0]);
        assert_eq!(Manifest::sign(&twice, &account, &[&device, &device]), Err(ManifestError::Devices));
        let mut none = body(&account, &device);
        none.devices.clear();
        assert_eq!(Manifest::sign(&none, &account, &[]), Err(ManifestError::Devices));
    }
}
