//! Identifiers, contexts, logins, manifests and prekeys.

use super::second::{cbor, hash, member, public, sign};
use super::{array, bytes, check, hx, seed};
use conclave_wire::codec;
use conclave_wire::ids::{
    AccountId, DeviceId, DeviceKey, ManifestHash, ManifestVersion, PrekeysHash, Timestamp,
};
use conclave_wire::login::{Login, Nonce};
use conclave_wire::manifest::{Manifest, ManifestBody};
use conclave_wire::membership::Membership;
use conclave_wire::prekeys::{AgreementKey, KemKey, Prekeys, PrekeysBody};
use conclave_wire::signature::{Signature, SigningKey};
use libcrux_ml_kem::mlkem768;
use serde_json::json;

const CONTEXTS: [&str; 38] = [
    "backup",
    "certificate of nothing", // an unused purpose: any text derives its own function
    "chain",
    "commit",
    "commit body",
    "commit secret commitment",
    "confirm",
    "content key commitment",
    "continued envelope",
    "device id",
    "device membership",
    "distribution content",
    "envelope inner",
    "envelope leaf",
    "envelope node",
    "epoch",
    "group message",
    "group message in a run",
    "init",
    "initial envelope",
    "initial envelope transcript",
    "link code",
    "link request",
    "login",
    "manifest",
    "message",
    "pairwise chain",
    "prekeys",
    "receipt",
    "repair request",
    "roster",
    "roster leaf",
    "roster node",
    "safety number",
    "sender",
    "sender key certificate",
    "sender key commitment",
    "sender key distribution",
];

/// (R1) Every purpose has a context string of its own, and BLAKE3 `derive_key` under it.
#[test]
fn contexts() {
    let vectors: Vec<_> = CONTEXTS
        .iter()
        .chain(&["wrap", "own message"])
        .map(|purpose| {
            json!({
                "context": format!("conclave v1 {purpose}"),
                "input": hx(b"abc"),
                "hash": hx(hash(purpose, &[b"abc"])),
            })
        })
        .collect();
    let file = check("contexts.json", "Hash of one input under each context string.", &json!(vectors));
    let engine = [
        &crate::kdf::EPOCH,
        &crate::kdf::INIT,
        &crate::kdf::CONFIRM,
        &crate::kdf::SENDER,
        &crate::kdf::CHAIN,
        &crate::kdf::MESSAGE,
        &crate::kdf::PAIRWISE,
        &crate::kdf::WRAP,
        &crate::kdf::CONTINUED,
        &crate::kdf::INITIAL_TRANSCRIPT,
        &crate::kdf::INITIAL,
        &crate::kdf::ENVELOPE_INNER,
        &crate::kdf::ENVELOPE_LEAF,
        &crate::kdf::ENVELOPE_NODE,
        &crate::kdf::DISTRIBUTION_CONTENT,
        &crate::kdf::COMMIT_SECRET_COMMITMENT,
        &crate::kdf::CONTENT_KEY_COMMITMENT,
        &crate::kdf::SENDER_KEY_COMMITMENT,
        &crate::kdf::LINK_CODE,
        &crate::kdf::LINK_REQUEST,
        &crate::kdf::SAFETY_NUMBER,
        &conclave_wire::hash::DEVICE_ID,
        &conclave_wire::hash::DEVICE_MEMBERSHIP,
        &conclave_wire::hash::MANIFEST,
        &conclave_wire::hash::PREKEYS,
        &conclave_wire::hash::CERTIFICATE,
        &conclave_wire::hash::DISTRIBUTION,
        &conclave_wire::hash::COMMIT_BODY,
        &conclave_wire::hash::COMMIT,
        &conclave_wire::hash::ROSTER_LEAF,
        &conclave_wire::hash::ROSTER_NODE,
        &conclave_wire::hash::ROSTER,
        &conclave_wire::hash::LOGIN,
        &conclave_wire::hash::RECEIPT,
        &conclave_wire::hash::REPAIR_REQUEST,
        &conclave_wire::hash::GROUP_MESSAGE,
        &conclave_wire::hash::GROUP_MESSAGE_IN_RUN,
    ];
    let mut names: Vec<_> = engine.iter().map(|context| context.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), engine.len(), "no two purposes share a context");
    for context in engine {
        let vector = file.as_array().unwrap().iter().find(|v| v["context"] == context.name()).unwrap();
        assert_eq!(context.hash(&[&bytes(&vector["input"])]), array(&vector["hash"]), "{}", context.name());
    }
}

