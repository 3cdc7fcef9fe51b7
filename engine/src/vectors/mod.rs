//! Test vectors, in `engine/testdata/vectors/`: every structure with its intermediate values.
//!
//! Each is checked in both directions: recomputed from its inputs, by the second implementation in [`second`] and by
//! the engine, it equals the file; and what the engine decodes from the file's bytes are the values beside them.
//! `CONCLAVE_BLESS=1 cargo test -p conclave-engine vectors` writes the files anew, after a deliberate change of the
//! protocol and of `docs/protocol.md`; never set it where a change is to be noticed.

mod backup;
mod frames;
mod identity;
mod negative;
mod padding;
mod repair;
mod roster;
mod safety_number;
pub(crate) mod second;
mod story;

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;

/// Compares what was computed with the file, or writes the file if asked to; returns what the file holds.
pub(crate) fn check(file: &str, comment: &str, vectors: &Value) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors").join(file);
    let computed = json!({ "comment": comment, "vectors": vectors });
    if std::env::var_os("CONCLAVE_BLESS").is_some() {
        let text = serde_json::to_string_pretty(&computed).unwrap();
        std::fs::write(&path, text + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let stored: Value = serde_json::from_str(&text).unwrap();
    if stored != computed {
        let (old, new) = (stored.to_string(), computed.to_string());
        let at = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count().saturating_sub(200);
        let part = |text: &str| text.get(at..text.len().min(at + 600)).unwrap_or_default().to_owned();
        panic!("{file} does not hold\nfile:     …{}\ncomputed: …{}", part(&old), part(&new));
    }
    stored["vectors"].clone()
}

/// Bytes as the files hold them.
pub(crate) fn hx(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(hex::encode(bytes))
}

/// Bytes out of a file.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// The same, of a fixed length.
pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// 32 bytes that a name stands for; the files hold the bytes themselves.
pub(crate) fn seed(name: &str) -> [u8; 32] {
    blake3::derive_key("conclave test vector seed", name.as_bytes())
}

/// Hands out stated bytes in place of randomness; a request beyond them fails the test.
pub(crate) struct Script(VecDeque<u8>);

impl Script {
    pub(crate) fn new(parts: &[&[u8]]) -> Self {
        Self(parts.concat().into())
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0.is_empty()
    }
}

impl rand_core::TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("the engine draws bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("the engine draws bytes")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        assert!(out.len() <= self.0.len(), "more randomness drawn than stated");
        out.fill_with(|| self.0.pop_front().unwrap());
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Script {}
