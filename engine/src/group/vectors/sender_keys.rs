//! A sender key: its commitment, its certificate, and its distribution.

use crate::envelope::Purpose;
use crate::group::distribute::SenderKeyContent;
use crate::group::sender_key::{OwnKey, commitment, first_link};
use crate::kdf;
use crate::secret::Secret;
use crate::vectors::second::{self, cbor, hash, public, sign};
use crate::vectors::{Script, array, bytes, check, hx, seed};
use conclave_wire::certificate::{CertificateBody, SenderPublicKey, UnverifiedCertificate};
use conclave_wire::distribution::{Distribution, DistributionBody, UnverifiedDistribution};
use conclave_wire::ids::{
    CertificateHash, CommitHash, Commitment, DeviceId, Epoch, Generation, GroupId, Opaque, Timestamp,
};
use conclave_wire::signature::SigningKey;
use serde_json::{Value, json};

fn computed() -> Value {
    let (device, signing) = (seed("alice device"), seed("alice signing key"));
    let (key_seed, chain_key, content_key) =
        (seed("alice seed"), seed("alice chain key"), seed("content key"));
    let (time, epoch, generation) = (1_750_000_000_000, 3, 1);
    let commitment = hash("sender key commitment", &[&key_seed, &chain_key]);
    let body = cbor::structure(&[
        cbor::bstr(seed("group")),
        cbor::bstr(hash("device id", &[&public(&device)])),
        cbor::uint(generation),
        cbor::uint(time),
        cbor::uint(epoch),
        cbor::bstr(seed("head")),
        cbor::bstr(public(&signing)),
        cbor::bstr(commitment),
        cbor::bool(true),
    ]);
    let certificate_hash = hash("sender key certificate", &[&body]);
    let signature = sign(&device, "sender key certificate", &certificate_hash);
    let certificate = cbor::signed(&body, &signature);

    let plaintext = cbor::structure(&[cbor::bstr(key_seed), cbor::bstr(chain_key), cbor::uint(0)]);
    let wide = second::kdf("distribution content", &[&content_key, &certificate_hash], 56);
    let ciphertext = second::seal(&wide[..32], &wide[32..], &[], &plaintext);
    let content_commitment = hash("content key commitment", &[&content_key]);
    let distribution_body = cbor::structure(&[
        cbor::bstr(&certificate),
        cbor::uint(epoch),
        cbor::bstr(content_commitment),
        cbor::bstr(&ciphertext),
    ]);
    let digest = hash("sender key distribution", &[&distribution_body]);
    let distribution_signature = sign(&device, "sender key distribution", &digest);
    json!([{
        "device_seed": hx(device),
        "signing_seed": hx(signing),
        "seed": hx(key_seed),
        "chain_key": hx(chain_key),
        "commitment": hx(commitment),
        "certificate": {
            "group": hx(seed("group")),
            "device": hx(hash("device id", &[&public(&device)])),
            "generation": generation,
            "time": time,
            "start_epoch": epoch,
            "head": hx(seed("head")),
            "signing_key": hx(public(&signing)),
            "first_link": true,
            "body": hx(&body),
            "hash": hx(certificate_hash),
            "link_of_the_first_message": hx(&certificate_hash[..16]),
            "signature": hx(signature),
            "certificate": hx(&certificate),
        },
        "distribution": {
            "content_key": hx(content_key),
            "commitment": hx(content_commitment),
            "key": hx(&wide[..32]),
            "nonce": hx(&wide[32..]),
            "plaintext": hx(&plaintext),
            "ciphertext": hx(&ciphertext),
            "body": hx(&distribution_body),
            "digest": hx(digest),
            "signature": hx(distribution_signature),
            "distribution": hx(cbor::signed(&distribution_body, &distribution_signature)),
        },
    }])
}

fn certificate_body(vector: &Value) -> CertificateBody {
    let value = &vector["certificate"];
    let number = |name: &str| value[name].as_u64().unwrap();
    let small = |name: &str| u32::try_from(number(name)).unwrap();
    CertificateBody {
        group: GroupId::from_bytes(array(&value["group"])),
        device: DeviceId::from_bytes(array(&value["device"])),
        generation: Generation(small("generation")),
        time: Timestamp(number("time")),
        start_epoch: Epoch(small("start_epoch")),
        head: CommitHash::from_bytes(array(&value["head"])),
        signing_key: SenderPublicKey::from_bytes(array(&value["signing_key"])),
        commitment: Commitment::from_bytes(array(&vector["commitment"])),
        first_link: value["first_link"].as_bool().unwrap(),
    }
}

#[test]
fn a_sender_key_and_its_distribution() {
    let comment =
        "A sender key with its certificate, and its distribution: content key, ciphertext, signature.";
    let file = check("sender_key.json", comment, &computed());
    let vector = &file[0];
    let (stated, device) = (&vector["certificate"], SigningKey::from_bytes(&array(&vector["device_seed"])));
    let unverified = UnverifiedCertificate::decode(&bytes(&stated["certificate"])).unwrap();
    let certificate = unverified.verify(&device.verifying_key().to_bytes()).unwrap();
    assert_eq!(certificate.body(), &certificate_body(vector));
    assert_eq!(certificate.hash(), CertificateHash::from_bytes(array(&stated["hash"])));
    assert_eq!(first_link(&certificate.hash()).to_vec(), bytes(&stated["link_of_the_first_message"]));
    // The engine makes the same certificate from the same randomness.
    let parts = ["signing_seed", "seed", "chain_key"].map(|name| bytes(&vector[name]));
    let mut script = Script::new(&parts.each_ref().map(Vec::as_slice));
    let key = OwnKey::generate(&device, &mut script, |signing_key, commitment| CertificateBody {
        signing_key,
        commitment,
        ..certificate_body(vector)
    });
    assert!(script.is_spent());
    assert_eq!(key.certificate.encode(), bytes(&stated["certificate"]));
    assert_eq!(
        commitment(&key.secrets.seed, key.secrets.chain.key()),
        Commitment::from_bytes(array(&vector["commitment"]))
    );

    let stated = &vector["distribution"];
    let unverified = UnverifiedDistribution::decode(&bytes(&stated["distribution"])).unwrap();
    let distribution = unverified.verify(&device.verifying_key().to_bytes()).unwrap();
    let body = DistributionBody {
        certificate: Opaque(bytes(&vector["certificate"]["certificate"])),
        epoch: certificate.body().start_epoch,
        commitment: Commitment::from_bytes(array(&stated["commitment"])),
        ciphertext: Opaque(bytes(&stated["ciphertext"])),
    };
    assert_eq!(distribution.body(), &body);
    assert_eq!(distribution.digest(), &array(&stated["digest"]));
    assert_eq!(Distribution::new(body, &device).encode(), bytes(&stated["distribution"]));
    let content_key = Secret::from_bytes(array(&stated["content_key"]));
    let context = Purpose::ContentKey.commitment().unwrap();
    assert_eq!(kdf::commit(context, &[content_key.as_bytes()]), distribution.body().commitment);
    let content =
        SenderKeyContent::open(&content_key, &certificate.hash(), &distribution.body().ciphertext.0).unwrap();
    assert_eq!(content.seed.as_bytes(), &array(&vector["seed"]));
    assert_eq!(content.chain.as_bytes(), &array(&vector["chain_key"]));
    assert_eq!(content.index.0, 0);
}
