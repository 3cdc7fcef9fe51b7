//! Two nodes that do not hear each other: what one knows of the other's doing it has from the database.

use crate::groups::{Attached, CommitUpload, Upload};
use crate::people::{Person, Room};
use crate::service::Service;
use crate::service::tests::over;
use crate::session::Identity;
use crate::session::machine::Task;
use crate::store::postgres::Postgres;
use crate::store::{Store, StoreLocation, Write};
use conclave_postgres_fixture::Postgres as Fixture;
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::ids::{Opaque, Seq};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::WelcomeFor;
use std::sync::Arc;

fn node(url: &str) -> Arc<Service> {
    let store: Arc<dyn Store> =
        Arc::new(Postgres::open(&StoreLocation::Postgres(url.to_owned()), url).unwrap());
    over(store, Arc::default())
}

fn identity(person: &Person) -> Identity {
    Identity::new(person.account(), person.device_key())
}

async fn commit(node: &Arc<Service>, by: &Person, bytes: &[u8], welcomed: &[&Person]) -> Reply {
    let welcome = |person: &&Person| WelcomeFor { device: person.device(), welcome: Opaque(vec![1]) };
    let upload = CommitUpload {
        unverified: UnverifiedCommit::decode(bytes).unwrap(),
        commit: Opaque(bytes.to_vec()),
        attached: Attached::Here { deliveries: Vec::new(), welcomes: welcomed.iter().map(welcome).collect() },
    };
    node.perform(identity(by), Task::Commit(upload)).await
}

/// As a connection does it: from memory if that will do, else from the store.
async fn post(node: &Arc<Service>, room: &Room, by: &Person) -> Result<Reply, Refusal> {
    let message = Upload::Message(Opaque(room.message(by, b"m")));
    let append = match node.check_cached(&identity(by), &room.id(), message) {
        Ok(checked) => checked.unwrap(),
        Err(message) => node.check(identity(by), room.id(), message).await?,
    };
    Ok(node.log.write(Write::Append(append)).await)
}

#[tokio::test]
async fn nobody_is_refused_for_what_a_node_has_not_heard() {
    let fixture = Fixture::start();
    let url = fixture.database("one");
    let [a, b] = [(); 2].map(|()| url.clone());
    let [a, b] = tokio::task::spawn_blocking(move || [node(&a), node(&b)]).await.unwrap();
    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let (genesis, mut room) = Room::genesis(&alice, 1);
    let accepted = |room: &Room, seq| Reply::Accepted { group: room.id(), seq: Seq(seq) };
    assert_eq!(commit(&a, &alice, &genesis, &[]).await, accepted(&room, 1));
    // The second node comes to know the group.
    assert_eq!(post(&b, &room, &alice).await, Ok(accepted(&room, 2)));
    let add = room.commit(&alice, vec![bob.add()]);
    assert_eq!(commit(&a, &alice, &add, &[&bob]).await, accepted(&room, 3));
    room.advance(&add);
    // It serves a member whom it has not heard of, in an epoch that it has not heard of.
    assert_eq!(post(&b, &room, &bob).await, Ok(accepted(&room, 4)));
    let rename = room.commit(&alice, vec![Person::new("carol").add()]);
    assert_eq!(commit(&b, &alice, &rename, &[&Person::new("carol")]).await, accepted(&room, 5));
    room.advance(&rename);
    let dave = Person::new("dave");
    let next = room.commit(&alice, vec![dave.add()]);
    assert_eq!(commit(&a, &alice, &next, &[&dave]).await, accepted(&room, 6));
    // What is of an old epoch is refused by the store, wherever it comes from.
    let old = Reply::Refused {
        refusal: Refusal::EpochStale { epoch: room.public.epoch().next().unwrap(), head: Seq(6) },
    };
    assert_eq!(post(&b, &room, &bob).await, Ok(old));
}
