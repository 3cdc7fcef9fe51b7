//! A second implementation of what structures are made of, from the primitives alone: written from the protocol's
//! description, it shares no code with the engine.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signer, SigningKey};

/// 32 bytes of BLAKE3 `derive_key` under `"conclave v1 <purpose>"`.
pub(crate) fn hash(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    blake3::derive_key(&format!("conclave v1 {purpose}"), &parts.concat())
}

/// As many bytes as wanted.
pub(crate) fn kdf(purpose: &str, parts: &[&[u8]], length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key(&format!("conclave v1 {purpose}"));
    hasher.update(&parts.concat());
    let mut out = vec![0; length];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// Ed25519 over `"conclave v1 sign <purpose>" ‖ digest`.
pub(crate) fn sign(seed: &[u8; 32], purpose: &str, digest: &[u8; 32]) -> [u8; 64] {
    let covered = [format!("conclave v1 sign {purpose}").as_bytes(), digest].concat();
    SigningKey::from_bytes(seed).sign(&covered).to_bytes()
}

/// A device's countersignature: that it belongs to the account.
pub(crate) fn member(account: &[u8; 32], device_seed: &[u8; 32]) -> [u8; 64] {
    let digest = hash("device membership", &[account, &public(device_seed)]);
    sign(device_seed, "device membership", &digest)
}

/// The public half of an Ed25519 key.
pub(crate) fn public(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// XChaCha20-Poly1305; the tag comes last.
pub(crate) fn seal(key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let key: [u8; 32] = key.try_into().unwrap();
    let nonce: [u8; 24] = nonce.try_into().unwrap();
    let payload = Payload { msg: plaintext, aad };
    XChaCha20Poly1305::new(&key.into()).encrypt(&XNonce::from(nonce), payload).unwrap()
}

/// The other way.
pub(crate) fn open(key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Vec<u8> {
    let key: [u8; 32] = key.try_into().unwrap();
    let nonce: [u8; 24] = nonce.try_into().unwrap();
    let payload = Payload { msg: ciphertext, aad };
    XChaCha20Poly1305::new(&key.into()).decrypt(&XNonce::from(nonce), payload).unwrap()
}

/// `0x80` and zeros up to the next Padmé length of at least 32.
pub(crate) fn pad(plaintext: &[u8]) -> Vec<u8> {
    let mut padded = [plaintext, &[0x80]].concat();
    let length = padded.len().max(32);
    // Of a length of E + 1 significant bits, the lowest E - S bits are zero, S being the bits that write E.
    let (mut e, mut s) = (0, 0);
    while length >> (e + 1) > 0 {
        e += 1;
    }
    while e >> s > 0 {
        s += 1;
    }
    let step = 1 << (e - s);
    padded.resize(length.div_ceil(step) * step, 0);
    padded
}

/// Root over leaf hashes, `blank` standing in up to a power of two.
pub(crate) fn merkle(node: &str, leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut level = leaves.to_vec();
    level.resize(leaves.len().next_power_of_two(), [0; 32]);
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| hash(node, &[&pair[0], &pair[1]])).collect();
    }
    level[0]
}

/// A roster's hash from its encoded leaves.
pub(crate) fn roster_hash(leaves: &[Option<Vec<u8>>]) -> [u8; 32] {
    let hashes: Vec<_> = leaves
        .iter()
        .map(|leaf| leaf.as_ref().map_or([0; 32], |leaf| hash("roster leaf", &[leaf])))
        .collect();
    let count = u32::try_from(leaves.len()).unwrap().to_be_bytes();
    hash("roster", &[&count, &merkle("roster node", &hashes)])
}

/// Deterministic CBOR, as far as the protocol uses it.
pub(crate) mod cbor {
    fn head(major: u8, n: u64) -> Vec<u8> {
        let major = major << 5;
        let be = n.to_be_bytes();
        match n {
            0..24 => vec![major | be[7]],
            24..0x100 => vec![major | 24, be[7]],
            0x100..0x1_0000 => [&[major | 25], &be[6..]].concat(),
            0x1_0000..0x1_0000_0000 => [&[major | 26], &be[4..]].concat(),
            _ => [&[major | 27], &be[..]].concat(),
        }
    }

    pub(crate) fn uint(n: u64) -> Vec<u8> {
        head(0, n)
    }

    pub(crate) fn bstr(bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let bytes = bytes.as_ref();
        [head(2, bytes.len() as u64), bytes.to_vec()].concat()
    }

    pub(crate) fn text(text: &str) -> Vec<u8> {
        [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
    }

    pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
        [head(4, items.len() as u64), items.concat()].concat()
    }

    pub(crate) fn bool(value: bool) -> Vec<u8> {
        vec![0xf4 | u8::from(value)]
    }

    pub(crate) fn null() -> Vec<u8> {
        vec![0xf6]
    }

    /// `[number, [fields]]`
    pub(crate) fn variant(number: u64, fields: &[Vec<u8>]) -> Vec<u8> {
        array(&[uint(number), array(fields)])
    }

    /// A structure: the version byte and one array.
    pub(crate) fn structure(fields: &[Vec<u8>]) -> Vec<u8> {
        [vec![1], array(fields)].concat()
    }

    /// A body with its signature.
    pub(crate) fn signed(body: &[u8], signature: &[u8; 64]) -> Vec<u8> {
        structure(&[bstr(body), bstr(signature)])
    }

    /// One item in diagnostic notation (RFC 8949 section 8).
    pub(crate) fn diagnostic(decoder: &mut minicbor::Decoder<'_>) -> String {
        use minicbor::data::Type;
        match decoder.datatype().unwrap() {
            Type::Array => {
                let items = decoder.array().unwrap().unwrap();
                let items: Vec<_> = (0..items).map(|_| diagnostic(decoder)).collect();
                format!("[{}]", items.join(", "))
            }
            Type::Bytes => format!("h'{}'", hex::encode(decoder.bytes().unwrap())),
            Type::String => format!("{:?}", decoder.str().unwrap()),
            Type::Null => decoder.null().map(|()| "null".to_owned()).unwrap(),
            Type::Bool => decoder.bool().unwrap().to_string(),
            _ => decoder.u64().unwrap().to_string(),
        }
    }
}
