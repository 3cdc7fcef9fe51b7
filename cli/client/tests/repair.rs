//! What a device was not given, it asks for and gets, with nobody doing anything about it.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_client::{Client, GroupState, Role};
use conclave_wire::entry::EntryKind;
use support::liar::Liar;
use support::proxy::Proxy;
use support::{World, name, names, read, sync};

const CAROL: usize = 2;

struct Case {
    _world: World,
    liar: Liar,
    alice: Client,
    bob: Client,
    carol: Client,
    dave: Client,
}

/// Alice, Bob, Carol and Dave, each on a connection of that number, in a group that Alice and Bob may change.
async fn four() -> Case {
    let listener = Proxy::bind().await;
    let own_name = listener.local_addr().unwrap().to_string();
    let world = World::named(Some(own_name)).await;
    let liar = Liar::run(listener, world.server.as_ref().unwrap().local_addr());
    let mut people = Vec::new();
    for who in ["alice", "bob", "carol", "dave"] {
        let (profile, unlock) = (world.profile(who), world.unlock());
        people.push(Client::create(&profile, &unlock, name(who), &liar.url()).await.unwrap());
    }
    let [mut alice, mut bob, mut carol, mut dave] = people.try_into().ok().unwrap();
    alice.create_group("team", &names(&["bob", "carol", "dave"])).await.unwrap();
    alice.set_role("team", &name("bob"), Role::Admin).await.unwrap();
    for who in [&mut bob, &mut carol, &mut dave] {
        who.sync().await.unwrap();
    }
    Case { _world: world, liar, alice, bob, carol, dave }
}

fn state(client: &mut Client) -> GroupState {
    client.group("team").unwrap().summary.state
}

/// Whether anything of these is an alarm with this in it.
fn alarmed(told: &[String], what: &str) -> bool {
    told.iter().any(|line| line.starts_with("ALARM") && line.contains(what))
}

#[tokio::test]
async fn a_sender_key_that_was_spoilt_on_its_way() {
    let mut case = four().await;
    case.liar.spoil_deliveries(CAROL, EntryKind::Distribution);
    case.bob.send("team", "one").await.unwrap();
    let told = sync(&mut case.carol).await;
    assert!(alarmed(&told, "sender key could not be opened"), "{told:?}");
    assert!(read(&mut case.carol, "team").is_empty());
    // Carol has asked. When Bob is there, he answers; when Carol is there again, she reads.
    case.liar.be_honest();
    assert_eq!(sync(&mut case.bob).await, Vec::<String>::new());
    case.bob.send("team", "two").await.unwrap();
    let told = sync(&mut case.carol).await;
    assert!(told.contains(&"repaired bob".to_owned()), "{told:?}");
    case.bob.send("team", "three").await.unwrap();
    sync(&mut case.carol).await;
    assert!(read(&mut case.carol, "team").contains(&"bob: three".to_owned()));
    // Nothing is asked or told again.
    for _ in 0..2 {
        assert_eq!(sync(&mut case.bob).await, Vec::<String>::new());
        assert_eq!(sync(&mut case.carol).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_secret_that_was_spoilt_on_its_way() {
    let mut case = four().await;
    case.liar.spoil_deliveries(CAROL, EntryKind::Commit);
    case.alice.remove("team", &names(&["dave"])).await.unwrap();
    case.alice.send("team", "one").await.unwrap();
    let told = sync(&mut case.carol).await;
    assert!(alarmed(&told, "missed a secret"), "{told:?}");
    assert_eq!(state(&mut case.carol), GroupState::NeedWelcome);
    // She cannot send, and what she tried goes out when she can.
    case.carol.send("team", "me too").await.unwrap_err();
    case.liar.be_honest();
    sync(&mut case.bob).await;
    let told = sync(&mut case.carol).await;
    assert!(told.contains(&"repaired all".to_owned()), "{told:?}");
    assert_eq!(state(&mut case.carol), GroupState::Active);
    case.alice.send("team", "two").await.unwrap();
    case.carol.send("team", "here").await.unwrap();
    sync(&mut case.carol).await;
    assert!(read(&mut case.carol, "team").contains(&"alice: two".to_owned()));
    sync(&mut case.bob).await;
    assert!(read(&mut case.bob, "team").contains(&"carol: here".to_owned()));
    // Who was removed is answered nothing, and asks for nothing.
    assert!(sync(&mut case.dave).await.contains(&"removed by alice".to_owned()));
    assert_eq!(sync(&mut case.dave).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_chain_that_was_lost() {
    let mut case = four().await;
    // Bob's first contact with Carol, so that she does not have the chain on which he goes on.
    case.liar.spoil_deliveries(CAROL, EntryKind::Distribution);
    case.bob.send("team", "one").await.unwrap();
    sync(&mut case.carol).await;
    case.liar.be_honest();
    case.bob.remove("team", &names(&["dave"])).await.unwrap();
    sync(&mut case.carol).await;
    assert_eq!(state(&mut case.carol), GroupState::NeedWelcome);
    // She is given what she missed, and Bob begins a new chain.
    sync(&mut case.alice).await;
    sync(&mut case.bob).await;
    sync(&mut case.carol).await;
    assert_eq!(state(&mut case.carol), GroupState::Active);
    case.bob.add("team", &names(&["dave"])).await.unwrap();
    case.bob.remove("team", &names(&["dave"])).await.unwrap();
    let told = sync(&mut case.carol).await;
    assert!(!told.iter().any(|line| line.starts_with("ALARM")), "{told:?}");
    assert_eq!(state(&mut case.carol), GroupState::Active);
}

#[tokio::test]
async fn while_everybody_listens() {
    let Case { _world, liar, mut alice, bob, mut carol, dave } = four().await;
    let listeners =
        [bob, dave].map(|mut listener| tokio::spawn(async move { while listener.next().await.is_ok() {} }));
    liar.spoil_deliveries(CAROL, EntryKind::Commit);
    let heard = tokio::spawn(async move {
        let mut told = Vec::new();
        while told.last().is_none_or(|last| last != "repaired all") {
            told.push(support::next(&mut carol).await);
        }
        (carol, told)
    });
    // A removal has a secret, which Carol is not given. Bob, who is gone then, cannot help; Dave can.
    alice.remove("team", &names(&["bob"])).await.unwrap();
    let (mut carol, told) = heard.await.unwrap();
    assert!(alarmed(&told, "missed a secret"), "{told:?}");
    assert_eq!(state(&mut carol), GroupState::Active);
    listeners.into_iter().for_each(|listener| listener.abort());
}
