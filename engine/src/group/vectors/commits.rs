//! Commits in a row, one for each operation, with the epoch secrets that each begins.

use crate::group::epoch::{EpochSecrets, confirmation};
use crate::secret::Secret;
use crate::vectors::second::{self, cbor, hash, kdf, member, public, sign};
use crate::vectors::{array, bytes, check, hx, seed};
use conclave_wire::commit::{Commit, CommitBody, Operation, UnverifiedCommit};
use conclave_wire::ids::{
    AccountId, CommitHash, Commitment, Confirmation, DeviceId, Epoch, GroupId, Opaque, PrekeysHash,
    RosterHash, Seq, Timestamp,
};
use conclave_wire::public_group::PublicGroup;
use conclave_wire::roster::Role;
use conclave_wire::signature::SigningKey;
use serde_json::{Value, json};

const TIME: u64 = 1_750_000_000_000;
const ROLES: [Role; 3] = [Role::Member, Role::Admin, Role::Owner];

fn account(name: &str) -> [u8; 32] {
    public(&seed(&format!("{name} account")))
}

fn device(name: &str) -> [u8; 32] {
    hash("device id", &[&public(&seed(&format!("{name} device")))])
}

/// A manifest of these devices: its bytes and hash.
fn sign_manifest(
    name: &str,
    version: u64,
    previous: Option<[u8; 32]>,
    devices: &[&str],
) -> (Vec<u8>, [u8; 32]) {
    let keys: Vec<_> = devices.iter().map(|device| seed(&format!("{device} device"))).collect();
    let listed: Vec<_> = keys.iter().map(|key| cbor::bstr(public(key))).collect();
    let body = cbor::structure(&[
        cbor::bstr(account(name)),
        cbor::uint(version),
        cbor::uint(TIME + version),
        previous.map_or(cbor::null(), cbor::bstr),
        cbor::array(&listed),
    ]);
    let digest = hash("manifest", &[&body]);
    let by_account = sign(&seed(&format!("{name} account")), "manifest", &digest);
    let by_devices: Vec<_> = keys.iter().map(|key| cbor::bstr(member(&account(name), key))).collect();
    let manifest = cbor::structure(&[cbor::bstr(&body), cbor::bstr(by_account), cbor::array(&by_devices)]);
    (manifest, digest)
}

/// A first manifest with one device.
fn manifest(name: &str) -> (Vec<u8>, [u8; 32]) {
    sign_manifest(name, 0, None, &[name])
}

/// Carol's second manifest: she has a tablet.
fn with_tablet() -> (Vec<u8>, [u8; 32]) {
    sign_manifest("carol", 1, Some(manifest("carol").1), &["carol", "carol's tablet"])
}

fn leaf(name: &str, role: u64, since: u64) -> Option<Vec<u8>> {
    leaf_with((name, name), role, since, None, (manifest(name).1, 0))
}

/// A leaf of a device of an account, pinned or not, under a manifest of a version.
fn leaf_with(
    (name, device): (&str, &str),
    role: u64,
    since: u64,
    pinned: Option<([u8; 32], u64)>,
    (manifest, version): ([u8; 32], u64),
) -> Option<Vec<u8>> {
    let pin = |(prekeys, time): ([u8; 32], u64)| cbor::array(&[cbor::bstr(prekeys), cbor::uint(time)]);
    Some(cbor::structure(&[
        cbor::bstr(account(name)),
        cbor::uint(role),
        pinned.map_or(cbor::null(), pin),
        cbor::bstr(manifest),
        cbor::uint(version),
        cbor::bstr(public(&seed(&format!("{device} device")))),
        cbor::uint(since),
    ]))
}

/// An operation: JSON and CBOR.
fn add(name: &str, role: u64) -> (Value, Vec<u8>) {
    let manifest = manifest(name).0;
    let value = json!({ "add": { "role": role, "manifest": hx(&manifest) } });
    (value, cbor::variant(0, &[cbor::uint(role), cbor::bstr(manifest)]))
}

fn remove(name: &str) -> (Value, Vec<u8>) {
    (json!({ "remove": { "account": hx(account(name)) } }), cbor::variant(1, &[cbor::bstr(account(name))]))
}

