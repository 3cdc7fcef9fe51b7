//! What a member can make of an answer that signs with its own keys and says what it likes.

use super::envelope;
use super::payload::{SenderKeyAnswer, WelcomeAnswer};
use super::{AcceptError, KeyRepair, Repair};
use crate::envelope::{EnvelopeContext, Purpose};
use crate::group::alarm::{Alarm, SplitView};
use crate::group::event::GroupState;
use crate::group::receive::CertificateError;
use crate::group::state::Group;
use crate::group::welcome::WelcomeSender;
use crate::limits::REPAIR_INTERVAL;
use crate::prekeys::Reach;
use crate::secret::Secret;
use crate::support::{Forger, Log, Person, START, SeedRng, gather};
use crate::{PrekeyBook, ReceiveError};
use conclave_wire::certificate::{Certificate, CertificateBody, UnverifiedCertificate};
use conclave_wire::codec::{self, Structure};
use conclave_wire::commit::Operation;
use conclave_wire::ids::{CommitHash, Commitment, Epoch, Generation, MessageIndex, Opaque, Timestamp};
use conclave_wire::limits::{CLOCK_SKEW, MAX_CERTIFICATE_AGE};
use conclave_wire::roster::{PinnedPrekeys, Role};

/// Alice, Bob and Carol, who have all spoken, and Dave, who is there to be removed.
struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    carol: Person,
    dave: Person,
}

impl Case {
    fn new() -> Self {
        let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
        let mut dave = Person::new("dave", 4);
        let [alice, bob, carol] = &mut people;
        let (mut log, keys) = gather(&mut [alice, bob, carol, &mut dave], &[Role::Member; 3]);
        for person in &mut people {
            person.send(&mut log, &keys, b"hello");
        }
        let [alice, bob, carol] = people;
        let mut case = Self { log, keys, alice, bob, carol, dave };
        case.catch_up();
        case
    }

    fn catch_up(&mut self) {
        for person in [&mut self.alice, &mut self.bob, &mut self.carol] {
            person.catch_up(&self.log);
        }
    }

    /// Alice removes Dave, and Carol does not get the secret.
    fn carol_misses_a_secret(&mut self) {
        self.alice.change(&mut self.log, &self.keys, vec![self.dave.remove_operation()]);
        self.log.tamper_delivery(self.log.head(), &self.carol.device.id(), Vec::clear);
        self.catch_up();
        assert_eq!(self.carol.group().state(), GroupState::NeedWelcome);
    }

    /// Carol asks for a welcome, and Bob answers what `change` makes of the truth.
    fn welcome(&mut self, change: impl FnOnce(&mut WelcomeAnswer, &mut Self)) -> Result<Repair, AcceptError> {
        self.carol.now = self.carol.now.plus(REPAIR_INTERVAL);
        self.carol.ask_welcome(None).unwrap();
        let carol = self.carol.device.id();
        let mut answer = self.bob.group().welcome_answer(&carol).unwrap();
        change(&mut answer, self);
        let sealed = seal(&self.bob, &self.carol, &self.keys, Purpose::WelcomeAnswer, &answer);
        self.carol.accept(&sealed)
    }

    /// Carol asks Bob for his sender key, and he answers what `change` makes of the truth.
    fn sender_key(
        &mut self,
        change: impl FnOnce(&mut SenderKeyAnswer, &Self),
    ) -> Result<Repair, AcceptError> {
        self.carol.now = self.carol.now.plus(REPAIR_INTERVAL);
        self.carol.ask_sender_key(&self.bob).unwrap();
        let mut answer = self.bob.group().sender_key_answer().unwrap();
        change(&mut answer, self);
        let sealed = seal(&self.bob, &self.carol, &self.keys, Purpose::SenderKeyAnswer, &answer);
        self.carol.accept(&sealed)
    }

    /// Bob's own certificate, changed and signed again by him.
    fn certificate(&self, change: impl FnOnce(&mut CertificateBody)) -> Opaque {
        let own = self.bob.group.as_ref().unwrap().own.active.as_ref().unwrap();
        let mut body = own.certificate.body().clone();
        change(&mut body);
        Opaque(Certificate::new(body, &Forger::of(&self.bob).device).encode())
    }
}