#[test]
fn device_ids() {
    let vectors: Vec<_> = ["alice device", "bob device"]
        .map(|name| {
            let key = public(&seed(name));
            json!({ "seed": hx(seed(name)), "device_key": hx(key), "device_id": hx(hash("device id", &[&key])) })
        })
        .into();
    let file = check(
        "device_ids.json",
        "DeviceId = H(\"device id\", Ed25519 public key of the seed).",
        &json!(vectors),
    );
    for vector in file.as_array().unwrap() {
        let key = SigningKey::from_bytes(&array(&vector["seed"])).verifying_key().to_bytes();
        assert_eq!(key, array(&vector["device_key"]));
        assert_eq!(DeviceKey::from_bytes(key).id(), DeviceId::from_bytes(array(&vector["device_id"])));
    }
}

#[test]
fn login() {
    let (account, key) = (public(&seed("alice account")), public(&seed("alice device")));
    let (nonce, server) = (seed("nonce"), "chat.example:8443");
    let digest = hash("login", &[&nonce, &account, &key, server.as_bytes()]);
    let vectors = json!([{
        "account": hx(account),
        "device_seed": hx(seed("alice device")),
        "device_key": hx(key),
        "nonce": hx(nonce),
        "server": server,
        "digest": hx(digest),
        "signature": hx(sign(&seed("alice device"), "login", &digest)),
    }]);
    let file = check("login.json", "A device's answer to a server's challenge.", &vectors);
    let vector = &file[0];
    let (server, nonce) = (vector["server"].as_str().unwrap(), Nonce::from_bytes(array(&vector["nonce"])));
    let login = Login {
        account: AccountId::from_bytes(array(&vector["account"])),
        device: DeviceKey::from_bytes(array(&vector["device_key"])),
        signature: Signature::from_bytes(array(&vector["signature"])),
    };
    assert_eq!(login.verify(server, &nonce), Ok(()));
    let key = SigningKey::from_bytes(&array(&vector["device_seed"]));
    assert_eq!(Login::sign(login.account, &key, server, &nonce), login);
}

