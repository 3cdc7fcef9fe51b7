//! Receipts: every member keeps the server's word for each commit, and two that differ prove that it forked the group.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_client::{Client, ClientError, Compared, Epoch, Role};
use conclave_wire::frame::ServerFrame;
use conclave_wire::receipt::{ForkProof, ServerKey};
use conclave_wire::reply::Reply;
use std::path::Path;
use std::sync::{Arc, Mutex};
use support::liar::Liar;
use support::proxy::Proxy;
use support::{World, name, names, next, sync};

/// A copy of a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &to);
        } else {
            let _ = std::fs::copy(file.path(), to).unwrap();
        }
    }
}

/// (R110) (R111) (R131) A server that was restored from an old backup shows who comes first after that another group than the
/// others have: what it signed before and after is the proof.
#[tokio::test]
async fn a_server_that_goes_back_is_caught() {
    let mut world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let mut carol = world.create("carol").await;
    alice.create_group("team", &names(&["bob", "carol"])).await.unwrap();
    alice.set_role("team", &name("bob"), Role::Admin).await.unwrap();
    sync(&mut bob).await;
    sync(&mut carol).await;
    let own = alice.receipt("team").unwrap().unwrap();
    assert_eq!(own.epoch, Epoch(2));
    // The same to all, and compared it says so.
    assert_eq!(bob.receipt("team").unwrap(), Some(own.clone()));
    assert_eq!(bob.compare_receipt("team", &own.text).unwrap(), Compared::Same { epoch: Epoch(2) });

    world.stop().await;
    let (data, backup) = (world.dir.path().join("server"), world.dir.path().join("backup"));
    copy(&data, &backup);
    world.start().await;
    alice.set_role("team", &name("carol"), Role::Admin).await.unwrap();
    let ours = alice.receipt("team").unwrap().unwrap();
    world.stop().await;
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&backup, &data).unwrap();
    world.start().await;
    bob.remove("team", &names(&["carol"])).await.unwrap();
    let theirs = bob.receipt("team").unwrap().unwrap();
    assert_eq!((ours.epoch, theirs.epoch), (Epoch(3), Epoch(3)));

    let compared = alice.compare_receipt("team", &theirs.text).unwrap();
    let Compared::Fork { epoch: Epoch(3), proof, server_key } = &compared else { panic!("{compared:?}") };
    assert_eq!(bob.compare_receipt("team", &ours.text).unwrap(), compared, "one fork has one proof");
    let proof = hex::decode(proof.strip_prefix("fork-proof-").unwrap()).unwrap();
    let server = ServerKey::from_bytes(hex::decode(server_key).unwrap().try_into().unwrap());
    ForkProof::decode_and_verify(&proof, &server).unwrap();
    // An old one, of which there was none here, is kept; what is none is refused.
    for text in ["", "receipt-", "receipt-00", &theirs.text[..100], &theirs.text.replace("receipt-", "")] {
        let refused = alice.compare_receipt("team", text);
        assert!(matches!(refused, Err(ClientError::BadReceipt { .. })), "{refused:?}");
    }
}

/// (R132) A server whose log of a group ends before what it has shown: that is told once, and other groups go on.
#[tokio::test]
async fn a_log_that_ends_too_early() {
    let mut world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    for group in ["team", "other"] {
        alice.create_group(group, &names(&["bob"])).await.unwrap();
    }
    alice.send("other", "before").await.unwrap();
    sync(&mut bob).await;
    world.stop().await;
    let (data, backup) = (world.dir.path().join("server"), world.dir.path().join("backup"));
    copy(&data, &backup);
    world.start().await;
    for text in ["lost", "lost as well"] {
        alice.send("team", text).await.unwrap();
    }
    world.stop().await;
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&backup, &data).unwrap();
    world.start().await;

    let alarm = "ALARM the server has this group's log up to 2, and had shown it up to 5";
    assert_eq!(sync(&mut alice).await, [alarm]);
    assert_eq!(sync(&mut alice).await, Vec::<String>::new(), "told once");
    let following = async {
        assert_eq!(next(&mut alice).await, "bob: after");
        alice
    };
    let sending = async {
        bob.send("other", "after").await.unwrap();
        // Bob goes on where the server is, as far as he knows nothing is wrong.
        bob.send("team", "a").await.unwrap();
        bob
    };
    let (mut alice, mut bob) = tokio::join!(following, sending);
    // The other history has come as far as the first one, and is another.
    while alice.group("team").unwrap().summary.cursor < conclave_client::Seq(6) {
        bob.send("team", "b").await.unwrap();
        let told = sync(&mut alice).await;
        assert!(told.iter().all(|told| told.starts_with("ALARM")), "{told:?}");
    }
}

/// (R131) Another key than the one that was pinned, something that is no receipt, and none at all.
#[tokio::test]
async fn what_is_given_for_receipts() {
    let listener = Proxy::bind().await;
    let own_name = listener.local_addr().unwrap().to_string();
    let world = World::named(Some(own_name)).await;
    let liar = Liar::run(listener, world.server.as_ref().unwrap().local_addr());
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let mut people = Vec::new();
    for who in ["alice", "bob"] {
        let (profile, unlock) = (world.profile(who), world.unlock());
        people.push(Client::create(&profile, &unlock, name(who), &liar.url()).await.unwrap());
    }
    let [alice, bob] = &mut people[..] else { panic!() };
    alice.create_group("team", &[name("bob")]).await.unwrap();
    assert_eq!(sync(bob).await, ["joined by alice"]);
    assert_eq!(bob.receipt("team").unwrap().unwrap().epoch, Epoch(1));

    // None: nobody waits for one, nor is it asked for again and again.
    liar.lie(move |_, frame| match frame {
        ServerFrame::Reply { id, reply: Reply::Receipts { key, .. } } => {
            *count.lock().unwrap() += 1;
            Some(ServerFrame::Reply { id, reply: Reply::Receipts { key, receipts: Vec::new() } })
        }
        frame => Some(frame),
    });
    alice.set_role("team", &name("bob"), Role::Admin).await.unwrap();
    for _ in 0..3 {
        alice.send("team", "on it goes").await.unwrap();
    }
    assert_eq!((*asked.lock().unwrap(), alice.receipt("team").unwrap().unwrap().epoch), (1, Epoch(1)));

    // Bob is given what another key has signed, or what is none.
    liar.lie(|_, frame| match frame {
        ServerFrame::Reply { id, reply: Reply::Receipts { receipts, .. } } => {
            let key = ServerKey::from_bytes([9; 32]);
            Some(ServerFrame::Reply { id, reply: Reply::Receipts { key, receipts } })
        }
        frame => Some(frame),
    });
    let told = sync(bob).await;
    let key = "ALARM the server signs its receipts with another key than before";
    let none = "ALARM the server gave something for a receipt: the receipt is not signed by the server";
    assert!(told.contains(&key.to_owned()) && told.contains(&none.to_owned()), "{told:?}");
    assert_eq!(bob.receipt("team").unwrap().unwrap().epoch, Epoch(1));
    // Honest again: the right key is another one now, which is told as well; then all is caught up with.
    liar.be_honest();
    alice.set_role("team", &name("bob"), Role::Member).await.unwrap();
    assert_eq!(alice.receipt("team").unwrap().unwrap().epoch, Epoch(3));
    while next(bob).await != key {}
    while bob.receipt("team").unwrap().unwrap().epoch < Epoch(3) {
        sync(bob).await;
    }
}
