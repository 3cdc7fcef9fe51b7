//! One-time prekeys: each serves one envelope, which nobody opens once it has been opened (R59).

use super::test_pair::Pair;
use crate::device::Device;
use crate::envelope::{InitialEnvelope, OpenError};
use crate::limits::MAX_ONE_TIME_PREKEYS;
use crate::prekeys::{PrekeyBook, PrekeyBookError};
use crate::record::{Changes, LoadError, RecordKey, RecordValue, Records, Scope};
use crate::support::{START, SeedRng, flip};
use conclave_wire::codec;
use conclave_wire::ids::OneTimePrekeyId;
use conclave_wire::prekeys::{AgreementKey, OneTimePrekey};
use minicbor::Decoder;
use std::collections::BTreeMap;
use std::time::Duration;

/// What Bob's device has stored.
#[derive(Clone, Default)]
struct Store(BTreeMap<RecordKey, RecordValue>);

impl Store {
    fn save(&mut self, changes: &Changes) {
        for change in &changes.0 {
            match &change.value {
                Some(value) => self.0.insert(change.key.clone(), value.clone()),
                None => self.0.remove(&change.key),
            };
        }
    }

    fn device(&self) -> Result<Device, LoadError> {
        let device = self.0.iter().filter(|(key, _)| key.scope == Scope::Device);
        let records: Records = device.map(|(key, value)| (key.name.clone(), value.clone())).collect();
        Device::load(records)
    }

    fn names(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        self.0.keys().map(|key| key.name.clone()).filter(|name| name.starts_with(prefix)).collect()
    }
}

/// Alice's book has one of Bob's one-time prekeys; he has some more.
fn pair() -> (Pair, Store, Vec<OneTimePrekey>) {
    let mut pair = Pair::new();
    let mut store = Store::default();
    let (bob, changes) = Device::create(START, &mut SeedRng::new(7)).unwrap();
    pair.bob = bob;
    store.save(&changes);
    let (made, changes) = pair.bob.make_one_time_prekeys(3, &mut pair.rng);
    store.save(&changes);
    offer(&mut pair, made[0]);
    (pair, store, made)
}

fn offer(pair: &mut Pair, one_time: OneTimePrekey) {
    let prekeys = pair.bob.prekeys().unwrap().encode();
    assert_eq!(pair.book.insert_with_one_time(&prekeys, one_time), Ok(pair.bob.id()));
}

/// The one-time prekey that an initial envelope names.
fn used(delivery: &[u8]) -> Option<OneTimePrekeyId> {
    codec::decode::<InitialEnvelope>(&delivery[2..]).unwrap().one_time
}

/// The same envelope naming another one-time prekey, or none.
fn naming(delivery: &[u8], one_time: Option<OneTimePrekeyId>) -> Vec<u8> {
    let mut decoder = Decoder::new(&delivery[3..]);
    decoder.array().unwrap();
    decoder.skip().unwrap();
    decoder.skip().unwrap();
    let (from, rest) = (3 + decoder.position(), &delivery[3..]);
    decoder.skip().unwrap();
    let field = minicbor::to_vec(one_time).unwrap();
    [&delivery[..from], &field, &rest[decoder.position()..]].concat()
}

/// (R59) The private half goes in the same changes in which the envelope is accepted, and the envelope opens no more. Until
/// then it may be looked into as often as one likes.
#[test]
fn the_private_half_goes_with_the_envelope() {
    let (mut pair, mut store, made) = pair();
    let (secret, first) = pair.deliver();
    assert_eq!(used(&first), Some(made[0].id));
    assert!(pair.open(&first, &secret.commitment).is_ok());
    assert_eq!(pair.bob.one_time_prekeys_left(), 3);
    let changes = pair.accept(&first, &secret);
    let half = [&b"onetime/"[..], &made[0].id.0.to_be_bytes()].concat();
    assert!(changes.0.iter().any(|change| change.key.name == half && change.value.is_none()));
    assert_eq!(pair.bob.one_time_prekeys_left(), 2);
    assert_eq!(pair.refusal(&first, &secret), OpenError::Prekeys, "a repeat");
    // The same after a restart; and no list of what was opened has to grow for it.
    store.save(&changes);
    pair.bob = store.device().unwrap();
    assert_eq!(pair.bob.one_time_prekeys_left(), 2);
    assert_eq!(pair.refusal(&first, &secret), OpenError::Prekeys, "a repeat after a restart");
    assert_eq!(store.names(b"seen/"), [b""; 0]);
}

