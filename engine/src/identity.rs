//! Who we are: the account's key, this device's key, and the manifest that binds them.
//!
//! ```text
//!     record  version ‖ CBOR [ account key: bstr 32, device key: bstr 32, manifest: bstr ]
//! ```

use crate::record::LoadError;
use crate::secret::Secret;
use conclave_wire::codec::Structure;
use conclave_wire::ids::{AccountId, DeviceId, DeviceKey, ManifestVersion, Opaque, Timestamp};
use conclave_wire::manifest::{Manifest, ManifestBody, ManifestError};
use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

/// Keys that live as long as the account and the device.
pub(crate) struct Identity {
    account: SigningKey,
    device: SigningKey,
    device_id: DeviceId,
    manifest: Manifest,
}

impl Identity {
    /// A new account with its first device.
    pub(crate) fn create(now: Timestamp, rng: &mut impl CryptoRng) -> Result<Self, ManifestError> {
        let account = SigningKey::from_bytes(Secret::random(rng).as_bytes());
        let device = SigningKey::from_bytes(Secret::random(rng).as_bytes());
        let body = ManifestBody {
            account: AccountId::from_bytes(account.verifying_key().to_bytes()),
            version: ManifestVersion(0),
            time: now,
            previous: None,
            devices: vec![public(&device)],
        };
        let manifest = Manifest::sign(&body, &account, &[&device])?;
        Ok(Self { device_id: public(&device).id(), account, device, manifest })
    }

    pub(crate) fn account(&self) -> AccountId {
        self.manifest.account()
    }

    pub(crate) fn device_id(&self) -> DeviceId {
        self.device_id
    }

    pub(crate) fn device_key(&self) -> &SigningKey {
        &self.device
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Signs the manifest again, with a new time, so that others keep accepting it.
    pub(crate) fn renew_manifest(&mut self, now: Timestamp) -> Result<(), ManifestError> {
        let old = self.manifest.body();
        let body = ManifestBody {
            version: old.version.next().ok_or(ManifestError::Previous)?,
            time: now,
            previous: Some(self.manifest.hash()),
            ..old.clone()
        };
        self.manifest = Manifest::sign(&body, &self.account, &[&self.device])?;
        Ok(())
    }

    pub(crate) fn record(&self) -> IdentityRecord {
        IdentityRecord {
            account: Secret::from_bytes(self.account.to_bytes()),
            device: Secret::from_bytes(self.device.to_bytes()),
            manifest: Opaque(self.manifest.encoded().to_vec()),
        }
    }

    pub(crate) fn from_record(record: &IdentityRecord) -> Result<Self, LoadError> {
        let account = SigningKey::from_bytes(record.account.as_bytes());
        let device = SigningKey::from_bytes(record.device.as_bytes());
        let manifest =
            Manifest::decode_and_verify(&record.manifest.0).map_err(|_| LoadError::Damaged("identity"))?;
        let ours = manifest.account().as_bytes() == account.verifying_key().as_bytes()
            && manifest.body().devices.contains(&public(&device));
        if !ours {
            return Err(LoadError::Damaged("identity"));
        }
        Ok(Self { device_id: public(&device).id(), account, device, manifest })
    }
}

fn public(device: &SigningKey) -> DeviceKey {
    DeviceKey::from_bytes(device.verifying_key().to_bytes())
}

/// What is stored of it.
#[derive(Encode, Decode)]
pub(crate) struct IdentityRecord {
    #[n(0)]
    account: Secret<32>,
    #[n(1)]
    device: Secret<32>,
    #[n(2)]
    manifest: Opaque,
}

impl Structure for IdentityRecord {
    const NAME: &'static str = "identity record";
    const MAX_BYTES: usize = 8192;
}
