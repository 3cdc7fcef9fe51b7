//! Device manifests: which devices an account has, signed by the account, countersigned by each device.
//!
//! ```text
//!     body      version ‖ CBOR [ account: bstr 32, version: uint, time: uint ms,
//!                                previous: bstr 32 / null, devices: [1*32 device key: bstr 32] ]
//!     manifest  version ‖ CBOR [ body: bstr, account signature: bstr 64, [device signature: bstr 64] ]
//! ```
//!
//! The account's signature covers the body's hash; a device's is its [`Membership`], made once, and stands in the order
//! of the devices. The server cannot add a device: it has neither key (R10). Versions grow by one and link by hash (R11).

use crate::codec::{self, DecodeError, Structure};
use crate::endorsement::Endorsement;
use crate::hash;
use crate::ids::{AccountId, DeviceId, DeviceKey, ManifestHash, ManifestVersion, Opaque, Timestamp};
use crate::limits::MAX_DEVICES;
use crate::membership::Membership;
use crate::signature::{self, Label, Signature, SigningKey};
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
    /// A listed device did not sign that it belongs to this account.
    #[error("a device in the manifest did not sign that it belongs to the account")]
    DeviceSignature,
}

impl ManifestBody {
    /// Whether this follows the manifest of this account, version and hash (R11).
    pub(crate) fn follows(&self, account: &AccountId, version: ManifestVersion, hash: &ManifestHash) -> bool {
        self.account == *account && version.next() == Some(self.version) && self.previous == Some(*hash)
    }
}

/// A manifest as it came: of its form, no signature verified.
pub(crate) struct UnverifiedManifest {
    body: ManifestBody,
    carrier: Carrier,
    encoded: Vec<u8>,
    hash: ManifestHash,
}

impl UnverifiedManifest {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let carrier: Carrier = codec::decode(bytes)?;
        let body: ManifestBody = codec::decode(&carrier.body.0)?;
        check_devices(&body, carrier.device_signatures.len())?;
        if body.previous.is_none() != (body.version == ManifestVersion(0)) {
            return Err(ManifestError::Previous);
        }
        let hash = ManifestHash::from_bytes(hash::MANIFEST.hash(&[&carrier.body.0]));
        Ok(Self { body, carrier, encoded: bytes.to_vec(), hash })
    }

    /// Verifies each signature.
    pub(crate) fn verify(self) -> Result<Manifest, ManifestError> {
        verify_account(&self.body.account, &self.hash, &self.carrier.account_signature)?;
        let verified = self.signed().map(|(account, device, by)| Membership::verify(account, device, by));
        let memberships = verified.collect::<Result<_, _>>().map_err(|_| ManifestError::DeviceSignature)?;
        Ok(self.with(memberships))
    }

    /// What is left to verify, for each device.
    pub(crate) fn endorsements(&self) -> impl Iterator<Item = (DeviceKey, Endorsement)> + '_ {
        let account = self.carrier.account_signature;
        self.signed().map(move |(_, device, signature)| (device, Endorsement::new(account, signature)))
    }

    pub(crate) fn hash(&self) -> ManifestHash {
        self.hash
    }

    pub(crate) fn into_claimed(self) -> ManifestBody {
        self.body
    }

    fn signed(&self) -> impl Iterator<Item = (AccountId, DeviceKey, Signature)> + '_ {
        let signed = self.body.devices.iter().zip(&self.carrier.device_signatures);
        signed.map(|(device, signature)| (self.body.account, *device, *signature))
    }

    fn with(self, memberships: Vec<Membership>) -> Manifest {
        let Self { body, encoded, hash, .. } = self;
        Manifest { body, memberships, encoded, hash }
    }
}

/// Verifies that the account signed the manifest of this hash.
pub(crate) fn verify_account(
    account: &AccountId,
    manifest: &ManifestHash,
    by: &Signature,
) -> Result<(), ManifestError> {
    signature::verify(account.as_bytes(), LABEL, manifest.as_bytes(), by)
        .map_err(|_| ManifestError::AccountSignature)
}

/// A manifest with all its signatures verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    body: ManifestBody,
    memberships: Vec<Membership>,
    encoded: Vec<u8>,
    hash: ManifestHash,
}

