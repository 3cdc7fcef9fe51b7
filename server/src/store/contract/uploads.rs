//! Uploads in parts: what every store keeps of them, until when, and for whom.

use super::{ALL, Fixture, Open, append};
use crate::limits::{MAX_KEPT_UPLOADS, MAX_OPEN_UPLOADS, UPLOAD_PATIENCE};
use crate::store::{Append, Change, Part, Range, Rejected, StagedUpload, StoredUpload, Write, Written};
use bytes::Bytes;
use conclave_wire::ids::{DeviceId, Seq, Timestamp, UploadId};
use conclave_wire::limits::MAX_UPLOAD_BYTES;

const DONE: Result<Written, Rejected> = Ok(Written::Done);

pub(super) fn check(open: Open<'_>) {
    parts_come_in_order_and_once(open);
    an_entry_takes_what_was_checked_with_it(open);
    each_device_reads_its_part(open);
    what_nothing_names_is_forgotten(open);
    a_device_has_few_uploads(open);
    a_clock_that_jumps_holds_no_place(open);
    a_large_upload_is_read_and_forgotten_whole(open);
}

fn id(number: u8) -> UploadId {
    UploadId::from_bytes([number; 16])
}

fn part(by: DeviceId, upload: UploadId, number: u32, deliveries: &[(DeviceId, &'static str)]) -> Write {
    let deliveries = deliveries.iter().map(|(device, text)| (*device, Bytes::from_static(text.as_bytes())));
    Write::StagePart(Part { upload, by, number, deliveries: deliveries.collect(), now: Timestamp(1000) })
}

/// An append of what the fixture made, with an upload of so many parts.
fn with_upload(write: Write, upload: UploadId, parts: u32) -> Write {
    match write {
        Write::Append(append) => {
            Write::Append(Append { staged: Some(StagedUpload { upload, parts }), ..append })
        }
        other => panic!("{other:?}"),
    }
}

fn distribution(fixture: &Fixture) -> Write {
    append(fixture.room.id(), Change::Distribution(fixture.room.public.epoch()), b"key", Vec::new())
}

fn parts_come_in_order_and_once(open: Open<'_>) {
    let fixture = Fixture::of_two(open);
    let (alice, bob) = (fixture.alice.device(), fixture.bob.device());
    let stage = |by, number, deliveries: &[_]| fixture.one(part(by, id(1), number, deliveries));
    assert_eq!(stage(alice, 1, &[(bob, "later")]), Err(Rejected::PartOutOfOrder { expected: 0 }));
    assert_eq!(fixture.store.upload(&id(1)).unwrap(), None);
    assert_eq!(stage(alice, 0, &[(bob, "for bob")]), DONE);
    assert_eq!(stage(alice, 0, &[(alice, "other content")]), DONE);
    assert_eq!(stage(alice, 2, &[(alice, "later")]), Err(Rejected::PartOutOfOrder { expected: 1 }));
    assert_eq!(stage(bob, 1, &[(alice, "not his")]), Err(Rejected::UnknownUpload));
    assert_eq!(stage(alice, 1, &[(alice, "for alice")]), DONE);
    let mut devices = vec![alice, bob];
    devices.sort_unstable();
    let stored = StoredUpload { by: alice, parts: 2, largest: 9, devices };
    assert_eq!(fixture.store.upload(&id(1)).unwrap(), Some(stored));
    // Never more than it may be, which only shows when it is added up.
    let huge = Bytes::from(vec![0; usize::try_from(MAX_UPLOAD_BYTES).unwrap() - 10]);
    let deliveries = vec![(bob, huge)];
    let huge = Part { upload: id(1), by: alice, number: 2, deliveries, now: Timestamp(1000) };
    assert_eq!(fixture.one(Write::StagePart(huge)), Err(Rejected::UploadTooLarge));
    assert_eq!(stage(alice, 2, &[(DeviceId::from_bytes([7; 32]), "small")]), DONE);
}

fn an_entry_takes_what_was_checked_with_it(open: Open<'_>) {
    let mut fixture = Fixture::of_two(open);
    let (alice, bob) = (fixture.alice.device(), fixture.bob.device());
    let removal = fixture.room.commit(&fixture.alice, vec![fixture.bob.remove()]);
    let naming = |fixture: &Fixture, upload, parts| {
        fixture.one(with_upload(fixture.commit(&removal, Vec::new()), upload, parts))
    };
    assert_eq!(naming(&fixture, id(1), 0), Err(Rejected::UnknownUpload));
    assert_eq!(fixture.one(part(alice, id(1), 0, &[(bob, "one")])), DONE);
    assert_eq!(fixture.one(part(alice, id(1), 1, &[(alice, "two")])), DONE);
    // Another part came after the check.
    assert_eq!(naming(&fixture, id(1), 1), Err(Rejected::UnknownUpload));
    assert_eq!(fixture.one(with_upload(distribution(&fixture), id(1), 1)), Err(Rejected::UnknownUpload));
    assert_eq!(fixture.membership(&bob).unwrap().head, Seq(2));
    assert_eq!(naming(&fixture, id(1), 2), Ok(Written::Appended(Seq(3))));
    fixture.room.advance(&removal);
    // It is the entry's: nothing is added to it, and nothing else takes it.
    assert_eq!(fixture.store.upload(&id(1)).unwrap(), None);
    assert_eq!(fixture.one(part(alice, id(1), 1, &[(alice, "again")])), DONE);
    assert_eq!(fixture.one(part(alice, id(1), 2, &[(alice, "more")])), Err(Rejected::UnknownUpload));
    assert_eq!(fixture.one(with_upload(distribution(&fixture), id(1), 2)), Err(Rejected::UnknownUpload));
    // A batch sees itself here too.
    let batch = [
        part(alice, id(2), 0, &[]),
        with_upload(distribution(&fixture), id(2), 1),
        with_upload(distribution(&fixture), id(2), 1),
    ];
    let expected = [DONE, Ok(Written::Appended(Seq(4))), Err(Rejected::UnknownUpload)];
    assert_eq!(fixture.store.write(&batch).unwrap(), expected);
}

fn each_device_reads_its_part(open: Open<'_>) {
    let mut fixture = Fixture::of_two(open);
    let (alice, bob, carol) = (fixture.alice.device(), fixture.bob.device(), DeviceId::from_bytes([7; 32]));
    assert_eq!(fixture.one(part(alice, id(1), 0, &[(bob, "for bob"), (carol, "")])), DONE);
    assert_eq!(fixture.one(part(alice, id(1), 1, &[(alice, "")])), DONE);
    assert_eq!(fixture.one(with_upload(distribution(&fixture), id(1), 2)), Ok(Written::Appended(Seq(3))));
    // With it, as if it had come with the entry; also from then on, when it is forgotten that there was an upload.
    let forget = Write::ForgetUploads { before: Timestamp(u64::MAX) };
    for _ in 0..3 {
        fixture.store.write(std::slice::from_ref(&forget)).unwrap();
    }
    drop(fixture.store);
    fixture.store = open(fixture.dir.path());
    let delivery = |device: &DeviceId| {
        let range = Range::After(Seq(2));
        let page = fixture.store.read(device, &fixture.room.id(), range, ALL).unwrap().unwrap();
        page.entries[0].delivery.clone().map(|delivery| delivery.0)
    };
    assert_eq!(delivery(&bob), Some(b"for bob".to_vec()));
    // Who could not be reached has nothing, rather than something empty.
    assert_eq!(delivery(&alice), None);
}

fn what_nothing_names_is_forgotten(open: Open<'_>) {
    let fixture = Fixture::of_two(open);
    let (alice, bob) = (fixture.alice.device(), fixture.bob.device());
    let forget = |before| {
        let write = Write::ForgetUploads { before: Timestamp(before) };
        assert_eq!(fixture.one(write), DONE);
    };
    assert_eq!(fixture.one(part(alice, id(1), 0, &[(bob, "one")])), DONE);
    forget(1000);
    assert!(fixture.store.upload(&id(1)).unwrap().is_some());
    forget(1001);
    assert_eq!(fixture.store.upload(&id(1)).unwrap(), None);
    let naming = || fixture.one(with_upload(distribution(&fixture), id(1), 1));
    assert_eq!(naming(), Err(Rejected::UnknownUpload));
    assert_eq!(fixture.one(part(alice, id(1), 1, &[(bob, "two")])), Err(Rejected::UnknownUpload));
    for _ in 0..3 {
        forget(1001);
    }
    // Nothing is left of it, so that another may have its number.
    assert_eq!(fixture.one(part(bob, id(1), 0, &[])), DONE);
    assert_eq!(fixture.store.upload(&id(1)).unwrap().unwrap().devices, []);
}

fn a_device_has_few_uploads(open: Open<'_>) {
    let fixture = Fixture::of_two(open);
    let (alice, bob) = (fixture.alice.device(), fixture.bob.device());
    let begin =
        |number: usize| fixture.one(part(alice, id(u8::try_from(number).unwrap()), 0, &[(bob, "for bob")]));
    let is_there = |number: u8| fixture.store.upload(&id(number)).unwrap().is_some();
    for number in 1..=MAX_OPEN_UPLOADS {
        assert_eq!(begin(number), DONE);
    }
    assert!(is_there(1));
    assert_eq!(begin(MAX_OPEN_UPLOADS + 1), DONE);
    assert_eq!((is_there(1), is_there(2)), (false, true));
    // What an entry has does not count.
    assert_eq!(fixture.one(with_upload(distribution(&fixture), id(2), 1)), Ok(Written::Appended(Seq(3))));
    assert_eq!(begin(MAX_OPEN_UPLOADS + 2), DONE);
    assert!(is_there(3));
    for number in MAX_OPEN_UPLOADS + 3..=MAX_KEPT_UPLOADS + 1 {
        assert_eq!(begin(number), DONE);
    }
    assert_eq!(begin(MAX_KEPT_UPLOADS + 2), Err(Rejected::TooManyUploads));
    assert_eq!(fixture.one(part(bob, id(200), 0, &[])), DONE);
    // Room comes as they are deleted.
    for _ in 0..3 {
        fixture.one(Write::ForgetUploads { before: Timestamp(0) }).unwrap();
    }
    assert_eq!(begin(MAX_KEPT_UPLOADS + 2), DONE);
}

fn a_large_upload_is_read_and_forgotten_whole(open: Open<'_>) {
    const DEVICES: usize = 9000;
    let fixture = Fixture::new(open);
    let alice = fixture.alice.device();
    let device = |n: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        DeviceId::from_bytes(id)
    };
    let all: Vec<_> = (0..DEVICES).map(device).collect();
    for (number, devices) in (0..).zip(all.chunks(3000)) {
        let deliveries: Vec<_> = devices.iter().map(|device| (*device, "theirs")).collect();
        assert_eq!(fixture.one(part(alice, id(1), number, &deliveries)), DONE);
    }
    // Another one beside it, which is not read with it.
    assert_eq!(fixture.one(part(alice, id(2), 0, &[(device(1), "another")])), DONE);
    assert_eq!(fixture.store.upload(&id(1)).unwrap().unwrap().devices, all);
    for _ in 0..6 {
        assert_eq!(fixture.one(Write::ForgetUploads { before: Timestamp(1001) }), DONE);
    }
    for number in [1, 2] {
        assert_eq!(fixture.one(part(alice, id(number), 0, &[])), DONE);
        assert_eq!(fixture.store.upload(&id(number)).unwrap().unwrap().devices, []);
    }
}

/// Uploads that began while the clock was a year ahead are not forgotten for their age, but make room as all do.
fn a_clock_that_jumps_holds_no_place(open: Open<'_>) {
    let fixture = Fixture::of_two(open);
    let (alice, bob) = (fixture.alice.device(), fixture.bob.device());
    let ahead = Timestamp(1000).plus(UPLOAD_PATIENCE * 8766);
    let stage = |number: usize, now| {
        let deliveries = vec![(bob, Bytes::from_static(b"for bob"))];
        let upload = id(u8::try_from(number).unwrap());
        fixture.one(Write::StagePart(Part { upload, by: alice, number: 0, deliveries, now }))
    };
    let is_there =
        |number: usize| fixture.store.upload(&id(u8::try_from(number).unwrap())).unwrap().is_some();
    for number in 0..MAX_OPEN_UPLOADS {
        assert_eq!(stage(number, ahead), DONE);
    }
    fixture.one(Write::ForgetUploads { before: Timestamp(2000) }).unwrap();
    assert!((0..MAX_OPEN_UPLOADS).all(is_there));
    for number in MAX_OPEN_UPLOADS..2 * MAX_OPEN_UPLOADS {
        assert_eq!(stage(number, Timestamp(1000)), DONE);
        assert!(!is_there(number - MAX_OPEN_UPLOADS) && is_there(number));
    }
}
