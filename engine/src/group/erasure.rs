//! What is erased when: old secrets are not found in anything that is stored.

use super::state::Group;
use crate::kdf;
use crate::ratchet::Chain;
use crate::secret::Secret;
use crate::support::{Log, Person, gather};
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::ids::{DeviceId, MessageIndex};
use conclave_wire::roster::Role;

type Named = (&'static str, [u8; 32]);

/// Every secret of the epoch that a member holds.
fn secrets(group: &Group) -> Vec<Named> {
    let mut secrets: Vec<Named> = group.init.iter().map(|init| ("init", *init.as_bytes())).collect();
    if let Some(key) = &group.own.active {
        secrets.push(("own seed", *key.secrets.seed.as_bytes()));
        secrets.push(("own chain", *key.secrets.chain.key().as_bytes()));
    }
    for sender in group.senders.values() {
        if let Some(key) = &sender.key {
            secrets.push(("seed", *key.seed.as_bytes()));
            secrets.push(("chain", *key.chain.chain().key().as_bytes()));
        }
    }
    secrets
}

fn holds(person: &Person, secret: &[u8; 32]) -> bool {
    person.stored().values().any(|value| value.as_bytes().windows(32).any(|window| window == secret))
}

fn found(person: &Person, secrets: &[Named]) -> Vec<&'static str> {
    secrets.iter().filter(|(_, secret)| holds(person, secret)).map(|(name, _)| *name).collect()
}

/// Alice, Bob and Carol, all of whom write; Bob skips one message, so that a skipped key waits.
fn talking() -> (Log, crate::PrekeyBook, [Person; 3]) {
    let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
    let (mut log, keys) = {
        let [alice, bob, carol] = &mut people;
        gather(&mut [alice, bob, carol], &[Role::Member; 2])
    };
    for person in &mut people {
        person.send(&mut log, &keys, b"hello");
    }
    people[0].seal(b"never sent").unwrap();
    people[0].send(&mut log, &keys, b"after it");
    for person in &mut people {
        person.catch_up(&log);
    }
    (log, keys, people)
}

/// The secret of an epoch without a commit secret, as anyone who has the `init` before it computes it.
fn epoch_secret(init: &[u8; 32], log: &Log) -> [u8; 32] {
    let commit = UnverifiedCommit::decode(log.commits(log.head()).last().unwrap()).unwrap();
    let body_hash = commit.claimed().hash();
    *kdf::derive::<32>(&kdf::EPOCH, &[init, &[0], &body_hash]).as_bytes()
}

/// (R42) At a commit the old init, seeds, chains and skipped keys go, and the epoch secret is never stored.
#[test]
fn an_epoch_leaves_nothing_behind() {
    let (mut log, keys, mut people) = talking();
    let old: Vec<_> = people.iter_mut().map(|person| secrets(person.group())).collect();
    let mut skipped: Vec<Named> = people[1]
        .group()
        .senders
        .values()
        .filter_map(|sender| sender.key.as_ref())
        .flat_map(|key| (0..3).filter_map(|index| key.chain.peek(&kdf::CHAIN, MessageIndex(index), 9).ok()))
        .map(|advance| ("skipped key", *advance.key().0.as_bytes()))
        .collect();
    skipped.retain(|(_, key)| holds(&people[1], key));
    assert_eq!(skipped.len(), 1, "the harness finds what is there");
    for (person, old) in people.iter().zip(&old) {
        assert_eq!(found(person, old).len(), old.len(), "{}: the harness finds what is there", person.name);
    }
    let init = old[0][0].1;
    let dave = Person::new("dave", 4);
    people[0].change(&mut log, &keys, vec![dave.add_operation(Role::Member)]);
    for (person, old) in people.iter_mut().zip(&old) {
        person.catch_up(&log);
        assert_eq!(found(person, old), Vec::<&str>::new(), "{}", person.name);
        assert!(!holds(person, &epoch_secret(&init, &log)), "{}", person.name);
    }
    assert_eq!(found(&people[1], &skipped), Vec::<&str>::new());
}

/// A commit secret goes with the commit that used it, for its author and for everybody else.
#[test]
fn a_commit_secret_does_not_outlive_its_commit() {
    let (mut log, keys, mut people) = talking();
    let old: Vec<_> = people.iter_mut().map(|person| secrets(person.group())).collect();
    let remove = vec![people[2].remove_operation()];
    let upload = people[0].stage(remove, &keys).unwrap();
    let secret = *people[0].group().staged.as_ref().unwrap().secret.as_ref().unwrap().as_bytes();
    assert!(holds(&people[0], &secret), "staged, it survives a crash");
    log.commit(&upload).unwrap();
    for (person, old) in people.iter_mut().zip(&old) {
        person.catch_up(&log);
        assert!(!holds(person, &secret), "{}", person.name);
        assert_eq!(found(person, old), Vec::<&str>::new(), "{}", person.name);
    }
}

/// (R44) Who was removed keeps no secret of the group at all, the signing key of their sender key included.
#[test]
fn a_removed_member_keeps_nothing() {
    let (mut log, keys, mut people) = talking();
    let mut old = secrets(people[2].group());
    let key = people[2].group().own.active.as_ref().unwrap();
    old.push(("signing key", key.signing.to_bytes()));
    assert_eq!(found(&people[2], &old).len(), old.len());
    let remove = vec![people[2].remove_operation()];
    people[0].change(&mut log, &keys, remove);
    people[2].catch_up(&log);
    assert_eq!(found(&people[2], &old), Vec::<&str>::new());
    assert_eq!(secrets(people[2].group()), []);
    let names: Vec<_> =
        people[2].records(crate::Scope::Group(log.id())).into_iter().map(|(name, _)| name).collect();
    assert!(
        !names.iter().any(|name| {
            [&b"sender/"[..], b"secrets/", b"chain/", b"peer/", b"outgoing/"]
                .iter()
                .any(|of| name.starts_with(of))
        }),
        "{names:?}"
    );
    // The others drop the removed one's keys.
    let device = people[2].device.id();
    people[1].catch_up(&log);
    assert!(!people[1].group().senders.contains_key(&device));
    assert!(
        !people[1]
            .stored()
            .keys()
            .any(|key| key.name.starts_with(b"chain/") && key.name.ends_with(device.as_bytes()))
    );
}

