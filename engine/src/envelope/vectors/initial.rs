//! Initial envelopes: to one recipient, and to three with one ephemeral key and one signature.

use super::context;
use crate::addressee::Addressee;
use crate::envelope::initial::{
    InitialEnvelope, InitialError, Recipient, Sender, SpentEnvelope, seal_initial,
};
use crate::envelope::{Delivery, EnvelopeContext};
use crate::prekeys::{GivenOneTime, OneTimePrivate, PrekeyBook, PrivatePrekeys, Reach};
use crate::vectors::second::{self, cbor, hash, kdf, public, sign};
use crate::vectors::{Script, array, bytes, check, hx, seed};
use conclave_wire::codec;
use conclave_wire::ids::{AccountId, DeviceId, ManifestHash, OneTimePrekeyId, PrekeysHash, Timestamp};
use conclave_wire::prekeys::{AgreementKey, OneTimePrekey};
use conclave_wire::signature::SigningKey;
use libcrux_ml_kem::mlkem768;
use serde_json::{Value, json};

const TIME: u64 = 1_750_000_000_000;

fn x25519(private: [u8; 32], public: [u8; 32]) -> [u8; 32] {
    x25519_dalek::x25519(private, public)
}

/// The sibling of each node on the way from a leaf to the root.
fn path(leaves: &[[u8; 32]], mut index: usize) -> Vec<[u8; 32]> {
    let mut level = leaves.to_vec();
    level.resize(leaves.len().next_power_of_two(), [0; 32]);
    let mut path = Vec::new();
    while level.len() > 1 {
        path.push(level[index ^ 1]);
        level = level.chunks(2).map(|pair| hash("envelope node", &[&pair[0], &pair[1]])).collect();
        index /= 2;
    }
    path
}

/// Everything about one recipient up to the leaf.
struct Draft {
    value: serde_json::Map<String, Value>,
    body: Vec<u8>,
    th: [u8; 32],
    wide: Vec<u8>,
    leaf: [u8; 32],
    ephemeral: [u8; 32],
    kem_ciphertext: Vec<u8>,
    prekeys_hash: [u8; 32],
    one_time: Option<u32>,
}

