//! Requests that are not answered, and questions that are not asked.

use super::support::{Forger, Person, flip};
use super::{Case, manifest};
use conclave_engine::limits::{MAX_REQUEST_AGE, REPAIR_INTERVAL};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::ids::{CertificateHash, CommitHash, Epoch, Generation, GroupId, Timestamp};
use conclave_engine::wire::limits::CLOCK_SKEW;
use conclave_engine::wire::repair::{
    KnownKey, Question, RepairRequest, RepairRequestBody, UnverifiedRepairRequest,
};
use conclave_engine::wire::roster::Role;
use conclave_engine::{Alarm, AnswerError, AskError, GroupState, PrekeyBook, SplitView};
use std::time::Duration;

/// A request of Carol for Bob's sender key, as she may change it, who has her own key.
fn changed(case: &mut Case, change: impl FnOnce(&mut RepairRequestBody)) -> Vec<u8> {
    let mut carol = case.carol.copy();
    let request = carol.ask_sender_key(&case.bob).unwrap();
    let mut body = UnverifiedRepairRequest::decode(&request).unwrap().claimed().clone();
    change(&mut body);
    RepairRequest::new(body, &Forger::of(&case.carol).device).encode()
}

fn refusal(case: &mut Case, request: &[u8]) -> AnswerError {
    case.bob.answer(request, &case.keys).unwrap_err()
}

/// (R115) Every byte of a request is signed by its asker, and nothing is answered that is for somebody else.
#[test]
fn every_byte_of_a_request() {
    let mut case = Case::new();
    let request = changed(&mut case, |_| {});
    for at in 0..request.len() {
        let refused = refusal(&mut case, &flip(&request, at));
        // What a changed byte may turn it into that is refused before the signature is looked at.
        let expected = matches!(
            refused,
            AnswerError::Signature
                | AnswerError::Decode(_)
                | AnswerError::NotForUs
                | AnswerError::NotMember
                | AnswerError::Group
                | AnswerError::Time
        );
        assert!(expected, "byte {at}: {refused:?}");
    }
    // Signed by another member, in Carol's name.
    let body = UnverifiedRepairRequest::decode(&request).unwrap().claimed().clone();
    let forged = RepairRequest::new(body, &Forger::of(&case.alice).device).encode();
    assert_eq!(refusal(&mut case, &forged), AnswerError::Signature);
    let alice = case.alice.device.id();
    let for_alice = changed(&mut case, |body| body.question = Question::SenderKey { of: alice, known: None });
    assert_eq!(refusal(&mut case, &for_alice), AnswerError::NotForUs);
    let elsewhere = changed(&mut case, |body| body.group = GroupId::from_bytes([1; 32]));
    assert_eq!(refusal(&mut case, &elsewhere), AnswerError::Group);
    let own = case.bob.ask_initial(None).unwrap();
    assert_eq!(refusal(&mut case, &own), AnswerError::NotForUs, "his own, brought back to him");
    assert!(case.bob.answer(&request, &case.keys).is_ok());
}

/// (R114) Only devices that are in the roster now, in this stay, are answered.
#[test]
fn strangers_and_earlier_stays() {
    let mut case = Case::new();
    let before = case.dave.ask_initial(None).unwrap();
    let sender_key = case.dave.ask_sender_key(&case.bob);
    let sender_key = sender_key.unwrap();
    case.alice.change(&mut case.log, &case.keys, vec![case.dave.remove_operation()]);
    case.catch_up();
    for request in [&before, &sender_key] {
        assert_eq!(refusal(&mut case, request), AnswerError::NotMember);
    }
    let add = Operation::Add { role: Role::Member, manifest: manifest(&case.dave) };
    case.alice.change(&mut case.log, &case.keys, vec![add]);
    case.dave.join(&case.log, case.log.head()).unwrap();
    case.catch_up();
    for request in [&before, &sender_key] {
        assert_eq!(refusal(&mut case, request), AnswerError::NotMember, "he asked in his first stay");
    }
    let now = case.dave.ask_sender_key(&case.bob).unwrap();
    assert!(case.bob.answer(&now, &case.keys).is_ok());
    // Somebody who never was in the group, under his own name and under Carol's.
    let erin = Person::new("erin", 5);
    let id = erin.device.id();
    let request = changed(&mut case, |body| body.asker = id);
    assert_eq!(refusal(&mut case, &request), AnswerError::NotMember);
    let body = UnverifiedRepairRequest::decode(&now).unwrap().claimed().clone();
    let body = RepairRequestBody { asker: case.carol.device.id(), since: Epoch(1), ..body };
    let request = RepairRequest::new(body, &Forger::of(&erin).device).encode();
    assert_eq!(refusal(&mut case, &request), AnswerError::Signature);
}