fn set_role(name: &str, role: u64) -> (Value, Vec<u8>) {
    let value = json!({ "set_role": { "account": hx(account(name)), "role": role } });
    (value, cbor::variant(2, &[cbor::bstr(account(name)), cbor::uint(role)]))
}

fn update_devices(manifest: &[u8]) -> (Value, Vec<u8>) {
    let value = json!({ "update_devices": { "manifests": [hx(manifest)] } });
    (value, cbor::variant(3, &[cbor::array(&[cbor::bstr(manifest)])]))
}

fn heal(prekeys: [u8; 32], time: u64) -> (Value, Vec<u8>) {
    let value = json!({ "heal": { "prekeys": hx(prekeys), "time": time } });
    (value, cbor::variant(4, &[cbor::bstr(prekeys), cbor::uint(time)]))
}

fn reset() -> (Value, Vec<u8>) {
    (json!({ "reset": {} }), cbor::variant(5, &[]))
}

/// A request by the account's device of the same name.
fn leave(group: [u8; 32], name: &str, since: u64, time: u64) -> (Value, Vec<u8>) {
    let body = cbor::structure(&[
        cbor::bstr(group),
        cbor::bstr(account(name)),
        cbor::bstr(device(name)),
        cbor::uint(since),
        cbor::uint(time),
    ]);
    let digest = hash("leave request", &[&body]);
    let request = cbor::signed(&body, &sign(&seed(&format!("{name} device")), "leave request", &digest));
    let value = json!({ "leave": { "request": hx(&request), "body": hx(&body), "digest": hx(digest) } });
    (value, cbor::variant(6, &[cbor::bstr(request)]))
}

/// What differs from commit to commit.
struct Draft {
    name: &'static str,
    operations: Vec<(Value, Vec<u8>)>,
    leaves: Vec<Option<Vec<u8>>>,
    secret: Option<[u8; 32]>,
    unreachable: Vec<[u8; 32]>,
}

/// What carries over from commit to commit.
struct State {
    group: [u8; 32],
    previous: [u8; 32],
    init: Vec<u8>,
    epoch: u64,
}

impl State {
    fn commit(&mut self, draft: Draft) -> Value {
        let author = seed("alice device");
        let (values, operations): (Vec<_>, Vec<_>) = draft.operations.into_iter().unzip();
        let commitment = draft.secret.map(|secret| hash("commit secret commitment", &[&secret]));
        let roster = second::roster_hash(&draft.leaves);
        let unreachable: Vec<_> = draft.unreachable.iter().map(cbor::bstr).collect();
        let last_distribution = self.epoch * 5;
        let time = TIME + self.epoch;
        let body = cbor::structure(&[
            cbor::bstr(self.group),
            cbor::uint(self.epoch),
            cbor::bstr(self.previous),
            cbor::uint(last_distribution),
            cbor::bstr(device("alice")),
            commitment.map_or(cbor::null(), cbor::bstr),
            cbor::array(&operations),
            cbor::bstr(roster),
            cbor::array(&unreachable),
            cbor::uint(time),
        ]);
        let body_hash = hash("commit body", &[&body]);
        if values.iter().any(|operation| operation.get("reset").is_some()) {
            self.init = vec![0; 32];
        }
        let flag = u8::from(draft.secret.is_some());
        let secret = draft.secret.map_or(Vec::new(), Vec::from);
        let es = kdf("epoch", &[&self.init, &[flag], &secret, &body_hash], 32);
        let next_init = kdf("init", &[&es], 32);
        let confirmation = hash("confirm", &[&next_init]);
        let commit_hash = hash("commit", &[&body_hash, &confirmation]);
        let signature = sign(&author, "commit", &commit_hash);
        let sender_seed = seed("a sender key's seed");
        let stepped = kdf("sender", &[&sender_seed, &es], 64);
        let value = json!({
            "name": draft.name,
            "group": hx(self.group),
            "epoch": self.epoch,
            "previous": hx(self.previous),
            "last_distribution": last_distribution,
            "author_seed": hx(author),
            "author": hx(device("alice")),
            "commit_secret": draft.secret.map(hex::encode),
            "commitment": commitment.map(hex::encode),
            "operations": values,
            "roster": hx(roster),
            "unreachable": draft.unreachable.iter().map(hex::encode).collect::<Vec<_>>(),
            "time": time,
            "body": hx(&body),
            "body_hash": hx(body_hash),
            "init": hx(&self.init),
            "flag": flag,
            "epoch_secret": hx(&es),
            "next_init": hx(&next_init),
            "confirmation": hx(confirmation),
            "commit_hash": hx(commit_hash),
            "signature": hx(signature),
            "commit": hx(cbor::structure(&[cbor::bstr(&body), cbor::bstr(confirmation), cbor::bstr(signature)])),
            "sender_step": {
                "seed": hx(sender_seed),
                "next_chain_key": hx(&stepped[..32]),
                "next_seed": hx(&stepped[32..]),
            },
        });
        if self.epoch == 0 {
            self.group = commit_hash;
        }
        (self.previous, self.init, self.epoch) = (commit_hash, next_init, self.epoch + 1);
        value
    }
}

