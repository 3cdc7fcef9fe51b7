//! XChaCha20-Poly1305, as the protocol uses it.

use crate::secret::Secret;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use thiserror::Error;
use zeroize::Zeroizing;

/// The tag does not fit key, nonce, associated data and ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the ciphertext is not authentic")]
pub(crate) struct AeadError;

/// Encrypts; the tag comes last.
///
/// The cipher refuses only plaintexts of more than 256 GiB, which nothing here can hold; were it to refuse, the result
/// would be empty and open for nobody.
pub(crate) fn seal(key: &Secret<32>, nonce: &[u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plaintext, aad };
    let sealed = cipher(key).encrypt(&XNonce::from(*nonce), payload);
    debug_assert!(sealed.is_ok());
    sealed.unwrap_or_default()
}

/// Decrypts what [`seal`] made.
pub(crate) fn open(
    key: &Secret<32>,
    nonce: &[u8; 24],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AeadError> {
    let payload = Payload { msg: ciphertext, aad };
    cipher(key).decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| AeadError)
}

fn cipher(key: &Secret<32>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.as_bytes().into())
}