/// Any answer at all, in this group and epoch.
fn seal(from: &Person, to: &Person, keys: &PrekeyBook, purpose: Purpose, answer: &impl Structure) -> Vec<u8> {
    let group = from.group.as_ref().unwrap();
    let context = EnvelopeContext { purpose, group: group.id(), epoch: group.epoch() };
    let (_, leaf) = group.roster().device(&to.device.id()).unwrap();
    let prekeys = to.device.prekeys().unwrap();
    let newest = PinnedPrekeys { hash: prekeys.hash(), time: prekeys.body().time };
    let (payload, reach) = (codec::encode(answer), Reach { book: keys, now: START });
    let mut rng = SeedRng::new(to.now.0);
    envelope::seal(&from.device, leaf, &newest, &payload, context, reach, &mut rng).unwrap()
}

fn key_of(sender: &WelcomeSender) -> CertificateBody {
    UnverifiedCertificate::decode(&sender.certificate.0).unwrap().claimed().clone()
}

fn duplicate(sender: &WelcomeSender) -> WelcomeSender {
    codec::decode(&codec::encode(sender)).unwrap()
}

impl Structure for WelcomeSender {
    const NAME: &'static str = "sender key in a welcome";
    const MAX_BYTES: usize = 1024;
}

/// (R124) The secrets are the ones that the head commit confirms, in this group, on this head.
#[test]
fn wrong_secrets() {
    let mut case = Case::new();
    case.carol_misses_a_secret();
    let wrong = case.welcome(|answer, _| answer.init = Secret::from_bytes([1; 32]));
    assert_eq!(wrong, Err(AcceptError::Confirmation));
    let device = case.bob.device.id();
    let other_head = case.welcome(|answer, _| answer.head = CommitHash::from_bytes([1; 32]));
    assert_eq!(other_head, Err(AcceptError::SplitView(SplitView::Commit { device })));
    // Whoever lies about where in the log it is, is waited for; the question stays open for others.
    let ahead = case.welcome(|answer, _| answer.seq = answer.seq.next().unwrap());
    assert_eq!(ahead, Err(AcceptError::Early));
    assert!(case.welcome(|_, _| {}).is_ok());
    assert_eq!(case.carol.group().state(), GroupState::Active);
}

/// (R124) A certificate that its owner replaced does not come back, even from who has the old signing key: the log has
/// shown the new one, though Carol could not read it.
#[test]
fn an_old_generation() {
    let mut case = Case::new();
    let stolen = {
        let carol = case.carol.device.id();
        let answer = case.bob.group().welcome_answer(&carol).unwrap();
        let alice = case.alice.device.id();
        let is_hers = |sender: &&WelcomeSender| key_of(sender).device == alice;
        duplicate(answer.senders.iter().find(is_hers).unwrap())
    };
    let upload = case.alice.stage_key(&case.keys);
    let seq = case.log.distribute(&case.alice.device.id(), &upload).unwrap();
    case.log.tamper_delivery(seq, &case.carol.device.id(), Vec::clear);
    case.catch_up();
    case.carol_misses_a_secret();
    let alice = case.alice.device.id();
    let repair = case.welcome(|answer, _| {
        answer.senders.retain(|sender| key_of(sender).device != alice);
        answer.senders.push(stolen);
    });
    assert_eq!(repair, Ok(Repair::Welcome { by: case.bob.device.id(), senders: 1 }), "Bob's own");
    let sender = &case.carol.group().senders[&alice];
    assert_eq!((sender.generation, sender.key.is_none()), (Generation(1), true));
    // Alice can be asked, and is read.
    let request = case.carol.ask_sender_key(&case.alice).unwrap();
    let answer = case.alice.answer_with(&request, &case.keys);
    case.carol.accept(&answer).unwrap();
    case.alice.send(&mut case.log, &case.keys, b"under the new key");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.texts().last().unwrap(), "under the new key");
}

/// (R124) Nor does one come that the log has not shown, or that is void, unsigned, or Carol's own; of two for one device
/// the first counts.
#[test]
fn sender_keys_that_are_left_out() {
    let mut case = Case::new();
    case.carol_misses_a_secret();
    let bob = case.bob.device.id();
    let repair = case.welcome(|answer, case| {
        let is_bobs = |sender: &&WelcomeSender| key_of(sender).device == bob;
        let good = duplicate(answer.senders.iter().find(is_bobs).unwrap());
        answer.senders.retain(|sender| key_of(sender).device != bob);
        let age = MAX_CERTIFICATE_AGE + CLOCK_SKEW * 2;
        let old = START.0 - u64::try_from(age.as_millis()).unwrap();
        let carols = case.carol.device.id();
        let changes: [&dyn Fn(&mut CertificateBody); 5] = [
            &|body| body.generation = Generation(1),
            &|body| body.commitment = Commitment::from_bytes([1; 32]),
            &|body| body.time = Timestamp(old),
            &|body| body.start_epoch = Epoch(0),
            &|body| body.device = carols,
        ];
        for change in changes {
            answer.senders.push(WelcomeSender {
                certificate: case.certificate(|body| change(body)),
                ..duplicate(&good)
            });
        }
        answer.senders.push(WelcomeSender { index: MessageIndex(10_001), ..duplicate(&good) });
        answer.senders.push(WelcomeSender { certificate: Opaque(vec![1]), ..duplicate(&good) });
    });
    assert_eq!(repair, Ok(Repair::Welcome { by: bob, senders: 1 }), "Alice's");
    let carol = case.carol.device.id();
    assert!(!case.carol.group().senders.contains_key(&carol));
    assert!(case.carol.group().senders[&bob].key.is_none());
}

