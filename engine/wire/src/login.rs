//! Login: a device proves itself to the server that it believes it talks to.
//!
//! ```text
//!     digest = H("login", nonce 32 ‖ account 32 ‖ device key 32 ‖ server name)
//! ```
//!
//! The server name is the authority of the address that the client dialled, `host:port` (port left out if it is the
//! scheme's own); the nonce is the server's, fresh for each connection. So a login neither replays nor serves another
//! server (R80).

use crate::byte_newtype::byte_newtype;
use crate::hash;
use crate::ids::{AccountId, DeviceKey};
use crate::signature::{self, Label, Signature, SignatureError, SigningKey};
use minicbor::{Decode, Encode};

byte_newtype!(
    /// A server's challenge, fresh for each connection.
    Nonce, 32
);

const LABEL: Label = Label("conclave v1 sign login");

/// A device's answer to a server's challenge.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Login {
    /// The account that the device belongs to.
    #[n(0)]
    pub account: AccountId,
    /// The device.
    #[n(1)]
    pub device: DeviceKey,
    /// By the device.
    #[n(2)]
    pub signature: Signature,
}

impl Login {
    /// Answers `nonce` of the server called `server`.
    pub fn sign(account: AccountId, key: &SigningKey, server: &str, nonce: &Nonce) -> Self {
        let device = DeviceKey::from_bytes(key.verifying_key().to_bytes());
        let signature = signature::sign(key, LABEL, &digest(&account, &device, server, nonce));
        Self { account, device, signature }
    }

    /// Verifies that the device answered `nonce` of the server called `server`.
    pub fn verify(&self, server: &str, nonce: &Nonce) -> Result<(), SignatureError> {
        let digest = digest(&self.account, &self.device, server, nonce);
        signature::verify(self.device.as_bytes(), LABEL, &digest, &self.signature)
    }
}

fn digest(account: &AccountId, device: &DeviceKey, server: &str, nonce: &Nonce) -> [u8; 32] {
    hash::LOGIN.hash(&[nonce.as_bytes(), account.as_bytes(), device.as_bytes(), server.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (R80) Not another nonce, not another server, not another account.
    #[test]
    fn bound_to_server_and_nonce() {
        let key = SigningKey::from_bytes(&[5; 32]);
        let nonce = Nonce::from_bytes([1; 32]);
        let login = Login::sign(AccountId::from_bytes([2; 32]), &key, "chat.example:443", &nonce);
        assert!(login.verify("chat.example:443", &nonce).is_ok());
        assert!(login.verify("chat.example:444", &nonce).is_err());
        assert!(login.verify("chat.example:443", &Nonce::from_bytes([3; 32])).is_err());
        let other = Login { account: AccountId::from_bytes([4; 32]), ..login };
        assert!(other.verify("chat.example:443", &nonce).is_err());
    }
}
