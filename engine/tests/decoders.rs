//! Every public decoder, fed with anything: it answers, and what it accepts is canonical.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::certificate::UnverifiedCertificate;
use conclave_engine::wire::codec::{self, Structure};
use conclave_engine::wire::commit::UnverifiedCommit;
use conclave_engine::wire::distribution::UnverifiedDistribution;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::frame::{ClientFrame, ServerFrame};
use conclave_engine::wire::ids::Opaque;
use conclave_engine::wire::manifest::Manifest;
use conclave_engine::wire::message::{MessageView, assemble};
use conclave_engine::wire::name::Name;
use conclave_engine::wire::prekeys::Prekeys;
use conclave_engine::wire::public_group::PublicGroup;
use conclave_engine::wire::receipt::{ForkProof, ServerKey, UnverifiedReceipt};
use conclave_engine::wire::repair::UnverifiedRepairRequest;
use conclave_engine::wire::roster::{Leaf, Role};
use conclave_engine::wire::run::{self, RunView};
use conclave_engine::{Device, Event, LinkCode, Linking, Newcomer, PrekeyBook, ShareAccountKey};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::cell::RefCell;
use std::sync::OnceLock;
use support::{Log, Person, START, SeedRng, gather};

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Decodes as everything; panics if something accepted does not encode to the same bytes.
fn decode_as_everything(bytes: &[u8]) {
    fn canonical<T: Structure>(bytes: &[u8]) {
        if let Ok(value) = codec::decode::<T>(bytes) {
            assert_eq!(codec::encode(&value), bytes);
        }
    }
    canonical::<ClientFrame>(bytes);
    canonical::<ServerFrame>(bytes);
    canonical::<Leaf>(bytes);
    if let Ok(commit) = UnverifiedCommit::decode(bytes) {
        let _ = PublicGroup::from_genesis(commit);
    }
    if let Ok(certificate) = UnverifiedCertificate::decode(bytes) {
        assert_eq!(certificate.trust_own_storage().encode(), bytes);
    }
    if let Ok(distribution) = UnverifiedDistribution::decode(bytes) {
        assert_eq!(distribution.trust_own_storage().encode(), bytes);
    }
    if let Ok(manifest) = Manifest::decode_and_verify(bytes) {
        assert_eq!(manifest.encoded(), bytes);
    }
    if let Ok(prekeys) = Prekeys::decode_and_verify(bytes) {
        assert_eq!(prekeys.encode(), bytes);
    }
    if let Ok(view) = MessageView::parse(bytes) {
        assert_eq!(assemble(&view.header, view.link, view.hedge, view.ciphertext, &view.signature), bytes);
    }
    if let Ok(view) = RunView::parse(bytes) {
        let ciphertexts: Vec<_> = view.messages().map(|(_, ciphertext)| ciphertext).collect();
        assert_eq!(ciphertexts.len(), usize::from(view.count()));
        assert_eq!(run::assemble(&view.header, view.link, view.hedge, &ciphertexts, &view.signature), bytes);
    }
    if let Ok(receipt) = UnverifiedReceipt::decode(bytes) {
        assert_eq!(receipt.trust_own_storage().encode(), bytes);
    }
    if let Ok(request) = UnverifiedRepairRequest::decode(bytes) {
        assert_eq!(request.trust_own_storage().encode(), bytes);
    }
    let _ = ForkProof::decode_and_verify(bytes, &ServerKey::from_bytes([1; 32]));
    let _ = PrekeyBook::default().insert(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = text.parse::<Name>();
    if let Ok(code) = text.parse::<LinkCode>() {
        assert_eq!(code.to_string().parse::<LinkCode>(), Ok(code));
    }
}

/// A device of an account, and a new one that waits for its approval.
struct LinkSample {
    laptop: Device,
    phone: Linking,
    approval: Vec<u8>,
}

fn link_sample() -> LinkSample {
    let mut laptop = Person::new("alice", 1).device;
    let mut rng = SeedRng::new(2);
    let (phone, _changes) = Linking::begin(laptop.account(), START, &mut rng);
    let (request, code) = (phone.request(), phone.code());
    let approved = laptop.approve_link(&request, &code, ShareAccountKey::No, START, &mut rng).unwrap();
    LinkSample { laptop, phone, approval: approved.approval }
}

/// A log with an entry of each kind, and one who is about to read them.
struct Sample {
    log: Log,
    reader: Person,
    entries: Vec<Entry>,
    structures: Vec<Vec<u8>>,
}

fn sample() -> Sample {
    let [mut alice, mut bob] = [Person::new("alice", 1), Person::new("bob", 2)];
    let mut carol = Person::new("carol", 3);
    let (mut log, keys) = gather(&mut [&mut alice, &mut bob, &mut carol], &[Role::Member; 2]);
    alice.send(&mut log, &keys, b"first");
    bob.catch_up(&log);
    let reader = bob.copy();
    let entries = [EntryKind::Commit, EntryKind::Distribution, EntryKind::Message].map(|kind| {
        let mut alice = alice.copy();
        let next = log.head().next().unwrap();
        let (body, delivery) = match kind {
            EntryKind::Commit => {
                let mut upload = alice.stage(vec![carol.remove_operation()], &keys).unwrap();
                (upload.commit, Some(upload.deliveries.remove(0)))
            }
            EntryKind::Distribution => {
                let mut upload = alice.stage_key(&keys);
                (upload.distribution, Some(upload.deliveries.remove(0)))
            }
            EntryKind::Trimmed => unreachable!(),
            EntryKind::Message => (alice.seal(b"second").unwrap(), None),
        };
        Entry { group: log.id(), seq: next, kind, delivery, body: Opaque(body) }
    });
    let run = alice.copy().seal_run(&[b"second", b"third"]).unwrap();
    let run = log.forged(EntryKind::Message, &run);
    let entries: Vec<_> = entries.into_iter().chain([run]).collect();
    let mut structures = vec![
        alice.device.manifest().encoded().to_vec(),
        alice.device.prekeys().unwrap().encode(),
        codec::encode(&ServerFrame::Push { entry: entries[0].clone() }),
        codec::encode(log.roster().devices().next().unwrap().1),
        log.commits(log.head()).next().unwrap().to_vec(),
    ];
    structures.push(reader.copy().ask_initial(None).unwrap());
    structures.push(reader.copy().ask_sender_key(&alice).unwrap());
    structures.extend(entries.iter().map(|entry| entry.body.0.clone()));
    Sample { log, reader, entries, structures }
}

/// One way to spoil bytes.
#[derive(Clone, Debug)]
enum Spoil {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Append(Vec<u8>),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        4 => any::<(prop::sample::Index, u8)>().prop_map(|(at, byte)| Spoil::Set(at, byte)),
        1 => any::<(prop::sample::Index, u8)>().prop_map(|(at, byte)| Spoil::Insert(at, byte)),
        1 => any::<prop::sample::Index>().prop_map(Spoil::Remove),
        1 => any::<prop::sample::Index>().prop_map(Spoil::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..9).prop_map(Spoil::Append),
    ]
}

