//! Each need with its way out, from the entry that shows it to the message that is read again.

use super::Case;
use super::support::Person;
use conclave_engine::wire::ids::Generation;
use conclave_engine::{
    AnswerContent, Continuity, Event, GroupState, KeyRepair, Need, ReceiveError, Repair, Scope,
};

/// (R113) (R123) A distribution did not reach Carol: she asks its sender, is answered, and reads on.
#[test]
fn a_missed_sender_key() {
    let mut case = Case::new();
    case.carol_misses_a_key();
    let (device, generation) = (case.bob.device.id(), Generation(1));
    let need = Need::SenderKey { device, generation };
    assert_eq!(case.carol.events.last().unwrap().needs(), [need]);
    case.bob_says(b"not for carol");
    case.carol.catch_up(&case.log);
    let (_, error) = case.carol.refused.pop().unwrap();
    assert_eq!(error, ReceiveError::NeedSenderKey { device, generation });
    assert_eq!(error.need(), Some(need));
    assert_eq!(error.alarm(), None, "it is missing here, and nobody has done wrong");

    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    case.carol.restart();
    let answer = case.bob.answer_with(&request, &case.keys);
    case.bob.restart();
    let repair = Repair::SenderKey { device, generation, key: KeyRepair::Missing };
    assert_eq!(case.carol.accept(&answer), Ok(repair));
    assert_eq!(repair.alarm(), None);
    case.carol.restart();
    case.bob_says(b"for carol too");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.refused, []);
    assert_eq!(case.carol.texts().last().unwrap(), "for carol too");
    assert_eq!(case.carol.read.last().unwrap().continuity, Continuity::Linked, "the answer has the link");
    // The epoch's mixing goes on from there.
    case.alice.change(&mut case.log, &case.keys, vec![case.dave.remove_operation()]);
    case.bob_says(b"in the next epoch");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.texts().last().unwrap(), "in the next epoch");
}

/// (R123) Messages under way when the key is answered, and those after: none raises a false alarm.
#[test]
fn a_sender_key_between_messages() {
    let mut case = Case::new();
    case.carol_misses_a_key();
    case.bob.catch_up(&case.log);
    let under_way = case.bob.seal(b"under way").unwrap();
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    let answer = case.bob.answer_with(&request, &case.keys);
    case.carol.accept(&answer).unwrap();
    case.log.post(&under_way).unwrap();
    case.bob_says(b"after it");
    case.carol.catch_up(&case.log);
    // The answer's chain begins after what was under way, which comes as one whose key is gone.
    assert!(matches!(case.carol.refused.as_slice(), [(_, ReceiveError::Repeated(_))]));
    assert_eq!(case.carol.texts().last().unwrap(), "after it");
    assert_eq!(case.carol.read.last().unwrap().alarm(), None);
    // An answer that is older than the log: what came between was not for us, and is no gap.
    case.carol_misses_a_key();
    case.wait(conclave_engine::limits::REPAIR_INTERVAL);
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    let answer = case.bob.answer_with(&request, &case.keys);
    case.bob_says(b"while the answer travels");
    case.carol.catch_up(&case.log);
    case.carol.accept(&answer).unwrap();
    case.bob_says(b"and then");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.texts().last().unwrap(), "and then");
    assert_eq!(case.carol.read.last().unwrap().continuity, Continuity::First);
    // What was under way and never arrived is no gap either.
    case.carol_misses_a_key();
    case.wait(conclave_engine::limits::REPAIR_INTERVAL);
    case.bob.seal(b"never posted").unwrap();
    let request = case.carol.ask_sender_key(&case.bob).unwrap();
    let answer = case.bob.answer_with(&request, &case.keys);
    case.carol.accept(&answer).unwrap();
    case.alice.change(&mut case.log, &case.keys, vec![case.dave.remove_operation()]);
    case.bob_says(b"in the next epoch");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.texts().last().unwrap(), "in the next epoch");
    assert_eq!(case.carol.read.last().unwrap().continuity, Continuity::First);
}

