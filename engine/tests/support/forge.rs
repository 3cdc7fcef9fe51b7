//! What an insider can do: everything, with the keys of their own device.

use super::Person;
use conclave_engine::Scope;
use conclave_engine::wire::commit::{Commit, CommitBody, UnverifiedCommit};
use conclave_engine::wire::ids::Confirmation;
use ed25519_dalek::SigningKey;
use minicbor::Decoder;
use minicbor::data::Type;

/// The byte strings of a record's outermost array, empty where something else stands.
pub fn decode_fields(record: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(&record[1..]);
    let length = decoder.array().unwrap().unwrap();
    let field = |_| match decoder.datatype().unwrap() {
        Type::Bytes => decoder.bytes().unwrap().to_vec(),
        _ => {
            decoder.skip().unwrap();
            Vec::new()
        }
    };
    (0..length).map(field).collect()
}

/// A person's long-lived private keys, out of their store.
pub struct Forger {
    pub account: SigningKey,
    pub device: SigningKey,
}

impl Forger {
    pub fn of(person: &Person) -> Self {
        let identity = person.record(Scope::Device, b"identity");
        let fields = decode_fields(identity.as_bytes());
        let key = |bytes: &Vec<u8>| SigningKey::from_bytes(bytes.as_slice().try_into().unwrap());
        Self { account: key(&fields[0]), device: key(&fields[1]) }
    }

    /// A commit changed by its own author, signed again over the old confirmation.
    pub fn change(&self, commit: &[u8], change: impl FnOnce(&mut CommitBody)) -> Vec<u8> {
        let confirmation = confirmation(commit);
        let mut body = UnverifiedCommit::decode(commit).unwrap().claimed().clone();
        change(&mut body);
        Commit::sign(body, confirmation, &self.device).encode()
    }

    /// A commit with another confirmation.
    pub fn confirm(&self, commit: &[u8], confirmation: [u8; 32]) -> Vec<u8> {
        let body = UnverifiedCommit::decode(commit).unwrap().claimed().clone();
        Commit::sign(body, Confirmation::from_bytes(confirmation), &self.device).encode()
    }
}

fn confirmation(commit: &[u8]) -> Confirmation {
    Confirmation::from_bytes(decode_fields(commit)[1].as_slice().try_into().unwrap())
}
