//! One-time prekeys through a real server: published, given out once, filled up again.

use crate::{Client, Unlock};
use conclave_server::{Config, Server};
use std::path::Path;

async fn create(dir: &Path, who: &str, server: &Server) -> Client {
    let unlock = Unlock::KeyFile(dir.join("key"));
    Client::create(&dir.join(who), &unlock, who.parse().unwrap(), &server.url()).await.unwrap()
}

#[tokio::test]
async fn first_contacts_use_one_each() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), [7; 32]).unwrap();
    let server_dir = dir.path().join("server");
    let config = Config::new(server_dir.as_path(), ([127, 0, 0, 1], 0).into()).with_workers(1);
    let server = Server::start(config).await.unwrap();
    let mut alice = create(dir.path(), "alice", &server).await;
    let mut bob = create(dir.path(), "bob", &server).await;
    let left = |client: &Client| client.local.device.one_time_prekeys_left();
    assert_eq!((left(&alice), left(&bob)), (100, 100));
    alice.create_group("team", &["bob".parse().unwrap()]).await.unwrap();
    bob.sync().await.unwrap();
    // The welcome was sealed to one, whose private half is gone.
    assert_eq!(left(&bob), 99);
    bob.send("team", "hi").await.unwrap();
    alice.sync().await.unwrap();
    assert_eq!((left(&alice), left(&bob)), (99, 99));
    // What was given out is not made up for one by one, but when there are few.
    bob.close().await;
    let unlock = Unlock::KeyFile(dir.path().join("key"));
    let mut bob = Client::open(&dir.path().join("bob"), &unlock).await.unwrap();
    bob.sync().await.unwrap();
    assert_eq!(left(&bob), 99);
    server.shutdown().await;
}
