//! A whole log: a group founded, a member added who reads, sends and is removed.

use super::{bytes, check, hx};
use crate::support::{Log, Person, decode_fields};
use crate::wire::entry::{Entry, EntryKind};
use crate::wire::ids::{DeviceId, GroupId, Opaque, Seq, Timestamp};
use crate::wire::roster::Role;
use crate::{Device, Event, GroupState, Newcomer, RecordValue, Scope};
use serde_json::{Value, json};

const KINDS: [EntryKind; 3] = [EntryKind::Commit, EntryKind::Distribution, EntryKind::Message];

fn entries(log: &Log, reader: &DeviceId) -> Vec<Value> {
    (1..=log.head().0)
        .map(|seq| {
            let entry = log.entry(Seq(seq), reader);
            let kind = KINDS.iter().position(|kind| *kind == entry.kind);
            let delivery = entry.delivery.map(|delivery| hex::encode(delivery.0));
            json!({ "seq": seq, "kind": kind, "body": hx(entry.body.0), "delivery": delivery })
        })
        .collect()
}

fn private_keys(bob: &Person) -> Value {
    let identity = decode_fields(bob.record(Scope::Device, b"identity").as_bytes());
    let prekeys = bob.records(Scope::Device).into_iter().find(|(name, _)| name.starts_with(b"prekeys/"));
    let prekeys = decode_fields(prekeys.unwrap().1.as_bytes());
    json!({
        "account_seed": hx(&identity[0]),
        "device_seed": hx(&identity[1]),
        "agreement_private": hx(&prekeys[2]),
        "kem_seed": hx(&prekeys[3]),
    })
}

fn records(bob: &Person) -> Value {
    let record = |(name, value): (Vec<u8>, RecordValue)| {
        (hex::encode(name), Value::String(hex::encode(value.as_bytes())))
    };
    bob.records(Scope::Device).into_iter().map(record).collect::<serde_json::Map<_, _>>().into()
}

/// Alice founds, adds Bob and Carol; she and Bob write; Carol goes, they write again; then Bob goes.
fn told() -> Value {
    let (mut alice, mut bob, carol) =
        (Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3));
    let device = json!({ "private_keys": private_keys(&bob), "records": records(&bob) });
    let book = crate::support::book(&[&alice, &bob, &carol]);
    let mut log = alice.found();
    alice.send(&mut log, &book, b"before bob");
    let add = vec![bob.add_operation(Role::Member), carol.add_operation(Role::Admin)];
    alice.change(&mut log, &book, add);
    let joined = log.head();
    bob.join(&log, joined).unwrap();
    alice.send(&mut log, &book, b"hello bob");
    bob.send(&mut log, &book, b"hello alice");
    alice.change(&mut log, &book, vec![carol.remove_operation()]);
    alice.send(&mut log, &book, b"without carol");
    alice.send(&mut log, &book, &[0x5a; 300]);
    alice.change(&mut log, &book, vec![bob.remove_operation()]);
    bob.catch_up(&log);
    json!([{
        "now": bob.now.0,
        "group": hx(log.id().as_bytes()),
        "bob": device,
        "joined": joined.0,
        "note": hx(&bob.note),
        "log": entries(&log, &bob.device.id()),
        "reads": bob.read.iter().map(|message| json!({
            "id": hx(message.id.as_bytes()),
            "content": hx(&message.content),
            "from": hx(message.sender.device.as_bytes()),
        })).collect::<Vec<_>>(),
    }])
}

#[test]
fn a_log_that_a_second_implementation_can_read() {
    let comment = "A group's log as Bob gets it, his private keys, and what he must read. Kinds: 0 commit, \
                   1 distribution, 2 message. His own message and the distribution before it he finds unknown: \
                   they need his sender key, which is his program's own. `records` is the same device as this engine \
                   stores it.";
    let file = check("story.json", comment, &told());
    let story = &file[0];
    let stored = story["bob"]["records"].as_object().unwrap();
    let loaded =
        stored.iter().map(|(name, value)| (hex::decode(name).unwrap(), RecordValue::new(bytes(value))));
    let mut device = Device::load(loaded.collect()).unwrap();
    let group = GroupId::from_bytes(super::array(&story["group"]));
    let log: Vec<_> = story["log"].as_array().unwrap().iter().map(|value| parsed(group, value)).collect();
    let joined = usize::try_from(story["joined"].as_u64().unwrap()).unwrap();
    let now = Timestamp(story["now"].as_u64().unwrap());
    let mut walk = Newcomer::new(group);
    for entry in log[..joined].iter().filter(|entry| entry.kind == EntryKind::Commit) {
        walk.commit(&entry.body.0).unwrap();
    }
    let joined_group = walk.open(&mut device, &log[joined - 1], now).unwrap();
    assert_eq!(joined_group.note, bytes(&story["note"]));
    let (mut group, mut read) = (joined_group.group, Vec::new());
    for entry in &log[joined..] {
        match group.receive(&mut device, entry, now) {
            Ok(received) => {
                if let Event::Message(message) = received.event {
                    read.push(json!({
                        "id": hx(message.id.as_bytes()),
                        "content": hx(&message.content),
                        "from": hx(message.sender.device.as_bytes()),
                    }));
                }
            }
            // Bob's own entries: this device did not write them.
            Err(crate::ReceiveError::NotOurs) => drop(group.skip(entry).unwrap()),
            Err(error) => panic!("{}: {error}", entry.seq),
        }
    }
    assert_eq!(Value::Array(read), story["reads"]);
    assert_eq!(group.state(), GroupState::Removed);
}

fn parsed(group: GroupId, value: &Value) -> Entry {
    Entry {
        group,
        seq: Seq(value["seq"].as_u64().unwrap()),
        kind: KINDS[usize::try_from(value["kind"].as_u64().unwrap()).unwrap()],
        delivery: value["delivery"].as_str().map(|hex| Opaque(hex::decode(hex).unwrap())),
        body: Opaque(bytes(&value["body"])),
    }
}
