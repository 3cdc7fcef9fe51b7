//! Backups: what a lost device's owner needs to be the same device again, and nothing that reads a message.
//!
//! ```text
//!     backup   version ‖ CBOR [ salt: bstr 32, commitment: bstr 32, ciphertext: bstr ]
//!     content  version ‖ CBOR [ [account key: null / bstr 32, device key: bstr 32, holder: bstr 32,
//!                                manifests: [1*64 bstr]],
//!                               groups: [* bstr 32], history: bstr ]
//!
//!     key 32 ‖ nonce 24 ‖ commitment 32 = KDF("backup", backup key ‖ salt)
//!     ciphertext                        = AEAD(key, nonce, empty, pad(content))
//! ```
//!
//! It holds identity, the list of groups, and what the embedder wants to keep. It holds no ratchet, prekey, `init` or seed
//! (R92): old ones would be used twice, and a thief of a backup would read what came after it. A restored device makes new
//! prekeys, walks each group from its genesis ([`Newcomer::without_welcome`](crate::Newcomer::without_welcome)), and needs
//! a welcome (R94).
//!
//! The backup key is mostly derived from a passphrase, and XChaCha20-Poly1305 commits to no key: without `commitment` a
//! server that stores backups could make one that opens under many guesses at once, and ask which (Len, Grubbs and
//! Ristenpart, "Partitioning Oracle Attacks"). It also tells a wrong passphrase from a damaged backup.

use crate::aead;
use crate::device::Device;
use crate::identity::{Identity, IdentityBackup, IdentityError};
use crate::kdf;
use crate::limits::{MAX_BACKUP_GROUPS, MAX_BACKUP_HISTORY};
use crate::padding;
use crate::record::Changes;
use crate::secret::{Secret, SecretBytes};
use conclave_wire::codec::{self, DecodeError, Structure};
use conclave_wire::ids::{GroupId, Opaque, Timestamp};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// Under which a backup is sealed: 32 secret bytes, for instance a passphrase through argon2id. Whoever has it and the
/// backup is this device, for everybody else.
pub struct BackupKey(Secret<32>);

impl BackupKey {
    /// Takes the key; the caller wipes its own copy.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }
}

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupKey(…)")
    }
}

/// Why a backup cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// More than [`MAX_BACKUP_HISTORY`] bytes.
    #[error("the history has {0} bytes, a backup takes {MAX_BACKUP_HISTORY}; keep it in pieces of its own")]
    History(usize),
    /// More than [`MAX_BACKUP_GROUPS`].
    #[error("a backup lists {MAX_BACKUP_GROUPS} groups at most")]
    Groups,
}

/// Why a backup cannot be restored. Nothing has been made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Not of its form, or of another version.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Another key than the backup was sealed under.
    #[error("the backup was sealed under another key; check the passphrase")]
    Key,
    /// The key is right and the content is not what was sealed.
    #[error("the backup is damaged or was altered; take another copy")]
    Altered,
    /// The keys and the manifests inside do not belong together.
    #[error("the identity in the backup is not consistent: {0}")]
    Identity(#[from] IdentityError),
}

/// A device that was restored.
pub struct Restored {
    /// It has new prekeys, which must be published before anybody can reach it.
    pub device: Device,
    /// The groups that it was in, each to be walked again from its genesis.
    pub groups: Vec<GroupId>,
    /// What the embedder gave along.
    pub history: Vec<u8>,
    /// To store, in an empty profile.
    pub changes: Changes,
}

impl Device {
    /// Seals a backup of this device: identity, groups, and bytes of the embedder's own, at most [`MAX_BACKUP_HISTORY`].
    ///
    /// One made before the account's devices changed restores a device that knows the older manifest.
    pub fn back_up(
        &self,
        groups: &[GroupId],
        history: &[u8],
        key: &BackupKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, BackupError> {
        if history.len() > MAX_BACKUP_HISTORY {
            return Err(BackupError::History(history.len()));
        }
        if groups.len() > MAX_BACKUP_GROUPS {
            return Err(BackupError::Groups);
        }
        let content = Content {
            identity: self.identity().backup(),
            groups: groups.to_vec(),
            history: SecretBytes(Zeroizing::new(history.to_vec())),
        };
        let content = Zeroizing::new(codec::encode(&content));
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let keys = Keys::derive(key, &salt);
        let ciphertext = aead::seal(&keys.key, &keys.nonce, &[], padding::pad(&[&content]));
        let commitment = keys.commitment.into();
        Ok(codec::encode(&Sealed { salt: salt.into(), commitment, ciphertext: Opaque(ciphertext) }))
    }

    /// Opens a backup and makes the device anew, with new prekeys.
    ///
    /// The device that the backup was made of must not be used any more: two that sign as one raise alarms everywhere.
    pub fn restore(
        backup: &[u8],
        key: &BackupKey,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Restored, RestoreError> {
        let padded = open(backup, key)?;
        let content = padding::unpad(&padded).map_err(|_| RestoreError::Altered)?;
        let Content { identity, groups, mut history } = codec::decode(content)?;
        let (device, changes) = Self::begin(Identity::restore(identity)?, now, rng);
        Ok(Restored { device, groups, history: std::mem::take(&mut *history.0), changes })
    }
}

/// The content with its padding.
pub(crate) fn open(backup: &[u8], key: &BackupKey) -> Result<Zeroizing<Vec<u8>>, RestoreError> {
    let sealed: Sealed = codec::decode(backup)?;
    let keys = Keys::derive(key, &sealed.salt);
    if !bool::from(keys.commitment.ct_eq(&*sealed.commitment)) {
        return Err(RestoreError::Key);
    }
    aead::open(&keys.key, &keys.nonce, &[], &sealed.ciphertext.0).map_err(|_| RestoreError::Altered)
}

/// What one salt gives.
struct Keys {
    key: Secret<32>,
    nonce: [u8; 24],
    commitment: [u8; 32],
}

impl Keys {
    fn derive(key: &BackupKey, salt: &[u8; 32]) -> Self {
        let wide: Secret<88> = kdf::derive(&kdf::BACKUP, &[key.0.as_bytes(), salt]);
        let mut keys = Self { key: Secret::zeroed(), nonce: [0; 24], commitment: [0; 32] };
        let (first, rest) = wide.as_bytes().split_at(32);
        let (second, third) = rest.split_at(24);
        keys.key.as_bytes_mut().copy_from_slice(first);
        keys.nonce.copy_from_slice(second);
        keys.commitment.copy_from_slice(third);
        keys
    }
}

#[derive(Encode, Decode)]
struct Sealed {
    #[n(0)]
    salt: ByteArray<32>,
    #[n(1)]
    commitment: ByteArray<32>,
    #[n(2)]
    ciphertext: Opaque,
}

impl Structure for Sealed {
    const NAME: &'static str = "backup";
    // Padding adds an eighth at most.
    const MAX_BYTES: usize = Content::MAX_BYTES + Content::MAX_BYTES / 8 + 128;
}

#[derive(Encode, Decode)]
struct Content {
    #[n(0)]
    identity: IdentityBackup,
    #[n(1)]
    groups: Vec<GroupId>,
    #[n(2)]
    history: SecretBytes,
}

impl Structure for Content {
    const NAME: &'static str = "content of a backup";
    const MAX_BYTES: usize = MAX_BACKUP_HISTORY + 34 * MAX_BACKUP_GROUPS + MAX_IDENTITY;
}

/// An identity with all its manifests, and what stands around it.
const MAX_IDENTITY: usize = 1 << 20;
