//! The new device's side: from the request to a device.
//!
//! ```text
//!     record  version ‖ CBOR [ device key: bstr 32, prekeys: [as in their own record], request: bstr ]
//! ```

use super::approval::{ApprovalPayload, CONTEXT};
use super::code::LinkCode;
use super::request::{EncodedRequest, LinkRequest};
use crate::device::Device;
use crate::envelope::{InitialEnvelope, OpenError};
use crate::identity::{AccountKey, Identity, public};
use crate::manifest_chain::ManifestChain;
use crate::prekeys::{PrekeysRecord, PrivatePrekeys};
use crate::record::{Changes, LoadError, Records, Scope};
use crate::secret::{Secret, SecretBytes};
use conclave_wire::codec::{self, DecodeError, Structure};
use conclave_wire::ids::{AccountId, DeviceId, Opaque, Timestamp};
use conclave_wire::limits::{MAX_FRAME, MAX_MANIFEST_CHAIN};
use conclave_wire::manifest::{Manifest, ManifestError};
use conclave_wire::membership::Membership;
use conclave_wire::signature::SigningKey;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// The record of a device that is not one yet.
pub(crate) const RECORD: &[u8] = b"linking";

/// A device that asks to be linked to an account. It becomes a [`Device`] with the account's approval.
pub struct Linking {
    key: SigningKey,
    account: AccountId,
    /// Serve the approval and nothing else: erased with it.
    pub(super) prekeys: PrivatePrekeys,
    pub(super) request: EncodedRequest,
}

/// Why an approval does not make this a device of the account. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It is not sealed to this device for this request, or is no approval.
    #[error("the approval does not open: {0}; approve the code that this device shows")]
    Open(#[from] OpenError),
    /// Its content is not an approval's.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Whoever made it was not told the code.
    #[error("the approval is for another link request; approve the code that this device shows")]
    Request,
    /// One of its manifests is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Its manifests are none, too many, or do not follow each other.
    #[error("the approval's device manifests are not one chain; do not trust whoever sent it")]
    Chain,
    /// It is by another account than the one asked for.
    #[error("another account approved this device; do not trust whoever sent the approval")]
    Account,
    /// The newest of its manifests does not list this device.
    #[error("the approval does not list this device; approve the code that this device shows again")]
    NotListed,
    /// Who sealed it is not a device of the account, or no longer.
    #[error("the approval does not come from a device of the account; do not trust whoever sent it")]
    Sender,
    /// The account key in it is not the account's.
    #[error("the account key in the approval is not this account's; do not trust whoever sent it")]
    AccountKey,
}

impl Linking {
    /// Makes a new device's key and its request to belong to `account`.
    ///
    /// Where the account's id comes from decides nothing: if a server tells a wrong one for a name, the account's own
    /// devices refuse the code, and nobody else learns it.
    pub fn begin(account: AccountId, now: Timestamp, rng: &mut impl CryptoRng) -> (Self, Changes) {
        let key = SigningKey::from_bytes(Secret::random(rng).as_bytes());
        let prekeys = PrivatePrekeys::generate(&key, now, rng);
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let request = EncodedRequest::new(&LinkRequest {
            account,
            prekeys: Opaque(prekeys.public().encode()),
            membership: Membership::sign(account, &key).signature(),
            salt,
        });
        let linking = Self { key, account, prekeys, request };
        let mut changes = Changes::default();
        changes.put(Scope::Device, RECORD.to_vec(), &linking.record());
        (linking, changes)
    }

    /// Loads it from all records of [`Scope::Device`].
    pub fn load(records: Records) -> Result<Self, LoadError> {
        let mut linking = None;
        for (name, value) in records {
            if name != RECORD {
                return Err(LoadError::Unknown);
            }
            linking = Some(codec::decode::<LinkingRecord>(value.as_bytes())?);
        }
        let LinkingRecord { device, prekeys, request } = linking.ok_or(LoadError::Missing("link request"))?;
        let damaged = LoadError::Damaged("link request");
        let prekeys = PrivatePrekeys::from_record(prekeys).map_err(|_| damaged.clone())?;
        let request = EncodedRequest::from_bytes(request.0);
        let LinkRequest { account, prekeys: asked, .. } = request.decode()?;
        let key = SigningKey::from_bytes(device.as_bytes());
        if asked.0 != prekeys.public().encode() || prekeys.public().body().device != public(&key) {
            return Err(damaged);
        }
        Ok(Self { key, account, prekeys, request })
    }

