//! Leaving: a signed request that somebody else's commit executes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::{AccountId, Epoch, GroupId, Opaque, Timestamp};
use conclave_engine::wire::leave::{LeaveBody, LeaveRequest, LeaveRequestError};
use conclave_engine::wire::limits::{CLOCK_SKEW, MAX_LEAVE_AGE};
use conclave_engine::wire::public_group::CommitError;
use conclave_engine::wire::roster::Role;
use conclave_engine::{Event, GroupState, LeaveError, PrekeyBook, ReceiveError};
use support::{Forger, Log, Person, flip, gather};

/// Alice owns the group, Bob and Carol are members.
fn three() -> (Log, PrekeyBook, [Person; 3]) {
    let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
    let (log, keys) = {
        let [alice, bob, carol] = &mut people;
        gather(&mut [alice, bob, carol], &[Role::Member; 2])
    };
    (log, keys, people)
}

/// (R104) (R105) A member executes another's request, and the one who left is shut out at once.
#[test]
fn a_member_leaves() {
    let (mut log, keys, [mut alice, mut bob, mut carol]) = three();
    alice.send(&mut log, &keys, b"hello");
    carol.catch_up(&log);
    let copy = carol.copy();
    let leave = carol.leave_operation();
    bob.change(&mut log, &keys, vec![leave]);
    assert!(matches!(
        bob.events.last().unwrap(),
        Event::EpochChanged { removed, .. } if *removed == [carol.device.account()]
    ));
    carol.catch_up(&log);
    assert_eq!(carol.group().state(), GroupState::Removed);
    alice.send(&mut log, &keys, b"without carol");
    bob.catch_up(&log);
    assert_eq!(bob.texts(), ["hello", "without carol"]);
    let entry = log.entry(log.head(), &carol.device.id());
    assert!(copy.copy().receive(&entry).is_err());
}

/// (R33) (R104) Who may not, and which requests are none.
#[test]
fn requests_that_are_refused() {
    let (mut log, keys, [mut alice, mut bob, mut carol]) = three();
    let good = LeaveBody {
        group: log.id(),
        account: carol.device.account(),
        device: carol.device.id(),
        since: Epoch(1),
        time: carol.now,
    };
    let sign = |signer: &Person, body: &LeaveBody| {
        Opaque(LeaveRequest::new(body.clone(), &Forger::of(signer).device).encode())
    };
    // What everybody makes of Bob's commit of it; who refuses it is as before.
    let verdict = |log: &Log, request: Opaque, time: Timestamp| {
        let body = log.draft(bob.device.id(), vec![Operation::Leave { request }], time);
        let commit = Forger::of(&bob).commit(body);
        let before = alice.snapshot();
        let received = alice.copy().receive(&log.forged(EntryKind::Commit, &commit));
        assert_eq!(alice.snapshot(), before);
        match received {
            Ok(_) => None,
            Err(ReceiveError::Commit(CommitError::Leave(error))) => Some(error),
            Err(other) => panic!("{other}"),
        }
    };
    let now = carol.now;
    assert_eq!(verdict(&log, sign(&carol, &good), now), None);
    let spoilt = |change: fn(&mut LeaveBody)| {
        let mut body = good.clone();
        change(&mut body);
        body
    };
    let group = spoilt(|body| body.group = GroupId::from_bytes([1; 32]));
    assert_eq!(verdict(&log, sign(&carol, &group), now), Some(LeaveRequestError::Group));
    let account = spoilt(|body| body.account = AccountId::from_bytes([1; 32]));
    assert_eq!(verdict(&log, sign(&carol, &account), now), Some(LeaveRequestError::Since));
    let since = spoilt(|body| body.since = Epoch(0));
    assert_eq!(verdict(&log, sign(&carol, &since), now), Some(LeaveRequestError::Since));
    let stranger = Person::new("stranger", 9);
    let outside = LeaveBody { device: stranger.device.id(), ..good.clone() };
    assert_eq!(verdict(&log, sign(&stranger, &outside), now), Some(LeaveRequestError::Since));
    assert_eq!(verdict(&log, sign(&stranger, &good), now), Some(LeaveRequestError::Signature));
    let request = sign(&carol, &good).0;
    let flipped = Opaque(flip(&request, request.len() - 1));
    assert_eq!(verdict(&log, flipped, now), Some(LeaveRequestError::Signature));
    assert!(matches!(verdict(&log, Opaque(vec![1, 2]), now), Some(LeaveRequestError::Decode(_))));
    let latest = now.plus(MAX_LEAVE_AGE + CLOCK_SKEW);
    assert_eq!(verdict(&log, sign(&carol, &good), latest), None);
    assert_eq!(verdict(&log, sign(&carol, &good), Timestamp(latest.0 + 1)), Some(LeaveRequestError::Age));
    let early = Timestamp(now.0 - u64::try_from(CLOCK_SKEW.as_millis()).unwrap());
    assert_eq!(verdict(&log, sign(&carol, &good), early), None);
    assert_eq!(verdict(&log, sign(&carol, &good), Timestamp(early.0 - 1)), Some(LeaveRequestError::Age));
    // Nobody executes their own, and an account leaves once.
    let leave = carol.leave_operation();
    let own = log.public().outcome(&carol.device.id(), std::slice::from_ref(&leave), now).unwrap_err();
    assert_eq!(own, CommitError::SelfRemoval);
    let twice = log.public().outcome(&bob.device.id(), &[leave.clone(), leave.clone()], now).unwrap_err();
    assert_eq!(twice, CommitError::Operations);

    // Carol leaves and is added again: her old request is of no use any more.
    bob.change(&mut log, &keys, vec![leave.clone()]);
    bob.catch_up(&log);
    alice.change(&mut log, &keys, vec![carol.add_operation(Role::Member)]);
    let again = log.public().outcome(&bob.device.id(), &[leave], now).unwrap_err();
    assert_eq!(again, CommitError::Leave(LeaveRequestError::Since));
}

