//! Who we are: this device's key, the account's manifests that list it, and the account's key or who holds it.
//!
//! ```text
//!     record  version ‖ CBOR [ account key: null / bstr 32, device key: bstr 32, holder: bstr 32 ]
//! ```
//!
//! `holder` is the device that holds the account key: this one if it is there, else the one that linked this one. It need
//! not be on every device: who steals a device that has it has the account, and revoking that device does not help.

use crate::manifest_chain::ManifestChain;
use crate::record::{Changes, LoadError, Scope};
use crate::secret::Secret;
use conclave_wire::codec::Structure;
use conclave_wire::ids::{AccountId, DeviceId, DeviceKey, ManifestVersion, Opaque, Timestamp};
use conclave_wire::manifest::{Manifest, ManifestBody, ManifestError};
use conclave_wire::membership::Membership;
use conclave_wire::signature::SigningKey;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use thiserror::Error;

/// The account's private key, or where it is.
pub(crate) enum AccountKey {
    /// On this device.
    Held(SigningKey),
    /// On the device that linked this one and did not share it.
    With(DeviceId),
}

/// Why this device does not sign a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignManifestError {
    /// The account key is on another device.
    #[error("this device does not hold the account key; do this on the device {holder}, which does")]
    NoAccountKey {
        /// The device that linked this one, which holds it.
        holder: DeviceId,
    },
    /// One that this device signed before waits.
    #[error(
        "a device manifest of version {version} waits to be published; publish it, or adopt the one that was published \
         in its place"
    )]
    Waiting {
        /// The version that waits.
        version: ManifestVersion,
    },
    /// There is no next version, or the devices do not make a manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Why a backed up identity is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There is none, or they do not follow each other.
    #[error("its manifests are not a chain")]
    Chain,
    /// They are of another account, or do not list this device.
    #[error("its keys and its manifests do not belong together")]
    Keys,
}

/// Keys that live as long as the account and the device.
pub(crate) struct Identity {
    account: AccountKey,
    device: SigningKey,
    device_id: DeviceId,
    pub(crate) manifests: ManifestChain,
}

impl Identity {
    /// A new account with its first device.
    pub(crate) fn create(now: Timestamp, rng: &mut impl CryptoRng) -> Result<Self, ManifestError> {
        let account = SigningKey::from_bytes(Secret::random(rng).as_bytes());
        let device = SigningKey::from_bytes(Secret::random(rng).as_bytes());
        let id = AccountId::from_bytes(account.verifying_key().to_bytes());
        let membership = Membership::sign(id, &device);
        let body = ManifestBody {
            account: id,
            version: ManifestVersion(0),
            time: now,
            previous: None,
            devices: vec![membership.device()],
        };
        let manifest = Manifest::sign(&body, &account, &[membership])?;
        Ok(Self::new(AccountKey::Held(account), device, ManifestChain::new(manifest)))
    }

    /// What the caller has checked to belong together.
    pub(crate) fn new(account: AccountKey, device: SigningKey, manifests: ManifestChain) -> Self {
        Self { device_id: public(&device).id(), account, device, manifests }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.manifests.account()
    }

    /// The account's key, if it is on this device (R17).
    pub(crate) fn account_key(&self) -> Result<&SigningKey, SignManifestError> {
        match &self.account {
            AccountKey::Held(key) => Ok(key),
            AccountKey::With(holder) => Err(SignManifestError::NoAccountKey { holder: *holder }),
        }
    }

    pub(crate) fn device_id(&self) -> DeviceId {
        self.device_id
    }

    pub(crate) fn device_key(&self) -> &SigningKey {
        &self.device
    }

    /// Signs the account's next manifest, with these devices (R17).
    pub(crate) fn sign_next(
        &self,
        devices: &[Membership],
        now: Timestamp,
    ) -> Result<Manifest, SignManifestError> {
        let account = self.account_key()?;
        if let Some(waiting) = self.manifests.staged() {
            return Err(SignManifestError::Waiting { version: waiting.body().version });
        }
        let newest = self.manifests.newest();
        let body = ManifestBody {
            account: self.account(),
            version: newest.body().version.next().ok_or(ManifestError::Previous)?,
            time: now,
            previous: Some(newest.hash()),
            devices: devices.iter().map(Membership::device).collect(),
        };
        Ok(Manifest::sign(&body, account, devices)?)
    }

    /// Every record of it, for a device that is new.
    pub(crate) fn put_all(&self, name: &[u8], changes: &mut Changes) {
        changes.put(Scope::Device, name.to_vec(), &self.record());
        self.manifests.put_all(changes);
    }

    fn record(&self) -> IdentityRecord {
        let (account, holder) = match &self.account {
            AccountKey::Held(key) => (Some(Secret::from_bytes(key.to_bytes())), self.device_id),
            AccountKey::With(holder) => (None, *holder),
        };
        IdentityRecord { account, device: Secret::from_bytes(self.device.to_bytes()), holder }
    }

    pub(crate) fn backup(&self) -> IdentityBackup {
        let IdentityRecord { account, device, holder } = self.record();
        let manifests = self.manifests.in_force().map(|manifest| Opaque(manifest.encoded().to_vec()));
        IdentityBackup { account, device, holder, manifests: manifests.collect() }
    }

    pub(crate) fn restore(backup: IdentityBackup) -> Result<Self, IdentityError> {
        let IdentityBackup { account, device, holder, manifests } = backup;
        let manifests: Vec<Manifest> = manifests
            .iter()
            .map(|manifest| Manifest::decode_and_verify(&manifest.0))
            .collect::<Result<_, _>>()?;
        let chain = ManifestChain::from_list(manifests).map_err(|_| IdentityError::Chain)?;
        Self::from_record(&IdentityRecord { account, device, holder }, chain).map_err(|_| IdentityError::Keys)
    }

    pub(crate) fn from_record(record: &IdentityRecord, manifests: ManifestChain) -> Result<Self, LoadError> {
        let device = SigningKey::from_bytes(record.device.as_bytes());
        let own = public(&device).id();
        let (account, ours) = match &record.account {
            Some(key) => {
                let key = SigningKey::from_bytes(key.as_bytes());
                let ours = manifests.account().as_bytes() == key.verifying_key().as_bytes();
                (AccountKey::Held(key), ours && record.holder == own)
            }
            None => (AccountKey::With(record.holder), record.holder != own),
        };
        if !ours || !manifests.newest().lists(&own) {
            return Err(LoadError::Damaged("identity"));
        }
        Ok(Self::new(account, device, manifests))
    }
}

/// The public half of a device key.
pub(crate) fn public(device: &SigningKey) -> DeviceKey {
    DeviceKey::from_bytes(device.verifying_key().to_bytes())
}

/// What is stored of it.
#[derive(Encode, Decode)]
pub(crate) struct IdentityRecord {
    #[n(0)]
    account: Option<Secret<32>>,
    #[n(1)]
    device: Secret<32>,
    #[n(2)]
    holder: DeviceId,
}

impl Structure for IdentityRecord {
    const NAME: &'static str = "identity record";
    const MAX_BYTES: usize = 128;
}

/// What a backup has of it.
#[derive(Encode, Decode)]
pub(crate) struct IdentityBackup {
    #[n(0)]
    account: Option<Secret<32>>,
    #[n(1)]
    device: Secret<32>,
    /// The device that holds the account key.
    #[n(2)]
    holder: DeviceId,
    #[n(3)]
    manifests: Vec<Opaque>,
}
