//! Encryption at rest: a random master key, wrapped under a passphrase or a key file, and what is derived from it.
//!
//! ```text
//!     stretched  = argon2id(passphrase, salt)  or  KDF("store key file", salt ‖ content)
//!     wrapped    = nonce 24 ‖ XChaCha20-Poly1305(stretched, nonce, header fields, master)
//!     rows, erasable, index = KDF("store keys", master)                    32 bytes each
//!     row        = nonce 24 ‖ XChaCha20-Poly1305(rows, nonce, table ‖ place, content)
//!     erasable   = the same under KEYED-HASH(erasable, slot secret) in the place of `rows`; see `records`
//!     place      = first 16 bytes of KEYED-HASH(index, table ‖ what is looked up)
//! ```
//!
//! A row is bound to its table and place, so rows that somebody swaps do not open. Places are keyed hashes, so the file
//! does not tell who talks to whom.

use crate::error::ClientError;
use crate::profile::Unlock;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rand::Rng;
use std::path::Path;
use zeroize::Zeroizing;

/// 32 secret bytes, wiped when dropped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

const NONCE: usize = 24;
const TAG: usize = 16;

/// Longest key file read: whoever names a larger one has most likely mistyped its name.
const MAX_KEY_FILE: u64 = 1 << 20;

/// Shortest key file: 16 random bytes cannot be guessed.
const MIN_KEY_FILE: usize = 16;

/// Memory for argon2id in KiB, three passes: 0.1 to 0.3 s on a small machine, dear for who tries many.
const ARGON2_MEMORY: u32 = 64 << 10;
const ARGON2_PASSES: u32 = 3;

/// Bounds of what a header may ask for, so that a forged one cannot exhaust memory or time.
const MAX_ARGON2_MEMORY: u32 = 1 << 20;
const MAX_ARGON2_PASSES: u32 = 64;

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// How the wrapping key is made; stored in plain, as it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// 1: passphrase, 2: key file.
    pub(super) kind: u32,
    pub(super) memory: u32,
    pub(super) passes: u32,
    pub(super) salt: Vec<u8>,
    pub(super) wrapped: Vec<u8>,
    /// Over the fields above: tells a damaged header from a wrong passphrase.
    pub(super) checksum: Vec<u8>,
}

const PASSPHRASE: u32 = 1;
const KEY_FILE: u32 = 2;

impl Header {
    /// A new master key and the header that wraps it.
    pub(super) fn create(unlock: &Unlock) -> Result<(Self, Keys), ClientError> {
        let master = Zeroizing::new(random::<32>());
        let (kind, memory, passes) = match unlock {
            Unlock::Passphrase(_) => (PASSPHRASE, ARGON2_MEMORY, ARGON2_PASSES),
            Unlock::KeyFile(_) => (KEY_FILE, 0, 0),
        };
        let mut header = Self {
            kind,
            memory,
            passes,
            salt: random::<16>().to_vec(),
            wrapped: Vec::new(),
            checksum: Vec::new(),
        };
        let stretched = header.stretch(unlock)?;
        header.wrapped = seal(&stretched, &header.parameters(), master.as_slice())?;
        header.checksum = header.expected_checksum();
        Ok((header, Keys::derive(&master)))
    }

    /// The keys, if `unlock` is the right one.
    pub(super) fn open(&self, unlock: &Unlock) -> Result<Keys, ClientError> {
        let sane = self.memory <= MAX_ARGON2_MEMORY && self.passes <= MAX_ARGON2_PASSES;
        if self.checksum != self.expected_checksum() || !sane {
            return Err(damaged("its header"));
        }
        let stretched = self.stretch(unlock)?;
        // The checksum holds, so what does not open was not wrapped under this key.
        let master =
            open(&stretched, &self.parameters(), &self.wrapped).ok_or(ClientError::WrongPassphrase)?;
        let master: &[u8; 32] = master.as_slice().try_into().map_err(|_| damaged("its header"))?;
        Ok(Keys::derive(&Zeroizing::new(*master)))
    }

    #[cfg(test)]
    pub(super) fn forge_memory(&mut self, memory: u32) {
        self.memory = memory;
        self.checksum = self.expected_checksum();
    }

    fn stretch(&self, unlock: &Unlock) -> Result<Key, ClientError> {
        match (unlock, self.kind) {
            (Unlock::Passphrase(passphrase), PASSPHRASE) => {
                let fail = |_| damaged("its header");
                let params = Params::new(self.memory, self.passes, 1, Some(32)).map_err(fail)?;
                let mut out = Zeroizing::new([0; 32]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.as_bytes(), &self.salt, out.as_mut_slice())
                    .map_err(fail)?;
                Ok(out)
            }
            (Unlock::KeyFile(path), KEY_FILE) => {
                let content = read_key_file(path)?;
                let mut hasher = blake3::Hasher::new_derive_key("conclave v1 store key file");
                hasher.update(&self.salt).update(&content);
                Ok(Zeroizing::new(*hasher.finalize().as_bytes()))
            }
            _ => Err(ClientError::WrongPassphrase),
        }
    }