/// (R34) (R105) The last owner does not leave without a successor; with one, a member may execute it.
#[test]
fn the_last_owner() {
    let (mut log, keys, [mut alice, mut bob, mut carol]) = three();
    let ask = |alice: &Person| alice.group.as_ref().unwrap().leave_request(&alice.device, alice.now);
    assert_eq!(ask(&alice), Err(LeaveError::LastOwner));
    // What the engine does not sign, a changed program may; the rule holds.
    let body = LeaveBody {
        group: log.id(),
        account: alice.device.account(),
        device: alice.device.id(),
        since: Epoch(0),
        time: alice.now,
    };
    let request = Opaque(LeaveRequest::new(body, &Forger::of(&alice).device).encode());
    let leave = Operation::Leave { request };
    let refused = log.public().outcome(&bob.device.id(), std::slice::from_ref(&leave), bob.now).unwrap_err();
    assert_eq!(refused, CommitError::LastOwner);

    let heir = Operation::SetRole { account: bob.device.account(), role: Role::Owner };
    alice.change(&mut log, &keys, vec![heir]);
    assert!(ask(&alice).is_ok());
    carol.catch_up(&log);
    carol.change(&mut log, &keys, vec![leave]);
    alice.catch_up(&log);
    bob.catch_up(&log);
    assert_eq!(alice.group().state(), GroupState::Removed);
    assert_eq!(ask(&alice), Err(LeaveError::NotMember));
    assert_eq!(bob.group().own_role(), Some(Role::Owner));
    assert_eq!(bob.refused, []);
}

/// (R34) (R105) With a second owner there, a successor may be made in the commit that executes the request.
#[test]
fn a_successor_in_the_same_commit() {
    let (mut log, keys, [mut alice, mut bob, carol]) = three();
    alice.change(
        &mut log,
        &keys,
        vec![Operation::SetRole { account: bob.device.account(), role: Role::Owner }],
    );
    bob.catch_up(&log);
    let leave = alice.leave_operation();
    let step_back = Operation::SetRole { account: bob.device.account(), role: Role::Member };
    let heir = Operation::SetRole { account: carol.device.account(), role: Role::Owner };
    let refused = log.public().outcome(&bob.device.id(), &[leave.clone(), step_back.clone()], bob.now);
    assert_eq!(refused.unwrap_err(), CommitError::LastOwner);
    bob.change(&mut log, &keys, vec![leave, step_back, heir]);
    assert_eq!(bob.group().own_role(), Some(Role::Member));
    assert_eq!(bob.group().roster().role(&carol.device.account()), Some(Role::Owner));
}
