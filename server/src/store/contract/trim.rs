//! Trimming: what is old or too much goes, what everybody goes on from stays, and no reader meets a hole that is not named.

use super::{ALL, Fixture, Open, append};
use crate::limits::{DATE_BYTES, DATE_EVERY, TRIM_ROWS};
use crate::people::Person;
use crate::store::{Append, Change, Keep, PageBounds, Part, Range, Rejected, StagedUpload, Write, Written};
use bytes::Bytes;
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{DeviceId, GroupId, Seq, Timestamp, UploadId};

const START: Timestamp = Timestamp(1_700_000_000_000);

fn day(number: u32) -> Timestamp {
    START.plus(DATE_EVERY * number)
}

/// Messages from one day on, keys from another or all of them, however much it is.
fn keep(messages: u32, keys: u32) -> Keep {
    let keys = if keys == 0 { Timestamp(0) } else { day(keys) };
    Keep { messages: day(messages), keys, group_bytes: u64::MAX }
}

fn at(now: Timestamp, write: Write) -> Write {
    match write {
        Write::Append(append) => Write::Append(Append { now, ..append }),
        other => panic!("{other:?}"),
    }
}

impl Fixture {
    fn said(&self, now: Timestamp, text: &str) -> Seq {
        self.appended(at(now, self.message(text)))
    }

    fn key(&self, now: Timestamp, to: &Person, text: &'static str) -> Write {
        let change = Change::Distribution(self.room.public.epoch());
        let deliveries = vec![(to.device(), Bytes::from_static(text.as_bytes()))];
        at(now, append(self.room.id(), change, b"distribution", deliveries))
    }

    fn appended(&self, write: Write) -> Seq {
        match self.one(write) {
            Ok(Written::Appended(seq)) => seq,
            other => panic!("{other:?}"),
        }
    }

    /// Trims until a round is done; how many entries went.
    fn trim(&self, keep: Keep) -> u64 {
        let (mut after, mut gone) = (None, 0);
        loop {
            let (to, entries, more) = self.trim_step(after, keep);
            gone += entries;
            if to.is_none() && !more {
                return gone;
            }
            after = to;
        }
    }

    fn trim_step(&self, after: Option<GroupId>, keep: Keep) -> (Option<GroupId>, u64, bool) {
        match self.one(Write::TrimLogs { after, keep }) {
            Ok(Written::Trimmed { to, entries, more }) => (to, entries, more),
            other => panic!("{other:?}"),
        }
    }

    /// What a device reads after an entry: where, what kind, and what hangs on it.
    fn shown(&self, device: &DeviceId, after: u64, bounds: PageBounds) -> Vec<(u64, &'static str, String)> {
        let range = Range::After(Seq(after));
        let page = self.store.read(device, &self.room.id(), range, bounds).unwrap().unwrap();
        let kind = |kind| match kind {
            EntryKind::Commit => "commit",
            EntryKind::Distribution => "key",
            EntryKind::Message => "message",
            EntryKind::Trimmed => "trimmed",
        };
        let hangs = |delivery: &Option<conclave_wire::ids::Opaque>| {
            delivery.as_ref().map_or(String::new(), |bytes| String::from_utf8(bytes.0.clone()).unwrap())
        };
        page.entries.iter().map(|entry| (entry.seq.0, kind(entry.kind), hangs(&entry.delivery))).collect()
    }
}

pub(super) fn check(open: Open<'_>) {
    what_is_old_goes(open);
    in_steps_between_which_everybody_reads(open);
    what_is_too_much_goes(open);
    a_clock_that_goes_back_ages_nothing(open);
}

