//! The approval: a device of the account lists the new one, and seals to it what makes it a device of the account.
//!
//! ```text
//!     approval  initial envelope to the request's prekeys; purpose 3, group and epoch zeros
//!     payload   version ‖ CBOR [ request: bstr 32, account key: null / bstr 32, manifests: [1*64 bstr] ]
//! ```
//!
//! `request` is H("link code", link request), whole. `manifests` is the account's chain, oldest first; the last one lists
//! the new device.

use super::code::LinkCode;
use super::request::{EncodedRequest, UnsealError};
use crate::device::Device;
use crate::envelope::{EnvelopeContext, Purpose, Recipient, Sender, seal_initial};
use crate::identity::SignManifestError;
use crate::limits::MAX_LINK_REQUEST_AGE;
use crate::prekeys::{PrekeyBookError, UsablePrekeys};
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::codec::{self, DecodeError, Structure};
use conclave_wire::ids::{AccountId, DeviceId, Epoch, GroupId, Opaque, Timestamp};
use conclave_wire::limits::{CLOCK_SKEW, MAX_DEVICES, MAX_FRAME, MAX_MANIFEST_CHAIN};
use conclave_wire::manifest::Manifest;
use conclave_wire::membership::Membership;
use conclave_wire::prekeys::Prekeys;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

/// What an approval is for: no group has it.
pub(super) const CONTEXT: EnvelopeContext =
    EnvelopeContext { purpose: Purpose::Link, group: GroupId::from_bytes([0; 32]), epoch: Epoch(0) };

#[derive(Encode, Decode)]
pub(super) struct ApprovalPayload {
    #[n(0)]
    pub(super) request: Secret<32>,
    #[n(1)]
    pub(super) account_key: Option<Secret<32>>,
    #[n(2)]
    pub(super) manifests: Vec<Opaque>,
}

impl Structure for ApprovalPayload {
    const NAME: &'static str = "link approval";
    const MAX_BYTES: usize = MAX_FRAME;
}

/// Whether a new device gets the account's key, and so can link, revoke and renew by itself. Who steals a device that
/// has it has the account: revoking that device does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareAccountKey {
    /// The new device may sign manifests.
    Yes,
    /// Manifests go on being signed by the devices that hold the key now.
    No,
}

/// A device that was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// Which.
    pub device: DeviceId,
    /// For the new device. It may go through the server. Hand it over only when the manifest that lists the device is in
    /// force: see [`Device::staged_manifest`]. If it is lost, approve the same request again.
    pub approval: Vec<u8>,
    /// To store, before anything leaves.
    pub changes: Changes,
}

/// Why a link request is not approved. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApproveError {
    /// Not a link request.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The request is not the one that this code stands for.
    #[error(
        "the code does not belong to this request; compare it with what the new device shows, and type it again"
    )]
    Code,
    /// The new device asks to belong to another account.
    #[error(
        "the new device asks for another account ({asked}); it was told a wrong account for your name: do not trust the \
         server, and link with the account's id"
    )]
    Account {
        /// The account that it asks for.
        asked: AccountId,
    },
    /// Its prekeys are not valid.
    #[error(transparent)]
    Prekeys(#[from] PrekeyBookError),
    /// It did not sign that it belongs to the account.
    #[error("the new device did not sign that it belongs to the account")]
    Membership,
    /// The request is older than a day, or from the future.
    #[error("the link request is older than a day or from the future; set the clocks right, and begin again")]
    Age,
    /// The account revoked this very device before.
    #[error("this device was revoked; erase its profile, and link it anew")]
    Revoked,
    /// The account has as many devices as it may have.
    #[error("the account has {MAX_DEVICES} devices already; revoke one first")]
    Full,
    /// The manifest cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignManifestError),
}

impl From<UnsealError> for ApproveError {
    fn from(error: UnsealError) -> Self {
        match error {
            UnsealError::Decode(error) => Self::Decode(error),
            UnsealError::Code => Self::Code,
        }
    }
}

impl Device {
    /// Makes the new device that shows `code` one of the account's (R18). `request` are the bytes that came from it, by
    /// whatever way: only the code is trusted. Signs the next manifest, to be published: see
    /// [`staged_manifest`](Self::staged_manifest).
    ///
    /// A request whose device is listed already is answered again, without another manifest.
    pub fn approve_link(
        &mut self,
        request: &[u8],
        code: &LinkCode,
        share: ShareAccountKey,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Approved, ApproveError> {
        let encoded = EncodedRequest::unseal(request, code)?;
        let request = encoded.decode()?;
        if request.account != self.account() {
            return Err(ApproveError::Account { asked: request.account });
        }
        let prekeys = Prekeys::decode_and_verify(&request.prekeys.0).map_err(PrekeyBookError::Prekeys)?;
        let (device, time) = (prekeys.body().device, prekeys.body().time);
        let prekeys = UsablePrekeys::new(prekeys)?;
        let membership = Membership::verify(request.account, device, request.membership)
            .map_err(|_| ApproveError::Membership)?;
        if time > now.plus(CLOCK_SKEW) || now.since(time) > MAX_LINK_REQUEST_AGE + CLOCK_SKEW {
            return Err(ApproveError::Age);
        }
        let account_key = self.identity().account_key()?;
        let account_key = match share {
            ShareAccountKey::Yes => Some(Secret::from_bytes(account_key.to_bytes())),
            ShareAccountKey::No => None,
        };

        let next = self.list(membership, now)?;
        let manifests: Vec<&Manifest> =
            self.manifests().chain(next.as_ref().or(self.staged_manifest())).collect();
        let surplus = manifests.len().saturating_sub(MAX_MANIFEST_CHAIN);
        let payload = Zeroizing::new(codec::encode(&ApprovalPayload {
            request: Secret::from_bytes(*encoded.hash()),
            manifests: manifests.iter().skip(surplus).map(|m| Opaque(m.encoded().to_vec())).collect(),
            account_key,
        }));
        let sender =
            Sender { account: self.account(), manifest: self.manifest().hash(), key: self.signing_key() };
        let device = device.id();
        let recipient = Recipient {
            account: self.account(),
            device,
            prekeys: &prekeys,
            one_time: None,
            payload: &payload,
        };
        let sealed = seal_initial(&sender, vec![recipient], CONTEXT, rng);
        let approval = sealed.first().map(|(envelope, _)| codec::encode(envelope)).unwrap_or_default();
        let changes = next.map(|next| self.stage(next)).unwrap_or_default();
        Ok(Approved { device, approval, changes })
    }

    /// The next manifest, with a device more; `None` if the newest or the one that waits lists it.
    fn list(&self, new: Membership, now: Timestamp) -> Result<Option<Manifest>, ApproveError> {
        let device = new.device().id();
        if self.staged_manifest().unwrap_or(self.manifest()).lists(&device) {
            return Ok(None);
        }
        if self.manifests().any(|manifest| manifest.lists(&device)) {
            return Err(ApproveError::Revoked);
        }
        let devices = [self.manifest().memberships(), &[new]].concat();
        if devices.len() > MAX_DEVICES {
            return Err(ApproveError::Full);
        }
        Ok(Some(self.identity().sign_next(&devices, now)?))
    }
}
