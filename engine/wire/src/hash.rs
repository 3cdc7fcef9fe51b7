//! Domain-separated hashing: BLAKE3 `derive_key`, one context string per purpose.
//!
//! Every hash, commitment and key derivation of the protocol goes through a [`Context`], so no two purposes can
//! collide (R1). The context string is hashed once per process and kept.
//!
//! Source: BLAKE3 paper, section 2.3 (the key derivation mode).

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use std::hint::black_box;
use std::sync::OnceLock;
use zeroize::Zeroize;

/// One purpose of hashing or key derivation.
pub struct Context {
    name: &'static str,
    key: OnceLock<ContextKey>,
}

impl Context {
    /// A context with this string, `"conclave v1 <purpose>"` by rule (R1).
    pub const fn new(name: &'static str) -> Self {
        Self { name, key: OnceLock::new() }
    }

    /// The context string.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// 32 bytes over the concatenation of `parts`, which are public. For secret ones there is [`fill`](Self::fill).
    ///
    /// The parts are not delimited: callers give fixed-size parts, or at most one of variable size, last.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        *self.absorb(parts).finalize().as_bytes()
    }

    /// Fills `out` with as many bytes as it takes (extendable output), over the concatenation of `parts`, and wipes what
    /// the hash function kept of them. The first 32 bytes are those of [`hash`](Self::hash).
    pub fn fill(&self, parts: &[&[u8]], out: &mut [u8]) {
        let mut hasher = self.absorb(parts);
        let mut output = hasher.finalize_xof();
        output.fill(out);
        output.zeroize();
        // Wiping the whole hasher would take longer than hashing: most of it is a stack of hashes of whole chunks of
        // 1 KiB. Input lies in its chunk state, which this overwrites; nobody can see that nothing reads it again.
        hasher.reset();
        black_box(&mut hasher);
    }

    fn absorb(&self, parts: &[&[u8]]) -> blake3::Hasher {
        let key = self.key.get_or_init(|| hash_derive_key_context(self.name));
        let mut hasher = blake3::Hasher::new_from_context_key(key);
        for part in parts {
            hasher.update(part);
        }
        hasher
    }
}

/// [`crate::ids::DeviceId`] of a device key.
pub static DEVICE_ID: Context = Context::new("conclave v1 device id");
/// Digest that a device's countersignature covers.
pub static DEVICE_MEMBERSHIP: Context = Context::new("conclave v1 device membership");
/// [`crate::ids::ManifestHash`] of a manifest body.
pub static MANIFEST: Context = Context::new("conclave v1 manifest");
/// [`crate::ids::PrekeysHash`] of a prekeys body.
pub static PREKEYS: Context = Context::new("conclave v1 prekeys");
/// [`crate::ids::CertificateHash`] of a certificate body.
pub static CERTIFICATE: Context = Context::new("conclave v1 sender key certificate");
/// Digest that a distribution's signature covers.
pub static DISTRIBUTION: Context = Context::new("conclave v1 sender key distribution");
/// Hash of a commit body, which the epoch secret binds.
pub static COMMIT_BODY: Context = Context::new("conclave v1 commit body");
/// [`crate::ids::CommitHash`] of a commit body's hash and the confirmation.
pub static COMMIT: Context = Context::new("conclave v1 commit");
/// A leaf of the roster tree.
pub static ROSTER_LEAF: Context = Context::new("conclave v1 roster leaf");
/// An inner node of the roster tree.
pub static ROSTER_NODE: Context = Context::new("conclave v1 roster node");
/// [`crate::ids::RosterHash`]: leaf count and top node.
pub static ROSTER: Context = Context::new("conclave v1 roster");
/// Digest that a leave request's signature covers.
pub static LEAVE: Context = Context::new("conclave v1 leave request");
/// Digest that a login signature covers.
pub static LOGIN: Context = Context::new("conclave v1 login");
/// Digest that a receipt's signature covers.
pub static RECEIPT: Context = Context::new("conclave v1 receipt");
/// Digest that a repair request's signature covers.
pub static REPAIR_REQUEST: Context = Context::new("conclave v1 repair request");
/// Digest that a group message's signature covers, and whose beginning is the link of the sender's next message.
pub static GROUP_MESSAGE: Context = Context::new("conclave v1 group message");
/// The same of a message in a run. It covers the digest before it; the last one is signed for all.
pub static GROUP_MESSAGE_IN_RUN: Context = Context::new("conclave v1 group message in a run");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_key_matches_one_shot_derive_key() {
        assert_eq!(
            DEVICE_ID.hash(&[b"some ", b"bytes"]),
            blake3::derive_key("conclave v1 device id", b"some bytes")
        );
    }

    #[test]
    fn filling_begins_as_hashing_does() {
        let mut wide = [0; 80];
        DEVICE_ID.fill(&[b"some ", b"bytes"], &mut wide);
        assert_eq!(wide[..32], DEVICE_ID.hash(&[b"some bytes"]));
    }

    #[test]
    fn contexts_separate() {
        assert_ne!(ROSTER_LEAF.hash(&[b"x"]), ROSTER_NODE.hash(&[b"x"]));
    }
}
