//! What one call writes in a group with many senders and peers: records and bytes, counted.

use super::GroupState;
use super::epoch::SeedAndChain;
use super::sender_key::{OwnKey, PeerKey, PeerSender};
use super::state::Group;
use crate::addressee::Addressee;
use crate::envelope::{CommittedSecret, EnvelopeContext, Purpose};
use crate::limits::SLOTS_PER_PAGE;
use crate::pairwise::{Dispatch, Upload};
use crate::prekeys::{PrekeyBook, Reach};
use crate::record::{Changes, Records, Scope};
use crate::support::{Log, Person, START, SeedRng, gather};
use conclave_wire::certificate::CertificateBody;
use conclave_wire::ids::{AccountId, DeviceId, DeviceKey, Epoch, Generation};
use conclave_wire::roster::Role;
use conclave_wire::signature::SigningKey;
use std::collections::BTreeMap;

const MANY: usize = 1000;
const PAGES: usize = MANY.div_ceil(SLOTS_PER_PAGE as usize);

fn device_key(n: usize) -> SigningKey {
    SigningKey::from_bytes(&blake3::derive_key("conclave test many devices", &n.to_be_bytes()))
}

fn device(n: usize) -> DeviceId {
    DeviceKey::from_bytes(device_key(n).verifying_key().to_bytes()).id()
}

/// Gives a group sender keys of others, who are not in it.
pub(super) fn add_senders(group: &mut Group, others: usize, rng: &mut SeedRng) {
    for n in 1..=others {
        let (group_id, head, epoch) = (group.id(), group.public.head(), group.epoch());
        let key = OwnKey::generate(&device_key(n), rng, |signing_key, commitment| CertificateBody {
            group: group_id,
            device: device(n),
            generation: Generation(0),
            time: START,
            start_epoch: epoch,
            head,
            signing_key,
            commitment,
            first_link: true,
        });
        let SeedAndChain { seed, chain } = key.secrets;
        let key = PeerKey::new(key.certificate, SeedAndChain { seed, chain }).unwrap();
        let sender = PeerSender { link: Some([7; 16]), ..PeerSender::from_member(Epoch(1), key) };
        group.senders.insert(device(n), sender);
    }
}

/// Alice knows a sender key of Bob, and of 999 others.
fn large_group() -> (Log, PrekeyBook, Person, Person) {
    let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let (mut log, keys) = gather(&mut [&mut alice, &mut bob], &[Role::Member]);
    bob.send(&mut log, &keys, b"hello");
    alice.catch_up(&log);
    alice.send(&mut log, &keys, b"hello");
    bob.catch_up(&log);
    add_senders(alice.group(), MANY - 1, &mut SeedRng::new(9));
    let mut changes = Changes::default();
    alice.group().put_all(&mut changes);
    alice.save(changes);
    (log, keys, alice, bob)
}

/// Records that a call writes or deletes, by the first part of their name, and the bytes written.
#[derive(Debug)]
struct Written {
    records: BTreeMap<String, usize>,
    bytes: usize,
}

impl Written {
    fn of(changes: &Changes) -> Self {
        let last: BTreeMap<_, _> = changes.0.iter().map(|change| (&change.key.name, &change.value)).collect();
        let mut records = BTreeMap::new();
        for name in last.keys() {
            let kind = name.split(|byte| *byte == b'/').next().unwrap();
            *records.entry(String::from_utf8(kind.to_vec()).unwrap()).or_default() += 1;
        }
        let bytes =
            last.values().filter_map(|value| value.as_ref()).map(|value| value.as_bytes().len()).sum();
        Self { records, bytes }
    }

    fn count(&self, kind: &str) -> usize {
        self.records.get(kind).copied().unwrap_or_default()
    }

    fn all(&self) -> usize {
        self.records.values().sum()
    }
}

fn receive(person: &mut Person, log: &Log) -> Written {
    let next = person.group().cursor().next().unwrap();
    let entry = log.entry(next, &person.device.id());
    let (group, now) = (person.group.as_mut().unwrap(), person.now);
    let received = group.receive(&mut person.device, &entry, now).unwrap();
    let written = Written::of(&received.changes);
    person.save(received.changes);
    written
}