/// (R124) (R123) A member can give wrong chains; the sender itself sets it right, and the user is told.
#[test]
fn wrong_chains() {
    let mut case = Case::new();
    case.carol_misses_a_secret();
    let alice = case.alice.device.id();
    case.welcome(|answer, _| {
        for sender in answer.senders.iter_mut().filter(|sender| key_of(sender).device == alice) {
            (sender.seed, sender.chain) = (Secret::from_bytes([1; 32]), Secret::from_bytes([2; 32]));
        }
    })
    .unwrap();
    case.alice.send(&mut case.log, &case.keys, b"carol cannot read this");
    case.carol.catch_up(&case.log);
    let generation = Generation(0);
    let (_, error) = case.carol.refused.pop().unwrap();
    assert_eq!(error, ReceiveError::Unauthentic { device: alice, generation });
    let request = case.carol.ask_sender_key(&case.alice).unwrap();
    let answer = case.alice.answer_with(&request, &case.keys);
    let repair = case.carol.accept(&answer).unwrap();
    assert_eq!(repair, Repair::SenderKey { device: alice, generation, key: KeyRepair::Differed });
    assert_eq!(repair.alarm(), Some(Alarm::SplitView(SplitView::Key { device: alice })));
    case.alice.send(&mut case.log, &case.keys, b"and this she can");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.texts().last().unwrap(), "and this she can");
    // What is stored is the new key too, seed and chain.
    case.carol.restart();
    case.alice.send(&mut case.log, &case.keys, b"after a restart");
    let account = case.bob.device.account();
    let operations = vec![Operation::SetRole { account, role: Role::Admin }];
    case.alice.change(&mut case.log, &case.keys, operations);
    case.alice.send(&mut case.log, &case.keys, b"in the next epoch");
    case.catch_up();
    assert_eq!(
        case.carol.texts().iter().rev().take(2).collect::<Vec<_>>(),
        ["in the next epoch", "after a restart"]
    );
    // With the right seed and the wrong chain it is the same, and the other way round; both are stored, wherever the
    // chain that they replace was.
    case.bob.send(&mut case.log, &case.keys, b"moves the chain");
    case.catch_up();
    let bob = case.bob.device.id();
    for change in
        [(|answer, secret| answer.chain = secret) as fn(&mut SenderKeyAnswer, _), |answer, secret| {
            answer.seed = secret;
        }]
    {
        let repair = case.sender_key(|answer, _| change(answer, Secret::from_bytes([7; 32]))).unwrap();
        assert!(matches!(repair, Repair::SenderKey { key: KeyRepair::Differed, .. }));
        let held = |carol: &mut Person| {
            let key = carol.group().senders[&bob].key.as_ref().unwrap();
            (key.seed.duplicate(), key.chain.chain().duplicate())
        };
        let before = held(&mut case.carol);
        case.carol.restart();
        assert_eq!(held(&mut case.carol), before);
    }
}

/// (R125) Only Carol's own signature says how far she was: nobody can use up her generations.
#[test]
fn a_generation_that_carol_never_had() {
    let mut case = Case::new();
    // As one who was restored knows nothing of it.
    case.carol_misses_a_secret();
    case.carol.group().own.next_generation = Generation(0);
    let carol = case.carol.device.id();
    let body = |case: &Case| CertificateBody {
        device: carol,
        generation: Generation(u32::MAX - 1),
        ..key_of(&WelcomeSender {
            certificate: case.certificate(|_| {}),
            seed: Secret::zeroed(),
            chain: Secret::zeroed(),
            index: MessageIndex(0),
        })
    };
    let mut forged = case.carol.copy();
    forged.now = case.carol.now.plus(REPAIR_INTERVAL);
    forged.ask_welcome(None).unwrap();
    let mut answer = case.bob.group().welcome_answer(&carol).unwrap();
    let honest = answer.yours.take();
    let by_bob = Certificate::new(body(&case), &Forger::of(&case.bob).device).encode();
    answer.yours = Some(Opaque(by_bob));
    let sealed = seal(&case.bob, &forged, &case.keys, Purpose::WelcomeAnswer, &answer);
    forged.group().own.next_generation = Generation(0);
    forged.accept(&sealed).unwrap();
    assert_eq!(forged.group().own.next_generation, Generation(0));

    case.welcome(|answer, _| answer.yours = honest).unwrap();
    assert_eq!(case.carol.group().own.next_generation, Generation(1), "above the one that members know");
}

