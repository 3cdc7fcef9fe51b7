//! Roster leaves, their tree and its hash.

use super::second::{self, cbor, hash, public};
use super::{array, bytes, check, hx, seed};
use conclave_wire::codec;
use conclave_wire::ids::{
    AccountId, DeviceKey, Epoch, LeafIndex, ManifestHash, ManifestVersion, PrekeysHash, RosterHash, Timestamp,
};
use conclave_wire::roster::{Leaf, PinnedPrekeys, Role, Roster};
use serde_json::{Value, json};

const ROLES: [Role; 3] = [Role::Member, Role::Admin, Role::Owner];

/// A leaf in JSON, and its bytes.
fn leaf(number: u64) -> (Value, Vec<u8>) {
    let account = public(&seed(&format!("account {number}")));
    let device = public(&seed(&format!("device {number}")));
    let (manifest, prekeys) = (seed(&format!("manifest {number}")), seed(&format!("prekeys {number}")));
    let (role, since, version) = (number % 3, number * 100, number);
    let pinned = number == 3;
    let encoded = cbor::structure(&[
        cbor::bstr(account),
        cbor::uint(role),
        if pinned { cbor::array(&[cbor::bstr(prekeys), cbor::uint(77)]) } else { cbor::null() },
        cbor::bstr(manifest),
        cbor::uint(version),
        cbor::bstr(device),
        cbor::uint(since),
    ]);
    let value = json!({
        "account": hx(account),
        "role": role,
        "pinned": pinned.then(|| json!({ "prekeys": hx(prekeys), "time": 77 })),
        "manifest": hx(manifest),
        "manifest_version": version,
        "device_key": hx(device),
        "since": since,
        "leaf": hx(&encoded),
        "leaf_hash": hx(hash("roster leaf", &[&encoded])),
    });
    (value, encoded)
}

/// A roster in which these leaves are taken, of so many.
fn roster(taken: &[u64], count: u64) -> Value {
    let leaves: Vec<_> = (0..count).map(|i| taken.contains(&i).then(|| leaf(i))).collect();
    let encoded: Vec<_> = leaves.iter().map(|leaf| leaf.as_ref().map(|(_, bytes)| bytes.clone())).collect();
    let hashes: Vec<_> = encoded
        .iter()
        .map(|leaf| leaf.as_ref().map_or([0; 32], |leaf| hash("roster leaf", &[leaf])))
        .collect();
    json!({
        "leaves": leaves.iter().map(|leaf| leaf.as_ref().map(|(value, _)| value)).collect::<Vec<_>>(),
        "leaf_count": count,
        "top": hx(second::merkle("roster node", &hashes)),
        "roster_hash": hx(second::roster_hash(&encoded)),
    })
}

fn parsed(value: &Value) -> Leaf {
    let pinned = Some(&value["pinned"]).filter(|pinned| !pinned.is_null());
    let number = |name: &str| value[name].as_u64().unwrap();
    Leaf {
        account: AccountId::from_bytes(array(&value["account"])),
        role: ROLES[usize::try_from(number("role")).unwrap()],
        pinned: pinned.map(|pinned| PinnedPrekeys {
            hash: PrekeysHash::from_bytes(array(&pinned["prekeys"])),
            time: Timestamp(pinned["time"].as_u64().unwrap()),
        }),
        manifest: ManifestHash::from_bytes(array(&value["manifest"])),
        manifest_version: ManifestVersion(number("manifest_version")),
        device: DeviceKey::from_bytes(array(&value["device_key"])),
        since: Epoch(u32::try_from(number("since")).unwrap()),
    }
}

#[test]
fn rosters() {
    let vectors = json!([
        roster(&[0], 1),
        roster(&[0, 1], 2),
        roster(&[0, 1, 2], 3),
        roster(&[0, 2, 3], 4),
        roster(&[0, 1, 3, 4], 5),
        roster(&[0], 5),
    ]);
    let comment =
        "Rosters, null where a leaf is blank; a blank's hash is 32 zero bytes, and blanks stay counted.";
    for vector in check("roster.json", comment, &vectors).as_array().unwrap() {
        let leaves = vector["leaves"].as_array().unwrap();
        let mut present = Vec::new();
        for (index, value) in (0..).map(LeafIndex).zip(leaves).filter(|(_, value)| !value.is_null()) {
            let leaf = parsed(value);
            assert_eq!(codec::encode(&leaf), bytes(&value["leaf"]));
            assert_eq!(codec::decode::<Leaf>(&bytes(&value["leaf"])), Ok(leaf.clone()));
            present.push((index, leaf));
        }
        let expected = RosterHash::from_bytes(array(&vector["roster_hash"]));
        assert_eq!(Roster::from_leaves(leaves.len(), present.clone()).hash(), expected);
        // The same leaf by leaf, each step on the tree of the one before, and each leaf blank at first.
        let mut grown = Roster::default();
        let blanks = (0..).map(LeafIndex).take(leaves.len()).map(|index| (index, None)).collect();
        grown.advance(grown.step(blanks));
        for (index, leaf) in present {
            grown.advance(grown.step(vec![(index, Some(leaf))]));
        }
        assert_eq!(grown.hash(), expected);
    }
}