    fn parameters(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.kind, self.memory, self.passes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.salt);
        out
    }

    fn expected_checksum(&self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new_derive_key("conclave v1 store header checksum");
        hasher.update(&self.parameters()).update(&self.wrapped);
        hasher.finalize().as_bytes().to_vec()
    }
}

fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let refuse = |why: String| ClientError::KeyFile { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|e| refuse(e.to_string()))?.len();
    if size > MAX_KEY_FILE {
        return Err(refuse(format!("it is larger than {MAX_KEY_FILE} bytes")));
    }
    let content = Zeroizing::new(std::fs::read(path).map_err(|e| refuse(e.to_string()))?);
    if content.len() < MIN_KEY_FILE {
        return Err(refuse(format!("it has fewer than {MIN_KEY_FILE} bytes; use random ones")));
    }
    Ok(content)
}

/// A table, as it is named in what rows are bound to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table(pub(super) &'static str);

/// Where a row is: a keyed hash of what it is looked up by.
pub(super) type Place = [u8; 16];

/// What the master key opens.
pub(crate) struct Keys {
    rows: Key,
    erasable: Key,
    index: Key,
}

impl Keys {
    fn derive(master: &Key) -> Self {
        let mut wide = Zeroizing::new([0; 96]);
        let mut hasher = blake3::Hasher::new_derive_key("conclave v1 store keys");
        hasher.update(master.as_slice()).finalize_xof().fill(wide.as_mut_slice());
        let key = |at: usize| {
            let mut key = Zeroizing::new([0; 32]);
            for (to, from) in key.iter_mut().zip(wide.iter().skip(at)) {
                *to = *from;
            }
            key
        };
        Self { rows: key(0), erasable: key(32), index: key(64) }
    }

    /// The place of what is looked up by `parts`.
    pub(super) fn place(&self, table: Table, parts: &[&[u8]]) -> Place {
        let mut hasher = blake3::Hasher::new_keyed(&self.index);
        for part in [table.0.as_bytes()].iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let mut place = [0; 16];
        hasher.finalize_xof().fill(&mut place);
        place
    }

    /// Seals a row, bound to its table and place.
    pub(super) fn seal(&self, table: Table, place: &[&[u8]], content: &[u8]) -> Result<Vec<u8>, ClientError> {
        seal(&self.rows, &bound_to(table, place), content)
    }

    /// Opens a row of this table and place.
    pub(super) fn open(
        &self,
        table: Table,
        place: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        open(&self.rows, &bound_to(table, place), sealed)
            .ok_or_else(|| damaged(&format!("a row of its table `{}`", table.0)))
    }

    /// Seals a row that can be opened only while `slot` exists.
    pub(super) fn seal_erasable(
        &self,
        slot: &Key,
        table: Table,
        place: &[&[u8]],
        content: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        seal(&self.erasable_key(slot), &bound_to(table, place), content)
    }

    /// Opens a row sealed under `slot`.
    pub(super) fn open_erasable(
        &self,
        slot: &Key,
        table: Table,
        place: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        open(&self.erasable_key(slot), &bound_to(table, place), sealed)
            .ok_or_else(|| damaged(&format!("a row of its table `{}`", table.0)))
    }

    fn erasable_key(&self, slot: &Key) -> Key {
        Zeroizing::new(*blake3::keyed_hash(&self.erasable, slot.as_slice()).as_bytes())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// The associated data of a row; lengths first, so that no two places read the same.
fn bound_to(table: Table, place: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in [table.0.as_bytes()].iter().chain(place) {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

fn seal(key: &Key, aad: &[u8], msg: &[u8]) -> Result<Vec<u8>, ClientError> {
    let nonce = random::<NONCE>();
    let sealed = XChaCha20Poly1305::new((&**key).into())
        .encrypt(&XNonce::from(nonce), Payload { msg, aad })
        .map_err(|_| ClientError::Internal { what: "a row is too large to seal".into() })?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, msg) = sealed.split_first_chunk::<NONCE>()?;
    if msg.len() < TAG {
        return None;
    }
    let cipher = XChaCha20Poly1305::new((&**key).into());
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg, aad }).ok().map(Zeroizing::new)
}

/// The error of a profile that is not what was written.
pub(crate) fn damaged(what: &str) -> ClientError {
    ClientError::ProfileDamaged { what: what.to_owned() }
}