#[test]
fn manifests() {
    let (account_seed, laptop, phone) = (seed("alice account"), seed("alice device"), seed("alice phone"));
    let vector = |version: u64, previous: Option<[u8; 32]>, devices: &[[u8; 32]]| {
        let time = 1_750_000_000_000 + version;
        let keys: Vec<_> = devices.iter().map(|seed| cbor::bstr(public(seed))).collect();
        let body = cbor::structure(&[
            cbor::bstr(public(&account_seed)),
            cbor::uint(version),
            cbor::uint(time),
            previous.map_or(cbor::null(), cbor::bstr),
            cbor::array(&keys),
        ]);
        let digest = hash("manifest", &[&body]);
        let by_account = sign(&account_seed, "manifest", &digest);
        let account = public(&account_seed);
        let members = devices.iter().map(|seed| hash("device membership", &[&account, &public(seed)]));
        let members: Vec<_> = members.map(hex::encode).collect();
        let by_devices: Vec<_> = devices.iter().map(|seed| member(&account, seed)).collect();
        let signatures: Vec<_> = by_devices.iter().map(cbor::bstr).collect();
        let manifest =
            cbor::structure(&[cbor::bstr(&body), cbor::bstr(by_account), cbor::array(&signatures)]);
        let value = json!({
            "account_seed": hx(account_seed),
            "account": hx(public(&account_seed)),
            "version": version,
            "time": time,
            "previous": previous.map(hex::encode),
            "device_seeds": devices.iter().map(hex::encode).collect::<Vec<_>>(),
            "device_keys": devices.iter().map(|seed| hex::encode(public(seed))).collect::<Vec<_>>(),
            "body": hx(&body),
            "hash": hx(digest),
            "account_signature": hx(by_account),
            "membership_digests": members,
            "device_signatures": by_devices.iter().map(hex::encode).collect::<Vec<_>>(),
            "manifest": hx(&manifest),
        });
        (digest, value)
    };
    let (first, one_device) = vector(0, None, &[laptop]);
    let (_, two_devices) = vector(1, Some(first), &[laptop, phone]);
    let file = check(
        "manifest.json",
        "Device manifests: an account's first, and the next with a second device.",
        &json!([one_device, two_devices]),
    );
    for vector in file.as_array().unwrap() {
        let manifest = Manifest::decode_and_verify(&bytes(&vector["manifest"])).unwrap();
        let previous = Some(&vector["previous"]).filter(|previous| !previous.is_null());
        let body = ManifestBody {
            account: AccountId::from_bytes(array(&vector["account"])),
            version: ManifestVersion(vector["version"].as_u64().unwrap()),
            time: Timestamp(vector["time"].as_u64().unwrap()),
            previous: previous.map(|hash| ManifestHash::from_bytes(array(hash))),
            devices: vector["device_keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|k| DeviceKey::from_bytes(array(k)))
                .collect(),
        };
        assert_eq!(manifest.body(), &body);
        assert_eq!(codec::encode(&body), bytes(&vector["body"]));
        assert_eq!(manifest.hash(), ManifestHash::from_bytes(array(&vector["hash"])));
        let members: Vec<_> = vector["device_seeds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|seed| Membership::sign(body.account, &SigningKey::from_bytes(&array(seed))))
            .collect();
        let account = SigningKey::from_bytes(&array(&vector["account_seed"]));
        let again = Manifest::sign(&body, &account, &members).unwrap();
        assert_eq!(again.encoded(), bytes(&vector["manifest"]));
    }
}

#[test]
fn prekeys() {
    let (device, agreement) = (seed("alice device"), seed("alice agreement"));
    let kem_seed = [seed("alice kem d"), seed("alice kem z")].concat();
    let time = 1_750_000_000_000;
    let agreement_key = x25519_dalek::x25519(agreement, x25519_dalek::X25519_BASEPOINT_BYTES);
    let kem = mlkem768::generate_key_pair(kem_seed.clone().try_into().unwrap());
    let body = cbor::structure(&[
        cbor::bstr(public(&device)),
        cbor::uint(time),
        cbor::bstr(agreement_key),
        cbor::bstr(kem.pk()),
    ]);
    let digest = hash("prekeys", &[&body]);
    let signature = sign(&device, "prekeys", &digest);
    let vectors = json!([{
        "device_seed": hx(device),
        "device_key": hx(public(&device)),
        "time": time,
        "agreement_private": hx(agreement),
        "agreement_key": hx(agreement_key),
        "kem_seed": hx(kem_seed),
        "kem_key": hx(kem.pk()),
        "body": hx(&body),
        "hash": hx(digest),
        "signature": hx(signature),
        "prekeys": hx(cbor::signed(&body, &signature)),
    }]);
    let comment = "Signed prekeys. The ML-KEM-768 key pair is FIPS 203 KeyGen of d ‖ z, the 64-byte seed.";
    let file = check("prekeys.json", comment, &vectors);
    let vector = &file[0];
    let decoded = Prekeys::decode_and_verify(&bytes(&vector["prekeys"])).unwrap();
    let expected = PrekeysBody {
        device: DeviceKey::from_bytes(array(&vector["device_key"])),
        time: Timestamp(vector["time"].as_u64().unwrap()),
        agreement: AgreementKey::from_bytes(array(&vector["agreement_key"])),
        kem: KemKey::from_bytes(array(&vector["kem_key"])),
    };
    assert_eq!(decoded.body(), &expected);
    assert_eq!(decoded.hash(), PrekeysHash::from_bytes(array(&vector["hash"])));
    assert_eq!(
        Prekeys::new(expected, &SigningKey::from_bytes(&array(&vector["device_seed"]))).encode(),
        bytes(&vector["prekeys"])
    );
    // The engine makes the same from the same private halves.
    let mut script = super::Script::new(&[&agreement, &bytes(&vector["kem_seed"])]);
    let key = SigningKey::from_bytes(&device);
    let made = crate::prekeys::PrivatePrekeys::generate(&key, Timestamp(time), &mut script);
    assert_eq!(made.public().encode(), bytes(&vector["prekeys"]));
    assert!(script.is_spent());
}
