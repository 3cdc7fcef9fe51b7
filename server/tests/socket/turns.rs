//! Who goes first: an admin whose removal lost its race.

use crate::client::{Client, commit_request};
use crate::groups::Two;
use crate::people::Person;
use conclave_wire::commit::Operation;
use conclave_wire::reply::Refusal;
use conclave_wire::roster::Role;

/// An admin's removal that lost its race goes first: the others wait for it, and no longer than that.
#[tokio::test]
async fn a_removal_is_not_starved() {
    let Two { server, alice, bob, mut room, .. } = Two::new().await;
    let [carol, dave] = ["carol", "dave"].map(Person::new);
    // A race is held where it is lost: both are on one node.
    let url = server.node().url();
    let (mut a, mut b) = (Client::logged_in(&url, &alice).await, Client::logged_in(&url, &bob).await);
    // The removal of somebody who may remove nobody does not go first.
    let old = room.commit(&bob, vec![alice.remove()]);
    let note = room.commit(&alice, vec![Person::new("erin").add()]);
    a.commit(&mut room, note, 0, &[&Person::new("erin")]).await;
    let lost = b.refused(commit_request(&old, 1, &[])).await;
    assert!(matches!(lost, Refusal::HeadMoved { .. }), "{lost:?}");
    let role = Operation::SetRole { account: bob.account(), role: Role::Admin };
    let old_addition = room.commit(&bob, vec![carol.add()]);
    let promote = room.commit(&alice, vec![role]);
    a.commit(&mut room, promote, 0, &[]).await;
    // Nor does an addition.
    let lost = b.refused(commit_request(&old_addition, 0, &[&carol])).await;
    assert!(matches!(lost, Refusal::HeadMoved { .. }), "{lost:?}");
    let add = room.commit(&alice, vec![carol.add()]);
    a.commit(&mut room, add, 0, &[&carol]).await;

    let late = room.commit(&alice, vec![carol.remove()]);
    let add = room.commit(&bob, vec![dave.add()]);
    b.commit(&mut room, add, 0, &[&dave]).await;
    let lost = a.refused(commit_request(&late, 1, &[])).await;
    assert!(matches!(lost, Refusal::HeadMoved { .. }), "{lost:?}");
    let again = room.commit(&bob, vec![dave.remove()]);
    let refused = b.refused(commit_request(&again, 2, &[])).await;
    let Refusal::RateLimited { retry_after_ms, .. } = refused else { panic!("{refused:?}") };
    assert!((1..=5000).contains(&retry_after_ms));
    // Strangers do not learn that there is such a group.
    let zoe = Person::new("zoe");
    let mut z = Client::registered(&url, &zoe).await;
    let strange = room.commit(&zoe, vec![zoe.add()]);
    assert_eq!(z.refused(commit_request(&strange, 0, &[&zoe])).await, Refusal::NotMember);
    let remove = room.commit(&alice, vec![carol.remove()]);
    a.commit(&mut room, remove, 3, &[]).await;
    let again = room.commit(&bob, vec![dave.remove()]);
    b.commit(&mut room, again, 2, &[]).await;
}