/// A recipient, and the id of its one-time prekey that is used.
type To = (&'static str, Option<u32>);

fn draft((name, one_time): To, sender_body: &[Vec<u8>], purpose: u64, payload: &[u8]) -> Draft {
    let named = |what: &str| seed(&format!("{name} {what}"));
    let (device_seed, account) = (named("device"), public(&named("account")));
    let device = hash("device id", &[&public(&device_seed)]);
    let kem_seed: [u8; 64] = [named("kem d"), named("kem z")].concat().try_into().unwrap();
    let kem = mlkem768::generate_key_pair(kem_seed);
    let agreement_key = x25519(named("agreement"), x25519_dalek::X25519_BASEPOINT_BYTES);
    let prekeys_body = cbor::structure(&[
        cbor::bstr(public(&device_seed)),
        cbor::uint(TIME),
        cbor::bstr(agreement_key),
        cbor::bstr(kem.pk()),
    ]);
    let prekeys_hash = hash("prekeys", &[&prekeys_body]);
    let prekeys = cbor::signed(&prekeys_body, &sign(&device_seed, "prekeys", &prekeys_hash));

    let ephemeral_private = seed("ephemeral");
    let ephemeral = x25519(ephemeral_private, x25519_dalek::X25519_BASEPOINT_BYTES);
    let dh = x25519(ephemeral_private, agreement_key);
    let (ciphertext, ss) = mlkem768::encapsulate(kem.public_key(), named("encapsulation"));
    let kem_ciphertext = ciphertext.as_slice().to_vec();
    let one_time_private = named("one-time prekey");
    let one_time_key = x25519(one_time_private, x25519_dalek::X25519_BASEPOINT_BYTES);
    let one_time_dh = x25519(ephemeral_private, one_time_key);
    let (in_transcript, in_keys) = match one_time {
        Some(_) => (one_time_key, &one_time_dh[..]),
        None => ([0; 32], &[][..]),
    };
    let th = hash(
        "initial envelope transcript",
        &[&[1], &ephemeral, &kem_ciphertext, &prekeys_hash, &account, &device, &in_transcript],
    );
    let wide = kdf("initial envelope", &[&dh, in_keys, &ss, &th], 92);
    let context = cbor::array(&[cbor::uint(purpose), cbor::bstr(seed("group")), cbor::uint(3)]);
    let own = [cbor::bstr(account), cbor::bstr(device), context, cbor::bstr(payload)];
    let body = cbor::structure(&[sender_body, &own].concat());
    let inner = hash("envelope inner", &[&body]);
    let leaf = hash("envelope leaf", &[&th, &inner]);
    let mut value = json!({
        "account": hx(account),
        "device_seed": hx(device_seed),
        "device": hx(device),
        "prekeys": hx(prekeys),
        "prekeys_hash": hx(prekeys_hash),
        "agreement_private": hx(named("agreement")),
        "kem_seed": hx(kem_seed),
        "encapsulation_randomness": hx(named("encapsulation")),
        "kem_ciphertext": hx(&kem_ciphertext),
        "dh": hx(dh),
        "ss": hx(ss),
        "th": hx(th),
        "key": hx(&wide[..32]),
        "nonce": hx(&wide[32..56]),
        "chain_key": hx(&wide[56..88]),
        "chain_id": hx(&wide[88..]),
        "payload": hx(payload),
        "body": hx(&body),
        "inner_hash": hx(inner),
        "leaf": hx(leaf),
        "one_time": null,
    });
    if let Some(id) = one_time {
        value["one_time"] = json!({
            "id": id,
            "private": hx(one_time_private),
            "key": hx(one_time_key),
            "dh": hx(one_time_dh),
        });
    }
    let Value::Object(value) = value else { unreachable!() };
    Draft { value, body, th, wide, leaf, ephemeral, kem_ciphertext, prekeys_hash, one_time }
}

fn vector(recipients: &[To], purpose: u64, payload: &[u8]) -> Value {
    let key = seed("alice device");
    let sender = [public(&seed("alice account")), public(&key), seed("alice manifest hash")];
    let sender_body = sender.map(cbor::bstr);
    let drafts: Vec<_> = recipients.iter().map(|to| draft(*to, &sender_body, purpose, payload)).collect();
    let leaves: Vec<_> = drafts.iter().map(|draft| draft.leaf).collect();
    let root = second::merkle("envelope node", &leaves);
    let signature = sign(&key, "envelope", &root);
    let finished = drafts.into_iter().enumerate().map(|(index, mut draft)| {
        let path = path(&leaves, index);
        let nodes: Vec<_> = path.iter().map(cbor::bstr).collect();
        let plaintext = cbor::structure(&[
            cbor::bstr(&draft.body),
            cbor::uint(index as u64),
            cbor::array(&nodes),
            cbor::bstr(signature),
        ]);
        let padded = second::pad(&plaintext);
        let ciphertext = second::seal(&draft.wide[..32], &draft.wide[32..56], &draft.th, &padded);
        let envelope = cbor::structure(&[
            cbor::bstr(draft.ephemeral),
            cbor::bstr(&draft.kem_ciphertext),
            draft.one_time.map_or(cbor::null(), |id| cbor::uint(id.into())),
            cbor::bstr(draft.prekeys_hash),
            cbor::bstr(&ciphertext),
        ]);
        let own = json!({
            "index": index,
            "path": path.iter().map(hex::encode).collect::<Vec<_>>(),
            "plaintext": hx(&plaintext),
            "padded": hx(&padded),
            "ciphertext": hx(&ciphertext),
            "envelope": hx(&envelope),
            "delivery": hx([&[1, 1], &envelope[..]].concat()),
        });
        let Value::Object(own) = own else { unreachable!() };
        draft.value.extend(own);
        Value::from(draft.value)
    });
    let finished: Vec<_> = finished.collect();
    json!({
        "sender_account": hx(sender[0]),
        "sender_device_seed": hx(key),
        "sender_device_key": hx(sender[1]),
        "sender_manifest": hx(sender[2]),
        "ephemeral_private": hx(seed("ephemeral")),
        "ephemeral": hx(x25519(seed("ephemeral"), x25519_dalek::X25519_BASEPOINT_BYTES)),
        "purpose": purpose,
        "group": hx(seed("group")),
        "epoch": 3,
        "root": hx(root),
        "signature": hx(signature),
        "recipients": finished,
    })
}

/// A recipient of a vector, with the prekeys that the engine makes from its private halves.
fn recipient(value: &Value) -> ((AccountId, DeviceId), PrivatePrekeys) {
    let me = (AccountId::from_bytes(array(&value["account"])), DeviceId::from_bytes(array(&value["device"])));
    let device = SigningKey::from_bytes(&array(&value["device_seed"]));
    let mut script = Script::new(&[&bytes(&value["agreement_private"]), &bytes(&value["kem_seed"])]);
    (me, PrivatePrekeys::generate(&device, Timestamp(TIME), &mut script))
}

/// The one-time prekey that a recipient's envelope uses.
fn one_time(value: &Value) -> Option<(OneTimePrekey, OneTimePrivate)> {
    let id = value["one_time"]["id"].as_u64()?;
    let private = OneTimePrivate::from_bytes(array(&value["one_time"]["private"]));
    let key = AgreementKey::from_bytes(array(&value["one_time"]["key"]));
    assert_eq!(private.public(), key);
    Some((OneTimePrekey { id: OneTimePrekeyId(id.try_into().unwrap()), key }, private))
}

/// The engine seals just these envelopes from the stated randomness.
fn seals(vector: &Value, context: EnvelopeContext) {
    let values = vector["recipients"].as_array().unwrap();
    let mut book = PrekeyBook::default();
    for value in values {
        book.insert(&bytes(&value["prekeys"])).unwrap();
    }
    let reach = Reach { book: &book, now: Timestamp(TIME) };
    let payloads: Vec<_> = values.iter().map(|value| bytes(&value["payload"])).collect();
    let people: Vec<_> = values.iter().map(|value| recipient(value).0).collect();
    let recipients: Vec<_> = people
        .iter()
        .zip(&payloads)
        .map(|((account, device), payload)| Recipient {
            account: *account,
            device: *device,
            prekeys: reach.prekeys(&Addressee { account: *account, device: *device, pinned: None }).unwrap(),
            one_time: None,
            payload,
        })
        .zip(values)
        .map(|(recipient, value)| {
            let one_time = one_time(value).map(|(prekey, _)| GivenOneTime::for_vectors(prekey));
            Recipient { one_time, ..recipient }
        })
        .collect();
    let sender = Sender {
        account: AccountId::from_bytes(array(&vector["sender_account"])),
        manifest: ManifestHash::from_bytes(array(&vector["sender_manifest"])),
        key: &SigningKey::from_bytes(&array(&vector["sender_device_seed"])),
    };
    let mut randomness = bytes(&vector["ephemeral_private"]);
    values.iter().for_each(|value| randomness.extend(bytes(&value["encapsulation_randomness"])));
    let mut script = Script::new(&[&randomness]);
    let sealed = seal_initial(&sender, recipients, context, &mut script);
    assert!(script.is_spent());
    assert_eq!(sealed.len(), values.len());
    for (value, (envelope, chain)) in values.iter().zip(sealed) {
        assert_eq!(codec::encode(&envelope), bytes(&value["envelope"]));
        assert_eq!(Delivery::encode_initial(&envelope), bytes(&value["delivery"]));
        assert_eq!(chain.id, array(&value["chain_id"]));
        assert_eq!(chain.chain.key().as_bytes(), &array(&value["chain_key"]));
    }
}

#[test]
fn initial_envelopes() {
    let vectors = json!([
        vector(&[("bob", None)], 2, b"a welcome"),
        vector(&[("bob", None), ("carol", None), ("dave", None)], 0, &seed("commit secret")),
        vector(&[("bob", Some(0))], 1, &seed("content key")),
        vector(&[("bob", Some(u32::MAX - 1)), ("carol", None)], 0, &seed("commit secret")),
    ]);
    let comment = "Initial envelopes: a welcome to one device (purpose 2), and a commit secret to three (purpose 0) \
                   with one ephemeral key and one signature over the root of a tree; then a content key (purpose 1) \
                   to one device with a one-time prekey, and a commit secret to two of which one has one. The \
                   manifest hash is a placeholder.";
    let file = check("initial_envelope.json", comment, &vectors);
    for vector in file.as_array().unwrap() {
        seals(vector, context(vector));
        let recipients = vector["recipients"].as_array().unwrap();
        for value in recipients {
            let (me, prekeys) = recipient(value);
            let envelope: InitialEnvelope = codec::decode(&bytes(&value["envelope"])).unwrap();
            let private = one_time(value).map(|(_, private)| private);
            let opened = envelope.open(me, &prekeys, private.as_ref()).unwrap();
            assert_eq!(opened.sender.as_bytes(), &hash("device id", &[&bytes(&vector["sender_device_key"])]));
            assert_eq!(opened.context, context(vector));
            assert_eq!(*opened.payload, bytes(&value["payload"]));
            let spent = match one_time(value) {
                Some((prekey, _)) => SpentEnvelope::OneTime(prekey.id),
                None => SpentEnvelope::Signed {
                    transcript: array(&value["th"]),
                    prekeys: PrekeysHash::from_bytes(array(&value["prekeys_hash"])),
                },
            };
            assert_eq!(opened.spent, spent);
            assert_eq!(opened.chain.id, array(&value["chain_id"]));
            assert_eq!(opened.chain.chain.key().as_bytes(), &array(&value["chain_key"]));
            // The stated keys open the stated ciphertext.
            let [key, nonce, th] = ["key", "nonce", "th"].map(|name| bytes(&value[name]));
            assert_eq!(
                second::open(&key, &nonce, &th, &bytes(&value["ciphertext"])),
                bytes(&value["padded"])
            );
            // Nobody else opens it.
            for other in recipients.iter().filter(|other| other["device"] != value["device"]) {
                let (other, prekeys) = recipient(other);
                assert!(envelope.open(other, &prekeys, private.as_ref()).is_err());
            }
            // Nor does the recipient without the one-time prekey, or with one that the envelope does not name.
            let wrong = OneTimePrivate::from_bytes([7; 32]);
            let others = [private.is_some().then_some(None), Some(Some(&wrong))];
            for other in others.into_iter().flatten() {
                assert_eq!(envelope.open(me, &prekeys, other).map(drop), Err(InitialError::Keys));
            }
        }
    }
}

/// (R53) A thief of a recipient's prekeys has the envelope's keys. With another body under Alice's signature it does not
/// open: what she signed covers the body, and not the transcript alone.
#[test]
fn a_thief_of_prekeys_forges_nothing() {
    let vector = vector(&[("bob", None), ("carol", None)], 0, &seed("commit secret"));
    let value = &vector["recipients"][0];
    let [key, nonce, th, body] = ["key", "nonce", "th", "body"].map(|name| bytes(&value[name]));
    let (me, prekeys) = recipient(value);
    let with_body = |body: &[u8]| {
        let node = cbor::bstr(bytes(&value["path"][0]));
        let signature = cbor::bstr(bytes(&vector["signature"]));
        let fields = [cbor::bstr(body), cbor::uint(0), cbor::array(&[node]), signature];
        let ciphertext = second::seal(&key, &nonce, &th, &second::pad(&cbor::structure(&fields)));
        let fields = [
            cbor::bstr(bytes(&vector["ephemeral"])),
            cbor::bstr(bytes(&value["kem_ciphertext"])),
            cbor::null(),
            cbor::bstr(bytes(&value["prekeys_hash"])),
            cbor::bstr(ciphertext),
        ];
        let envelope: InitialEnvelope = codec::decode(&cbor::structure(&fields)).unwrap();
        envelope.open(me, &prekeys, None).map(drop)
    };
    assert_eq!(with_body(&body), Ok(()), "sealed by hand as Alice sealed it");
    let mut forged = body;
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(with_body(&forged), Err(InitialError::Signature));
}
