//! XChaCha20-Poly1305, as the protocol uses it.

use crate::secret::Secret;
use chacha20poly1305::aead::{Aead, AeadInOut, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// The tag does not fit key, nonce, associated data and ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the ciphertext is not authentic")]
pub(crate) struct AeadError;

/// Bytes that a ciphertext has more than its plaintext. A plaintext with that much spare capacity is not copied.
pub(crate) const TAG: usize = 16;

/// Encrypts where the plaintext lies, so that no copy of it has to be wiped; the tag comes last.
///
/// The cipher refuses only plaintexts of more than 256 GiB, which nothing here can hold; were it to refuse, the result
/// would be empty and open for nobody.
pub(crate) fn seal(
    key: &Secret<32>,
    nonce: &[u8; 24],
    aad: &[u8],
    mut plaintext: Zeroizing<Vec<u8>>,
) -> Vec<u8> {
    if plaintext.capacity() - plaintext.len() < TAG {
        // Growing in place could leave the plaintext behind, unwiped.
        let mut roomy = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG));
        roomy.extend_from_slice(&plaintext);
        plaintext = roomy;
    }
    let sealed = cipher(key).encrypt_in_place(&XNonce::from(*nonce), aad, &mut *plaintext);
    debug_assert!(sealed.is_ok());
    if sealed.is_ok() { std::mem::take(&mut *plaintext) } else { Vec::new() }
}

/// Encrypts what stands from `from` on where it lies, without associated data, and appends the tag. With room for the tag
/// nothing is copied.
pub(crate) fn seal_tail(key: &Secret<32>, nonce: &[u8; 24], bytes: &mut Vec<u8>, from: usize) {
    let Some(plaintext) = bytes.get_mut(from..) else { return };
    match cipher(key).encrypt_inout_detached(&XNonce::from(*nonce), &[], (&mut *plaintext).into()) {
        Ok(tag) => bytes.extend_from_slice(&tag),
        // As with `seal`: never, and if ever, then nothing.
        Err(_) => {
            plaintext.zeroize();
            bytes.truncate(from);
        }
    }
}

/// Decrypts what [`seal`] made, into bytes that are the embedder's and not wiped: a message's.
pub(crate) fn open_message(
    key: &Secret<32>,
    nonce: &[u8; 24],
    ciphertext: &[u8],
) -> Result<Vec<u8>, AeadError> {
    let mut bytes = ciphertext.to_vec();
    cipher(key).decrypt_in_place(&XNonce::from(*nonce), &[], &mut bytes).map_err(|_| AeadError)?;
    Ok(bytes)
}

/// Decrypts what [`seal`] made, into bytes that are wiped.
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
