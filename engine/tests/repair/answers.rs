//! Answers that come to the wrong device, at the wrong time, or more than once.

use super::Case;
use super::support::flip;
use conclave_engine::limits::REPAIR_INTERVAL;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::roster::Role;
use conclave_engine::{
    AcceptError, Alarm, Event, GroupState, KeyRepair, OpenError, ReceiveError, Repair, SplitView,
};
use std::collections::BTreeMap;

/// (R121) (R54) An answer opens once, for one device, and in one piece.
#[test]
fn every_byte_and_every_repeat() {
    let mut case = Case::new();
    case.carol_misses_a_key();
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    let answer = case.bob.answer_with(&request, &case.keys);
    for at in (0..answer.len()).step_by(3) {
        let refused = case.carol.accept(&flip(&answer, at));
        assert!(matches!(refused, Err(AcceptError::Open(_))), "byte {at}: {refused:?}");
    }
    assert_eq!(case.alice.accept(&answer), Err(AcceptError::Open(OpenError::Prekeys)), "not for her");
    case.carol.accept(&answer).unwrap();
    assert_eq!(case.carol.accept(&answer), Err(AcceptError::Open(OpenError::Replayed)));
    case.carol.restart();
    assert_eq!(case.carol.accept(&answer), Err(AcceptError::Open(OpenError::Replayed)));
    // Not even when she has asked again and has another reason to.
    case.carol_misses_a_key();
    case.wait(REPAIR_INTERVAL);
    case.carol.ask_sender_key(&case.bob).unwrap();
    assert_eq!(case.carol.accept(&answer), Err(AcceptError::Open(OpenError::Replayed)));
}

/// (R121) (R58) No pairwise chain begins with an answer, at either end.
#[test]
fn no_chain_begins() {
    let mut case = Case::new();
    case.carol_misses_a_secret();
    let request = case.carol.ask_welcome(None).unwrap();
    let chains = |person: &super::Person| {
        let mut stored = person.stored();
        stored.retain(|key, _| key.name.starts_with(b"peer/") || key.name.starts_with(b"outgoing/"));
        stored
    };
    let before = (chains(&case.bob), chains(&case.carol));
    assert!(!before.0.is_empty() && !before.1.is_empty(), "the harness finds what is there");
    let answer = case.bob.answer_with(&request, &case.keys);
    case.carol.accept(&answer).unwrap();
    assert_eq!((chains(&case.bob), chains(&case.carol)), before);
}

/// (R122) Nothing is taken that was not asked for, nor twice, nor what is not needed any more.
#[test]
fn unasked() {
    let mut case = Case::new();
    case.carol_misses_a_secret();
    let mut copy = case.carol.copy();
    let request = copy.ask_welcome(None).unwrap();
    let [from_alice, from_bob] =
        [&mut case.alice, &mut case.bob].map(|person| person.answer_with(&request, &case.keys));
    assert_eq!(case.carol.accept(&from_alice), Err(AcceptError::Unasked));
    // She asks Bob, and Alice answers; then anybody, and the second answer comes too late.
    case.carol.ask_welcome(Some(case.bob.device.id())).unwrap();
    assert_eq!(case.carol.accept(&from_alice), Err(AcceptError::Unasked));
    case.carol.ask_welcome(None).unwrap();
    case.carol.accept(&from_alice).unwrap();
    assert_eq!(case.carol.group().state(), GroupState::Active);
    assert_eq!(case.carol.accept(&from_bob), Err(AcceptError::Unneeded));
    // A sender key that is as it was: somebody made up what did not verify.
    case.carol.ask_sender_key(&case.bob).unwrap();
    let request = copy_request(&mut case);
    let answer = case.bob.answer_with(&request, &case.keys);
    let repair = case.carol.accept(&answer).unwrap();
    assert!(matches!(repair, Repair::SenderKey { key: KeyRepair::Same, .. }));
    let again = {
        case.wait(REPAIR_INTERVAL);
        let request = copy_request(&mut case);
        case.bob.answer_with(&request, &case.keys)
    };
    assert_eq!(case.carol.accept(&again), Err(AcceptError::Unasked), "the question was answered");
}

/// What Carol asks Bob, or would.
fn copy_request(case: &mut Case) -> Vec<u8> {
    let mut copy = case.carol.copy();
    copy.now = copy.now.plus(REPAIR_INTERVAL);
    copy.ask_sender_key(&case.bob).unwrap()
}

