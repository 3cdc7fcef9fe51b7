//! What must be refused, each with the expected error in its `expect` field.

use super::second::{cbor, hash, member, public, sign};
use super::{bytes, check, hx, seed};
use crate::envelope::Delivery;
use crate::support::Person;
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::codec;
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::distribution::UnverifiedDistribution;
use conclave_wire::frame::{ClientFrame, ServerFrame};
use conclave_wire::manifest::Manifest;
use conclave_wire::message::MessageView;
use conclave_wire::prekeys::Prekeys;
use conclave_wire::roster::Leaf;
use conclave_wire::run::RunView;
use serde_json::{Value, json};
use std::fmt::Debug;

/// The innermost variant's name, or `ok`.
fn verdict<T, E: Debug>(result: Result<T, E>) -> String {
    let Err(error) = result else { return "ok".to_owned() };
    let text = format!("{error:?}");
    let text = text.split(" {").next().unwrap().trim_end_matches(')');
    text.rsplit('(').next().unwrap().to_owned()
}

/// What the engine says to these bytes.
fn outcome(structure: &str, bytes: &[u8]) -> String {
    match structure {
        "manifest" => verdict(Manifest::decode_and_verify(bytes)),
        "prekeys" => verdict(Prekeys::decode_and_verify(bytes)),
        "certificate" => verdict(UnverifiedCertificate::decode(bytes)),
        "distribution" => verdict(UnverifiedDistribution::decode(bytes)),
        "commit" => verdict(UnverifiedCommit::decode(bytes)),
        "message" => verdict(MessageView::parse(bytes)),
        "run" => verdict(RunView::parse(bytes)),
        "client frame" => verdict(codec::decode::<ClientFrame>(bytes)),
        "server frame" => verdict(codec::decode::<ServerFrame>(bytes)),
        "roster leaf" => verdict(codec::decode::<Leaf>(bytes)),
        "delivery" => verdict(Delivery::decode(bytes)),
        other => panic!("no structure is called {other}"),
    }
}

fn vector(structure: &str, why: &str, bytes: &[u8], expect: &str) -> Value {
    json!({ "structure": structure, "why": why, "bytes": hx(bytes), "expect": expect })
}

/// One good example of each structure that begins with an array of fewer than 24 items.
fn examples() -> Vec<(&'static str, Vec<u8>)> {
    let mut alice = Person::new("alice", 1);
    let bob = Person::new("bob", 2);
    let book = crate::support::book(&[&alice, &bob]);
    let mut log = alice.found();
    alice.change(&mut log, &book, vec![bob.add_operation(crate::wire::roster::Role::Member)]);
    let upload = alice.stage_key(&book);
    let leaf = log.roster().leaf(crate::wire::ids::LeafIndex(0)).unwrap().clone();
    let distribution = UnverifiedDistribution::decode(&upload.distribution).unwrap();
    vec![
        ("manifest", alice.device.manifest().encoded().to_vec()),
        ("prekeys", alice.device.prekeys().unwrap().encode()),
        ("certificate", distribution.claimed().certificate.0.clone()),
        ("distribution", upload.distribution),
        ("commit", log.commits(log.head()).last().unwrap().to_vec()),
        ("client frame", cbor::structure(&[cbor::uint(7), cbor::variant(6, &[])])),
        (
            "server frame",
            cbor::structure(&[cbor::uint(1), cbor::array(&[cbor::uint(7), cbor::variant(0, &[])])]),
        ),
        ("roster leaf", codec::encode(&leaf)),
    ]
}

/// (R2) (R3) What holds for every structure of the one codec.
fn of_the_codec(structure: &str, good: &[u8]) -> Vec<Value> {
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        bytes
    };
    let indefinite = changed(&|b| {
        b[1] = 0x9f;
        b.push(0xff);
    });
    let wide = changed(&|b| {
        let items = b[1] & 0x1f;
        b.splice(1..2, [0x98, items]);
    });
    // A frame's number decides its shape: its array's length is looked at first.
    let unended = if structure == "server frame" { "Malformed" } else { "NotCanonical" };
    vec![
        vector(structure, "as it should be", good, "ok"),
        vector(structure, "no bytes", &[], "Empty"),
        vector(structure, "version 0", &changed(&|b| b[0] = 0), "UnknownVersion"),
        vector(structure, "version 2", &changed(&|b| b[0] = 2), "UnknownVersion"),
        vector(structure, "one byte more", &changed(&|b| b.push(0)), "Trailing"),
        vector(structure, "one byte less", &good[..good.len() - 1], "Malformed"),
        vector(structure, "an array of indefinite length", &indefinite, unended),
        vector(structure, "an array head wider than need be", &wide, "NotCanonical"),
        vector(
            structure,
            "a map instead of an array",
            &changed(&|b| b[1] = 0xa0 | (b[1] & 0x1f)),
            "Malformed",
        ),
    ]
}

