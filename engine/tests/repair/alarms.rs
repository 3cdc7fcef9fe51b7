//! What a user must see, told by type.

use super::Case;
use super::support::{Forger, Person, flip};
use conclave_engine::wire::certificate::UnverifiedCertificate;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::distribution::UnverifiedDistribution;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{CommitHash, Commitment, Epoch, Seq};
use conclave_engine::wire::roster::Role;
use conclave_engine::{Alarm, Event, ReceiveError};
use std::collections::BTreeMap;

/// What Carol says to an entry that the server shows her next.
fn alarm(case: &mut Case, kind: EntryKind, body: &[u8]) -> Option<Alarm> {
    let entry = case.log.forged(kind, body);
    let mut carol = case.carol.copy();
    let before = carol.snapshot();
    let error = carol.receive(&entry).unwrap_err();
    assert_eq!(carol.snapshot(), before);
    error.alarm()
}

fn set_role(of: &Person, role: Role) -> Vec<Operation> {
    vec![Operation::SetRole { account: of.device.account(), role }]
}

/// (R112) Withholding, a log out of order, a fork, and what no honest server accepts.
#[test]
fn a_server_that_misbehaves() {
    let mut case = Case::new();
    let old = case.bob.seal(b"of an epoch that ends").unwrap();
    case.alice.change(&mut case.log, &case.keys, set_role(&case.bob, Role::Admin));
    case.catch_up();
    let current = Epoch(2);
    assert_eq!(alarm(&mut case, EntryKind::Message, &old), Some(Alarm::LogOrder));

    // Bob has seen the next commit, and Carol is not shown it.
    let mut shown = case.log.clone();
    let operations = set_role(&case.bob, Role::Member);
    case.alice.change(&mut shown, &case.keys, operations);
    case.bob.catch_up(&shown);
    let newer = case.bob.seal(b"after a commit that carol is not shown").unwrap();
    let withheld = Some(Alarm::Withheld { current, found: Epoch(3) });
    assert_eq!(alarm(&mut case, EntryKind::Message, &newer), withheld);
    let distribution = case.bob.stage_key(&case.keys).distribution;
    assert_eq!(alarm(&mut case, EntryKind::Distribution, &distribution), withheld);
    let after = case.alice.stage(set_role(&case.bob, Role::Owner), &case.keys).unwrap().commit;
    let withheld = Some(Alarm::Withheld { current, found: Epoch(4) });
    assert_eq!(alarm(&mut case, EntryKind::Commit, &after), withheld);

    let good = shown.entry(shown.head(), &case.carol.device.id()).body.0;
    let forger = Forger::of(&case.alice);
    let fork = forger.change(&good, |body| body.previous = CommitHash::from_bytes([1; 32]));
    assert_eq!(alarm(&mut case, EntryKind::Commit, &fork), Some(Alarm::Fork));
    let repeated = case.log.commits(case.log.head()).last().unwrap().to_vec();
    assert_eq!(alarm(&mut case, EntryKind::Commit, &repeated), Some(Alarm::LogOrder));
    let invalid = forger.change(&good, |body| body.operations.clear());
    assert_eq!(alarm(&mut case, EntryKind::Commit, &invalid), Some(Alarm::BadEntry));
    // A hole in the sequence numbers, or one that comes twice.
    for seq in [case.log.head(), Seq(case.log.head().0 + 2)] {
        let entry = Entry { seq, ..case.log.forged(EntryKind::Message, &old) };
        assert_eq!(case.carol.receive(&entry).unwrap_err().alarm(), Some(Alarm::LogOrder));
    }
}

/// (R112) (R60) A device that speaks with two tongues, a copy of this one, and messages that do not fit.
#[test]
fn members_and_copies_that_misbehave() {
    let mut case = Case::new();
    let (bob, carol) = (case.bob.device.id(), case.carol.device.id());
    // Two certificates for one generation, whether or not the first could be read.
    for spoil in [false, true] {
        let upload = case.bob.stage_key(&case.keys);
        let seq = case.log.distribute(&bob, &upload).unwrap();
        if spoil {
            case.log.tamper_delivery(seq, &carol, Vec::clear);
        }
        case.catch_up();
        let distribution = UnverifiedDistribution::decode(&upload.distribution).unwrap();
        let certificate =
            UnverifiedCertificate::decode(&distribution.claimed().certificate.0).unwrap().claimed().clone();
        let second = conclave_engine::wire::certificate::CertificateBody {
            commitment: Commitment::from_bytes([3; 32]),
            ..certificate
        };
        let second = Forger::of(&case.bob).distribution(second, case.log.epoch());
        let equivocation = Some(Alarm::Equivocation { device: bob });
        assert_eq!(alarm(&mut case, EntryKind::Distribution, &second), equivocation, "spoilt: {spoil}");
        let again = case.log.forged(EntryKind::Distribution, &upload.distribution);
        let repeated = case.carol.copy().receive(&again).unwrap_err();
        assert_eq!((&repeated, repeated.alarm()), (&ReceiveError::RepeatedDistribution, None));
    }

    // A copy of Carol writes in her name: a message, and a commit of an admin's copy.
    let mut copy = case.carol.copy();
    let mut elsewhere = case.log.clone();
    copy.send(&mut elsewhere, &case.keys, b"not by carol");
    let seq = elsewhere.head();
    while case.carol.group().cursor() < seq {
        let entry = elsewhere.entry(case.carol.group().cursor().next().unwrap(), &carol);
        let error = case.carol.receive(&entry).unwrap_err();
        assert_eq!(error.alarm(), Some(Alarm::Cloned));
        let changes = case.carol.group().skip(&entry).unwrap();
        case.carol.save(changes);
    }
    let mut copy = case.alice.copy();
    copy.change(&mut elsewhere, &case.keys, set_role(&case.bob, Role::Admin));
    case.alice.catch_up(&elsewhere);
    let alarms: Vec<_> = case.alice.events.iter().filter_map(Event::alarm).collect();
    assert_eq!(alarms, [Alarm::Cloned]);
}

/// (R112) A gap, a message that waits for its sender's word, and one that is nobody's.
#[test]
fn messages_that_do_not_fit() {
    let mut case = Case::new();
    let bob = case.bob.device.id();
    let [dropped, next, last] =
        [b"dropped".as_slice(), b"next", b"last"].map(|text| case.bob.seal(text).unwrap());
    let _ = dropped;
    case.log.post(&next).unwrap();
    let event = case.carol.read_next(&case.log).unwrap();
    assert_eq!(event.alarm(), Some(Alarm::Gap { device: bob }));
    let spoilt = flip(&last, last.len() - 1);
    case.log.append(EntryKind::Message, spoilt, BTreeMap::new());
    let event = case.carol.read_next(&case.log).unwrap();
    assert_eq!(event.alarm(), Some(Alarm::Pending { device: bob }));
    let garbled = flip(&last, 45);
    assert_eq!(alarm(&mut case, EntryKind::Message, &garbled), Some(Alarm::Unauthentic { device: bob }));
    case.log.post(&last).unwrap();
    assert_eq!(case.carol.read_next(&case.log).unwrap().alarm(), None);
    // Each says what to do, for people who do not know the protocol.
    for alarm in [Alarm::Fork, Alarm::LogOrder, Alarm::Cloned, Alarm::Gap { device: bob }] {
        assert!(alarm.to_string().contains(';'), "{alarm}");
    }
}
