//! What a device was not given, it asks for and gets, with nobody doing anything about it.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_client::{Client, GroupState, Role};
use conclave_wire::entry::EntryKind;
use conclave_wire::frame::ServerFrame;
use support::liar::{Liar, on_entries};
use support::proxy::Proxy;
use support::{World, name, names, read, sync};

const CAROL: usize = 2;
const DAVE: usize = 3;

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

/// From now on one connection is pushed no entries.
fn keep_pushes_from(liar: &Liar, connection: usize) {
    liar.lie(move |number, frame| {
        let kept = number == connection && matches!(frame, ServerFrame::Push { .. });
        (!kept).then_some(frame)
    });
}

/// Who is asked has not heard of what the asker has processed.
#[tokio::test]
async fn a_question_from_further_on() {
    let Case { _world, liar, mut alice, mut carol, mut dave, .. } = four().await;
    let listener = tokio::spawn(async move { while dave.next().await.is_ok() {} });
    // By now he has subscribed.
    alice.send("team", "one").await.unwrap();
    sync(&mut carol).await;
    liar.lie(|number, frame| match (number, &frame) {
        (DAVE, ServerFrame::Push { .. }) => None,
        (CAROL, _) => Some(on_entries(frame, |entry| {
            if let Some(delivery) = &mut entry.delivery {
                delivery.0.truncate(delivery.0.len() / 2);
            }
        })),
        _ => Some(frame),
    });
    alice.remove("team", &names(&["bob"])).await.unwrap();
    sync(&mut carol).await;
    assert_eq!(state(&mut carol), GroupState::NeedWelcome);
    let repaired = async {
        while state(&mut carol) != GroupState::Active {
            sync(&mut carol).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), repaired).await.expect("Dave's answer");
    listener.abort();
}

/// Who has asked has not heard of what the answer was given after.
#[tokio::test]
async fn an_answer_from_further_on() {
    let Case { _world, liar, mut alice, mut carol, .. } = four().await;
    liar.spoil_deliveries(CAROL, EntryKind::Commit);
    let (said, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::spawn(async move {
        loop {
            said.send(support::next(&mut carol).await).unwrap();
        }
    });
    alice.remove("team", &names(&["bob"])).await.unwrap();
    while !hear.recv().await.unwrap().contains("missed a secret") {}
    keep_pushes_from(&liar, CAROL);
    alice.send("team", "one").await.unwrap();
    // Alice finds the question as soon as it is there.
    let answered = async {
        loop {
            sync(&mut alice).await;
            if let Ok(told) = hear.try_recv() {
                return told;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(std::time::Duration::from_secs(15), answered).await;
    assert!(told.expect("Alice's answer").starts_with("repaired all"));
    listener.abort();
}
