//! The payload of a welcome.

use crate::group::welcome::{Welcome, WelcomeSender};
use crate::secret::Secret;
use crate::vectors::second::cbor;
use crate::vectors::{array, bytes, check, hx, seed};
use conclave_wire::codec;
use conclave_wire::ids::{CommitHash, MessageIndex, Opaque};
use serde_json::json;

#[test]
fn a_welcome() {
    let sender = |name: &str| {
        let part = |what: &str| seed(&format!("{name} {what}"));
        let value = json!({
            "certificate": hx(part("certificate")),
            "seed": hx(part("seed")),
            "chain_key": hx(part("chain key")),
            "index": 0,
        });
        let parts = ["certificate", "seed", "chain key"].map(|what| cbor::bstr(part(what)));
        (value, cbor::array(&[&parts[..], &[cbor::uint(0)]].concat()))
    };
    let (alice, bob) = (sender("alice"), sender("bob"));
    let vectors = json!([{
        "head": hx(seed("head")),
        "init": hx(seed("init")),
        "senders": [alice.0, bob.0],
        "note": hx(b"name of the group"),
        "payload": hx(cbor::structure(&[
            cbor::bstr(seed("head")),
            cbor::bstr(seed("init")),
            cbor::array(&[alice.1, bob.1]),
            cbor::bstr(b"name of the group"),
        ])),
    }]);
    let comment = "A welcome's payload, as it is sealed to a newcomer. The certificates are placeholders.";
    let file = check("welcome.json", comment, &vectors);
    let vector = &file[0];
    let welcome = Welcome {
        head: CommitHash::from_bytes(array(&vector["head"])),
        init: Secret::from_bytes(array(&vector["init"])),
        senders: vector["senders"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sender| WelcomeSender {
                certificate: Opaque(bytes(&sender["certificate"])),
                seed: Secret::from_bytes(array(&sender["seed"])),
                chain: Secret::from_bytes(array(&sender["chain_key"])),
                index: MessageIndex(u16::try_from(sender["index"].as_u64().unwrap()).unwrap()),
            })
            .collect(),
        note: Opaque(bytes(&vector["note"])),
    };
    assert_eq!(codec::encode(&welcome), bytes(&vector["payload"]));
    assert_eq!(codec::decode::<Welcome>(&bytes(&vector["payload"])), Ok(welcome));
}