fn spoilt(good: &[u8], spoils: &[Spoil]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for spoil in spoils {
        let length = bytes.len().max(1);
        match spoil {
            Spoil::Set(at, byte) => bytes.iter_mut().skip(at.index(length)).take(1).for_each(|b| *b = *byte),
            Spoil::Insert(at, byte) => bytes.insert(at.index(length).min(bytes.len()), *byte),
            Spoil::Remove(at) => drop((!bytes.is_empty()).then(|| bytes.remove(at.index(length)))),
            Spoil::Cut(at) => bytes.truncate(at.index(length)),
            Spoil::Append(more) => bytes.extend(more),
        }
    }
    bytes
}

thread_local! {
    static SAMPLE: OnceLock<Sample> = const { OnceLock::new() };
    static LINK: RefCell<LinkSample> = RefCell::new(link_sample());
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decode_as_everything(&bytes);
        decode_as_everything(&[&[1], &bytes[..]].concat());
    }

    #[test]
    fn spoilt_structures(which in any::<prop::sample::Index>(), spoils in prop::collection::vec(spoil(), 1..4)) {
        SAMPLE.with(|cell| {
            let sample = cell.get_or_init(sample);
            decode_as_everything(&spoilt(which.get::<Vec<u8>>(&sample.structures), &spoils));
        });
    }

    /// (R18) (R19) A spoilt request or approval does nothing.
    #[test]
    fn spoilt_links(spoils in prop::collection::vec(spoil(), 1..4)) {
        LINK.with(|cell| {
            let LinkSample { laptop, phone, approval } = &mut *cell.borrow_mut();
            let (request, code) = (phone.request(), phone.code());
            let before = laptop.staged_manifest().cloned();
            let spoilt_request = spoilt(&request, &spoils);
            let approved =
                laptop.approve_link(&spoilt_request, &code, ShareAccountKey::Yes, START, &mut SeedRng::new(3));
            assert_eq!(approved.is_ok(), spoilt_request == request);
            assert_eq!(laptop.staged_manifest().cloned(), before);
            let spoilt_approval = spoilt(approval, &spoils);
            let completed = phone.complete(&spoilt_approval, START, &mut SeedRng::new(4));
            assert_eq!(completed.is_ok(), spoilt_approval == *approval);
        });
    }

    /// A member meets a spoilt entry: refused, it leaves no trace; accepted, it was not spoilt in what is signed.
    #[test]
    fn spoilt_entries(
        which in any::<prop::sample::Index>(),
        body in prop::collection::vec(spoil(), 0..3),
        delivery in prop::collection::vec(spoil(), 0..3),
    ) {
        SAMPLE.with(|cell| {
            let sample = cell.get_or_init(sample);
            let good = which.get(&sample.entries);
            let entry = Entry {
                body: Opaque(spoilt(&good.body.0, &body)),
                delivery: good.delivery.as_ref().map(|bytes| Opaque(spoilt(&bytes.0, &delivery))),
                ..good.clone()
            };
            let mut reader = sample.reader.copy();
            let before = reader.snapshot();
            match reader.receive(&entry) {
                // Shown as nothing until the sender's next message vouches for it, which this one's will not.
                Ok(Event::Pending { .. }) => assert_ne!(entry.body, good.body),
                Ok(_) => assert_eq!(entry.body, good.body),
                Err(_) => assert_eq!(reader.snapshot(), before),
            }
            let mut walk = Newcomer::new(sample.log.id());
            let _ = walk.commit(&entry.body.0);
        });
    }
}
