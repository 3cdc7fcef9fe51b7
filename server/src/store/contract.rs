//! What every store must keep, as one suite over any of them.

mod invites;
mod mailbox;
mod one_time;
mod trim;
mod uploads;

use super::{
    AccountKey, Admitted, Append, Change, PageBounds, Range, Registration, Rejected, Store, StoredAccount,
    StoredDevice, Write, Written,
};
use crate::people::{Person, Room};
use bytes::Bytes;
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{DeviceId, Epoch, GroupId, ManifestVersion, Opaque, Seq, Timestamp};
use conclave_wire::public_group::PublicGroup;
use conclave_wire::reply::Membership;
use conclave_wire::request::Cursor;
use std::path::Path;

/// Opens a store that keeps its data in a directory, or in something that is named after it.
type Open<'a> = &'a dyn Fn(&Path) -> Box<dyn Store>;

const ALL: PageBounds = PageBounds { entries: 1000, bytes: 1 << 20 };

/// Runs the suite; `open` opens a store that keeps its data in the directory.
pub(crate) fn check(open: Open<'_>) {
    sequence_numbers_are_contiguous_and_survive(open);
    epochs_and_heads_are_decided_in_order(open);
    a_repeated_commit_is_the_same_commit(open);
    each_device_reads_its_own_part(open);
    pages_are_bounded(open);
    commits_are_found_by_epoch(open);
    rosters_are_rebuilt(open);
    names_are_for_ever(open);
    one_manifest_of_a_version(open);
    one_batch_sees_itself(open);
    acknowledgements_move_forward(open);
    uploads::check(open);
    invites::check(open);
    one_time::check(open);
    mailbox::check(open);
    trim::check(open);
}

/// A group with the store that has it.
struct Fixture {
    store: Box<dyn Store>,
    dir: tempfile::TempDir,
    alice: Person,
    bob: Person,
    room: Room,
}

impl Fixture {
    /// A group of Alice alone, at entry 1.
    fn new(open: Open<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let alice = Person::new("alice");
        let (genesis, room) = Room::genesis(&alice, 1);
        let fixture = Self { store, dir, alice, bob: Person::new("bob"), room };
        assert_eq!(fixture.one(genesis_of(&genesis)), Ok(Written::Appended(Seq(1))));
        fixture
    }

    /// A group of Alice and Bob, at entry 2.
    fn of_two(open: Open<'_>) -> Self {
        let mut fixture = Self::new(open);
        let add = fixture.room.commit(&fixture.alice, vec![fixture.bob.add()]);
        let welcome = vec![(fixture.bob.device(), Bytes::from_static(b"welcome"))];
        assert_eq!(fixture.one(fixture.commit(&add, welcome)), Ok(Written::Appended(Seq(2))));
        fixture.room.advance(&add);
        fixture
    }

    fn one(&self, write: Write) -> Result<Written, Rejected> {
        self.store.write(&[write]).unwrap().remove(0)
    }

    fn commit(&self, bytes: &[u8], deliveries: Vec<(DeviceId, Bytes)>) -> Write {
        let step = self.room.public.check(UnverifiedCommit::decode(bytes).unwrap()).unwrap();
        append(self.room.id(), Change::Commit(Box::new(step)), bytes, deliveries)
    }

    fn message(&self, text: &str) -> Write {
        append(self.room.id(), Change::Message(self.room.public.epoch()), text.as_bytes(), Vec::new())
    }

    fn texts(&self, device: &DeviceId, after: u64, bounds: PageBounds) -> Vec<(u64, String)> {
        let page =
            self.store.read(device, &self.room.id(), Range::After(Seq(after)), bounds).unwrap().unwrap();
        page.entries.iter().map(|e| (e.seq.0, String::from_utf8_lossy(&e.body.0).into_owned())).collect()
    }

    fn membership(&self, device: &DeviceId) -> Option<Membership> {
        self.store.membership(device, &self.room.id()).unwrap()
    }
}

/// An entry to append.
pub(crate) fn append(
    group: GroupId,
    change: Change,
    body: &[u8],
    deliveries: Vec<(DeviceId, Bytes)>,
) -> Write {
    let body = Bytes::copy_from_slice(body);
    Write::Append(Append { group, change, body, deliveries, staged: None, now: Timestamp(0) })
}

