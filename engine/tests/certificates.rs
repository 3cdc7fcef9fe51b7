//! Sender keys that must be refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::certificate::{CertificateBody, SenderPublicKey};
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{CommitHash, Commitment, Epoch, Generation, GroupId, Opaque, Timestamp};
use conclave_engine::wire::limits::{CLOCK_SKEW, MAX_CERTIFICATE_AGE};
use conclave_engine::wire::roster::Role;
use conclave_engine::{CertificateError, Event, PrekeyBook, ReceiveError};
use std::collections::BTreeMap;
use std::time::Duration;
use support::{Forger, Log, Person, START, flip, gather};

struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    carol: Person,
}

impl Case {
    fn new() -> Self {
        let (mut alice, mut bob, mut carol) =
            (Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3));
        let (log, keys) = gather(&mut [&mut alice, &mut bob, &mut carol], &[Role::Member; 2]);
        Self { log, keys, alice, bob, carol }
    }

    /// A certificate that Bob may have.
    fn good(&self) -> CertificateBody {
        CertificateBody {
            group: self.log.id(),
            device: self.bob.device.id(),
            generation: Generation(5),
            time: START,
            start_epoch: self.log.epoch(),
            head: self.log.public().head(),
            signing_key: SenderPublicKey::from_bytes(*self.bob.device.key().as_bytes()),
            commitment: Commitment::from_bytes([1; 32]),
            first_link: true,
        }
    }

    /// Alice and Carol refuse what Bob distributes under a changed certificate, and are as before.
    fn refusal(&mut self, change: impl FnOnce(&mut CertificateBody)) -> ReceiveError {
        let mut certificate = self.good();
        change(&mut certificate);
        self.refusal_of(&Forger::of(&self.bob).distribution(certificate, self.log.epoch()))
    }

    fn refusal_of(&mut self, distribution: &[u8]) -> ReceiveError {
        let entry = self.log.forged(EntryKind::Distribution, distribution);
        let [alice, carol] = [&mut self.alice, &mut self.carol].map(|person| {
            let before = person.snapshot();
            let error = person.receive(&entry).unwrap_err();
            assert_eq!(person.snapshot(), before, "{}", person.name);
            error
        });
        assert_eq!(alice, carol);
        alice
    }

    fn void(&mut self, change: impl FnOnce(&mut CertificateBody)) -> CertificateError {
        match self.refusal(change) {
            ReceiveError::Certificate(error) => error,
            other => panic!("{other}"),
        }
    }
}

/// (R60) For this group, this device, its present membership, our head, and not too old.
#[test]
fn void_certificates() {
    let mut case = Case::new();
    let carol = case.carol.device.id();
    assert_eq!(case.void(|body| body.group = GroupId::from_bytes([1; 32])), CertificateError::Group);
    assert_eq!(case.refusal(|body| body.device = carol), ReceiveError::Signature, "Bob signs for Carol");
    assert_eq!(case.void(|body| body.start_epoch = Epoch(0)), CertificateError::StartEpoch, "before he came");
    assert_eq!(case.void(|body| body.start_epoch = Epoch(2)), CertificateError::StartEpoch, "in the future");
    assert_eq!(case.void(|body| body.head = CommitHash::from_bytes([1; 32])), CertificateError::Head);
    let age = u64::try_from((MAX_CERTIFICATE_AGE + CLOCK_SKEW).as_millis()).unwrap();
    assert_eq!(case.void(|body| body.time = Timestamp(START.0 - age - 1)), CertificateError::Age);
    let stale = Forger::of(&case.bob).distribution(case.good(), Epoch(0));
    assert_eq!(case.refusal_of(&stale), ReceiveError::LogOrder { current: Epoch(1), found: Epoch(0) });
    let dave = Person::new("dave", 4);
    let stranger = CertificateBody { device: dave.device.id(), ..case.good() };
    let stranger = Forger::of(&dave).distribution(stranger, Epoch(1));
    assert_eq!(case.refusal_of(&stranger), ReceiveError::NotMember);
    // At the limit of age it still counts, though nobody can read it.
    let oldest = CertificateBody { time: Timestamp(START.0 - age), ..case.good() };
    let oldest = Forger::of(&case.bob).distribution(oldest, Epoch(1));
    let event = case.alice.receive(&case.log.forged(EntryKind::Distribution, &oldest)).unwrap();
    assert!(matches!(event, Event::SenderKey { readable: false, .. }));
}

