//! Invites: never one use too many, and none for who is known.

use super::{Fixture, Open, registration};
use crate::people::Person;
use crate::store::{Admitted, InviteId, Invited, Registration, Rejected, Write, Written};
use conclave_wire::reply::Refusal;

pub(super) fn check(open: Open<'_>) {
    let mut fixture = Fixture::new(open);
    let invited = |who: &str, invite: u8, uses: u32| {
        let admitted = Admitted::Invited(Invited { id: InviteId([invite; 16]), uses });
        Write::Register(Registration { admitted, ..registration(&Person::new(who)) })
    };
    let refused = |who: &str| {
        let admitted = Admitted::Refused(Refusal::InviteNeeded);
        Write::Register(Registration { admitted, ..registration(&Person::new(who)) })
    };
    let (done, used_up) = (Ok(Written::Done), Err(Rejected::InviteUsedUp));
    assert_eq!(fixture.one(refused("alice")), Err(Rejected::NotAdmitted(Refusal::InviteNeeded)));
    // In one batch, and over several; what was refused for another reason is not counted.
    let mut taken = registration(&Person::new("dave"));
    taken.name = "alice".parse().unwrap();
    taken.admitted = Admitted::Invited(Invited { id: InviteId([1; 16]), uses: 2 });
    let batch =
        [invited("alice", 1, 2), Write::Register(taken), invited("bob", 1, 2), invited("carol", 1, 2)];
    let expected = [done.clone(), Err(Rejected::NameTaken), done.clone(), used_up.clone()];
    assert_eq!(fixture.store.write(&batch).unwrap(), expected);
    drop(fixture.store);
    fixture.store = open(fixture.dir.path());
    assert_eq!(fixture.one(invited("carol", 1, 2)), used_up);
    assert_eq!(fixture.one(invited("carol", 2, 1)), done);
    // Who is known needs none, and uses none up.
    assert_eq!(fixture.one(refused("alice")), done);
    assert_eq!(fixture.one(invited("alice", 3, 1)), done);
    assert_eq!(fixture.one(invited("dave", 3, 1)), done);
}