/// (R123) A sender answers for itself alone, with a certificate that is not void and that the log does not contradict.
#[test]
fn sender_keys_that_are_refused() {
    let mut case = Case::new();
    let (alice, bob) = (case.alice.device.id(), case.bob.device.id());
    let void = |error| Err(AcceptError::Certificate(error));
    let split = Err(AcceptError::SplitView(SplitView::Certificate { device: bob }));
    let old = |case: &Case, start: u32| case.certificate(|body| body.start_epoch = Epoch(start));
    assert_eq!(case.sender_key(|a, c| a.certificate = old(c, 0)), void(CertificateError::StartEpoch));
    assert_eq!(case.sender_key(|a, c| a.certificate = old(c, 9)), void(CertificateError::StartEpoch));
    let alices = case.alice.group().own.active.as_ref().unwrap().certificate.encode();
    let refused = case.sender_key(|answer, _| answer.certificate = Opaque(alices));
    assert_eq!(refused, Err(AcceptError::NotMember), "Alice's key out of Bob's hands");
    let renamed = case.certificate(|_| {});
    let by_alice = UnverifiedCertificate::decode(&renamed.0).unwrap().claimed().clone();
    let by_alice = Certificate::new(by_alice, &Forger::of(&case.alice).device).encode();
    let refused = case.sender_key(|answer, _| answer.certificate = Opaque(by_alice));
    assert_eq!(refused, Err(AcceptError::Signature));

    let second = case.certificate(|body| body.commitment = Commitment::from_bytes([1; 32]));
    assert_eq!(case.sender_key(|answer, _| answer.certificate = second), split);
    let unshown = case.certificate(|body| body.generation = Generation(1));
    assert_eq!(case.sender_key(|answer, _| answer.certificate = unshown), split);
    // Where a member alone told of a sender, the sender itself may know better.
    case.carol.group().senders.get_mut(&bob).unwrap().from_log = false;
    let later = case.certificate(|body| body.generation = Generation(1));
    assert!(case.sender_key(|answer, _| answer.certificate = later).is_ok());
    assert_eq!(case.sender_key(|_, _| {}), Err(AcceptError::Stale), "and does not go back");
    let _ = alice;
}

/// (R122) An envelope of another purpose, group or sender is no answer.
#[test]
fn other_envelopes() {
    let mut case = Case::new();
    case.carol.ask_sender_key(&case.bob).unwrap();
    let answer = case.bob.group().sender_key_answer().unwrap();
    for purpose in [Purpose::CommitSecret, Purpose::ContentKey, Purpose::Welcome] {
        let sealed = seal(&case.bob, &case.carol, &case.keys, purpose, &answer);
        let refused = case.carol.accept(&sealed);
        assert_eq!(refused, Err(AcceptError::Open(crate::OpenError::Context)), "{purpose:?}");
    }
    // What is asked of Bob, Alice does not answer; and a welcome is no sender key.
    let sealed = seal(&case.alice, &case.carol, &case.keys, Purpose::SenderKeyAnswer, &answer);
    assert_eq!(case.carol.accept(&sealed), Err(AcceptError::Unasked));
    let welcome = case.bob.group().welcome_answer(&case.carol.device.id()).unwrap();
    let sealed = seal(&case.bob, &case.carol, &case.keys, Purpose::SenderKeyAnswer, &welcome);
    assert!(matches!(case.carol.accept(&sealed), Err(AcceptError::Decode(_))));
    // In another group, in which both are.
    let mut other = Case { log: case.bob.found(), ..Case::new() };
    let _: &mut Group = other.bob.group();
    let keys = case.keys.clone();
    case.bob.change(&mut other.log, &keys, vec![case.carol.add_operation(Role::Member)]);
    let sealed = seal(&case.bob, &case.carol, &case.keys, Purpose::SenderKeyAnswer, &answer);
    assert_eq!(case.carol.accept(&sealed), Err(AcceptError::Open(crate::OpenError::Context)));
}
