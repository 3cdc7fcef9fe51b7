//! What a server can say that it should not: each gets a typed answer, and nothing is believed that contradicts what was
//! said before.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_client::{Client, ClientError, Role, Unlock};
use conclave_engine::Device;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::frame::ServerFrame;
use conclave_wire::ids::{GroupId, Opaque, Seq, Timestamp};
use conclave_wire::login::Nonce;
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use support::liar::Liar;
use support::proxy::Proxy;
use support::{World, fake, name, names};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

async fn create(dir: &TempDir, server: SocketAddr) -> Result<Client, ClientError> {
    let key = dir.path().join("key");
    std::fs::write(&key, [7; 32]).unwrap();
    let profile = dir.path().join("alice");
    Client::create(&profile, &Unlock::KeyFile(key), name("alice"), &format!("ws://{server}")).await
}

async fn refused(server: SocketAddr) -> ClientError {
    create(&tempfile::tempdir().unwrap(), server).await.unwrap_err()
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

fn manifest() -> Opaque {
    Opaque(Device::create(now(), &mut rand::rng()).unwrap().0.manifest().encoded().to_vec())
}

#[tokio::test]
async fn another_name() {
    let server = fake::once(async |mut socket, _| {
        let hello = ServerFrame::Hello { name: "chat.example".into(), nonce: Nonce::from_bytes([1; 32]) };
        fake::send(&mut socket, &hello).await;
        socket.next().await;
    })
    .await;
    let ClientError::ServerName { dialled, name } = refused(server).await else { panic!() };
    assert_eq!((dialled, name.as_str()), (server.to_string(), "chat.example"));
}

#[tokio::test]
async fn what_is_no_hello() {
    for first in [vec![], vec![0xff; 40], vec![9, 0x82, 0, 0x80], vec![1, 0x82, 1, 0x82, 0, 0x82, 0, 0x80]] {
        let server = fake::once(async move |mut socket, _| {
            socket.send(Message::Binary(first.into())).await.unwrap();
            socket.next().await;
        })
        .await;
        let error = refused(server).await;
        assert!(matches!(error, ClientError::OtherServerVersion { .. }), "{error}");
    }
}

#[tokio::test]
async fn garbage_and_giants_after_the_hello() {
    let frames = [vec![0xff; 100], vec![1; (1 << 20) + 1], vec![1, 0x82, 2, 0x81]];
    for frame in frames {
        let server = fake::once(async move |mut socket, address: SocketAddr| {
            let hello = ServerFrame::Hello { name: address.to_string(), nonce: Nonce::from_bytes([1; 32]) };
            fake::send(&mut socket, &hello).await;
            let _ = socket.send(Message::Binary(frame.into())).await;
            socket.next().await;
        })
        .await;
        let error = refused(server).await;
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn another_kind_of_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 64];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    let error = refused(server).await;
    assert!(matches!(error, ClientError::Unreachable { .. }) && error.to_string().contains("404"), "{error}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let error = create(&dir, server).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&server.to_string()), "{error}");
    // The profile stays, and the same call finishes it when there is a server.
    let server = fake::serve(|_| (Reply::Done, Vec::new())).await;
    let client = create(&dir, server).await.unwrap();
    assert_eq!(client.identity().server, format!("ws://{server}"));
}

#[tokio::test]
async fn other_versions_and_refusals() {
    for (refusal, code) in [
        (Refusal::UnknownVersion { min: 2, max: 3 }, 10),
        (Refusal::Unavailable, 5),
        (Refusal::NameTaken, 10),
        (Refusal::Malformed { reason: "x".into() }, 10),
        (Refusal::RateLimited { limit: "x".into(), retry_after_ms: 1 }, 10),
    ] {
        let reply = Reply::Refused { refusal };
        let server = fake::serve(move |_| (reply.clone(), Vec::new())).await;
        let error = refused(server).await;
        assert_eq!(error.exit_code(), code, "{error}");
    }
    let server = fake::serve(|_| (Reply::Names { names: Vec::new() }, Vec::new())).await;
    assert!(matches!(refused(server).await, ClientError::OtherServerVersion { .. }));
}

/// The directory gives another account for a pinned name: loud, and nothing is sent.
#[tokio::test]
async fn a_changed_account() {
    let posted = Arc::new(Mutex::new(0));
    let count = Arc::clone(&posted);
    let mut manifests = vec![manifest(), manifest()];
    let server = fake::serve(move |request| {
        let reply = match request {
            Request::Lookup { .. } if manifests.len() > 1 => Reply::Account { manifest: manifests.remove(0) },
            Request::Lookup { .. } => Reply::Account { manifest: manifests[0].clone() },
            Request::Commit { .. } => {
                *count.lock().unwrap() += 1;
                Reply::Refused { refusal: Refusal::Unavailable }
            }
            _ => Reply::Done,
        };
        (reply, Vec::new())
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut alice = create(&dir, server).await.unwrap();
    assert!(matches!(alice.create_group("team", &names(&["bob"])).await, Err(ClientError::Unavailable)));
    assert_eq!(*posted.lock().unwrap(), 1);
    assert!(alice.groups().unwrap().is_empty(), "a genesis that the server refused leaves nothing");
    let error = alice.create_group("team", &names(&["bob"])).await.unwrap_err();
    assert!(matches!(error, ClientError::AccountChanged { .. }), "{error}");
    assert_eq!(error.exit_code(), 6);
    assert_eq!(*posted.lock().unwrap(), 1, "nothing was sent");
    alice.close().await;
    let mut alice =
        Client::open(&dir.path().join("alice"), &Unlock::KeyFile(dir.path().join("key"))).await.unwrap();
    let error = alice.create_group("team", &names(&["bob"])).await.unwrap_err();
    assert!(matches!(error, ClientError::AccountChanged { .. }), "the pin is stored");
}

#[tokio::test]
async fn two_names_for_one_account() {
    let one = manifest();
    let server = fake::serve(move |request| {
        let reply = match request {
            Request::Lookup { .. } => Reply::Account { manifest: one.clone() },
            _ => Reply::Done,
        };
        (reply, Vec::new())
    })
    .await;
    let mut alice = create(&tempfile::tempdir().unwrap(), server).await.unwrap();
    let error = alice.create_group("team", &names(&["bob", "rob"])).await.unwrap_err();
    assert!(matches!(error, ClientError::Contradiction { .. }), "{error}");
}

/// Groups that nobody could have made, entries that nobody sent: told once, and nothing goes round in circles.
#[tokio::test]
async fn groups_out_of_thin_air() {
    let group = GroupId::from_bytes([5; 32]);
    let entry = move |seq| Entry {
        group,
        seq: Seq(seq),
        kind: EntryKind::Commit,
        delivery: None,
        body: Opaque(vec![1, 2, 3]),
    };
    let requests = Arc::new(Mutex::new(0));
    let count = Arc::clone(&requests);
    let server = fake::serve(move |request| {
        *count.lock().unwrap() += 1;
        let membership = conclave_wire::reply::Membership {
            group,
            joined: Seq(3),
            left: None,
            acknowledged: Seq(0),
            head: Seq(9),
        };
        match request {
            Request::Groups => (Reply::Groups { groups: vec![membership] }, Vec::new()),
            Request::FetchCommits { .. } => {
                (Reply::Page { entries: vec![entry(1)], head: Seq(9) }, Vec::new())
            }
            Request::Subscribe { .. } => (Reply::Done, (3..40).map(entry).collect()),
            _ => (Reply::Done, Vec::new()),
        }
    })
    .await;
    let mut alice = create(&tempfile::tempdir().unwrap(), server).await.unwrap();
    let told = support::sync(&mut alice).await;
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("ALARM this account was added to a group that cannot be joined"), "{told:?}");
    assert_eq!(support::sync(&mut alice).await, Vec::<String>::new(), "told once");
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(300), alice.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert!(*requests.lock().unwrap() < 12, "{}", requests.lock().unwrap());
    assert!(alice.groups().unwrap().is_empty());
}

/// A commit that is told to wait its turn waits, and one that is told to wait for long fails at once.
#[tokio::test]
async fn told_to_wait() {
    let listener = Proxy::bind().await;
    let own_name = listener.local_addr().unwrap().to_string();
    let world = World::named(Some(own_name)).await;
    let liar = Liar::run(listener, world.server.as_ref().unwrap().local_addr());
    let (profile, unlock) = (world.profile("alice"), world.unlock());
    let mut alice = Client::create(&profile, &unlock, name("alice"), &liar.url()).await.unwrap();
    let profile = world.profile("bob");
    Client::create(&profile, &unlock, name("bob"), &liar.url()).await.unwrap().close().await;
    alice.create_group("team", &[name("bob")]).await.unwrap();
    let put_off = |mut times: u32, retry_after_ms| {
        move |_, frame| match frame {
            ServerFrame::Reply { id, reply: Reply::Accepted { .. } } if times > 0 => {
                times -= 1;
                let refusal = Refusal::RateLimited { limit: "turns".into(), retry_after_ms };
                Some(ServerFrame::Reply { id, reply: Reply::Refused { refusal } })
            }
            frame => Some(frame),
        }
    };
    liar.lie(put_off(3, 20));
    alice.set_role("team", &name("bob"), Role::Admin).await.unwrap();
    for (times, retry_after_ms) in [(9, 20), (1, 60_000)] {
        liar.lie(put_off(times, retry_after_ms));
        let role = if times == 9 { Role::Member } else { Role::Admin };
        let refused = alice.set_role("team", &name("bob"), role).await;
        let limited = matches!(refused, Err(ClientError::Refused(Refusal::RateLimited { .. })));
        assert!(limited, "{refused:?}");
    }
}

/// (R130) A server that keeps messages for less time than somebody was away, or says so: he is told, and whose messages he
/// has missed shows.
#[tokio::test]
async fn what_is_no_longer_kept() {
    let listener = Proxy::bind().await;
    let own_name = listener.local_addr().unwrap().to_string();
    let world = World::named(Some(own_name)).await;
    let liar = Liar::run(listener, world.server.as_ref().unwrap().local_addr());
    let (profile, unlock) = (world.profile("alice"), world.unlock());
    let mut alice = Client::create(&profile, &unlock, name("alice"), &liar.url()).await.unwrap();
    let bobs = world.profile("bob");
    Client::create(&bobs, &unlock, name("bob"), &liar.url()).await.unwrap().close().await;
    alice.create_group("team", &[name("bob")]).await.unwrap();
    alice.send("team", "hello").await.unwrap();
    let mut bob = Client::open(&bobs, &unlock).await.unwrap();
    assert_eq!(support::sync(&mut bob).await.last().unwrap(), "alice: hello");
    bob.close().await;
    let first = alice.send("team", "gone").await.unwrap().seq;
    let last = alice.send("team", "gone as well").await.unwrap().seq;
    alice.send("team", "kept").await.unwrap();
    liar.lie(move |_, mut frame| {
        match &mut frame {
            ServerFrame::Push { entry } if entry.seq == first => return None,
            ServerFrame::Push { entry } if entry.seq == last => *entry = Entry::trimmed(entry.group, last),
            ServerFrame::Reply { reply: Reply::Page { entries, .. }, .. } => {
                entries.retain(|entry| entry.seq != first);
                let gone = entries.iter_mut().filter(|entry| entry.seq == last);
                gone.for_each(|entry| *entry = Entry::trimmed(entry.group, last));
            }
            _ => {}
        }
        Some(frame)
    });
    let mut bob = Client::open(&bobs, &unlock).await.unwrap();
    let told = support::sync(&mut bob).await;
    let alarm = "ALARM a message of the same sender before this one is missing";
    assert_eq!(told, ["trimmed 2", alarm, "alice: kept"]);
    liar.be_honest();
    alice.send("team", "and on").await.unwrap();
    assert_eq!(support::next(&mut bob).await, "alice: and on");
}
