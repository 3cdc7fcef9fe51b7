//! A second authentic entry under keys that a sender's last one used is no repeat, but evidence (R142).

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::{DeviceId, MessageIndex};
use conclave_engine::wire::roster::Role;
use conclave_engine::{PrekeyBook, ReceiveError};
use support::{Log, Person, gather};

struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    /// A copy of Alice's device, from before her last message.
    thief: Person,
    bob: Person,
}

/// What is sealed at one place.
#[derive(Clone, Copy, Debug)]
struct Entry(usize);

impl Entry {
    fn seal(self, person: &mut Person, text: &str) -> Vec<u8> {
        match self.0 {
            1 => person.seal(text.as_bytes()).unwrap(),
            count => person.seal_run(&vec![text.as_bytes(); count]).unwrap(),
        }
    }
}

impl Case {
    /// Bob has read two messages of Alice, the second one of which is this.
    fn new(last: Entry) -> Self {
        let (mut alice, mut bob) = (Person::new("alice", 1), Person::new("bob", 2));
        let (mut log, keys) = gather(&mut [&mut alice, &mut bob], &[Role::Admin]);
        alice.send(&mut log, &keys, b"hello");
        let thief = alice.copy();
        log.post(&last.seal(&mut alice, "by alice")).unwrap();
        for person in [&mut alice, &mut bob] {
            person.catch_up(&log);
        }
        Self { log, keys, alice, thief, bob }
    }

    /// Bob refuses these bytes and is as before, after a restart too.
    fn refusal(&mut self, message: &[u8]) -> ReceiveError {
        let entry = self.log.forged(EntryKind::Message, message);
        let before = self.bob.snapshot();
        let error = self.bob.receive(&entry).unwrap_err();
        assert_eq!(self.bob.snapshot(), before);
        self.bob.restart();
        assert_eq!(self.bob.receive(&entry), Err(error.clone()));
        error
    }

    fn alice(&self) -> DeviceId {
        self.alice.device.id()
    }
}

/// Messages and runs, at the same first index, shorter and longer ones.
#[test]
fn a_second_entry_under_the_last_keys() {
    for last in [1, 2, 4].map(Entry) {
        let mut case = Case::new(last);
        let device = case.alice();
        for second in [1, 2, 4, 6].map(Entry) {
            let by_thief = second.seal(&mut case.thief.copy(), "by the thief");
            let expected = ReceiveError::Equivocation { device, index: MessageIndex(1) };
            assert_eq!(case.refusal(&by_thief), expected, "{second:?} after {last:?}");
        }
        // A forgery is no evidence, and looks like any repeat.
        let mut forged = case.thief.copy().seal(b"forged").unwrap();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(case.refusal(&forged), ReceiveError::Repeated(MessageIndex(1)));
        let mut forged = case.thief.copy().seal_run(&[&b"forged"[..]; 2]).unwrap();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(case.refusal(&forged), ReceiveError::Repeated(MessageIndex(1)));
    }
}

/// In the middle of the last run too; but not if it begins before it, where no commitment is kept.
#[test]
fn within_the_last_run() {
    let mut case = Case::new(Entry(4));
    let device = case.alice();
    case.thief.seal(b"one ahead").unwrap();
    for second in [1, 2, 3, 5].map(Entry) {
        let by_thief = second.seal(&mut case.thief.copy(), "by the thief");
        let expected = ReceiveError::Equivocation { device, index: MessageIndex(2) };
        assert_eq!(case.refusal(&by_thief), expected, "{second:?}");
    }
    let mut case = Case::new(Entry(1));
    let across = case.thief.copy().seal_run(&[&b"by the thief"[..]; 2]).unwrap();
    case.alice.send(&mut case.log, &case.keys, b"more by alice");
    case.bob.catch_up(&case.log);
    assert_eq!(case.refusal(&across), ReceiveError::Repeated(MessageIndex(1)));
}

/// The same once more is a repeat, and so is what is older than the last.
#[test]
fn repeats_are_no_evidence() {
    for last in [1, 3].map(Entry) {
        let mut case = Case::new(last);
        let older = case.thief.copy().seal(b"by the thief").unwrap();
        let again = case.log.entry(case.log.head(), &case.alice()).body.0;
        assert_eq!(case.refusal(&again), ReceiveError::Repeated(MessageIndex(1)));
        case.alice.send(&mut case.log, &case.keys, b"more by alice");
        case.bob.catch_up(&case.log);
        assert_eq!(case.refusal(&older), ReceiveError::Repeated(MessageIndex(1)));
        assert_eq!(case.refusal(&again), ReceiveError::Repeated(MessageIndex(1)));
    }
}

/// Nothing of it is kept beyond the epoch or the sender key.
#[test]
fn it_ends_with_the_epoch_and_with_the_key() {
    let mut case = Case::new(Entry(3));
    let old_epoch = case.thief.seal(b"by the thief").unwrap();
    let dave = Person::new("dave", 4);
    case.alice.change(&mut case.log, &case.keys, vec![dave.add_operation(Role::Member)]);
    case.bob.catch_up(&case.log);
    assert!(matches!(case.refusal(&old_epoch), ReceiveError::LogOrder { .. }));
    case.thief.catch_up(&case.log);
    let fresh = case.thief.seal(b"a new chain at index 0").unwrap();
    case.log.post(&fresh).unwrap();
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.refused, []);
    case.alice.catch_up(&case.log);
    let upload = case.alice.stage_key(&case.keys);
    case.log.distribute(&case.alice.device.id(), &upload).unwrap();
    case.alice.send(&mut case.log, &case.keys, b"at index 0 of the new key");
    case.bob.catch_up(&case.log);
    assert_eq!(case.bob.refused, []);
    let old_key = case.thief.seal(b"by the thief").unwrap();
    assert!(matches!(case.refusal(&old_key), ReceiveError::OldGeneration { .. }));
}