/// (R91) A commit writes pages, the first message of a sender one page, the next ones a small record.
#[test]
fn a_group_of_a_thousand_senders() {
    let (mut log, keys, mut alice, mut bob) = large_group();
    let carol = Person::new("carol", 3);
    bob.send(&mut log, &keys, b"second in the epoch");
    let message = receive(&mut alice, &log);
    assert_eq!((message.count("chain"), message.count("cursor"), message.all()), (1, 1, 2), "{message:?}");

    alice.change(&mut log, &keys, vec![carol.add_operation(Role::Member)]);
    let kinds = |written: &Written, kind: &str| (written.count(kind), written.all());
    // The same on a member that only reads: a second device in her place.
    let mut reader = alice.copy();
    bob.catch_up(&log);
    bob.send(&mut log, &keys, b"first in the epoch");
    let first = receive(&mut reader, &log);
    assert_eq!(kinds(&first, "secrets"), (1, 3), "a page, a chain, the cursor: {first:?}");
    bob.send(&mut log, &keys, b"second in the epoch");
    let second = receive(&mut reader, &log);
    assert_eq!(kinds(&second, "chain"), (1, 2), "{second:?}");
    let key = bob.stage_key(&keys);
    log.distribute(&bob.device.id(), &key).unwrap();
    bob.catch_up(&log);
    let distribution = receive(&mut reader, &log);
    assert_eq!(distribution.count("secrets"), 1, "{distribution:?}");
    assert!(distribution.all() <= 6, "{distribution:?}");

    bob.send(&mut log, &keys, b"under the new key");
    receive(&mut reader, &log);
    let operation =
        conclave_wire::commit::Operation::SetRole { account: carol.device.account(), role: Role::Admin };
    alice.change(&mut log, &keys, vec![operation]);
    let commit = receive(&mut reader, &log);
    assert_eq!((commit.count("secrets"), commit.count("chain")), (PAGES, 1), "{commit:?}");
    assert!(commit.all() <= PAGES + 10, "{commit:?}");
    println!("message: {message:?}\nfirst of an epoch: {first:?}\nsecond: {second:?}");
    println!("distribution: {distribution:?}\ncommit: {commit:?}");

    // All of it comes back.
    assert_eq!(reader.group().senders.len(), MANY);
    let before = reader.snapshot();
    reader.restart();
    let mut changes = Changes::default();
    reader.group().put_all(&mut changes);
    reader.save(changes);
    assert_eq!(reader.snapshot(), before);
    assert_eq!(reader.group().state(), GroupState::Active);
}

/// What one sender takes, in records and in memory, printed. Only what follows from the structure is asserted.
#[test]
fn state_of_a_sender() {
    let (_, _, alice, _) = large_group();
    let records: Records = alice.records(Scope::Group(alice.group.as_ref().unwrap().id()));
    let bytes = |prefix: &str| -> usize {
        let of = records.iter().filter(|(name, _)| name.starts_with(prefix.as_bytes()));
        of.map(|(_, value)| value.as_bytes().len()).sum()
    };
    let (moving, certificates) = (bytes("secrets/"), bytes("sender/"));
    println!(
        "records: secrets and links {} B a sender, certificate and generation {} B",
        moving / MANY,
        certificates / MANY
    );
    let group = alice.group.as_ref().unwrap();
    let key = group.senders[&device(1)].key.as_ref().unwrap();
    let heap = key.certificate.encode().len() - 64 - 8;
    println!(
        "memory: {} B in its place ({} certificate, {} verifying key, {} chain), about {heap} B on the heap, {} B for map and slot",
        size_of::<PeerSender>(),
        size_of_val(&key.certificate),
        size_of_val(&key.verifying),
        size_of_val(&key.chain),
        // Its id in the map of senders, its id and slot in the slots, its id on its slot; maps are about 3/4 full.
        (32 + 36) * 4 / 3 + 33,
    );
    assert!(moving / MANY < 100);
}

/// (R91) A secret for a thousand peers steps a thousand chains and writes 32 records.
#[test]
fn a_secret_for_a_thousand_peers() {
    let (_, keys, mut alice, _) = large_group();
    let (mut rng, group) = (SeedRng::new(9), alice.group.as_mut().unwrap());
    let mut changes = Changes::default();
    group.pairwise.open_many((1..=MANY).map(device), &mut rng, START, &mut changes);
    let opened = Written::of(&changes);
    assert_eq!((opened.count("peer"), opened.count("outgoing")), (MANY, PAGES), "{opened:?}");
    let context = EnvelopeContext { purpose: Purpose::CommitSecret, group: group.id(), epoch: Epoch(9) };
    let reach = Reach { book: &keys, now: START };
    let dispatch = Dispatch { from: &alice.device, context, upload: Upload::Commit, reach };
    let account = AccountId::from_bytes([1; 32]);
    let to = |n| Addressee { account, device: device(n), pinned: None };
    let recipients: Vec<_> = (1..=MANY).map(to).collect();
    let secret = CommittedSecret::for_commit(&mut rng);
    let mut changes = Changes::default();
    let sent = group.pairwise.deliver(&secret, &recipients, dispatch, &mut rng, &mut changes);
    assert_eq!(sent.iter().flatten().filter(|wrap| wrap.len() == 40).count(), MANY);
    let written = Written::of(&changes);
    assert_eq!((written.count("outgoing"), written.all()), (PAGES, PAGES), "{written:?}");
    assert!(written.bytes < MANY * 80, "{written:?}");
    println!("opened: {opened:?}\nwrapped: {written:?}");
}
