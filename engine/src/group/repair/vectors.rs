//! The payloads of answers. See [`crate::vectors`].

use super::payload::{SenderKeyAnswer, WelcomeAnswer};
use crate::group::welcome::WelcomeSender;
use crate::secret::Secret;
use crate::vectors::second::cbor;
use crate::vectors::{array, bytes, check, hx, seed};
use conclave_wire::codec;
use conclave_wire::ids::{CommitHash, MessageIndex, Opaque, Seq};
use serde_json::json;

/// (R123) (R124)
#[test]
fn answers() {
    let link = &seed("link")[..16];
    let key = ["certificate", "seed", "chain key"].map(|part| cbor::bstr(seed(part)));
    let place = [cbor::bstr(seed("head")), cbor::uint(300)];
    let sender = cbor::array(&[&key[..], &[cbor::uint(17)]].concat());
    let sender_key = cbor::structure(&[&place[..], &key[..], &[cbor::bstr(link), cbor::uint(17)]].concat());
    let yours = cbor::bstr(seed("asker's certificate"));
    let init = cbor::bstr(seed("init"));
    let welcome = cbor::structure(&[&place[..], &[init, yours, cbor::array(&[sender])]].concat());
    let vectors = json!([{
        "head": hx(seed("head")),
        "seq": 300,
        "certificate": hx(seed("certificate")),
        "seed": hx(seed("seed")),
        "chain_key": hx(seed("chain key")),
        "index": 17,
        "link": hx(link),
        "sender_key_payload": hx(&sender_key),
        "init": hx(seed("init")),
        "yours": hx(seed("asker's certificate")),
        "welcome_payload": hx(&welcome),
    }]);
    let comment = "The payloads of a sender key answer (purpose 4) and of a welcome answer (purpose 5), with the same \
                   sender key. The certificates are placeholders.";
    let file = check("repair_answer.json", comment, &vectors);
    let vector = &file[0];
    let head = CommitHash::from_bytes(array(&vector["head"]));
    let seq = Seq(vector["seq"].as_u64().unwrap());
    let index = MessageIndex(u16::try_from(vector["index"].as_u64().unwrap()).unwrap());
    let secret = |name: &str| Secret::from_bytes(array(&vector[name]));
    let answer = SenderKeyAnswer {
        head,
        seq,
        certificate: Opaque(bytes(&vector["certificate"])),
        seed: secret("seed"),
        chain: secret("chain_key"),
        index,
        link: Some(array::<16>(&vector["link"]).into()),
    };
    assert_eq!(codec::encode(&answer), bytes(&vector["sender_key_payload"]));
    assert_eq!(codec::decode(&bytes(&vector["sender_key_payload"])), Ok(answer));
    let welcome = WelcomeAnswer {
        head,
        seq,
        init: secret("init"),
        senders: vec![WelcomeSender {
            certificate: Opaque(bytes(&vector["certificate"])),
            seed: secret("seed"),
            chain: secret("chain_key"),
            index,
        }],
        yours: Some(Opaque(bytes(&vector["yours"]))),
    };
    assert_eq!(codec::encode(&welcome), bytes(&vector["welcome_payload"]));
    assert_eq!(codec::decode(&bytes(&vector["welcome_payload"])), Ok(welcome));
}
