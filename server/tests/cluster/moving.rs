//! From one store to another: everything goes along, both ways, and nothing half.

use crate::client::{Client, post, text};
use crate::people::{Person, Room};
use conclave_postgres_fixture::Postgres;
use conclave_server::{ArchiveError, Config, Server, StartError, StoreLocation, export, import};
use conclave_wire::ids::{Epoch, Seq};
use conclave_wire::receipt::ServerKey;
use conclave_wire::reply::Reply;
use conclave_wire::request::Request;
use std::path::Path;

async fn serve(store: &StoreLocation) -> Server {
    let config = Config::new(store.clone(), ([127, 0, 0, 1], 0).into());
    Server::start(config.with_workers(1)).await.unwrap()
}

/// A group of Alice and Bob with some messages.
async fn live(store: &StoreLocation, messages: usize) -> (Room, ServerKey) {
    let server = serve(store).await;
    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let mut a = Client::registered(&server.url(), &alice).await;
    drop(Client::registered(&server.url(), &bob).await);
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;
    for i in 0..messages {
        a.post(&room, &alice, &format!("m{i}")).await;
    }
    let key = key(&mut a, &room).await;
    server.shutdown().await;
    (room, key)
}

/// What clients know the server by.
async fn key(client: &mut Client, room: &Room) -> ServerKey {
    let request = Request::Receipts { group: room.id(), from: Epoch(0) };
    match client.ask(request).await {
        Reply::Receipts { key, .. } => key,
        other => panic!("{other:?}"),
    }
}

/// It goes on where it was.
async fn goes_on(store: &StoreLocation, (room, known): &(Room, ServerKey), messages: usize) {
    let server = serve(store).await;
    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let mut a = Client::logged_in(&server.url(), &alice).await;
    let next = Seq(3 + messages as u64);
    let group = room.id();
    assert_eq!(a.ask(post(room, &alice, "after")).await, Reply::Accepted { group, seq: next });
    let mut b = Client::logged_in(&server.url(), &bob).await;
    b.subscribe(&[(group, 1)]).await;
    assert_eq!(crate::client::delivery(&b.push().await).unwrap(), "welcome bob");
    for i in 0..messages {
        assert_eq!(text(&b.push().await), format!("m{i}"));
    }
    assert_eq!(text(&b.push().await), "after");
    assert_eq!(key(&mut b, room).await, *known);
    server.shutdown().await;
}

/// What blocks, where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn from_a_directory_to_a_database_and_back() {
    const MESSAGES: usize = 600;
    let postgres = Postgres::start();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let first: StoreLocation = path("first").into();
    let room = live(&first, MESSAGES).await;
    let database: StoreLocation = postgres.database("conclave").parse().unwrap();
    let (file, other) = (path("export"), path("again"));
    let moved = blocking({
        let (first, database, file) = (first.clone(), database.clone(), file.clone());
        move || {
            let exported = export(&first, &file, &mut |_| {}).unwrap();
            assert_eq!(import(&database, &file, &mut |_| {}).unwrap(), exported);
            exported
        }
    })
    .await;
    assert!(moved.rows > MESSAGES as u64, "{moved:?}");
    goes_on(&database, &room, MESSAGES).await;

    // And back, while a server writes: the file holds one moment.
    let server = serve(&database).await;
    let second: StoreLocation = path("second").into();
    blocking({
        let (second, database, other) = (second.clone(), database.clone(), other.clone());
        move || {
            let exported = export(&database, &other, &mut |_| {}).unwrap();
            assert_eq!(import(&second, &other, &mut |_| {}).unwrap(), exported);
        }
    })
    .await;
    server.shutdown().await;
    let server = serve(&second).await;
    let mut a = Client::logged_in(&server.url(), &Person::new("alice")).await;
    assert_eq!(a.groups().await[0].head, Seq(3 + MESSAGES as u64));
    server.shutdown().await;

    // Only into what is empty, and never over a file.
    blocking(move || {
        let refused = import(&second, &other, &mut |_| {});
        assert!(matches!(refused, Err(ArchiveError::NotEmpty)), "{refused:?}");
        let refused = export(&second, &other, &mut |_| {});
        assert!(matches!(refused, Err(ArchiveError::File(_))), "{refused:?}");
    })
    .await;
}

fn cut(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
}

/// The key of invites stays with its store, so that what was handed out there is good there alone.
#[tokio::test]
async fn the_key_of_invites_does_not_move() {
    let postgres = Postgres::start();
    let dir = tempfile::tempdir().unwrap();
    let first: StoreLocation = postgres.database("one").parse().unwrap();
    let second: StoreLocation = postgres.database("two").parse().unwrap();
    live(&first, 3).await;
    let file = dir.path().join("export");
    blocking(move || {
        let exported = export(&first, &file, &mut |_| {}).unwrap();
        // The server that was there made its key.
        assert_eq!(postgres.query("one", "select count(*) from conclave.state"), "1");
        assert_eq!(import(&second, &file, &mut |_| {}).unwrap(), exported);
        assert_eq!(postgres.query("two", "select count(*) from conclave.state"), "0");
    })
    .await;
}

#[tokio::test]
async fn what_was_imported_by_half_is_not_served() {
    let postgres = Postgres::start();
    let dir = tempfile::tempdir().unwrap();
    let first: StoreLocation = dir.path().join("first").into();
    live(&first, 3).await;
    let file = dir.path().join("export");
    let stores = [dir.path().join("second").into(), postgres.database("conclave").parse().unwrap()];
    let of_blocking: [StoreLocation; 2] = stores.clone();
    blocking(move || {
        export(&first, &file, &mut |_| {}).unwrap();
        cut(&file);
        for store in of_blocking {
            let refused = import(&store, &file, &mut |_| {});
            assert!(matches!(refused, Err(ArchiveError::Damaged(_))), "{refused:?}");
        }
    })
    .await;
    for store in stores {
        let refused = Server::start(Config::new(store, ([127, 0, 0, 1], 0).into())).await.map(drop);
        assert!(matches!(refused, Err(StartError::Unfinished { .. })), "{refused:?}");
    }
}