/// (R116) A request is answered once, and its asker about one kind of thing once in ten minutes, a restart between or not.
#[test]
fn replays_and_rates() {
    let mut case = Case::new();
    case.carol_misses_a_key();
    let first = case.carol.ask_sender_key(&case.bob).unwrap();
    let until = case.now().plus(REPAIR_INTERVAL);
    case.carol.restart();
    assert_eq!(case.carol.ask_sender_key(&case.bob), Err(AskError::TooSoon { until }));
    // Another target and another kind are other questions.
    case.carol.ask_sender_key(&case.alice).unwrap();
    let initial = case.carol.ask_initial(Some(case.bob.device.id())).unwrap();

    case.bob.answer(&first, &case.keys).unwrap();
    case.bob.restart();
    assert_eq!(refusal(&mut case, &first), AnswerError::Repeated);
    let sooner = changed_time(&case, &first, case.now().plus(Duration::from_secs(1)));
    assert_eq!(refusal(&mut case, &sooner), AnswerError::TooSoon);
    case.bob.answer(&initial, &case.keys).unwrap();
    assert_eq!(refusal(&mut case, &initial), AnswerError::Repeated);

    case.wait(REPAIR_INTERVAL);
    assert_eq!(refusal(&mut case, &first), AnswerError::Repeated, "however late");
    let again = case.carol.ask_sender_key(&case.bob).unwrap();
    case.bob.answer(&again, &case.keys).unwrap();
    assert_eq!(refusal(&mut case, &first), AnswerError::Repeated, "it is older than one that was answered");

    // A clock that ran ahead and was set right does not silence anybody for longer than that.
    case.wait(Duration::from_secs(365 * 24 * 3600));
    let _keys = case.carol.ask_initial(None).unwrap();
    case.carol.now = Timestamp(case.carol.now.0 - 300 * 24 * 3600 * 1000);
    case.carol.ask_initial(None).unwrap();
}

fn changed_time(case: &Case, request: &[u8], time: Timestamp) -> Vec<u8> {
    let body = UnverifiedRepairRequest::decode(request).unwrap().claimed().clone();
    RepairRequest::new(RepairRequestBody { time, ..body }, &Forger::of(&case.carol).device).encode()
}

/// (R117) A request may wait for seven days in a mailbox, and may be from a clock that is ten minutes ahead.
#[test]
fn age() {
    let mut case = Case::new();
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    let asked = case.now();
    let at = |case: &mut Case, now: Timestamp| {
        let mut bob = case.bob.copy();
        bob.now = now;
        bob.answer(&request, &case.keys).map(drop)
    };
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap();
    let last = asked.plus(MAX_REQUEST_AGE);
    assert_eq!(at(&mut case, last), Ok(()));
    assert_eq!(at(&mut case, Timestamp(last.0 + 1)), Err(AnswerError::Time));
    let first = Timestamp(asked.0 - millis(CLOCK_SKEW));
    assert_eq!(at(&mut case, first), Ok(()));
    assert_eq!(at(&mut case, Timestamp(first.0 - 1)), Err(AnswerError::Time));
}

/// (R118) Nothing is answered to who is further than this device, nor by who could not know.
#[test]
fn who_can_answer() {
    let mut case = Case::new();
    let ahead = changed(&mut case, |body| body.epoch = Epoch(2));
    assert_eq!(refusal(&mut case, &ahead), AnswerError::Behind);
    // Carol is behind: she is answered for the present, and processes the log before she takes it.
    let behind = case.carol.ask_sender_key(&case.bob).unwrap();
    let of_dave = case.carol.ask_sender_key(&case.dave).unwrap();
    assert_eq!(case.dave.answer(&of_dave, &case.keys).unwrap_err(), AnswerError::NoSenderKey);
    case.carol_misses_a_secret();
    assert!(case.bob.answer(&behind, &case.keys).is_ok());
    let welcome = case.carol.ask_welcome(None).unwrap();
    // One who lacks the secrets cannot hand them on, nor a sender key.
    let mut other = case.carol.copy();
    assert_eq!(other.answer(&welcome, &case.keys).unwrap_err(), AnswerError::NotForUs);
    let of_carol = case.alice.ask_sender_key(&case.carol).unwrap();
    let need = AnswerError::NotActive(GroupState::NeedWelcome);
    assert_eq!(case.carol.answer(&of_carol, &case.keys).unwrap_err(), need);
    case.dave.catch_up(&case.log);
    assert_eq!(case.dave.group().state(), GroupState::Removed);
    let removed = AnswerError::NotActive(GroupState::Removed);
    assert_eq!(case.dave.answer(&welcome, &case.keys).unwrap_err(), removed);
}

