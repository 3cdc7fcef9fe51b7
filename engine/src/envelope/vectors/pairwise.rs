//! What travels on a pairwise chain: continued envelopes and wraps.

use super::context;
use crate::envelope::continued::ContinuedOpening;
use crate::envelope::{Delivery, Wrap, wrap_pad};
use crate::kdf;
use crate::ratchet::{Chain, MessageKey};
use crate::secret::Secret;
use crate::vectors::second::{self, hash, kdf as derive};
use crate::vectors::{Script, array, bytes, check, hx, seed};
use conclave_wire::ids::{Commitment, DeviceId, MessageIndex};
use serde_json::{Value, json};

/// What both kinds have in common: a chain, a step of it, two ends and a context.
struct Common {
    step: Vec<u8>,
    bound: Vec<u8>,
    value: serde_json::Map<String, Value>,
}

const CHAIN_ID: [u8; 4] = [0xc1, 0xc2, 0xc3, 0xc4];

fn common(index: u16, purpose: u8) -> Common {
    let (chain_key, epoch) = (seed("pairwise chain key"), 3_u32);
    let wide = derive("pairwise chain", &[&chain_key], 64);
    let (group, sender, recipient) = (seed("group"), seed("sender id"), seed("recipient id"));
    let bound = [&[purpose][..], &group, &epoch.to_be_bytes(), &sender, &recipient].concat();
    let value = json!({
        "chain_id": hx(CHAIN_ID),
        "index": index,
        "chain_key": hx(chain_key),
        "step": hx(&wide[..32]),
        "next_chain_key": hx(&wide[32..]),
        "purpose": purpose,
        "group": hx(group),
        "epoch": epoch,
        "sender": hx(sender),
        "recipient": hx(recipient),
    });
    let Value::Object(value) = value else { unreachable!() };
    Common { step: wide[..32].to_vec(), bound, value }
}

fn merged(mut common: Common, own: Value) -> Value {
    let Value::Object(own) = own else { unreachable!() };
    common.value.extend(own);
    common.value.into()
}

/// The engine's step of the stated chain, which is checked on the way.
fn step(vector: &Value) -> (MessageIndex, MessageKey) {
    let index = MessageIndex(u16::try_from(vector["index"].as_u64().unwrap()).unwrap());
    let chain = Chain::new(Secret::from_bytes(array(&vector["chain_key"])), index);
    let (key, next) = chain.peek(&kdf::PAIRWISE).unwrap();
    assert_eq!(key.0.as_bytes(), &array(&vector["step"]));
    assert_eq!(next.key().as_bytes(), &array(&vector["next_chain_key"]));
    (index, key)
}

fn ends(vector: &Value) -> (DeviceId, DeviceId) {
    (DeviceId::from_bytes(array(&vector["sender"])), DeviceId::from_bytes(array(&vector["recipient"])))
}

#[test]
fn continued_envelope() {
    let (common, index) = (common(0x0102, 2), 0x0102_u16);
    let (payload, nonce) = (b"a welcome".to_vec(), seed("nonce")[..24].to_vec());
    let key = derive("continued envelope", &[&common.step], 32);
    let header = [&[1, 2][..], &CHAIN_ID, &index.to_be_bytes()].concat();
    let aad = [&header[..], &common.bound].concat();
    let ciphertext = second::seal(&key, &nonce, &aad, &second::pad(&payload));
    let own = json!({
        "payload": hx(&payload),
        "padded": hx(second::pad(&payload)),
        "key": hx(&key),
        "nonce": hx(&nonce),
        "associated_data": hx(&aad),
        "ciphertext": hx(&ciphertext),
        "envelope": hx([&header[..], &nonce, &ciphertext].concat()),
    });
    let comment = "A continued envelope: one step of a pairwise chain, one AEAD. Purpose 2 is a welcome.";
    let file = check("continued_envelope.json", comment, &json!([merged(common, own)]));
    let vector = &file[0];
    let ((index, step), (sender, recipient)) = (step(vector), ends(vector));
    let Delivery::Continued(envelope) = Delivery::decode(&bytes(&vector["envelope"])).unwrap() else {
        panic!("not a continued envelope")
    };
    assert_eq!((envelope.chain.to_vec(), envelope.index), (bytes(&vector["chain_id"]), index));
    let payload = envelope.open(&step, &context(vector), &sender, &recipient).unwrap();
    assert_eq!(*payload, bytes(&vector["payload"]));
    let mut script = Script::new(&[&bytes(&vector["nonce"])]);
    let (chain, ends) = (array(&vector["chain_id"]), (&sender, &recipient));
    let sealed = ContinuedOpening::seal(chain, index, &step, &context(vector), ends, &payload, &mut script);
    assert_eq!(sealed, bytes(&vector["envelope"]));
    // It opens in no other context and between no other ends.
    assert!(envelope.open(&step, &context(vector), &recipient, &sender).is_err());
    let mut other = context(vector);
    other.epoch.0 += 1;
    assert!(envelope.open(&step, &other, &sender, &recipient).is_err());
}

/// (R56) The commitment is in the pad.
#[test]
fn wraps() {
    let vector = |purpose: u8, context: &str, secret: [u8; 32]| {
        let (common, index) = (common(9, purpose), 9_u16);
        let commitment = hash(context, &[&secret]);
        let pad = derive("wrap", &[&common.step, &common.bound, &commitment], 32);
        let masked: Vec<u8> = pad.iter().zip(secret).map(|(a, b)| a ^ b).collect();
        let own = json!({
            "secret": hx(secret),
            "commitment": hx(commitment),
            "pad": hx(&pad),
            "masked": hx(&masked),
            "wrap": hx([&[1, 0][..], &CHAIN_ID, &index.to_be_bytes(), &masked].concat()),
        });
        merged(common, own)
    };
    let vectors = json!([
        vector(0, "commit secret commitment", seed("commit secret")),
        vector(1, "content key commitment", seed("content key")),
    ]);
    let comment = "Wraps: of a commit secret (purpose 0) and of a content key (purpose 1).";
    let file = check("wrap.json", comment, &vectors);
    for vector in file.as_array().unwrap() {
        let ((index, step), (sender, recipient)) = (step(vector), ends(vector));
        let commitment = Commitment::from_bytes(array(&vector["commitment"]));
        let Delivery::Wrap(wrap) = Delivery::decode(&bytes(&vector["wrap"])).unwrap() else {
            panic!("not a wrap")
        };
        let masked = array(&vector["masked"]);
        assert_eq!(wrap, Wrap { chain: array(&vector["chain_id"]), index, masked });
        assert_eq!(Delivery::encode_wrap(&wrap), bytes(&vector["wrap"]));
        let context = context(vector);
        let secret = wrap_pad(&step, &context, &sender, &recipient, &commitment, &wrap.masked);
        assert_eq!(secret.as_bytes(), &array(&vector["secret"]));
        let of_secret = kdf::commit(context.purpose.commitment().unwrap(), &[secret.as_bytes()]);
        assert_eq!(of_secret, commitment);
        let other = Commitment::from_bytes([0; 32]);
        let another = wrap_pad(&step, &context, &sender, &recipient, &other, &wrap.masked);
        assert_ne!(another.as_bytes(), secret.as_bytes());
    }
}