/// (R122) An answer belongs to one epoch, one head, and a place in the log that the asker has reached.
#[test]
fn too_early_and_too_late() {
    let mut case = Case::new();
    case.carol_misses_a_key();
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    // Bob has seen more of the log than Carol, of the same epoch and then of the next.
    case.bob_says(b"carol has not seen this");
    let mut bob = case.bob.copy();
    let same_epoch = bob.answer_with(&request, &case.keys);
    assert_eq!(case.carol.accept(&same_epoch), Err(AcceptError::Early));
    let mut processed = case.carol.copy();
    processed.catch_up(&case.log);
    assert!(processed.accept(&same_epoch).is_ok());

    case.alice.change(&mut case.log, &case.keys, vec![case.dave.remove_operation()]);
    case.bob.catch_up(&case.log);
    let next_epoch = case.bob.answer_with(&request, &case.keys);
    assert_eq!(case.carol.accept(&next_epoch), Err(AcceptError::Early));
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.accept(&same_epoch), Err(AcceptError::Stale));
    assert!(case.carol.accept(&next_epoch).is_ok());
    case.bob_says(b"and this she reads");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.texts().last().unwrap(), "and this she reads");
}

/// (R122) (R123) A sender key that its owner has replaced since: the log has shown that.
#[test]
fn a_replaced_sender_key() {
    let mut case = Case::new();
    case.carol_misses_a_key();
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    let answer = case.bob.answer_with(&request, &case.keys);
    case.carol_misses_a_key();
    assert_eq!(case.carol.accept(&answer), Err(AcceptError::Stale));
}

/// (R122) A device that was removed meanwhile takes nothing, and gets nothing in its next stay.
#[test]
fn removed_meanwhile() {
    let mut case = Case::new();
    let remove_dave = vec![case.dave.remove_operation()];
    case.alice.change(&mut case.log, &case.keys, remove_dave);
    case.log.tamper_delivery(case.log.head(), &case.carol.device.id(), Vec::clear);
    case.catch_up();
    let request = case.carol.ask_welcome(None).unwrap();
    let answer = case.bob.answer_with(&request, &case.keys);
    case.alice.change(&mut case.log, &case.keys, vec![case.carol.remove_operation()]);
    case.catch_up();
    assert_eq!(case.carol.accept(&answer), Err(AcceptError::Removed));
    let add = Operation::Add { role: Role::Member, manifest: super::manifest(&case.carol) };
    case.alice.change(&mut case.log, &case.keys, vec![add]);
    case.carol.join(&case.log, case.log.head()).unwrap();
    assert_eq!(case.carol.accept(&answer), Err(AcceptError::Unasked));
}

/// (R126) Two members who are shown two commits learn it from the first answer.
#[test]
fn two_heads() {
    let mut case = Case::new();
    let account = case.dave.device.account();
    let operations = vec![Operation::SetRole { account, role: Role::Admin }];
    let one = case.alice.stage(operations.clone(), &case.keys).unwrap();
    let changes = case.alice.group().abandon_staged_commit();
    case.alice.save(changes);
    case.alice.now.0 += 1;
    let other = case.alice.stage(operations, &case.keys).unwrap();
    let seen = [(&mut case.bob, &one), (&mut case.carol, &other)];
    for (person, upload) in seen {
        person.receive(&case.log.forged(EntryKind::Commit, &upload.commit)).unwrap();
    }
    // Bob's message does not fit what Carol sees, which makes her ask.
    let message = case.bob.seal(b"which group is this?").unwrap();
    case.log.append(EntryKind::Commit, other.commit, BTreeMap::new());
    let error = case.carol.receive(&case.log.forged(EntryKind::Message, &message)).unwrap_err();
    let device = case.bob.device.id();
    assert!(matches!(error, ReceiveError::Unauthentic { device: of, .. } if of == device));
    assert!(error.need().is_some());
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    let answer = case.bob.answer(&request, &case.keys).unwrap();
    let asker = case.carol.device.id();
    assert_eq!(answer.alarm, Some(Alarm::SplitView(SplitView::Commit { device: asker })));
    let conclave_engine::AnswerContent::Send(answer) = answer.content else { panic!() };
    let refused = case.carol.accept(&answer).unwrap_err();
    assert_eq!(refused, AcceptError::SplitView(SplitView::Commit { device }));
    assert_eq!(refused.alarm(), Some(Alarm::SplitView(SplitView::Commit { device })));
    assert!(case.carol.events.iter().all(|event| !matches!(event, Event::Removed { .. })));
}