impl Manifest {
    /// Signs a manifest with the account's key; `memberships` are those of the body's devices, in its order.
    pub fn sign(
        body: &ManifestBody,
        account: &SigningKey,
        memberships: &[Membership],
    ) -> Result<Self, ManifestError> {
        let encoded_body = codec::encode(body);
        let hash = hash::MANIFEST.hash(&[&encoded_body]);
        let carrier = Carrier {
            body: Opaque(encoded_body),
            account_signature: signature::sign(account, LABEL, &hash),
            device_signatures: memberships.iter().map(Membership::signature).collect(),
        };
        Self::decode_and_verify(&codec::encode(&carrier))
    }

    /// Parses a manifest and verifies each of its signatures.
    pub fn decode_and_verify(bytes: &[u8]) -> Result<Self, ManifestError> {
        UnverifiedManifest::decode(bytes)?.verify()
    }

    /// Parses a manifest that this program verified before it stored it; checks form only.
    pub fn trust_own_storage(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = UnverifiedManifest::decode(bytes)?;
        let trust = |(account, device, signature)| Membership::trust_own_storage(account, device, signature);
        let memberships = manifest.signed().map(trust).collect();
        Ok(manifest.with(memberships))
    }

    /// Whether this is the manifest that follows the one of this account, version and hash (R11).
    pub fn follows(&self, account: &AccountId, version: ManifestVersion, hash: &ManifestHash) -> bool {
        self.body.follows(account, version, hash)
    }

    /// The countersignatures of its devices, in its order, to be carried on into the next manifest.
    pub fn memberships(&self) -> &[Membership] {
        &self.memberships
    }

    /// Whether it lists a device.
    pub fn lists(&self, device: &DeviceId) -> bool {
        self.device_ids().any(|id| id == *device)
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

    fn member(account: &SigningKey, device: &SigningKey) -> Membership {
        Membership::sign(AccountId::from_bytes(account.verifying_key().to_bytes()), device)
    }

    /// (R10) Neither the account alone nor the device alone makes a manifest: an account cannot list a device that
    /// belongs to somebody else, whatever that device signed for its own account.
    #[test]
    fn both_must_sign() {
        let (account, device, thief) = (
            SigningKey::from_bytes(&[1; 32]),
            SigningKey::from_bytes(&[2; 32]),
            SigningKey::from_bytes(&[3; 32]),
        );
        let body = body(&account, &device);
        let ours = member(&account, &device);
        let good = Manifest::sign(&body, &account, &[ours]).unwrap();
        assert_eq!(Manifest::decode_and_verify(good.encoded()), Ok(good.clone()));
        assert_eq!(Manifest::trust_own_storage(good.encoded()), Ok(good));
        assert_eq!(Manifest::sign(&body, &thief, &[ours]), Err(ManifestError::AccountSignature));
        let not_the_device = member(&account, &thief);
        assert_eq!(Manifest::sign(&body, &account, &[not_the_device]), Err(ManifestError::DeviceSignature));
        let of_another_account = member(&thief, &device);
        assert_eq!(
            Manifest::sign(&body, &account, &[of_another_account]),
            Err(ManifestError::DeviceSignature)
        );
        assert_eq!(Manifest::sign(&body, &account, &[]), Err(ManifestError::Devices));
    }

    /// (R11) The next manifest of an account has the next version and names the one before; a countersignature is
    /// carried on as it is.
    #[test]
    fn following() {
        let (account, device) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let first = Manifest::sign(&body(&account, &device), &account, &[member(&account, &device)]).unwrap();
        let next = |version: u64, previous: ManifestHash| {
            let (version, previous) = (ManifestVersion(version), Some(previous));
            let body = ManifestBody { version, previous, ..first.body().clone() };
            Manifest::sign(&body, &account, first.memberships()).unwrap()
        };
        let follows = |next: &Manifest| next.follows(&first.account(), first.body().version, &first.hash());
        assert!(follows(&next(1, first.hash())));
        assert!(!follows(&next(2, first.hash())));
        assert!(!follows(&next(1, ManifestHash::from_bytes([1; 32]))));
        assert!(!follows(&first));
        let stranger = AccountId::from_bytes([7; 32]);
        assert!(!next(1, first.hash()).follows(&stranger, first.body().version, &first.hash()));
    }

    #[test]
    fn device_lists_are_bounded_and_distinct() {
        let (account, device) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let mut twice = body(&account, &device);
        twice.devices.push(twice.devices[0]);
        let member = member(&account, &device);
        assert_eq!(Manifest::sign(&twice, &account, &[member, member]), Err(ManifestError::Devices));
        let mut none = body(&account, &device);
        none.devices.clear();
        assert_eq!(Manifest::sign(&none, &account, &[]), Err(ManifestError::Devices));
    }
}