fn of_manifests() -> Vec<Value> {
    let (account, device) = (seed("alice account"), seed("alice device"));
    let manifest = |version: u64, previous: bool, devices: &[[u8; 32]], by: [u8; 32], and_by: &[[u8; 32]]| {
        let keys: Vec<_> = devices.iter().map(|seed| cbor::bstr(public(seed))).collect();
        let body = cbor::structure(&[
            cbor::bstr(public(&account)),
            cbor::uint(version),
            cbor::uint(1),
            if previous { cbor::bstr([1; 32]) } else { cbor::null() },
            cbor::array(&keys),
        ]);
        let digest = hash("manifest", &[&body]);
        let signatures: Vec<_> =
            and_by.iter().map(|seed| cbor::bstr(member(&public(&account), seed))).collect();
        cbor::structure(&[
            cbor::bstr(&body),
            cbor::bstr(sign(&by, "manifest", &digest)),
            cbor::array(&signatures),
        ])
    };
    let (thief, one) = (seed("thief"), [device]);
    // The device belongs to the thief's account, as it signed itself.
    let ours = manifest(0, false, &one, account, &one);
    let length = ours.len() - 64;
    let not_ours = [&ours[..length], &member(&public(&thief), &device)].concat();
    vec![
        vector("manifest", "as it should be", &manifest(0, false, &one, account, &one), "ok"),
        vector(
            "manifest",
            "(R10) not signed by the account",
            &manifest(0, false, &one, thief, &one),
            "AccountSignature",
        ),
        vector(
            "manifest",
            "(R10) not signed by a device",
            &manifest(0, false, &one, account, &[thief]),
            "DeviceSignature",
        ),
        vector("manifest", "(R10) a device of another account", &not_ours, "DeviceSignature"),
        vector(
            "manifest",
            "fewer signatures than devices",
            &manifest(0, false, &one, account, &[]),
            "Devices",
        ),
        vector("manifest", "no device", &manifest(0, false, &[], account, &[]), "Devices"),
        vector(
            "manifest",
            "a device twice",
            &manifest(0, false, &[device; 2], account, &[device; 2]),
            "Devices",
        ),
        vector(
            "manifest",
            "(R11) the first with a predecessor",
            &manifest(0, true, &one, account, &one),
            "Previous",
        ),
        vector(
            "manifest",
            "(R11) the second without one",
            &manifest(1, false, &one, account, &one),
            "Previous",
        ),
    ]
}

/// (R140)
fn of_runs() -> Vec<Value> {
    let one = [&[0, 0, 0, 48][..], &[7; 48]].concat();
    let run = |index: u16, count: u16, messages: &[Vec<u8>]| {
        let head = [&[1, 1][..], &[7; 12], &index.to_be_bytes(), &[7; 24], &count.to_be_bytes()].concat();
        [head, messages.concat(), vec![7; 64]].concat()
    };
    let good = run(7, 2, &[one.clone(), one.clone()]);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed.splice(at..at + bytes.len(), bytes.iter().copied());
        changed
    };
    vec![
        vector("run", "the form of one", &good, "ok"),
        vector("run", "version 2", &with(0, &[2]), "UnknownVersion"),
        vector("run", "the flags of a single message", &with(1, &[0]), "Malformed"),
        vector("run", "flags that are not used", &with(1, &[2]), "Malformed"),
        vector("run", "no message", &run(7, 0, &[]), "Malformed"),
        vector("run", "one message", &run(7, 1, std::slice::from_ref(&one)), "Malformed"),
        vector("run", "256 messages", &run(7, 256, &vec![one.clone(); 256]), "ok"),
        vector("run", "257 messages", &run(7, 257, &vec![one.clone(); 257]), "Malformed"),
        vector("run", "a last index of 65,535", &run(65_534, 2, &[one.clone(), one.clone()]), "ok"),
        vector("run", "a last index of 65,536", &run(65_535, 2, &[one.clone(), one.clone()]), "Malformed"),
        vector("run", "fewer messages than it says", &run(7, 3, &[one.clone(), one.clone()]), "Malformed"),
        vector("run", "more messages than it says", &run(7, 2, &vec![one.clone(); 3]), "Malformed"),
        vector("run", "a length beyond the end", &with(42, &[0xff; 4]), "Malformed"),
        vector("run", "a message shorter than its tag", &run(7, 2, &[one, vec![0, 0, 0, 1, 7]]), "Malformed"),
        vector("run", "one byte more", &[&good[..], &[0]].concat(), "Malformed"),
        vector("run", "one byte less", &good[..good.len() - 1], "Malformed"),
        vector("run", "no bytes", &[], "Empty"),
    ]
}

