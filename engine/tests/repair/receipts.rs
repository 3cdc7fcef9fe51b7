//! The server's receipts: what proves a fork, and what frames nobody.

use super::Case;
use super::support::{Forger, flip};
use conclave_engine::limits::MAX_RECEIPTS;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::ids::{CommitHash, Epoch, GroupId, Seq};
use conclave_engine::wire::receipt::{ForkProof, Receipt, ReceiptBody, ServerKey};
use conclave_engine::wire::roster::Role;
use conclave_engine::wire::signature::SigningKey;
use conclave_engine::{Alarm, ReceiptError, Verdict};

fn server() -> (SigningKey, ServerKey) {
    let key = SigningKey::from_bytes(&[77; 32]);
    let public = ServerKey::from_bytes(key.verifying_key().to_bytes());
    (key, public)
}

/// What the server signs when it accepts the present head.
fn receipt(case: &Case) -> ReceiptBody {
    let public = case.log.public();
    ReceiptBody { group: case.log.id(), epoch: public.epoch(), commit: public.head(), seq: case.log.head() }
}

fn other(body: &ReceiptBody) -> ReceiptBody {
    ReceiptBody { commit: CommitHash::from_bytes([4; 32]), ..body.clone() }
}

/// (R110) (R111) A server that forks is proven by two receipts, whichever comes first, epochs later too; a member cannot
/// make one up (models `fork_receipts`, `fork_receipts_commit_broken`, `fork_receipts_message_broken`).
#[test]
fn a_fork_is_proven_and_nobody_framed() {
    let mut case = Case::new();
    let (key, public) = server();
    let ours = receipt(&case);
    let (good, forked) =
        (Receipt::new(ours.clone(), &key).encode(), Receipt::new(other(&ours), &key).encode());

    // A member who may commit can sign a commit that lost a race, and a message under it, and a receipt with its own
    // key: none of these is a receipt of the server.
    let mallory = Forger::of(&case.alice);
    let framed = Receipt::new(other(&ours), &mallory.device).encode();
    let before = case.carol.snapshot();
    assert_eq!(case.carol.note_receipt(&framed, &public), Err(ReceiptError::Signature));
    let account = case.dave.device.account();
    let operations = vec![Operation::SetRole { account, role: Role::Admin }];
    let lost = case.alice.copy().stage(operations, &case.keys).unwrap().commit;
    assert!(matches!(case.carol.note_receipt(&lost, &public), Err(ReceiptError::Decode(_))));
    assert_eq!(case.carol.snapshot(), before);

    assert_eq!(case.carol.note_receipt(&good, &public), Ok(Verdict::Consistent));
    assert_eq!(case.carol.note_receipt(&good, &public), Ok(Verdict::Consistent), "once more");
    case.carol.restart();
    let verdict = case.carol.note_receipt(&forked, &public).unwrap();
    assert_eq!(verdict.alarm(), Some(Alarm::Fork));
    let Verdict::Fork(proof) = verdict else { panic!("{verdict:?}") };
    let shown = ForkProof::decode_and_verify(&proof.encode(), &public).unwrap();
    let mut commits = [ours.commit, other(&ours).commit];
    commits.sort_unstable();
    assert_eq!(shown.receipts().map(|receipt| receipt.commit), commits);

    // The other way round: what the server showed to somebody else comes first.
    let verdict = case.bob.note_receipt(&forked, &public).unwrap();
    assert_eq!(verdict, Verdict::Contradicts, "certain for Bob, and not yet proven to others");
    assert_eq!(verdict.alarm(), Some(Alarm::Fork));
    assert_eq!(case.bob.note_receipt(&good, &public), Ok(Verdict::Fork(proof.clone())));

    // Epochs later it still counts.
    case.alice.change(&mut case.log, &case.keys, vec![case.dave.remove_operation()]);
    case.catch_up();
    assert_eq!(case.carol.note_receipt(&forked, &public), Ok(Verdict::Fork(proof)));
}

/// (R111) A receipt is the server's, of this group, and of an epoch that was reached and is not forgotten.
#[test]
fn receipts_that_say_nothing() {
    let mut case = Case::new();
    let (key, public) = server();
    let ours = receipt(&case);
    let good = Receipt::new(ours.clone(), &key).encode();
    let before = case.carol.snapshot();
    for at in 0..good.len() {
        let refused = case.carol.note_receipt(&flip(&good, at), &public).unwrap_err();
        assert!(matches!(refused, ReceiptError::Signature | ReceiptError::Decode(_)), "byte {at}");
    }
    let elsewhere = ReceiptBody { group: GroupId::from_bytes([1; 32]), ..ours.clone() };
    let elsewhere = Receipt::new(elsewhere, &key).encode();
    assert_eq!(case.carol.note_receipt(&elsewhere, &public), Err(ReceiptError::Group));
    let early = ReceiptBody { epoch: Epoch(2), ..ours.clone() };
    let early = Receipt::new(early, &key).encode();
    assert_eq!(case.carol.note_receipt(&early, &public), Err(ReceiptError::Early));
    let another = ServerKey::from_bytes(*case.alice.device.key().as_bytes());
    assert_eq!(case.carol.note_receipt(&good, &another), Err(ReceiptError::Signature));
    assert_eq!(case.carol.snapshot(), before);
    // Of a server key that was pinned before, nothing is compared: the new one's word takes its place.
    assert_eq!(case.carol.note_receipt(&good, &public), Ok(Verdict::Consistent));
    let (second, second_public) = (SigningKey::from_bytes(&[78; 32]), SigningKey::from_bytes(&[78; 32]));
    let second_public = ServerKey::from_bytes(second_public.verifying_key().to_bytes());
    let theirs = Receipt::new(ours, &second).encode();
    assert_eq!(case.carol.note_receipt(&theirs, &second_public), Ok(Verdict::Consistent));
}

/// (R111) Receipts of so many epochs are kept, and no more.
#[test]
fn as_many_as_are_kept() {
    let mut case = Case::new();
    let (key, public) = server();
    let account = case.bob.device.account();
    let kept = |case: &Case| {
        case.carol.stored().keys().filter(|record| record.name.starts_with(b"receipt/")).count()
    };
    for round in 0..MAX_RECEIPTS + 3 {
        let role = if round % 2 == 0 { Role::Admin } else { Role::Member };
        case.alice.change(&mut case.log, &case.keys, vec![Operation::SetRole { account, role }]);
        case.carol.catch_up(&case.log);
        let good = Receipt::new(receipt(&case), &key).encode();
        assert_eq!(case.carol.note_receipt(&good, &public), Ok(Verdict::Consistent));
        assert_eq!(kept(&case), (round + 1).min(MAX_RECEIPTS));
    }
    case.carol.restart();
    let at = |epoch| ReceiptBody { epoch, seq: Seq(1), ..other(&receipt(&case)) };
    let last = Epoch(case.log.epoch().0 - u32::try_from(MAX_RECEIPTS).unwrap());
    let (old, oldest) = (Receipt::new(at(last), &key), Receipt::new(at(last.next().unwrap()), &key));
    assert_eq!(case.carol.note_receipt(&old.encode(), &public), Err(ReceiptError::Old));
    assert!(matches!(case.carol.note_receipt(&oldest.encode(), &public), Ok(Verdict::Fork(_))));
}