/// (R119) An answer goes to no prekeys that are older than the asker's newest when it asked.
#[test]
fn prekeys_of_the_past() {
    let mut case = Case::new();
    let old = case.keys.clone();
    case.wait(Duration::from_secs(24 * 3600));
    let (now, mut rng) = (case.now(), super::support::SeedRng::new(99));
    let changes = case.carol.device.replace_prekeys(now, &mut rng);
    case.carol.save(changes);
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    for book in [&old, &PrekeyBook::default()] {
        assert_eq!(case.bob.answer(&request, book).unwrap_err(), AnswerError::Unreachable);
    }
    // Other ones of the very same time are not the ones that were named.
    let mut double = case.carol.copy();
    let _changes = double.device.replace_prekeys(now, &mut rng);
    let other = super::support::book(&[&double]);
    assert_eq!(case.bob.answer(&request, &other).unwrap_err(), AnswerError::Unreachable);
    let fresh = super::support::book(&[&case.carol]);
    let answer = case.bob.answer_with(&request, &fresh);
    case.carol.accept(&answer).unwrap();
    // Newer ones than those are as good.
    case.wait(REPAIR_INTERVAL);
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    case.wait(Duration::from_secs(3600));
    let changes = case.carol.device.replace_prekeys(case.now(), &mut rng);
    case.carol.save(changes);
    let answer = case.bob.answer_with(&request, &super::support::book(&[&case.carol]));
    case.carol.accept(&answer).unwrap();
}

/// (R113) A question that could not be used is not asked.
#[test]
fn questions_without_use() {
    let mut case = Case::new();
    let before = case.carol.snapshot();
    let (carol, erin) = (case.carol.copy(), Person::new("erin", 5));
    assert_eq!(case.carol.ask_welcome(None), Err(AskError::State(GroupState::Active)));
    assert_eq!(case.carol.ask_sender_key(&erin), Err(AskError::NotMember));
    assert_eq!(case.carol.ask_sender_key(&carol), Err(AskError::NotMember));
    assert_eq!(case.carol.ask_initial(Some(erin.device.id())), Err(AskError::NotMember));
    assert_eq!(case.carol.snapshot(), before);
    case.carol_misses_a_secret();
    let need = AskError::State(GroupState::NeedWelcome);
    assert_eq!(case.carol.ask_sender_key(&case.bob), Err(need), "the welcome brings it");
    case.dave.catch_up(&case.log);
    assert_eq!(case.dave.ask_initial(None), Err(AskError::State(GroupState::Removed)));
}

/// (R126) Who is asked sees what the asker was shown: another head commit, another certificate of ours.
#[test]
fn an_asker_with_another_view() {
    let mut case = Case::new();
    let device = case.carol.device.id();
    let other_head = changed(&mut case, |body| body.head = CommitHash::from_bytes([1; 32]));
    let answer = case.bob.copy().answer(&other_head, &case.keys).unwrap();
    assert_eq!(answer.alarm, Some(Alarm::SplitView(SplitView::Commit { device })));
    // In an epoch that has ended, nobody remembers which commit it was.
    let earlier = changed(&mut case, |body| {
        (body.head, body.epoch) = (CommitHash::from_bytes([1; 32]), Epoch(0));
    });
    assert_eq!(case.bob.copy().answer(&earlier, &case.keys).unwrap().alarm, None);
    let known = |generation| {
        move |body: &mut RepairRequestBody| {
            let Question::SenderKey { known, .. } = &mut body.question else { panic!() };
            let certificate = CertificateHash::from_bytes([2; 32]);
            *known = Some(KnownKey { generation: Generation(generation), certificate });
        }
    };
    let other_certificate = changed(&mut case, known(0));
    let answer = case.bob.copy().answer(&other_certificate, &case.keys).unwrap();
    assert_eq!(answer.alarm, Some(Alarm::SplitView(SplitView::Certificate { device })));
    let other_generation = changed(&mut case, known(7));
    assert_eq!(case.bob.copy().answer(&other_generation, &case.keys).unwrap().alarm, None);
}
