//! A device's countersignature: its own word that it belongs to an account.
//!
//! ```text
//!     digest     H("device membership", account 32 ‖ device key 32)
//!     signature  Sign(device key, "device membership", digest)
//! ```
//!
//! Without it an account could list somebody else's device as its own (R10). It is made once and for life, when the
//! device is made, and every manifest that lists the device carries it: if each manifest had to be signed by each device, one
//! that is lost or offline would block revocation and renewal for ever. What it cannot do is hold a device *in* an
//! account: the account alone decides that.

use crate::hash;
use crate::ids::{AccountId, DeviceKey};
use crate::signature::SigningKey;
use crate::signature::{self, Label, Signature, SignatureError};

const LABEL: Label = Label("conclave v1 sign device membership");

/// A countersignature that has been verified, or was made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    account: AccountId,
    device: DeviceKey,
    signature: Signature,
}

impl Membership {
    /// Signs that the device of this key belongs to `account`.
    pub fn sign(account: AccountId, device: &SigningKey) -> Self {
        let key = DeviceKey::from_bytes(device.verifying_key().to_bytes());
        let signature = signature::sign(device, LABEL, &digest(&account, &key));
        Self { account, device: key, signature }
    }

    /// Verifies that `device` signed that it belongs to `account`.
    pub fn verify(
        account: AccountId,
        device: DeviceKey,
        signature: Signature,
    ) -> Result<Self, SignatureError> {
        signature::verify(device.as_bytes(), LABEL, &digest(&account, &device), &signature)?;
        Ok(Self { account, device, signature })
    }

    /// For what this program verified before it stored it.
    pub(crate) fn trust_own_storage(account: AccountId, device: DeviceKey, signature: Signature) -> Self {
        Self { account, device, signature }
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The device, which signed.
    pub fn device(&self) -> DeviceKey {
        self.device
    }

    /// The signature that travels.
    pub fn signature(&self) -> Signature {
        self.signature
    }
}

fn digest(account: &AccountId, device: &DeviceKey) -> [u8; 32] {
    hash::DEVICE_MEMBERSHIP.hash(&[account.as_bytes(), device.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (R10) It speaks for one device and one account, and only the device can make it.
    #[test]
    fn bound_to_device_and_account() {
        let (key, thief) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let (account, other) = (AccountId::from_bytes([3; 32]), AccountId::from_bytes([4; 32]));
        let good = Membership::sign(account, &key);
        assert_eq!(Membership::verify(account, good.device(), good.signature()), Ok(good));
        assert_eq!(Membership::verify(other, good.device(), good.signature()), Err(SignatureError));
        let theirs = Membership::sign(account, &thief);
        assert_eq!(Membership::verify(account, good.device(), theirs.signature()), Err(SignatureError));
        assert_eq!(Membership::verify(account, theirs.device(), good.signature()), Err(SignatureError));
    }
}