/// (R113) (R124) Carol lacks an epoch's secrets: she asks anybody, is answered by Bob, reads and sends.
#[test]
fn a_missed_commit_secret() {
    let mut case = Case::new();
    case.carol.send(&mut case.log, &case.keys, b"from carol");
    case.carol_misses_a_secret();
    assert_eq!(case.carol.events.last().unwrap().needs(), [Need::Welcome]);
    case.bob_says(b"not for carol");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.refused.pop().unwrap().1.need(), Some(Need::Welcome));

    let request = case.carol.ask_welcome(None).unwrap();
    case.carol.restart();
    let answer = case.bob.answer_with(&request, &case.keys);
    let by = case.bob.device.id();
    assert_eq!(case.carol.accept(&answer), Ok(Repair::Welcome { by, senders: 2 }));
    case.carol.restart();
    assert_eq!(case.carol.group().state(), GroupState::Active);
    case.bob_says(b"bob, for carol too");
    case.alice.send(&mut case.log, &case.keys, b"alice, for carol too");
    case.carol.send(&mut case.log, &case.keys, b"carol is back");
    case.catch_up();
    assert_eq!(case.carol.refused, []);
    assert_eq!(case.carol.texts()[2..], ["bob, for carol too", "alice, for carol too"]);
    for person in [&mut case.alice, &mut case.bob] {
        assert_eq!(person.texts().last().unwrap(), "carol is back");
        assert_eq!(person.read.last().unwrap().alarm(), None, "her links run on");
    }
    // She takes part in the next removal like everybody.
    case.alice.change(&mut case.log, &case.keys, vec![case.bob.remove_operation()]);
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.group().state(), GroupState::Active);
}

/// (R113) (R120) Carol has lost her pairwise chains: after she asked, the next delivery begins a new one.
#[test]
fn lost_chains() {
    let mut case = Case::new();
    // A store that lost the chains and nothing else.
    let mut stored = case.carol.stored();
    let of_chains = |name: &[u8]| name.starts_with(b"peer/") || name.starts_with(b"outgoing/");
    let before = stored.len();
    stored.retain(|key, _| key.scope == Scope::Device || !of_chains(&key.name));
    assert!(stored.len() < before, "the harness finds what is there");
    let now = case.carol.now;
    case.carol = Person::from_store("carol", stored, Some(case.log.id()), 33);
    case.carol.now = now;
    case.alice.change(&mut case.log, &case.keys, vec![case.dave.remove_operation()]);
    case.catch_up();
    let alice = case.alice.device.id();
    let needs = [Need::Welcome, Need::Initial { device: alice }];
    assert_eq!(case.carol.events.last().unwrap().needs(), needs);
    let request = case.carol.ask_welcome(Some(alice)).unwrap();
    let answer = case.alice.answer_with(&request, &case.keys);
    case.carol.accept(&answer).unwrap();

    // One who is asked begins a new chain; one who is not goes on with the old one.
    let bobs = case.bob.stage_key(&case.keys);
    let seq = case.log.distribute(&case.bob.device.id(), &bobs).unwrap();
    case.catch_up();
    let device = case.bob.device.id();
    let generation = Generation(1);
    let needs = [Need::SenderKey { device, generation }, Need::Initial { device }];
    assert_eq!(case.carol.events.last().unwrap().needs(), needs);
    assert_eq!(case.log.entry(seq, &case.carol.device.id()).delivery.unwrap().0.len(), 40, "a wrap");

    let everybody = case.carol.ask_initial(None).unwrap();
    for person in [&mut case.alice, &mut case.bob] {
        let answer = person.answer(&everybody, &case.keys).unwrap();
        assert_eq!((answer.content, answer.alarm), (AnswerContent::NextDelivery, None));
        person.restart();
    }
    for _ in 0..2 {
        let upload = case.bob.stage_key(&case.keys);
        case.log.distribute(&case.bob.device.id(), &upload).unwrap();
        case.catch_up();
        assert!(matches!(case.carol.events.last(), Some(Event::SenderKey { readable: true, .. })));
    }
    case.bob_says(b"for carol too");
    case.alice.change(&mut case.log, &case.keys, vec![case.bob.remove_operation()]);
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.group().state(), GroupState::Active);
    assert_eq!(case.carol.texts().last().unwrap(), "for carol too");
}

/// (R124) What the log has shown counts more than what a member says, and the keys that were read meanwhile stay.
#[test]
fn keys_that_were_distributed_while_the_secrets_were_missing() {
    let mut case = Case::new();
    case.carol_misses_a_secret();
    let request = case.carol.ask_welcome(None).unwrap();
    let answer = case.alice.answer_with(&request, &case.keys);
    // After the answer was given, Bob changes his key; the answer still has the old one.
    let upload = case.bob.stage_key(&case.keys);
    case.log.distribute(&case.bob.device.id(), &upload).unwrap();
    case.catch_up();
    let by = case.alice.device.id();
    assert_eq!(case.carol.accept(&answer), Ok(Repair::Welcome { by, senders: 1 }), "Alice's own alone");
    case.bob_says(b"under the new key");
    case.alice.send(&mut case.log, &case.keys, b"and alice");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.refused, []);
    assert_eq!(case.carol.texts()[2..], ["under the new key", "and alice"]);
}
