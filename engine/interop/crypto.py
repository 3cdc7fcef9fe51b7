"""The primitives and nothing above them (docs/protocol.md, section 1)."""

import os

from blake3 import blake3
from kyber_py.ml_kem import ML_KEM_768
from nacl import bindings
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

ZEROS = bytes(32)
CONTEXT = "conclave v1 "


class Refused(Exception):
    """Something that did not verify, did not open or breaks a rule."""


def random(size):
    return os.urandom(size)


def u16(n):
    return n.to_bytes(2, "big")


def u32(n):
    return n.to_bytes(4, "big")


def H(purpose, *parts):
    return KDF(purpose, 32, *parts)


def KDF(purpose, size, *parts):
    return blake3(b"".join(parts), derive_key_context=CONTEXT + purpose).digest(length=size)


def split(data, *sizes):
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at:at + size])
        at += size
    assert at == len(data)
    return pieces


def xor(a, b):
    assert len(a) == len(b)
    return bytes(x ^ y for x, y in zip(a, b))


def seal(key, nonce, ad, plaintext):
    return bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, nonce, key)


def open_(key, nonce, ad, ciphertext):
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, ad, nonce, key)
    except (CryptoError, TypeError, ValueError):
        raise Refused("does not open") from None


# --- Ed25519; private keys are the 32-byte seeds of RFC 8032 ----------------------------------------------------------

def signing_public(private):
    return bytes(SigningKey(private).verify_key)


def sign(private, purpose, digest):
    return SigningKey(private).sign(_signed(purpose, digest)).signature


def verify(public, purpose, digest, signature):
    """libsodium refuses keys of small order and encodings that are not canonical, as R4 asks."""
    try:
        bindings.crypto_sign_open(signature + _signed(purpose, digest), public)
    except (CryptoError, ValueError):
        raise Refused(f"signature of {purpose} does not verify") from None


def _signed(purpose, digest):
    assert len(digest) == 32
    return (CONTEXT + "sign " + purpose).encode("ascii") + digest


# --- X25519 and ML-KEM-768; the private ML-KEM key is its 64-byte seed d ‖ z ---------------------------------------------

def agreement_public(private):
    return bindings.crypto_scalarmult_base(private)


def agree(private, public):
    """Raises where the result is all zeros, which is so for every point of small order."""
    try:
        shared = bindings.crypto_scalarmult(private, public)
    except (CryptoError, RuntimeError, ValueError):
        raise Refused("agreement with a point of small order") from None
    if shared == ZEROS:
        raise Refused("agreement with a point of small order")
    return shared


def kem_public(seed):
    return ML_KEM_768.key_derive(seed)[0]


def encapsulate(public):
    """Returns (ciphertext, shared secret); checks the key's modulus (R13)."""
    try:
        shared, ciphertext = ML_KEM_768.encaps(public)
    except ValueError:
        raise Refused("ML-KEM key is not canonical") from None
    return ciphertext, shared


def decapsulate(seed, ciphertext):
    return ML_KEM_768.decaps(ML_KEM_768.key_derive(seed)[1], ciphertext)