    /// The account that is asked.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The id that this device will have.
    pub fn id(&self) -> DeviceId {
        public(&self.key).id()
    }

    /// The bytes that a device of the account needs beside the code. Whoever carries them can do nothing with them.
    pub fn request(&self) -> Vec<u8> {
        self.request.seal()
    }

    /// The code, to be typed or scanned on a device of the account.
    pub fn code(&self) -> LinkCode {
        self.request.code()
    }

    /// Opens the approval and becomes a device of the account, with prekeys of its own (R19). The changes erase what
    /// the request was made with; give `self` up then.
    pub fn complete(
        &self,
        approval: &[u8],
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(Device, Changes), LinkError> {
        let envelope: InitialEnvelope = codec::decode(approval).map_err(OpenError::Decode)?;
        if envelope.prekeys != self.prekeys.public().hash() {
            return Err(OpenError::Prekeys.into());
        }
        let opening =
            envelope.open((self.account, self.id()), &self.prekeys, None).map_err(OpenError::from)?;
        if opening.context != CONTEXT {
            return Err(OpenError::Context.into());
        }
        let ApprovalPayload { request, manifests, account_key } = codec::decode(&opening.payload)?;
        if !bool::from(request.as_bytes().ct_eq(&*self.request.hash())) {
            return Err(LinkError::Request);
        }
        let manifests = self.chain(&manifests)?;
        if !manifests.newest().lists(&opening.sender) {
            return Err(LinkError::Sender);
        }
        let account = match account_key {
            None => AccountKey::With(opening.sender),
            Some(secret) => {
                let key = SigningKey::from_bytes(secret.as_bytes());
                if key.verifying_key().as_bytes() != self.account.as_bytes() {
                    return Err(LinkError::AccountKey);
                }
                AccountKey::Held(key)
            }
        };
        let identity = Identity::new(account, self.key.duplicate(), manifests);
        let mut changes = Changes::default();
        changes.delete(Scope::Device, RECORD.to_vec());
        let (device, made) = Device::begin(identity, now, rng);
        changes.extend(made);
        Ok((device, changes))
    }

    /// The account's manifests, of which the newest lists this device.
    fn chain(&self, manifests: &[Opaque]) -> Result<ManifestChain, LinkError> {
        // Before their signatures are looked at.
        if manifests.len() > MAX_MANIFEST_CHAIN {
            return Err(LinkError::Chain);
        }
        let verified: Vec<_> =
            manifests.iter().map(|m| Manifest::decode_and_verify(&m.0)).collect::<Result<_, _>>()?;
        let chain = ManifestChain::from_list(verified).map_err(|_| LinkError::Chain)?;
        if chain.account() != self.account {
            return Err(LinkError::Account);
        }
        if !chain.newest().lists(&self.id()) {
            return Err(LinkError::NotListed);
        }
        Ok(chain)
    }

    fn record(&self) -> LinkingRecord {
        LinkingRecord {
            device: Secret::from_bytes(self.key.to_bytes()),
            prekeys: self.prekeys.record(),
            request: SecretBytes(Zeroizing::new(self.request.as_bytes().to_vec())),
        }
    }
}

/// What is stored of it.
#[derive(Encode, Decode)]
struct LinkingRecord {
    #[n(0)]
    device: Secret<32>,
    #[n(1)]
    prekeys: PrekeysRecord,
    #[n(2)]
    request: SecretBytes,
}

impl Structure for LinkingRecord {
    const NAME: &'static str = "linking record";
    const MAX_BYTES: usize = MAX_FRAME;
}