/// A message's key and the chain before it are gone for the sender once sealed, for readers once read.
#[test]
fn a_message_leaves_no_key_behind() {
    let (mut log, keys, mut people) = talking();
    let alice = people[0].device.id();
    let chain = |person: &mut Person| {
        let key = person.group().senders[&alice].key.as_ref().unwrap();
        *key.chain.chain().key().as_bytes()
    };
    let before = chain(&mut people[1]);
    let (message_key, _) = Chain::new(Secret::from_bytes(before), MessageIndex(0)).peek(&kdf::CHAIN).unwrap();
    assert!(holds(&people[0], &before) && holds(&people[1], &before));
    people[0].send(&mut log, &keys, b"one more");
    people[1].catch_up(&log);
    for person in &people[..2] {
        assert!(!holds(person, &before), "{}", person.name);
        assert!(!holds(person, message_key.0.as_bytes()), "{}", person.name);
    }
}

/// A rotated sender key takes the old generation's secrets with it.
#[test]
fn a_rotation_leaves_nothing_of_the_old_generation() {
    let (mut log, keys, mut people) = talking();
    let key = people[0].group().own.active.as_ref().unwrap();
    let old = [
        ("own seed", *key.secrets.seed.as_bytes()),
        ("own chain", *key.secrets.chain.key().as_bytes()),
        ("signing key", key.signing.to_bytes()),
    ];
    assert_eq!(found(&people[0], &old).len(), 3);
    let upload = people[0].stage_key(&keys);
    log.distribute(&people[0].device.id(), &upload).unwrap();
    for person in &mut people {
        person.catch_up(&log);
        assert_eq!(found(person, &old), Vec::<&str>::new(), "{}", person.name);
    }
}

/// Every key in a person's pairwise chains, with one peer or with all.
fn chains(person: &Person, peer: Option<&DeviceId>) -> Vec<Named> {
    let pairwise = &person.group.as_ref().unwrap().pairwise;
    let secrets = peer.map_or_else(|| pairwise.secrets(), |peer| pairwise.secrets_of(peer));
    secrets.into_iter().map(|secret| ("pairwise chain", secret)).collect()
}

/// (R48) (R106) A heal takes with it, at the healed device, its sender key, its chains in both directions and its old
/// prekeys; at the others, their chains to and from it, and no more.
#[test]
fn a_heal_leaves_nothing_of_before() {
    let (mut log, mut keys, mut people) = talking();
    let bob = people[1].device.id();
    let key = people[1].group().own.active.as_ref().unwrap();
    let mut gone = vec![("signing key", key.signing.to_bytes())];
    gone.extend(secrets(people[1].group()));
    let prekeys = people[1].records(crate::Scope::Device);
    let prekeys = prekeys.iter().find(|(name, _)| name.starts_with(b"prekeys/")).unwrap().1.as_bytes();
    let agreement = crate::support::decode_fields(prekeys)[2].as_slice().try_into().unwrap();
    gone.push(("agreement key", agreement));
    gone.extend(chains(&people[1], None));
    assert!(gone.iter().any(|(name, _)| *name == "pairwise chain"), "the harness finds what is there");
    assert_eq!(found(&people[1], &gone).len(), gone.len());
    let at_others = [0, 2].map(|other: usize| chains(&people[other], Some(&bob)));
    let between = chains(&people[0], Some(&people[2].device.id()));
    assert!(at_others.iter().all(|chains| !chains.is_empty()) && !between.is_empty());
    people[1].heal(&mut log, &mut keys);
    for person in &mut people {
        person.catch_up(&log);
        assert_eq!(person.refused, []);
        assert!(person.group().senders.get(&bob).is_none_or(|sender| sender.key.is_none()));
    }
    assert_eq!(found(&people[1], &gone), Vec::<&str>::new());
    for (other, old) in [0, 2].into_iter().zip(&at_others) {
        assert_eq!(found(&people[other], old), Vec::<&str>::new());
        assert!(
            people[other].group().senders.values().any(|sender| sender.key.is_some()),
            "the third's key stays"
        );
    }
    assert_eq!(found(&people[0], &between).len(), between.len(), "chains among the others stay");
}

/// (R49) A reset takes every sender key and every pairwise chain of the group, at everybody.
#[test]
fn a_reset_leaves_nothing_of_before() {
    let (mut log, keys, mut people) = talking();
    let gone = |person: &mut Person| {
        let key = person.group().own.active.as_ref().unwrap();
        let mut gone = vec![("signing key", key.signing.to_bytes())];
        gone.extend(secrets(person.group()));
        gone.extend(chains(person, None));
        gone
    };
    let gone: Vec<Vec<Named>> = people.iter_mut().map(gone).collect();
    people[0].reset(&mut log, &keys, vec![]);
    for (person, gone) in people.iter_mut().zip(&gone) {
        person.catch_up(&log);
        assert_eq!(person.refused, []);
        assert_eq!(found(person, gone), Vec::<&str>::new(), "{}", person.name);
        let group = person.group();
        assert!(group.own.active.is_none() && group.senders.values().all(|sender| sender.key.is_none()));
        assert!(group.init.is_some());
    }
}