fn what_is_old_goes(open: Open<'_>) {
    let mut fixture = Fixture::of_two(open);
    let carol = Person::new("carol");
    let (a, b) = (fixture.alice.device(), fixture.bob.device());
    let add = fixture.room.commit(&fixture.alice, vec![carol.add()]);
    let welcome = vec![(carol.device(), Bytes::from_static(b"welcome"))];
    fixture.appended(at(day(0), fixture.commit(&add, welcome)));
    fixture.room.advance(&add);
    fixture.appended(fixture.key(day(0), &fixture.bob, "first key"));
    fixture.said(day(0), "a");
    let upload = UploadId::from_bytes([1; 16]);
    let deliveries = vec![(b, Bytes::from_static(b"in parts"))];
    let part = Part { upload, by: a, number: 0, deliveries, now: day(0) };
    fixture.one(Write::StagePart(part)).unwrap();
    let Write::Append(in_parts) = fixture.key(day(0), &fixture.bob, "") else { panic!() };
    let staged = Some(StagedUpload { upload, parts: 1 });
    fixture.appended(Write::Append(Append { staged, deliveries: Vec::new(), ..in_parts }));
    fixture.said(day(10), "b");
    fixture.appended(fixture.key(day(10), &fixture.bob, "last key"));
    assert_eq!(fixture.said(day(20), "c"), Seq(9));

    let shown = |fixture: &Fixture, after| {
        let shown = fixture.shown(&b, after, ALL);
        shown
            .iter()
            .map(|(seq, kind, hangs)| format!("{seq} {kind} {hangs}").trim().to_owned())
            .collect::<Vec<_>>()
    };
    let everything = [
        "2 commit welcome",
        "3 commit",
        "4 key first key",
        "5 message",
        "6 key in parts",
        "7 message",
        "8 key last key",
        "9 message",
    ];
    assert_eq!(shown(&fixture, 0), everything);
    // Nothing is older, or nobody looks at this group.
    assert_eq!(fixture.trim(keep(0, 0)), 0);
    assert_eq!(fixture.trim_step(Some(fixture.room.id()), keep(30, 30)), (None, 0, false));
    assert_eq!(shown(&fixture, 0), everything);

    // A message that is older goes, and what its readers need to read others stays.
    assert_eq!(fixture.trim(keep(5, 0)), 1);
    let without = |gone: &[(usize, &'static str)]| {
        let mut left = everything.map(str::to_owned);
        gone.iter().for_each(|(index, instead)| left[*index] = (*instead).to_owned());
        left.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&fixture, 0), without(&[(3, "5 trimmed")]));
    assert_eq!(fixture.trim(keep(5, 0)), 0);
    assert_eq!(fixture.trim(keep(15, 0)), 1);
    assert_eq!(shown(&fixture, 0), without(&[(3, "5 trimmed"), (5, "7 trimmed")]));
    // In the middle of what is gone, and a page that ends there.
    assert_eq!(
        shown(&fixture, 4),
        ["5 trimmed", "6 key in parts", "7 trimmed", "8 key last key", "9 message"]
    );
    let one = PageBounds { entries: 1, bytes: 1 << 20 };
    assert_eq!(fixture.shown(&b, 4, one), [(5, "trimmed", String::new())]);
    assert_eq!(fixture.shown(&b, 5, one), [(6, "key", "in parts".to_owned())]);
    // What hangs on an entry further on than a page of nothing but entries would reach.
    let few = PageBounds { entries: 3, bytes: 1 << 20 };
    assert_eq!(fixture.shown(&b, 6, few)[1], (8, "key", "last key".to_owned()));

    // Keys go as well, and what hung on commits; not the last ones.
    assert_eq!(fixture.trim(keep(15, 5)), 2);
    let left = ["2 commit", "3 commit", "7 trimmed", "8 key last key", "9 message"];
    assert_eq!(shown(&fixture, 0), left);
    assert_eq!(fixture.shown(&carol.device(), 0, one), [(3, "commit", "welcome".to_owned())]);
    fixture.trim(keep(15, 15));
    assert_eq!(shown(&fixture, 0), left);
    // Nothing is left of what came in parts: under its number something else may come.
    let part = Part { upload, by: a, number: 1, deliveries: Vec::new(), now: day(20) };
    let rejected = fixture.one(Write::StagePart(part));
    assert_eq!(rejected, Err(Rejected::PartOutOfOrder { expected: 0 }));

    // A group that has fallen silent.
    assert_eq!(fixture.trim(keep(30, 30)), 1);
    let left = ["2 commit", "3 commit", "7 trimmed", "8 key last key", "9 trimmed"];
    assert_eq!(shown(&fixture, 0), left);
    assert_eq!(shown(&fixture, 9), [""; 0]);
    assert_eq!(fixture.membership(&b).unwrap().head, Seq(9));
    drop(fixture.store);
    fixture.store = open(fixture.dir.path());
    assert_eq!(shown(&fixture, 0), left);
    // And speaks again.
    assert_eq!(fixture.said(day(40), "d"), Seq(10));
    assert_eq!(shown(&fixture, 8), ["9 trimmed", "10 message"]);
    assert_eq!(fixture.trim(keep(30, 30)), 0);
}

