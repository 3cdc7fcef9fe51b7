//! Receipts, what two of them prove, and repair requests.

use super::second::{cbor, hash, public, sign};
use super::{array, bytes, check, hx, seed};
use conclave_wire::ids::PrekeysHash;
use conclave_wire::ids::{CertificateHash, CommitHash, DeviceId, Epoch, Generation, GroupId, Seq, Timestamp};
use conclave_wire::receipt::{ForkProof, Receipt, ReceiptBody, ServerKey, UnverifiedReceipt};
use conclave_wire::repair::{KnownKey, Question, RepairRequest, RepairRequestBody, UnverifiedRepairRequest};
use conclave_wire::roster::PinnedPrekeys;
use conclave_wire::signature::SigningKey;
use serde_json::{Value, json};

fn receipt(name: &str) -> (Vec<u8>, Value) {
    let server = seed("server");
    let (commit, epoch, seq) = (seed(name), 7, 300);
    let body =
        cbor::structure(&[cbor::bstr(seed("group")), cbor::uint(epoch), cbor::bstr(commit), cbor::uint(seq)]);
    let digest = hash("receipt", &[&body]);
    let receipt = cbor::signed(&body, &sign(&server, "receipt", &digest));
    let value = json!({
        "server_seed": hx(server),
        "server_key": hx(public(&server)),
        "group": hx(seed("group")),
        "epoch": epoch,
        "commit": hx(commit),
        "seq": seq,
        "body": hx(&body),
        "digest": hx(digest),
        "receipt": hx(&receipt),
    });
    (receipt, value)
}

/// (R110) Two receipts for one epoch; the proof names the lower commit first.
#[test]
fn receipts() {
    let (one, two) = (receipt("one commit"), receipt("another commit"));
    let mut pair = [(seed("one commit"), &one.0), (seed("another commit"), &two.0)];
    pair.sort();
    let proof = cbor::structure(&pair.map(|(_, receipt)| cbor::bstr(receipt)));
    let vectors = json!([{ "receipts": [one.1, two.1], "proof": hx(&proof) }]);
    let comment = "Two receipts for one epoch that name two commits, and the proof of the fork.";
    let file = check("receipt.json", comment, &vectors);
    let stated = &file[0];
    let receipts = stated["receipts"].as_array().unwrap();
    let key = ServerKey::from_bytes(array(&receipts[0]["server_key"]));
    let [first, second] = [&receipts[0], &receipts[1]].map(|value| {
        let body = ReceiptBody {
            group: GroupId::from_bytes(array(&value["group"])),
            epoch: Epoch(u32::try_from(value["epoch"].as_u64().unwrap()).unwrap()),
            commit: CommitHash::from_bytes(array(&value["commit"])),
            seq: Seq(value["seq"].as_u64().unwrap()),
        };
        let server = SigningKey::from_bytes(&array(&value["server_seed"]));
        let made = Receipt::new(body, &server);
        assert_eq!(made.digest(), &array(&value["digest"]));
        assert_eq!(made.encode(), bytes(&value["receipt"]));
        UnverifiedReceipt::decode(&bytes(&value["receipt"])).unwrap()
    });
    let proof = ForkProof::new(first, second, &key).unwrap();
    assert_eq!(proof.encode(), bytes(&stated["proof"]));
}

fn request(question: Vec<u8>, what: &str) -> Value {
    let asker = seed("carol device");
    let (time, prekeys_time) = (1_750_000_000_000, 1_749_999_000_000);
    let device = hash("device id", &[&public(&asker)]);
    let body = cbor::structure(&[
        question,
        cbor::bstr(seed("group")),
        cbor::uint(3),
        cbor::bstr(seed("head")),
        cbor::bstr(device),
        cbor::uint(1),
        cbor::array(&[cbor::bstr(seed("prekeys")), cbor::uint(prekeys_time)]),
        cbor::uint(time),
    ]);
    let digest = hash("repair request", &[&body]);
    let request = cbor::signed(&body, &sign(&asker, "repair request", &digest));
    json!({
        "question": what,
        "asker_seed": hx(asker),
        "asker": hx(device),
        "asked": hx(seed("bob device id")),
        "group": hx(seed("group")),
        "epoch": 3,
        "head": hx(seed("head")),
        "since": 1,
        "prekeys": hx(seed("prekeys")),
        "prekeys_time": prekeys_time,
        "generation": 4,
        "certificate": hx(seed("certificate")),
        "time": time,
        "body": hx(&body),
        "digest": hx(digest),
        "request": hx(&request),
    })
}

/// (R113) (R115) Each question, and what its asker signs.
#[test]
fn repair_requests() {
    let bob = || cbor::bstr(seed("bob device id"));
    let known = cbor::array(&[cbor::uint(4), cbor::bstr(seed("certificate"))]);
    let vectors = [
        ("sender key", cbor::variant(0, &[known, bob()])),
        ("first sender key", cbor::variant(0, &[cbor::null(), bob()])),
        ("welcome", cbor::variant(1, &[])),
        ("initial", cbor::variant(2, &[bob()])),
    ]
    .map(|(what, question)| request(question, what));
    let comment =
        "Repair requests. `asked` is whom a question names, `generation` and `certificate` what it knows.";
    let file = check("repair_request.json", comment, &json!(vectors));
    for value in file.as_array().unwrap() {
        let of = DeviceId::from_bytes(array(&value["asked"]));
        let number = |name: &str| u32::try_from(value[name].as_u64().unwrap()).unwrap();
        let known = KnownKey {
            generation: Generation(number("generation")),
            certificate: CertificateHash::from_bytes(array(&value["certificate"])),
        };
        let question = match value["question"].as_str().unwrap() {
            "sender key" => Question::SenderKey { of, known: Some(known) },
            "first sender key" => Question::SenderKey { of, known: None },
            "welcome" => Question::Welcome { to: None },
            _ => Question::Initial { to: Some(of) },
        };
        let body = RepairRequestBody {
            question,
            group: GroupId::from_bytes(array(&value["group"])),
            epoch: Epoch(number("epoch")),
            head: CommitHash::from_bytes(array(&value["head"])),
            asker: DeviceId::from_bytes(array(&value["asker"])),
            since: Epoch(number("since")),
            prekeys: PinnedPrekeys {
                hash: PrekeysHash::from_bytes(array(&value["prekeys"])),
                time: Timestamp(value["prekeys_time"].as_u64().unwrap()),
            },
            time: Timestamp(value["time"].as_u64().unwrap()),
        };
        let key = SigningKey::from_bytes(&array(&value["asker_seed"]));
        let unverified = UnverifiedRepairRequest::decode(&bytes(&value["request"])).unwrap();
        let request = unverified.verify(&key.verifying_key().to_bytes()).unwrap();
        assert_eq!(request.body(), &body);
        assert_eq!(request.digest(), &array(&value["digest"]));
        assert_eq!(RepairRequest::new(body, &key).encode(), bytes(&value["request"]));
    }
}
