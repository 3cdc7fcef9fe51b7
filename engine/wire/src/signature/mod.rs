//! Signatures: Ed25519 over a label and a digest, and the structures that carry one.
//!
//! No signature of this protocol covers a message body: it covers the ASCII label of its purpose followed by a 32-byte
//! digest of its own context (R4), so a signature made for one purpose never serves another. Verification is strict
//! (RFC 8032 with small-order keys and non-canonical points refused).
//!
//! Keys are made, and signatures verified, by ed25519-dalek. With the feature `accelerated` graviola signs, which gives
//! the same bytes; whether a signature is accepted never depends on a feature, or groups would split over it.

#[cfg(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod accelerated;
#[cfg(not(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod dalek;
mod key;
mod signed;

#[cfg(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64")))]
use accelerated::Signer;
#[cfg(not(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64"))))]
use dalek::Signer;

pub use key::{Label, PublicKey, Signature, SignatureError, SigningKey, sign, verify};
pub use signed::{Signed, SignedBody, UnverifiedSigned};