/// The entry that begins a group.
pub(crate) fn genesis_of(bytes: &[u8]) -> Write {
    let (public, step) = PublicGroup::from_genesis(UnverifiedCommit::decode(bytes).unwrap()).unwrap();
    append(public.id(), Change::Commit(Box::new(step)), bytes, Vec::new())
}

fn sequence_numbers_are_contiguous_and_survive(open: Open<'_>) {
    let mut fixture = Fixture::new(open);
    let batch: Vec<_> = (0..5).map(|i| fixture.message(&format!("m{i}"))).collect();
    let written = fixture.store.write(&batch).unwrap();
    let expected: Vec<_> = (2..7).map(|seq| Ok(Written::Appended(Seq(seq)))).collect();
    assert_eq!(written, expected);
    drop(fixture.store);
    fixture.store = open(fixture.dir.path());
    assert_eq!(fixture.one(fixture.message("m5")), Ok(Written::Appended(Seq(7))));
    let texts = fixture.texts(&fixture.alice.device(), 1, ALL);
    let expected: Vec<_> = (0..6).map(|i| (i + 2, format!("m{i}"))).collect();
    assert_eq!(texts, expected);
}

fn epochs_and_heads_are_decided_in_order(open: Open<'_>) {
    let mut fixture = Fixture::of_two(open);
    let (id, epoch) = (fixture.room.id(), fixture.room.public.epoch());
    let removal = fixture.room.commit(&fixture.alice, vec![fixture.bob.remove()]);
    let rival = fixture.room.commit(&fixture.alice, vec![Person::new("carol").add()]);
    let batch = [
        fixture.message("before"),
        fixture.commit(&removal, Vec::new()),
        fixture.message("too late"),
        append(id, Change::Distribution(epoch), b"too late", Vec::new()),
        fixture.commit(&rival, Vec::new()),
        append(id, Change::Message(Epoch(2)), b"after", Vec::new()),
        append(id, Change::Distribution(Epoch(2)), b"key", Vec::new()),
    ];
    let stale = Err(Rejected::EpochStale { epoch: Epoch(2), head: Seq(4) });
    assert_eq!(
        fixture.store.write(&batch).unwrap(),
        [
            Ok(Written::Appended(Seq(3))),
            Ok(Written::Appended(Seq(4))),
            stale.clone(),
            stale,
            Err(Rejected::HeadMoved { head: Seq(4) }),
            Ok(Written::Appended(Seq(5))),
            Ok(Written::Appended(Seq(6))),
        ]
    );
    // A commit that welcomes somebody, and whose author has not processed the last distribution.
    fixture.room.advance(&removal);
    let unaware = fixture.room.commit(&fixture.alice, vec![fixture.bob.add()]);
    assert_eq!(fixture.one(fixture.commit(&unaware, Vec::new())), Err(Rejected::HeadMoved { head: Seq(6) }));
    fixture.room.last_distribution = Seq(6);
    let aware = fixture.room.commit(&fixture.alice, vec![fixture.bob.add()]);
    assert_eq!(fixture.one(fixture.commit(&aware, Vec::new())), Ok(Written::Appended(Seq(7))));
    // A removal waits for no distribution: who distributes all the time could not be removed.
    fixture.room.advance(&aware);
    let key = append(id, Change::Distribution(Epoch(3)), b"key", Vec::new());
    assert_eq!(fixture.one(key), Ok(Written::Appended(Seq(8))));
    let removal = fixture.room.commit(&fixture.alice, vec![fixture.bob.remove()]);
    assert_eq!(fixture.one(fixture.commit(&removal, Vec::new())), Ok(Written::Appended(Seq(9))));
    // Neither a message nor a commit begins a group that nobody has.
    let nowhere = append(GroupId::from_bytes([9; 32]), Change::Message(Epoch(0)), b"", Vec::new());
    assert_eq!(fixture.one(nowhere), Err(Rejected::UnknownGroup));
}

fn a_repeated_commit_is_the_same_commit(open: Open<'_>) {
    let fixture = Fixture::new(open);
    let (genesis, _) = Room::genesis(&fixture.alice, 1);
    assert_eq!(fixture.one(genesis_of(&genesis)), Ok(Written::Repeated(Seq(1))));
    assert_eq!(fixture.one(fixture.message("m")), Ok(Written::Appended(Seq(2))));
    let add = fixture.room.commit(&fixture.alice, vec![fixture.bob.add()]);
    let batch = [fixture.commit(&add, Vec::new()), fixture.commit(&add, Vec::new())];
    let written = fixture.store.write(&batch).unwrap();
    assert_eq!(written, [Ok(Written::Appended(Seq(3))), Ok(Written::Repeated(Seq(3)))]);
    assert_eq!(fixture.one(genesis_of(&genesis)), Err(Rejected::HeadMoved { head: Seq(3) }));
}

