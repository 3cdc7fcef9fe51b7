//! Clients of several nodes on one database: one node goes away, and nobody has to do anything.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_client::{Client, Unlock};
use conclave_postgres_fixture::Postgres;
use conclave_server::{Config, Server, StoreLocation};
use support::{name, names, next, sync};

async fn node(database: &str) -> Server {
    let store: StoreLocation = database.parse().unwrap();
    Server::start(Config::new(store, ([127, 0, 0, 1], 0).into()).with_workers(1)).await.unwrap()
}

#[tokio::test]
async fn a_node_goes_and_its_clients_turn_to_another() {
    let postgres = Postgres::start();
    let database = postgres.database("conclave");
    let [one, two, three] = [node(&database).await, node(&database).await, node(&database).await];
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), [7; 32]).unwrap();
    let unlock = Unlock::KeyFile(dir.path().join("key"));
    let create = async |who: &str, servers: [&Server; 3]| {
        let urls = servers.map(Server::url).join(",");
        Client::create(&dir.path().join(who), &unlock, name(who), &urls).await.unwrap()
    };
    // Each on a node of its own.
    let mut alice = create("alice", [&one, &two, &three]).await;
    let mut bob = create("bob", [&two, &three, &one]).await;
    let mut carol = create("carol", [&three, &one, &two]).await;
    alice.create_group("team", &names(&["bob", "carol"])).await.unwrap();
    assert_eq!(next(&mut bob).await, "joined by alice");
    assert_eq!(next(&mut carol).await, "joined by alice");
    alice.send("team", "one").await.unwrap();
    assert_eq!(next(&mut bob).await, "alice: one");
    assert_eq!(next(&mut carol).await, "alice: one");

    // Bob's node goes while he listens; Alice's while she does not.
    two.shutdown().await;
    one.shutdown().await;
    carol.send("team", "two").await.unwrap();
    assert_eq!(next(&mut bob).await, "carol: two");
    assert_eq!(sync(&mut alice).await, ["carol: two"]);
    alice.send("team", "three").await.unwrap();
    assert_eq!(next(&mut bob).await, "alice: three");
    assert_eq!(next(&mut carol).await, "alice: three");
    three.shutdown().await;
}
