//! Stored records of every version that was ever released must go on loading, and what they hold must go on working.
//!
//! The files were written once, by the version in their path, and are never written again: records by scope and name,
//! and what came in the log after them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{DeviceId, GroupId, Opaque, Seq};
use conclave_engine::wire::roster::Role;
use conclave_engine::{Device, Event, Group, GroupState, Origin, RecordValue, Records, Scope};
use serde_json::{Value, json};
use std::path::PathBuf;
use support::{Log, Person, START, gather};

const KINDS: [EntryKind; 3] = [EntryKind::Commit, EntryKind::Distribution, EntryKind::Message];

fn path(version: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/compat").join(version).join("bob.json")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn records(value: &Value) -> Records {
    let record =
        |(name, value): (&String, &Value)| (hex::decode(name).unwrap(), RecordValue::new(bytes(value)));
    value.as_object().unwrap().iter().map(record).collect()
}

fn entry(group: GroupId, value: &Value) -> Entry {
    Entry {
        group,
        seq: Seq(value["seq"].as_u64().unwrap()),
        kind: KINDS[usize::try_from(value["kind"].as_u64().unwrap()).unwrap()],
        delivery: value["delivery"].as_str().map(|hex| Opaque(hex::decode(hex).unwrap())),
        body: Opaque(bytes(&value["body"])),
    }
}

/// Loads a version's device and group, and reads the rest of the log with them.
fn loads_and_goes_on(version: &str) {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path(version)).unwrap()).unwrap();
    let id = GroupId::from_bytes(bytes(&file["group"]).try_into().unwrap());
    let mut device = Device::load(records(&file["device_records"])).unwrap();
    let mut group = Group::load(id, records(&file["group_records"])).unwrap();
    assert_eq!(group.state(), GroupState::Active);
    assert!(group.staged(), "a commit of his own is under way");
    assert_eq!(group.cursor(), Seq(file["cursor"].as_u64().unwrap()));
    assert!(group.is_unconfirmed(&conclave_engine::MessageId::from_bytes(
        bytes(&file["unconfirmed"]).try_into().unwrap()
    )));
    let mut read = Vec::new();
    let mut own = 0;
    for value in file["log"].as_array().unwrap() {
        let received = group.receive(&mut device, &entry(id, value), START).unwrap();
        match received.event {
            Event::Message(message) => read.push(String::from_utf8(message.content).unwrap()),
            Event::Sent { .. } | Event::EpochChanged { origin: Origin::Ours, .. } => own += 1,
            Event::SenderKey { readable, .. } => assert!(readable),
            _ => {}
        }
    }
    assert_eq!(json!(read), file["reads"]);
    assert_eq!(own, 2, "his message and his commit");
    assert_eq!(json!(group.epoch().0), file["epoch"]);
    assert_eq!(group.state(), GroupState::Active);
}

#[test]
fn v1() {
    loads_and_goes_on("v1");
}

fn entries(log: &Log, from: Seq, reader: &DeviceId) -> Vec<Value> {
    (from.0 + 1..=log.head().0)
        .map(|seq| {
            let entry = log.entry(Seq(seq), reader);
            let kind = KINDS.iter().position(|kind| *kind == entry.kind);
            let delivery = entry.delivery.map(|delivery| hex::encode(delivery.0));
            json!({ "seq": seq, "kind": kind, "body": hex::encode(entry.body.0), "delivery": delivery })
        })
        .collect()
}

fn stored(person: &Person, scope: Scope) -> Value {
    let record = |(name, value): (Vec<u8>, RecordValue)| {
        (hex::encode(name), Value::String(hex::encode(value.as_bytes())))
    };
    person.records(scope).into_iter().map(record).collect::<serde_json::Map<_, _>>().into()
}

/// How the files of a version are made, once, before it is released: set `CONCLAVE_COMPAT` to a name that has none yet.
#[test]
fn write_a_new_version() {
    let Ok(version) = std::env::var("CONCLAVE_COMPAT") else { return };
    assert!(!path(&version).exists(), "files of a released version are never written again");
    let [mut alice, mut bob] = [Person::new("alice", 1), Person::new("bob", 2)];
    let [mut carol, dave, mut erin] =
        [Person::new("carol", 3), Person::new("dave", 4), Person::new("erin", 5)];
    let people = &mut [&mut alice, &mut erin, &mut bob, &mut carol];
    let (mut log, mut keys) = gather(people, &[Role::Member, Role::Owner, Role::Member]);
    keys.insert(&dave.device.prekeys().unwrap().encode()).unwrap();
    for person in [&mut alice, &mut bob, &mut carol] {
        person.send(&mut log, &keys, b"hello");
    }
    alice.change(&mut log, &keys, vec![erin.remove_operation()]);
    // Bob has a skipped key of Alice, whose message comes later; a message, a sender key and a commit of his own are
    // under way; and Erin has left a blank leaf, which Dave will take.
    let late = alice.seal(b"late").unwrap();
    alice.send(&mut log, &keys, b"early");
    for person in [&mut bob, &mut carol] {
        person.catch_up(&log);
    }
    let waiting = bob.seal(b"under way").unwrap();
    let key = bob.stage_key(&keys);
    let commit = bob.stage(vec![dave.add_operation(Role::Member)], &keys).unwrap();
    let read_before = bob.read.len();
    let (cursor, unconfirmed) = (log.head(), hex::encode(bob.last_id().as_bytes()));
    let (device, group) = (stored(&bob, Scope::Device), stored(&bob, Scope::Group(log.id())));
    // What comes after: everything that was under way.
    log.append(EntryKind::Message, late, std::collections::BTreeMap::new());
    log.post(&waiting).unwrap();
    carol.send(&mut log, &keys, b"still here");
    log.commit(&commit).unwrap();
    carol.send(&mut log, &keys, b"in the next epoch");
    let _ = key;
    bob.catch_up(&log);
    let reads: Vec<_> = bob.texts().split_off(read_before);
    let file = json!({
        "comment": "Bob's device and group as this version stored them, and the log after. Written once.",
        "group": hex::encode(log.id().as_bytes()),
        "cursor": cursor.0,
        "unconfirmed": unconfirmed,
        "device_records": device,
        "group_records": group,
        "log": entries(&log, cursor, &bob.device.id()),
        "reads": reads,
        "epoch": log.epoch().0,
    });
    std::fs::create_dir_all(path(&version).parent().unwrap()).unwrap();
    std::fs::write(path(&version), serde_json::to_string_pretty(&file).unwrap() + "\n").unwrap();
}