fn of_deliveries_and_messages() -> Vec<Value> {
    let wrap = [&[1, 0][..], &[7; 38]].concat();
    let message = [&[1, 0][..], &[7; 14 + 16 + 8 + 32 + 16 + 64]].concat();
    let with = |good: &[u8], at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        bytes
    };
    vec![
        vector("delivery", "a wrap", &wrap, "ok"),
        vector("delivery", "a short wrap", &wrap[..39], "Malformed"),
        vector("delivery", "a long wrap", &[&wrap[..], &[0]].concat(), "Malformed"),
        vector("delivery", "version 2", &with(&wrap, 0, 2), "UnknownVersion"),
        vector("delivery", "an unknown form", &with(&wrap, 1, 3), "Malformed"),
        vector("delivery", "no form", &[1], "Malformed"),
        vector("delivery", "no bytes: the device could not be reached", &[], "Missing"),
        vector("delivery", "an initial envelope without its array", &[1, 1, 1], "Malformed"),
        vector("delivery", "an initial envelope of another version", &[1, 1, 2, 0x85], "UnknownVersion"),
        vector(
            "delivery",
            "a continued envelope without its nonce",
            &[1, 2, 0, 0, 0, 0, 0, 0, 9],
            "Malformed",
        ),
        vector("message", "the form of one", &message, "ok"),
        vector("message", "version 2", &with(&message, 0, 2), "UnknownVersion"),
        vector("message", "the flags of a run", &with(&message, 1, 1), "Malformed"),
        vector("message", "flags that are not used", &with(&message, 1, 2), "Malformed"),
        vector("message", "shorter than its tag", &message[..119], "Malformed"),
        vector("message", "no bytes", &[], "Empty"),
    ]
}

#[test]
fn each_is_refused_as_expected() {
    let mut vectors: Vec<_> =
        examples().iter().flat_map(|(structure, good)| of_the_codec(structure, good)).collect();
    vectors.extend(of_manifests());
    vectors.extend(of_deliveries_and_messages());
    vectors.extend(of_runs());
    let comment = "Bytes and what becomes of them: ok, or the error's name. Form only, except for manifests, whose \
                   signatures are checked too.";
    let file = check("negative.json", comment, &json!(vectors));
    for vector in file.as_array().unwrap() {
        let structure = vector["structure"].as_str().unwrap();
        let found = outcome(structure, &bytes(&vector["bytes"]));
        assert_eq!(found, vector["expect"], "{structure}: {}", vector["why"]);
    }
}

/// Bounds are checked before anything else is looked at.
#[test]
fn oversized_structures_are_refused_by_their_size() {
    let limits = [
        ("manifest", 128 + 34 * 32 + 80 + 66 * 32),
        ("prekeys", 1380),
        ("certificate", 256 + 80),
        ("distribution", 1024 + 80),
        ("commit", (1 << 20) - 1024 + 128),
        ("message", (64 << 10) + 120),
        ("run", (256 << 10) + 256 * 20 + 106),
        ("client frame", 1 << 20),
        ("server frame", 1 << 20),
        ("roster leaf", 256),
    ];
    for (structure, limit) in limits {
        assert_eq!(outcome(structure, &vec![0xff; limit + 1]), "TooLarge", "{structure}");
        assert_eq!(outcome(structure, &vec![0xff; limit]), "UnknownVersion", "{structure}");
    }
}