fn computed() -> Value {
    let mut state = State { group: seed("group nonce"), previous: [0; 32], init: vec![0; 32], epoch: 0 };
    let plain =
        |name, operations, leaves| Draft { name, operations, leaves, secret: None, unreachable: vec![] };
    let alice = leaf("alice", 2, 0);
    let pin = (seed("alice's new prekeys"), TIME + 5);
    let healed = leaf_with(("alice", "alice"), 2, 5, Some(pin), (manifest("alice").1, 0));
    let recorded = (with_tablet().1, 1);
    let carol = leaf_with(("carol", "carol"), 2, 1, None, recorded);
    let tablet = leaf_with(("carol", "carol's tablet"), 2, 4, None, recorded);
    let secret = |name| Some(seed(name));
    let mut commits = vec![
        state.commit(Draft {
            secret: Some(seed("first commit secret")),
            ..plain("genesis", vec![add("alice", 2)], vec![alice.clone()])
        }),
        state.commit(plain(
            "add bob as member and carol as admin",
            vec![add("bob", 0), add("carol", 1)],
            vec![alice.clone(), leaf("bob", 0, 1), leaf("carol", 1, 1)],
        )),
        state.commit(plain(
            "make carol an owner",
            vec![set_role("carol", 2)],
            vec![alice.clone(), leaf("bob", 0, 1), leaf("carol", 2, 1)],
        )),
        state.commit(Draft {
            secret: Some(seed("second commit secret")),
            unreachable: vec![device("carol")],
            ..plain(
                "remove bob, carol unreachable",
                vec![remove("bob")],
                vec![alice.clone(), None, leaf("carol", 2, 1)],
            )
        }),
        state.commit(Draft {
            secret: secret("third commit secret"),
            ..plain(
                "update carol's devices: her tablet comes, onto the blank leaf",
                vec![update_devices(&with_tablet().0)],
                vec![alice, tablet.clone(), carol.clone()],
            )
        }),
        state.commit(Draft {
            secret: secret("fourth commit secret"),
            ..plain(
                "alice heals",
                vec![heal(pin.0, pin.1)],
                vec![healed.clone(), tablet.clone(), carol.clone()],
            )
        }),
        state.commit(Draft {
            secret: secret("fifth commit secret"),
            ..plain("reset: init is zeros", vec![reset()], vec![healed.clone(), tablet, carol])
        }),
    ];
    let leaves = plain(
        "carol leaves, with her tablet",
        vec![leave(state.group, "carol", 1, TIME + 7)],
        vec![healed, None, None],
    );
    commits.push(state.commit(Draft { secret: secret("sixth commit secret"), ..leaves }));
    Value::Array(commits)
}

fn operation(value: &Value) -> Operation {
    let role = |value: &Value| ROLES[usize::try_from(value.as_u64().unwrap()).unwrap()];
    let account = |value: &Value| AccountId::from_bytes(array(value));
    if let Some(add) = value.get("add") {
        Operation::Add { role: role(&add["role"]), manifest: Opaque(bytes(&add["manifest"])) }
    } else if let Some(remove) = value.get("remove") {
        Operation::Remove { account: account(&remove["account"]) }
    } else if let Some(update) = value.get("update_devices") {
        let manifests = update["manifests"].as_array().unwrap();
        Operation::UpdateDevices { manifests: manifests.iter().map(|m| Opaque(bytes(m))).collect() }
    } else if let Some(heal) = value.get("heal") {
        let time = Timestamp(heal["time"].as_u64().unwrap());
        Operation::Heal { prekeys: PrekeysHash::from_bytes(array(&heal["prekeys"])), time }
    } else if value.get("reset").is_some() {
        Operation::Reset
    } else if let Some(leave) = value.get("leave") {
        Operation::Leave { request: Opaque(bytes(&leave["request"])) }
    } else {
        let set = &value["set_role"];
        Operation::SetRole { account: account(&set["account"]), role: role(&set["role"]) }
    }
}