/// (R59) What a thief of the device finds later does not open a recorded envelope, though the signed prekeys that it was
/// sealed to live on. Without a one-time prekey it does.
#[test]
fn a_later_thief_does_not_open_what_was_recorded() {
    let (mut pair, mut store, made) = pair();
    let (secret, protected) = pair.deliver();
    let changes = pair.accept(&protected, &secret);
    store.save(&changes);
    let (second, bare) = pair.deliver();
    assert_eq!(used(&bare), None);
    let changes = pair.accept(&bare, &second);
    store.save(&changes);
    // The thief ignores the rules, and with them the list of what was opened.
    store.0.retain(|key, _| !key.name.starts_with(b"seen/"));
    pair.bob = store.device().unwrap();
    assert!(pair.open(&bare, &second.commitment).is_ok(), "the signed prekeys are still there");
    assert_eq!(pair.refusal(&protected, &secret), OpenError::Prekeys);
    // With none, or another one, it does not open either.
    for other in [None, Some(made[1].id), Some(made[2].id)] {
        assert_eq!(pair.refusal(&naming(&protected, other), &secret), OpenError::NotAuthentic, "{other:?}");
    }
}

/// (R59) A book gives a one-time prekey to one envelope, whatever became of that, and however often a server hands it out.
#[test]
fn a_book_gives_each_once() {
    let (mut pair, _, made) = pair();
    let (_, lost) = pair.deliver();
    assert_eq!(used(&lost), Some(made[0].id));
    // The upload was lost, and made again: no chain was confirmed, so it goes by an initial envelope once more.
    let next = |pair: &mut Pair| used(&pair.deliver().1);
    assert_eq!(next(&mut pair), None);
    offer(&mut pair, made[0]);
    assert_eq!(next(&mut pair), None, "handed out twice");
    offer(&mut pair, made[2]);
    offer(&mut pair, made[1]);
    assert_eq!(next(&mut pair), Some(made[1].id), "the one that was offered last");
    offer(&mut pair, made[0]);
    assert_eq!(next(&mut pair), None);
    offer(&mut pair, made[2]);
    let copy = pair.book.clone();
    let original = std::mem::replace(&mut pair.book, copy);
    assert_eq!(next(&mut pair), None, "a copy of the book has none");
    pair.book = original;
    pair.book.insert(&pair.bob.prekeys().unwrap().encode()).unwrap();
    assert_eq!(next(&mut pair), Some(made[2].id), "the same prekeys once more");
    // Other prekeys: what came with the old ones may be given up.
    let (more, _changes) = pair.bob.make_one_time_prekeys(1, &mut pair.rng);
    offer(&mut pair, more[0]);
    let _changes = pair.bob.replace_prekeys(START.plus(Duration::from_secs(1)), &mut pair.rng);
    pair.book.insert(&pair.bob.prekeys().unwrap().encode()).unwrap();
    assert_eq!(next(&mut pair), None);
}

/// (R59) Books are shared by reference; of all threads that seal at once one gets the prekey.
#[test]
fn one_of_many_threads_gets_it() {
    let (pair, _, made) = pair();
    let (book, device) = (&pair.book, pair.bob.id());
    let given = std::thread::scope(|scope| {
        let take = || crate::prekeys::Reach { book, now: START }.give_one_time(&device).is_some();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|got| *got).count()
    });
    assert_eq!((given, made.len()), (1, 3));
}

/// (R59) An envelope to a one-time prekey that this device does not have is refused, and nothing is consumed.
#[test]
fn unknown_ones() {
    let (mut pair, _, made) = pair();
    let (secret, first) = pair.deliver();
    for unknown in [OneTimePrekeyId(0), OneTimePrekeyId(made[2].id.0 + 1), OneTimePrekeyId(u32::MAX)] {
        assert_eq!(pair.refusal(&naming(&first, Some(unknown)), &secret), OpenError::Prekeys);
    }
    for other in [None, Some(made[1].id)] {
        assert_eq!(pair.refusal(&naming(&first, other), &secret), OpenError::NotAuthentic);
    }
    assert_eq!(naming(&first, Some(made[0].id)), first);
    for at in 0..first.len() {
        let error = pair.refusal(&flip(&first, at), &secret);
        let expected = matches!(error, OpenError::Decode(_) | OpenError::NotAuthentic | OpenError::Prekeys);
        assert!(expected, "byte {at}: {error:?}");
    }
    assert_eq!(pair.bob.one_time_prekeys_left(), 3);
    let _changes = pair.accept(&first, &secret);
}