fn in_steps_between_which_everybody_reads(open: Open<'_>) {
    let fixture = Fixture::of_two(open);
    let b = fixture.bob.device();
    let batch: Vec<_> = (0..2 * TRIM_ROWS).map(|_| at(day(0), fixture.message("m"))).collect();
    fixture.store.write(&batch).unwrap();
    fixture.appended(fixture.key(day(0), &fixture.bob, "key"));
    let key = 2 * TRIM_ROWS as u64 + 3;
    assert_eq!(fixture.said(day(9), "new"), Seq(key + 1));
    let mut gone = 0;
    loop {
        let (to, entries, more) = fixture.trim_step(None, keep(9, 0));
        assert!(entries <= TRIM_ROWS as u64);
        gone += entries;
        let shown = fixture.shown(&b, 2, ALL);
        assert_eq!((shown[0].0, shown[0].1), (if more { gone + 2 } else { key - 1 }, "trimmed"));
        if !more {
            assert_eq!((to, gone), (None, 2 * TRIM_ROWS as u64));
            assert_eq!(shown[1..], [(key, "key", "key".to_owned()), (key + 1, "message", String::new())]);
            return;
        }
    }
}

fn what_is_too_much_goes(open: Open<'_>) {
    let fixture = Fixture::of_two(open);
    let long = "x".repeat(64 << 10);
    // Four notes apart, all in one day.
    let count = 4 * DATE_BYTES / (64 << 10) + 8;
    for _ in 0..count / 8 {
        let batch: Vec<_> = (0..8).map(|_| at(day(0), fixture.message(&long))).collect();
        fixture.store.write(&batch).unwrap();
    }
    let kept = |bytes| {
        fixture.trim(Keep { group_bytes: bytes, ..keep(0, 0) });
        let shown = fixture.shown(&fixture.bob.device(), 2, PageBounds { bytes: usize::MAX, ..ALL });
        shown.iter().filter(|(_, kind, _)| *kind == "message").count() as u64 * (64 << 10)
    };
    let all = count * (64 << 10);
    assert_eq!(kept(all), all);
    for bytes in [3 * DATE_BYTES, 2 * DATE_BYTES] {
        let left = kept(bytes);
        assert!(left <= bytes && left > bytes - DATE_BYTES, "{left} of {bytes}");
        assert_eq!(kept(bytes), left, "and no more, however often");
    }
    // Never what came since the last note, however little may be kept.
    assert!((1..=2 * DATE_BYTES).contains(&kept(0)));
}

fn a_clock_that_goes_back_ages_nothing(open: Open<'_>) {
    let fixture = Fixture::of_two(open);
    fixture.said(day(100), "of a clock that was ahead");
    fixture.said(day(1), "of one that is right");
    fixture.said(day(3), "and later");
    assert_eq!(fixture.trim(keep(50, 0)), 0);
    assert_eq!(fixture.trim(keep(101, 0)), 3);
}