fn body(value: &Value) -> CommitBody {
    let number = |name: &str| value[name].as_u64().unwrap();
    let list = |name: &str| value[name].as_array().unwrap().clone();
    let commitment = Some(&value["commitment"]).filter(|commitment| !commitment.is_null());
    CommitBody {
        group: GroupId::from_bytes(array(&value["group"])),
        epoch: Epoch(u32::try_from(number("epoch")).unwrap()),
        previous: CommitHash::from_bytes(array(&value["previous"])),
        last_distribution: Seq(number("last_distribution")),
        author: DeviceId::from_bytes(array(&value["author"])),
        commitment: commitment.map(|commitment| Commitment::from_bytes(array(commitment))),
        operations: list("operations").iter().map(operation).collect(),
        roster: RosterHash::from_bytes(array(&value["roster"])),
        unreachable: list("unreachable").iter().map(|id| DeviceId::from_bytes(array(id))).collect(),
        time: Timestamp(number("time")),
    }
}

/// (R41) The epoch secret is of the commit's body; (R1) each value under its own context.
#[test]
fn commits_and_the_epochs_that_they_begin() {
    let comment = "A group's first commits, with each operation once: body, hash, epoch secrets, confirmation, signature, bytes; and how \
                   one sender key's seed steps into each epoch. A role is 0 member, 1 admin, 2 owner. `init` is what the epoch derives from: zeros for \
                   the genesis and for a reset.";
    let file = check("commits.json", comment, &computed());
    let mut group: Option<PublicGroup> = None;
    for vector in file.as_array().unwrap() {
        let name = &vector["name"];
        let decoded = UnverifiedCommit::decode(&bytes(&vector["commit"])).unwrap();
        assert_eq!(decoded.claimed(), &body(vector), "{name}");
        assert_eq!(decoded.hash(), CommitHash::from_bytes(array(&vector["commit_hash"])));
        // Everybody accepts it on top of the one before.
        let step = match &mut group {
            None => {
                let (new, step) = PublicGroup::from_genesis(decoded).unwrap();
                group = Some(new);
                step
            }
            Some(group) => {
                let step = group.check(decoded).unwrap();
                group.advance(step.clone());
                step
            }
        };
        assert_eq!(group.as_ref().unwrap().roster().hash(), RosterHash::from_bytes(array(&vector["roster"])));
        assert_eq!(step.commit().body_hash(), &array(&vector["body_hash"]));
        // The engine's key schedule.
        let init = Secret::from_bytes(array(&vector["init"]));
        let secret = Some(&vector["commit_secret"]).filter(|secret| !secret.is_null());
        let secret: Option<Secret<32>> = secret.map(|secret| Secret::from_bytes(array(secret)));
        let secrets = EpochSecrets::derive(&init, secret.as_ref(), step.commit().body_hash());
        assert_eq!(secrets.init.as_bytes(), &array(&vector["next_init"]));
        assert_eq!(secrets.confirmation, Confirmation::from_bytes(array(&vector["confirmation"])));
        assert_eq!(confirmation(&secrets.init), secrets.confirmation);
        let stepped = secrets.step(&Secret::from_bytes(array(&vector["sender_step"]["seed"])));
        assert_eq!(stepped.chain.key().as_bytes(), &array(&vector["sender_step"]["next_chain_key"]));
        assert_eq!(stepped.seed.as_bytes(), &array(&vector["sender_step"]["next_seed"]));
        // The engine's bytes.
        let author = SigningKey::from_bytes(&array(&vector["author_seed"]));
        let again = Commit::sign(body(vector), secrets.confirmation, &author);
        assert_eq!(again.encode(), bytes(&vector["commit"]), "{name}");
    }
}
