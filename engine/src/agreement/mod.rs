//! X25519 (RFC 7748): with x25519-dalek, or, with the feature `accelerated`, with graviola. The same bytes either way.

#[cfg(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod accelerated;
mod dalek;
mod key;

#[cfg(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64")))]
use accelerated::Agreer;
#[cfg(not(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64"))))]
use dalek::Agreer;

pub(crate) use key::PrivateKey;
