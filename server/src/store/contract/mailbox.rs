//! Mailboxes: bounded, in order, and never two letters of one number.

use super::{ALL, Fixture, Open, registration};
use crate::limits::{MAX_LETTERS, MAX_SENDER_BYTES};
use crate::people::Person;
use crate::store::{LetterToKeep, Letters, LettersWanted, PageBounds, Rejected, Write, Written};
use conclave_wire::ids::{DeviceId, GroupId, LetterNumber, Timestamp};
use conclave_wire::letter::LetterKind;
use conclave_wire::limits::{LETTER_PATIENCE, MAX_LETTER, MAX_LETTERS_PER_SENDER};

const START: Timestamp = Timestamp(1_700_000_000_000);

fn sender(n: usize) -> DeviceId {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    DeviceId::from_bytes(bytes)
}

fn letter(to: DeviceId, from: DeviceId, body: &[u8], now: Timestamp) -> Write {
    let (kind, group) = (LetterKind::RepairAnswer, GroupId::from_bytes([3; 32]));
    Write::KeepLetter(LetterToKeep { to, kind, group, from, body: body.to_vec().into(), now })
}

fn numbers(read: &Letters) -> Vec<u64> {
    read.letters.iter().map(|letter| letter.number.0).collect()
}

pub(super) fn check(open: Open<'_>) {
    bounded_and_in_order(open);
    a_clock_that_jumps_loses_nothing_that_is_young(open);
}

fn bounded_and_in_order(open: Open<'_>) {
    let mut fixture = Fixture::new(open);
    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let [a, b] = [&alice, &bob].map(Person::device);
    let late = START.plus(LETTER_PATIENCE);
    let read_at = |fixture: &Fixture, of: &DeviceId, after, now, bounds| {
        let wanted = LettersWanted { after: LetterNumber(after), now, bounds };
        fixture.store.letters(of, wanted).unwrap()
    };
    let read = |fixture: &Fixture, after, bounds| read_at(fixture, &a, after, START, bounds);
    assert_eq!(fixture.one(letter(a, b, b"early", START)), Err(Rejected::UnknownDevice));
    for person in [&alice, &bob] {
        fixture.one(Write::Register(registration(person))).unwrap();
    }
    let batch = [letter(a, b, b"one", START), letter(b, a, b"other", START), letter(a, b, b"two", late)];
    assert_eq!(fixture.store.write(&batch).unwrap(), vec![Ok(Written::Done); 3]);
    let all = read(&fixture, 0, ALL);
    let bodies: Vec<_> = all.letters.iter().map(|letter| letter.body.0.clone()).collect();
    assert_eq!(
        (numbers(&all), bodies, all.more),
        (vec![1, 2], vec![b"one".to_vec(), b"two".to_vec()], false)
    );
    assert_eq!((all.letters[0].from, all.letters[0].kind), (b, LetterKind::RepairAnswer));
    // In pages, of which the first letter is always one.
    for bounds in [PageBounds { entries: 1, bytes: 1000 }, PageBounds { entries: 9, bytes: 1 }] {
        let page = read(&fixture, 0, bounds);
        assert_eq!((numbers(&page), page.more), (vec![1], true));
        let page = read(&fixture, 1, bounds);
        assert_eq!((numbers(&page), page.more), (vec![2], false));
    }
    // Emptied, a mailbox goes on counting, also after a restart.
    let forget = |through| Write::ForgetLetters { device: a, through: LetterNumber(through) };
    fixture.one(forget(2)).unwrap();
    assert_eq!(numbers(&read(&fixture, 0, ALL)), Vec::<u64>::new());
    drop(fixture.store);
    fixture.store = open(fixture.dir.path());
    fixture.one(letter(a, b, b"three", START)).unwrap();
    assert_eq!(numbers(&read(&fixture, 0, ALL)), [3]);

    // One sender has its own share, in letters and in bytes.
    for _ in 1..MAX_LETTERS_PER_SENDER {
        fixture.one(letter(a, b, b"more", START)).unwrap();
    }
    assert_eq!(fixture.one(letter(a, b, b"full", START)), Err(Rejected::MailboxFull));
    let large = vec![0; MAX_LETTER];
    for _ in 0..MAX_SENDER_BYTES / MAX_LETTER as u64 {
        fixture.one(letter(a, sender(0), &large, START)).unwrap();
    }
    assert_eq!(fixture.one(letter(a, sender(0), &large, START)), Err(Rejected::MailboxFull));
    // And all of them theirs.
    for n in (1..8).flat_map(|n| [n, n]) {
        fixture.one(letter(a, sender(n), &large, START)).unwrap();
    }
    assert_eq!(fixture.one(letter(a, sender(8), &large, START)), Err(Rejected::MailboxFull));
    let kept = read(&fixture, 0, PageBounds { entries: 1000, bytes: usize::MAX }).letters.len();
    for n in kept..MAX_LETTERS {
        fixture.one(letter(a, sender(n), b"more", START)).unwrap();
    }
    assert_eq!(fixture.one(letter(a, sender(9999), b"full", START)), Err(Rejected::MailboxFull));
    assert_eq!(fixture.one(letter(b, sender(9999), b"elsewhere", START)), Ok(Written::Done));

    // What is too old is handed out no more, makes room, and is swept away.
    let after = late.plus(std::time::Duration::from_millis(1));
    assert_eq!(read_at(&fixture, &a, 0, after, ALL).letters, []);
    assert_eq!(fixture.one(letter(a, b, b"late", after)), Ok(Written::Done));
    assert_eq!(read(&fixture, 0, ALL).letters.len(), 1, "the others are gone");
    assert_eq!(read_at(&fixture, &b, 0, START, ALL).letters.len(), 2);
    assert_eq!(fixture.one(Write::SweepMailboxes { after: None, now: after }), Ok(Written::SweptTo(None)));
    assert_eq!(read_at(&fixture, &b, 0, START, ALL).letters, []);
    assert_eq!(read(&fixture, 0, ALL).letters.len(), 1);
    // In one batch with a letter that comes.
    let later = after.plus(LETTER_PATIENCE * 2);
    let batch = [letter(a, b, b"new", later), Write::SweepMailboxes { after: None, now: later }];
    fixture.store.write(&batch).unwrap();
    assert_eq!(read(&fixture, 0, ALL).letters.len(), 1);
    assert_eq!(read(&fixture, 0, ALL).letters[0].body.0, b"new");
    let beyond = Some(DeviceId::from_bytes([0xff; 32]));
    let end = later.plus(LETTER_PATIENCE * 2);
    assert_eq!(fixture.one(Write::SweepMailboxes { after: beyond, now: end }), Ok(Written::SweptTo(None)));
    assert_eq!(read(&fixture, 0, ALL).letters.len(), 1, "it was not its turn");
}

