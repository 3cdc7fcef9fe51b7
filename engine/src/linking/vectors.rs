//! Linking, both sides, from stated inputs.

use super::{LinkCode, Linking, ShareAccountKey};
use crate::device::Device;
use crate::envelope::InitialEnvelope;
use crate::vectors::second::{cbor, hash, kdf, member, public, seal, sign};
use crate::vectors::{Script, array, bytes, check, hx, seed};
use conclave_wire::codec;
use conclave_wire::ids::{AccountId, Timestamp};
use libcrux_ml_kem::mlkem768;
use serde_json::{Value, json};

const TIME: u64 = 1_750_000_000_000;

/// The first 100 bits in Crockford's base32, by way of their binary digits.
fn crockford(hash: &[u8; 32]) -> String {
    let bits: String = hash.iter().map(|byte| format!("{byte:08b}")).collect();
    let alphabet: Vec<char> = ('0'..='9').chain('A'..='Z').filter(|c| !"ILOU".contains(*c)).collect();
    let symbol = |at: usize| alphabet[usize::from_str_radix(&bits[at * 5..at * 5 + 5], 2).unwrap()];
    let groups: Vec<String> = (0..4).map(|group| (0..5).map(|at| symbol(group * 5 + at)).collect()).collect();
    groups.join("-")
}

fn prekeys(device: &[u8; 32], agreement: &[u8; 32], kem_seed: &[u8]) -> Vec<u8> {
    let kem = mlkem768::generate_key_pair(kem_seed.try_into().unwrap());
    let body = cbor::structure(&[
        cbor::bstr(public(device)),
        cbor::uint(TIME),
        cbor::bstr(x25519_dalek::x25519(*agreement, x25519_dalek::X25519_BASEPOINT_BYTES)),
        cbor::bstr(kem.pk()),
    ]);
    cbor::signed(&body, &sign(device, "prekeys", &hash("prekeys", &[&body])))
}

/// A manifest of Alice's: its bytes and hash.
fn manifest(version: u64, previous: Option<[u8; 32]>, devices: &[[u8; 32]]) -> (Vec<u8>, [u8; 32]) {
    let account = seed("alice account");
    let keys: Vec<_> = devices.iter().map(|device| cbor::bstr(public(device))).collect();
    let body = cbor::structure(&[
        cbor::bstr(public(&account)),
        cbor::uint(version),
        cbor::uint(TIME),
        previous.map_or(cbor::null(), cbor::bstr),
        cbor::array(&keys),
    ]);
    let digest = hash("manifest", &[&body]);
    let members: Vec<_> =
        devices.iter().map(|device| cbor::bstr(member(&public(&account), device))).collect();
    let by_account = cbor::bstr(sign(&account, "manifest", &digest));
    (cbor::structure(&[cbor::bstr(&body), by_account, cbor::array(&members)]), digest)
}

fn vector(share: bool) -> Value {
    let (account, phone) = (seed("alice account"), seed("alice phone"));
    let salt = &seed("link salt")[..16];
    let (agreement, kem_seed) = (seed("link agreement"), [seed("link kem d"), seed("link kem z")].concat());
    let prekeys = prekeys(&phone, &agreement, &kem_seed);
    let membership = member(&public(&account), &phone);
    let request = cbor::structure(&[
        cbor::bstr(public(&account)),
        cbor::bstr(&prekeys),
        cbor::bstr(membership),
        cbor::bstr(salt),
    ]);
    let request_hash = hash("link code", &[&request]);
    let mut code = request_hash[..13].to_vec();
    code[12] &= 0xf0;
    let keys = kdf("link request", &[&code], 56);
    let ciphertext = seal(&keys[..32], &keys[32..], &[], &request);
    let (first, before) = manifest(0, None, &[seed("alice device")]);
    let (second, _) = manifest(1, Some(before), &[seed("alice device"), phone]);
    let payload = cbor::structure(&[
        cbor::bstr(request_hash),
        if share { cbor::bstr(account) } else { cbor::null() },
        cbor::array(&[cbor::bstr(&first), cbor::bstr(&second)]),
    ]);
    json!({
        "account_seed": hx(account),
        "account": hx(public(&account)),
        "approver_device_seed": hx(seed("alice device")),
        "device_seed": hx(phone),
        "time": TIME,
        "agreement_private": hx(agreement),
        "kem_seed": hx(kem_seed),
        "salt": hx(salt),
        "prekeys": hx(&prekeys),
        "membership": hx(membership),
        "request": hx(&request),
        "request_hash": hx(request_hash),
        "code": hx(&code),
        "code_text": crockford(&request_hash),
        "key": hx(&keys[..32]),
        "nonce": hx(&keys[32..]),
        "sealed_request": hx(cbor::structure(&[cbor::bstr(ciphertext)])),
        "manifests": [hx(first), hx(second)],
        "share_account_key": share,
        "payload": hx(payload),
        "ephemeral_private": hx(seed("link ephemeral")),
        "encapsulation_randomness": hx(seed("link encapsulation")),
    })
}

/// What the engine makes of the same inputs; adds the approval.
fn engine_does(vector: &mut Value) {
    let value = |name: &str| bytes(&vector[name]);
    let time = Timestamp(vector["time"].as_u64().unwrap());
    let account = AccountId::from_bytes(array(&vector["account"]));
    let inputs =
        [value("device_seed"), value("agreement_private"), value("kem_seed"), value("salt")].concat();
    let (linking, _changes) = Linking::begin(account, time, &mut Script::new(&[&inputs]));
    assert_eq!(linking.request(), value("sealed_request"));
    assert_eq!(linking.code().to_string(), vector["code_text"]);

    let alice = [value("account_seed"), value("approver_device_seed"), vec![9; 96]].concat();
    let (mut alice, _changes) = Device::create(time, &mut Script::new(&[&alice])).unwrap();
    let mut script = Script::new(&[&value("ephemeral_private"), &value("encapsulation_randomness")]);
    let code: LinkCode = vector["code_text"].as_str().unwrap().parse().unwrap();
    let share = if vector["share_account_key"] == true { ShareAccountKey::Yes } else { ShareAccountKey::No };
    let approved = alice.approve_link(&linking.request(), &code, share, time, &mut script).unwrap();
    assert!(script.is_spent());
    assert_eq!(alice.manifest().encoded(), bytes(&vector["manifests"][0]));
    assert_eq!(alice.staged_manifest().unwrap().encoded(), bytes(&vector["manifests"][1]));

    let mut script = Script::new(&[&[7; 96]]);
    let (phone, _changes) = linking.complete(&approved.approval, time, &mut script).unwrap();
    assert_eq!(phone.id(), approved.device);
    assert_eq!(phone.holds_account_key(), share == ShareAccountKey::Yes);
    assert_eq!(phone.manifest().encoded(), bytes(&vector["manifests"][1]));
    let envelope: InitialEnvelope = codec::decode(&approved.approval).unwrap();
    let opened = envelope.open((account, linking.id()), &linking.prekeys, None).unwrap();
    assert_eq!(*opened.payload, bytes(&vector["payload"]));
    vector["approval"] = hx(&approved.approval);
}

#[test]
fn linking() {
    let mut vectors = [vector(true), vector(false)];
    vectors.iter_mut().for_each(engine_does);
    let comment = "A phone asks to be Alice's, and her device approves, with and without the account key. The approval \
                   is an initial envelope with stated randomness, of purpose 3.";
    check("linking.json", comment, &json!(vectors));
}