/// (R59) A server that hands out its own key, or another of the device's, gets an envelope that does not open; and the
/// device loses nothing by it.
#[test]
fn a_server_that_exchanges_them() {
    let (mut pair, _, made) = pair();
    let (mut mallory, _changes) = Device::create(START, &mut pair.rng).unwrap();
    let (theirs, _changes) = mallory.make_one_time_prekeys(1, &mut pair.rng);
    for key in [theirs[0].key, made[1].key] {
        pair.book = PrekeyBook::default();
        offer(&mut pair, OneTimePrekey { id: made[0].id, key });
        let (secret, exchanged) = pair.deliver();
        assert_eq!(used(&exchanged), Some(made[0].id));
        assert_eq!(pair.refusal(&exchanged, &secret), OpenError::NotAuthentic);
    }
    assert_eq!(pair.bob.one_time_prekeys_left(), 3);
    // A key that would make the agreement the same for everybody is not taken, and what the book had stays.
    pair.book = PrekeyBook::default();
    offer(&mut pair, made[1]);
    let prekeys = pair.bob.prekeys().unwrap().encode();
    let zero = OneTimePrekey { id: made[2].id, key: AgreementKey::from_bytes([0; 32]) };
    assert_eq!(pair.book.insert_with_one_time(&prekeys, zero), Err(PrekeyBookError::OneTime));
    assert!(pair.book.insert_with_one_time(&flip(&prekeys, 50), made[2]).is_err());
    let (secret, good) = pair.deliver();
    assert_eq!(used(&good), Some(made[1].id));
    let _changes = pair.accept(&good, &secret);
}

/// (R59) At most 200 private halves are kept, the newest; ids grow, over restarts too, and none comes twice.
#[test]
fn they_are_bounded_and_numbered() {
    let (mut pair, mut store, mut made) = pair();
    let (secret, first) = pair.deliver();
    let changes = pair.accept(&first, &secret);
    store.save(&changes);
    for count in [150, 0, 500] {
        pair.bob = store.device().unwrap();
        let (more, changes) = pair.bob.make_one_time_prekeys(count, &mut pair.rng);
        assert_eq!(more.len(), count.min(MAX_ONE_TIME_PREKEYS));
        store.save(&changes);
        made.extend(more);
        assert_eq!(store.names(b"onetime/").len(), pair.bob.one_time_prekeys_left());
    }
    assert_eq!(pair.bob.one_time_prekeys_left(), MAX_ONE_TIME_PREKEYS);
    assert!(made.iter().zip(&made[1..]).all(|(a, b)| a.id.next() == Some(b.id)));
    // The oldest that is left opens, the one before it does not.
    let oldest = made.len() - MAX_ONE_TIME_PREKEYS;
    for (at, opens) in [(oldest - 1, false), (oldest, true)] {
        offer(&mut pair, made[at]);
        let (secret, delivery) = pair.deliver();
        assert_eq!(used(&delivery), Some(made[at].id));
        assert_eq!(pair.open(&delivery, &secret.commitment).is_ok(), opens);
    }
}

/// Ids are never given twice, so a store that has lost the counter, or an older one, does not load.
#[test]
fn a_lost_or_old_counter_does_not_load() {
    let (mut pair, mut store, _) = pair();
    let name = RecordKey { scope: Scope::Device, name: b"onetime-next".to_vec() };
    let old = store.0[&name].clone();
    let (_, changes) = pair.bob.make_one_time_prekeys(1, &mut pair.rng);
    store.save(&changes);
    assert!(store.device().is_ok());
    store.0.insert(name.clone(), old);
    assert!(matches!(store.device(), Err(LoadError::Damaged(_))));
    store.0.remove(&name);
    assert!(matches!(store.device(), Err(LoadError::Missing(_))));
}