/// (R61)
#[test]
fn forged_distributions() {
    let mut case = Case::new();
    let good = Forger::of(&case.bob).distribution(case.good(), Epoch(1));
    assert_eq!(case.refusal_of(&flip(&good, good.len() - 1)), ReceiveError::Signature);
    for at in 0..good.len() {
        let error = case.refusal_of(&flip(&good, at));
        let refused =
            matches!(error, ReceiveError::Signature | ReceiveError::Decode(_) | ReceiveError::NotMember);
        assert!(refused, "byte {at}: {error}");
    }
}

/// (R61) (R60) Generations only grow: a second certificate for one, or a lower one, is refused.
#[test]
fn two_certificates_for_one_generation() {
    let mut case = Case::new();
    let forger = Forger::of(&case.bob);
    let first = forger.distribution(case.good(), Epoch(1));
    case.log.append(EntryKind::Distribution, first, BTreeMap::new());
    for person in [&mut case.alice, &mut case.carol] {
        person.catch_up(&case.log);
        assert_eq!(person.refused, []);
    }
    let another = Commitment::from_bytes([2; 32]);
    let device = case.bob.device.id();
    assert_eq!(case.void(|body| body.commitment = another), CertificateError::Conflict { device });
    assert_eq!(case.void(|body| body.generation = Generation(4)), CertificateError::Generation);
    assert_eq!(case.refusal(|_| {}), ReceiveError::RepeatedDistribution, "the very same again");
}

/// (R60) Removed and added again, a device begins anew: certificates from before are void.
#[test]
fn certificates_from_before_a_removal() {
    let mut case = Case::new();
    let old = case.good();
    let (bob, keys) = (case.bob.remove_operation(), case.keys.clone());
    case.alice.change(&mut case.log, &keys, vec![bob]);
    case.alice.change(&mut case.log, &keys, vec![case.bob.add_operation(Role::Member)]);
    case.carol.catch_up(&case.log);
    assert_eq!(case.void(|body| *body = old), CertificateError::StartEpoch);
}

/// An own certificate that this device did not make raises the alarm.
#[test]
fn a_sender_key_of_ours_that_we_did_not_make() {
    let mut case = Case::new();
    let distribution = Forger::of(&case.bob).distribution(case.good(), Epoch(1));
    let entry = case.log.forged(EntryKind::Distribution, &distribution);
    let before = case.bob.snapshot();
    assert_eq!(case.bob.receive(&entry), Err(ReceiveError::NotOurs));
    assert_eq!(case.bob.snapshot(), before);
}

/// (R71) A hostile distribution that we skip counts as processed: it cannot block our next commit.
#[test]
fn skipping_a_hostile_distribution_does_not_block_the_next_commit() {
    let mut case = Case::new();
    let hostile = CertificateBody { group: GroupId::from_bytes([1; 32]), ..case.good() };
    let hostile = conclave_engine::DistributionUpload {
        distribution: Forger::of(&case.bob).distribution(hostile, Epoch(1)),
        deliveries: vec![Opaque::default(); 2],
        recipients: Vec::new(),
    };
    case.log.distribute(&case.bob.device.id(), &hostile).unwrap();
    case.alice.catch_up(&case.log);
    assert_eq!(case.alice.refused.len(), 1);
    let upload = case.alice.stage(vec![case.bob.remove_operation()], &case.keys).unwrap();
    assert!(case.log.commit(&upload).is_ok(), "compare-and-swap on the last distribution");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.group().epoch(), Epoch(2));
}

/// (R65) Links run on from generation to generation.
#[test]
fn a_new_generation_continues_the_links() {
    let mut case = Case::new();
    case.bob.send(&mut case.log, &case.keys, b"first");
    case.bob.now = START.plus(Duration::from_secs(8 * 24 * 3600));
    case.bob.send(&mut case.log, &case.keys, b"second, under a new key");
    case.alice.catch_up(&case.log);
    let continuity: Vec<_> = case.alice.read.iter().map(|message| message.continuity).collect();
    assert_eq!(continuity, [conclave_engine::Continuity::Linked; 2]);
    let keys =
        case.alice.events.iter().filter(|event| matches!(event, Event::SenderKey { readable: true, .. }));
    assert_eq!(keys.count(), 2);
    // An entry of another group is no entry of this one.
    let elsewhere = Entry { group: GroupId::from_bytes([1; 32]), ..case.log.forged(EntryKind::Commit, &[]) };
    assert_eq!(case.alice.receive(&elsewhere), Err(ReceiveError::Group));
}
