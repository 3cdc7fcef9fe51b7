//! What an insider can do: everything, with the keys of their own device.

use super::Person;
use conclave_engine::Scope;
use conclave_engine::wire::certificate::{Certificate, CertificateBody};
use conclave_engine::wire::commit::{Commit, CommitBody, UnverifiedCommit};
use conclave_engine::wire::distribution::{Distribution, DistributionBody};
use conclave_engine::wire::ids::{Commitment, Confirmation, Epoch, Opaque};
use conclave_engine::wire::signature::SigningKey;
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

    /// Any commit at all, with a confirmation that nobody can check.
    pub fn commit(&self, body: CommitBody) -> Vec<u8> {
        Commit::sign(body, Confirmation::from_bytes([0; 32]), &self.device).encode()
    }

    /// A distribution of a sender key that nobody can read, under this certificate.
    pub fn distribution(&self, certificate: CertificateBody, epoch: Epoch) -> Vec<u8> {
        let certificate = Certificate::new(certificate, &self.device);
        let body = DistributionBody {
            certificate: Opaque(certificate.encode()),
            epoch,
            commitment: Commitment::from_bytes([0; 32]),
            ciphertext: Opaque(vec![0; 100]),
        };
        Distribution::new(body, &self.device).encode()
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

/// The same bytes but for one bit of one of them.
pub fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[at] ^= 1;
    flipped
}

fn confirmation(commit: &[u8]) -> Confirmation {
    Confirmation::from_bytes(decode_fields(commit)[1].as_slice().try_into().unwrap())
}