fn each_device_reads_its_own_part(open: Open<'_>) {
    let mut fixture = Fixture::of_two(open);
    let (alice, bob) = (fixture.alice.device(), fixture.bob.device());
    let stranger = Person::new("mallory").device();
    assert_eq!(fixture.membership(&stranger), None);
    assert!(fixture.store.read(&stranger, &fixture.room.id(), Range::After(Seq(0)), ALL).unwrap().is_none());

    // Bob reads from the commit that added him, with his welcome; Alice from the genesis, without.
    let read = |fixture: &Fixture, device: &DeviceId| {
        let range = Range::After(Seq(0));
        let page = fixture.store.read(device, &fixture.room.id(), range, ALL).unwrap().unwrap();
        let delivered = |entry: &conclave_wire::entry::Entry| {
            entry.delivery.as_ref().map(|d| String::from_utf8_lossy(&d.0).into_owned())
        };
        page.entries.iter().map(|entry| (entry.seq.0, delivered(entry))).collect::<Vec<_>>()
    };
    assert_eq!(read(&fixture, &bob), [(2, Some("welcome".to_owned()))]);
    assert_eq!(read(&fixture, &alice), [(1, None), (2, None)]);

    // Bob is removed: he reads up to that and no further.
    let removal = fixture.room.commit(&fixture.alice, vec![fixture.bob.remove()]);
    assert_eq!(fixture.one(fixture.commit(&removal, Vec::new())), Ok(Written::Appended(Seq(3))));
    fixture.room.advance(&removal);
    assert_eq!(fixture.one(fixture.message("secret")), Ok(Written::Appended(Seq(4))));
    assert_eq!(read(&fixture, &bob).last().unwrap().0, 3);
    let left = fixture.membership(&bob).unwrap();
    assert_eq!((left.joined, left.left, left.head), (Seq(2), Some(Seq(3)), Seq(3)));

    // Bob is added again, and reads from there.
    let again = fixture.room.commit(&fixture.alice, vec![fixture.bob.add()]);
    assert_eq!(
        fixture.one(fixture.commit(&again, vec![(bob, Bytes::from_static(b"again"))])),
        Ok(Written::Appended(Seq(5)))
    );
    assert_eq!(read(&fixture, &bob), [(5, Some("again".to_owned()))]);
    let back = fixture.membership(&bob).unwrap();
    assert_eq!((back.joined, back.left, back.head), (Seq(5), None, Seq(5)));
    assert_eq!(fixture.store.memberships(&bob, 10).unwrap(), [back]);
    assert_eq!(fixture.store.memberships(&stranger, 10).unwrap(), []);
}