/// A letter that came while the clock was wrong is kept until its device has it, or until the clock says that it is old.
fn a_clock_that_jumps_loses_nothing_that_is_young(open: Open<'_>) {
    let fixture = Fixture::new(open);
    let [a, b] = ["alice", "bob"].map(|name| Person::new(name).device());
    fixture.one(Write::Register(registration(&Person::new("alice")))).unwrap();
    let ahead = START.plus(LETTER_PATIENCE * 52);
    let read = |now| {
        let wanted = LettersWanted { after: LetterNumber(0), now, bounds: ALL };
        numbers(&fixture.store.letters(&a, wanted).unwrap())
    };
    let sweep = |now| fixture.one(Write::SweepMailboxes { after: None, now }).unwrap();
    // A year ahead, and right again: neither reading nor sweeping takes it away, nor does it stand in anybody's way.
    fixture.one(letter(a, b, b"ahead", ahead)).unwrap();
    fixture.one(letter(a, b, b"right", START)).unwrap();
    sweep(START);
    assert_eq!(read(START), [1, 2]);
    // What is only read at the wrong time is there again afterwards.
    assert_eq!(read(ahead), [1]);
    assert_eq!(read(START), [1, 2]);
    // Swept at the wrong time it is gone, as it would be in a year: whoever asked in it asks again.
    sweep(ahead);
    assert_eq!(read(START), [1]);
    fixture.one(letter(a, b, b"later", START)).unwrap();
    assert_eq!(read(START), [1, 3]);
    fixture.one(Write::ForgetLetters { device: a, through: LetterNumber(1) }).unwrap();
    assert_eq!(read(START), [3]);
}