fn pages_are_bounded(open: Open<'_>) {
    let fixture = Fixture::new(open);
    let long = "x".repeat(1000);
    let batch: Vec<_> = (0..10).map(|_| fixture.message(&long)).collect();
    fixture.store.write(&batch).unwrap();
    let alice = fixture.alice.device();
    let seqs = |after, entries, bytes| {
        let texts = fixture.texts(&alice, after, PageBounds { entries, bytes });
        texts.into_iter().map(|(seq, _)| seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(1, 3, 1 << 20), [2, 3, 4]);
    assert_eq!(seqs(4, 100, 2500), [5, 6]);
    assert_eq!(seqs(4, 100, 10), [5]);
    assert_eq!(seqs(11, 100, 10), [0; 0]);
    assert_eq!(seqs(u64::MAX, 100, 10), [0; 0]);
    let complete = |bounds| {
        let range = Range::After(Seq(1));
        fixture.store.read(&alice, &fixture.room.id(), range, bounds).unwrap().unwrap().complete
    };
    assert!(complete(PageBounds { entries: 10, bytes: 1 << 20 }));
    assert!(!complete(PageBounds { entries: 9, bytes: 1 << 20 }));
}

fn commits_are_found_by_epoch(open: Open<'_>) {
    let mut fixture = Fixture::of_two(open);
    fixture.one(fixture.message("between")).unwrap();
    let carol = Person::new("carol");
    let add = fixture.room.commit(&fixture.alice, vec![carol.add()]);
    let welcome = vec![(carol.device(), Bytes::from_static(b"for carol"))];
    fixture.one(fixture.commit(&add, welcome)).unwrap();
    fixture.room.advance(&add);
    let commits = |device: &DeviceId, from, entries| {
        let bounds = PageBounds { entries, bytes: 1 << 20 };
        let range = Range::Commits(Epoch(from));
        let page = fixture.store.read(device, &fixture.room.id(), range, bounds).unwrap().unwrap();
        assert!(page.entries.iter().all(|entry| entry.kind == EntryKind::Commit));
        page.entries.iter().map(|e| (e.seq.0, e.delivery.is_some())).collect::<Vec<_>>()
    };
    // Carol walks from the genesis, although she may read nothing else of that time.
    assert_eq!(commits(&carol.device(), 0, 10), [(1, false), (2, false), (4, true)]);
    assert_eq!(commits(&carol.device(), 1, 1), [(2, false)]);
    assert_eq!(commits(&carol.device(), 9, 1), [(0, false); 0]);
    // Bob walks to his removal and no further.
    let removal = fixture.room.commit(&fixture.alice, vec![fixture.bob.remove()]);
    fixture.one(fixture.commit(&removal, Vec::new())).unwrap();
    fixture.room.advance(&removal);
    let later = fixture.room.commit(&fixture.alice, vec![carol.remove()]);
    fixture.one(fixture.commit(&later, Vec::new())).unwrap();
    let commits = |device: &DeviceId| {
        let range = Range::Commits(Epoch(2));
        let page = fixture.store.read(device, &fixture.room.id(), range, ALL).unwrap().unwrap();
        page.entries.iter().map(|e| e.seq.0).collect::<Vec<_>>()
    };
    assert_eq!(commits(&fixture.bob.device()), [4, 5]);
    assert_eq!(commits(&fixture.alice.device()), [4, 5, 6]);
}

fn rosters_are_rebuilt(open: Open<'_>) {
    let mut fixture = Fixture::of_two(open);
    let carol = Person::new("carol");
    let add = fixture.room.commit(&fixture.alice, vec![carol.add()]);
    fixture.one(fixture.commit(&add, Vec::new())).unwrap();
    fixture.room.advance(&add);
    // The last leaf goes blank, and stays counted.
    let removal = fixture.room.commit(&fixture.alice, vec![carol.remove()]);
    fixture.one(fixture.commit(&removal, Vec::new())).unwrap();
    fixture.room.advance(&removal);
    fixture.one(fixture.message("m")).unwrap();
    drop(fixture.store);
    fixture.store = open(fixture.dir.path());
    let stored = fixture.store.group(&fixture.room.id()).unwrap().unwrap();
    let (stored_public, public) = (&stored.public, &fixture.room.public);
    assert_eq!(stored_public.roster().hash(), public.roster().hash());
    assert_eq!(stored_public.epoch(), public.epoch());
    assert_eq!(stored_public.head(), public.head());
    assert_eq!(stored_public.head_time(), public.head_time());
    assert_eq!(stored.commit_seq, Seq(4));
    assert!(fixture.store.group(&GroupId::from_bytes([9; 32])).unwrap().is_none());
}

pub(crate) fn registration(person: &Person) -> Registration {
    Registration {
        name: person.name.parse().unwrap(),
        account: person.account(),
        manifest: Opaque(person.manifest.encoded().to_vec()),
        device: person.device(),
        prekeys: Opaque(person.prekeys.clone()),
        admitted: Admitted::Free,
    }
}

fn names_are_for_ever(open: Open<'_>) {
    let mut fixture = Fixture::new(open);
    let mut alice = Person::new("alice");
    let register = |fixture: &Fixture, r: Registration| fixture.one(Write::Register(r));
    assert_eq!(register(&fixture, registration(&alice)), Ok(Written::Done));
    assert_eq!(register(&fixture, registration(&alice)), Ok(Written::Done));
    let mut taken = registration(&fixture.bob);
    taken.name = "alice".parse().unwrap();
    assert_eq!(register(&fixture, taken), Err(Rejected::NameTaken));
    let mut second = registration(&alice);
    second.name = "alice2".parse().unwrap();
    let already = Rejected::AlreadyRegistered("alice".parse().unwrap());
    assert_eq!(register(&fixture, second), Err(already));
    let mut stolen = registration(&fixture.bob);
    stolen.device = alice.device();
    assert_eq!(register(&fixture, stolen), Err(Rejected::DeviceTaken));

    // A newer manifest replaces an older one, and not the reverse.
    let old = registration(&alice);
    alice.renew_manifest();
    let new = registration(&alice);
    let manifest = new.manifest.clone();
    assert_eq!(register(&fixture, new), Ok(Written::ManifestChanged));
    assert_eq!(register(&fixture, registration(&alice)), Ok(Written::Done));
    assert_eq!(register(&fixture, old), Ok(Written::Done));

    let prekeys = Opaque(alice.prekeys(2));
    let publish = |device| Write::PublishPrekeys { device, prekeys: prekeys.clone() };
    assert_eq!(fixture.one(publish(alice.device())), Ok(Written::Done));
    assert_eq!(fixture.one(publish(fixture.bob.device())), Err(Rejected::UnknownDevice));

    drop(fixture.store);
    fixture.store = open(fixture.dir.path());
    let account = StoredAccount { name: "alice".parse().unwrap(), manifest };
    let by_name = AccountKey::Name("alice".parse().unwrap());
    assert_eq!(fixture.store.account(&by_name).unwrap(), Some(account.clone()));
    assert_eq!(fixture.store.account(&AccountKey::Id(alice.account())).unwrap(), Some(account));
    assert_eq!(fixture.store.account(&AccountKey::Name("bob".parse().unwrap())).unwrap(), None);
    assert_eq!(fixture.store.account(&AccountKey::Id(fixture.bob.account())).unwrap(), None);
    let device = StoredDevice { account: alice.account(), prekeys };
    assert_eq!(fixture.store.device(&alice.device()).unwrap(), Some(device));
    assert_eq!(fixture.store.device(&fixture.bob.device()).unwrap(), None);
}

fn one_manifest_of_a_version(open: Open<'_>) {
    let fixture = Fixture::new(open);
    let alice = Person::new("alice");
    let register = |person: &Person| fixture.one(Write::Register(registration(person)));
    assert_eq!(register(&alice), Ok(Written::Done));
    // Another list of devices under the same version, from the same account.
    let mut other = Person::with_device("alice", "laptop");
    assert_eq!(register(&other), Err(Rejected::ManifestConflict(ManifestVersion(0))));
    other.renew_manifest();
    assert_eq!(register(&other), Ok(Written::ManifestChanged));
    // Of which the first device is no part any more: its older manifest does not bring it back.
    assert_eq!(register(&alice), Err(Rejected::DeviceRevoked));
    let stored = fixture.store.account(&AccountKey::Id(alice.account())).unwrap().unwrap();
    assert_eq!(stored.manifest.0, other.manifest.encoded());
}

fn one_batch_sees_itself(open: Open<'_>) {
    let mut fixture = Fixture::of_two(open);
    let mut rival = registration(&fixture.bob);
    rival.name = "alice".parse().unwrap();
    let mut batch = vec![Write::Register(registration(&fixture.alice)), Write::Register(rival)];
    let removal = fixture.room.commit(&fixture.alice, vec![fixture.bob.remove()]);
    batch.push(fixture.commit(&removal, Vec::new()));
    fixture.room.advance(&removal);
    let again = fixture.room.commit(&fixture.alice, vec![fixture.bob.add()]);
    batch.push(fixture.commit(&again, Vec::new()));
    fixture.room.advance(&again);
    let (written, appended) = (Ok(Written::Done), |seq| Ok(Written::Appended(Seq(seq))));
    assert_eq!(
        fixture.store.write(&batch).unwrap(),
        [written, Err(Rejected::NameTaken), appended(3), appended(4)]
    );
    assert_eq!(fixture.membership(&fixture.bob.device()).unwrap().joined, Seq(4));
    let stored = fixture.store.group(&fixture.room.id()).unwrap().unwrap();
    assert_eq!(stored.public.roster().hash(), fixture.room.public.roster().hash());
}

fn acknowledgements_move_forward(open: Open<'_>) {
    let fixture = Fixture::of_two(open);
    let bob = fixture.bob.device();
    let acknowledge = |seq| {
        let cursor = Cursor { group: fixture.room.id(), seq: Seq(seq) };
        fixture.one(Write::Acknowledge { device: bob, cursor }).unwrap();
        fixture.membership(&bob).unwrap().acknowledged.0
    };
    assert_eq!([acknowledge(1), acknowledge(2), acknowledge(1)], [1, 2, 2]);
    // What lies beyond the log is not believed.
    assert_eq!(acknowledge(99), 2);
}
