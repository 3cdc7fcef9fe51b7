//! People, groups and messages over a real server, from the first registration to the last removal.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_client::{Client, ClientError, GroupState, Role, Unlock};
use support::{World, brief, name, names, next, read, sync};
use zeroize::Zeroizing;

#[tokio::test]
async fn a_group_talks() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let mut carol = world.create("carol").await;

    let team = alice.create_group("team", &names(&["bob", "carol"])).await.unwrap();
    assert_eq!((team.label.as_str(), team.members, team.state), ("team", 3, GroupState::Active));
    assert_eq!(sync(&mut bob).await, ["joined by alice"]);
    assert_eq!(bob.group("team").unwrap().summary.id, team.id);

    let delivered = alice.send("team", "hello").await.unwrap();
    assert_eq!(delivered.group, team.id);
    assert_eq!(sync(&mut bob).await, ["alice: hello"]);
    bob.send("team", "hi\nthere").await.unwrap();
    assert_eq!(sync(&mut alice).await, ["bob: hi\nthere"]);
    // Carol was away and reads it all at once.
    assert_eq!(sync(&mut carol).await, ["joined by alice", "alice: hello", "bob: hi\nthere"]);
    carol.send("team", "\u{1f600}").await.unwrap();
    assert_eq!(sync(&mut alice).await, ["carol: \u{1f600}"]);
    assert_eq!(sync(&mut alice).await, Vec::<String>::new(), "nothing twice");

    let all = ["alice: hello", "bob: hi\nthere", "carol: \u{1f600}"];
    bob.fetch().await.unwrap();
    for who in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(read(who, "team"), all);
        assert_eq!(read(who, &team.id.to_string()[..8]), all);
    }
    let seen = alice.history("team").unwrap();
    assert_eq!(seen.iter().map(|message| message.own).collect::<Vec<_>>(), [true, false, false]);
    assert!(seen.is_sorted_by(|a, b| a.seq < b.seq));
    let members = alice.group("team").unwrap().members;
    assert_eq!(members.iter().filter(|member| member.me).count(), 1);
    assert_eq!(members.iter().filter(|member| member.role == Role::Owner).count(), 1);
    assert!(members.iter().all(|member| member.name.is_some() && member.devices == 1));
}

#[tokio::test]
async fn a_profile_goes_on_where_it_was() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    alice.send("team", "one").await.unwrap();
    assert_eq!(sync(&mut bob).await, ["joined by alice", "alice: one"]);
    bob.send("team", "two").await.unwrap();
    for n in 0..3 {
        alice.close().await;
        bob.close().await;
        alice = world.open("alice").await;
        bob = world.open("bob").await;
        alice.send("team", &format!("from alice {n}")).await.unwrap();
        bob.send("team", &format!("from bob {n}")).await.unwrap();
    }
    let expected = [
        "alice: one",
        "bob: two",
        "alice: from alice 0",
        "bob: from bob 0",
        "alice: from alice 1",
        "bob: from bob 1",
        "alice: from alice 2",
        "bob: from bob 2",
    ];
    alice.fetch().await.unwrap();
    assert_eq!(read(&mut alice, "team"), expected);
    assert_eq!(read(&mut bob, "team"), expected);
    // What earlier processes fetched on the way, and told nobody, is told now.
    let told = sync(&mut alice).await;
    assert_eq!(told, ["bob: two", "bob: from bob 0", "bob: from bob 1", "bob: from bob 2"]);
}

#[tokio::test]
async fn who_is_removed_reads_nothing_more() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let mut carol = world.create("carol").await;
    alice.create_group("team", &names(&["bob", "carol"])).await.unwrap();
    alice.send("team", "before").await.unwrap();
    sync(&mut bob).await;
    sync(&mut carol).await;
    bob.send("team", "bob before").await.unwrap();

    let summary = alice.remove("team", &names(&["carol"])).await.unwrap();
    assert_eq!(summary.members, 2);
    alice.send("team", "after").await.unwrap();
    bob.send("team", "bob after").await.unwrap();
    assert_eq!(sync(&mut carol).await, ["bob: bob before", "removed by alice"]);
    assert_eq!(read(&mut carol, "team"), ["alice: before", "bob: bob before"], "she keeps what she had");
    assert_eq!(carol.groups().unwrap()[0].state, GroupState::Removed);
    assert!(matches!(carol.send("team", "x").await, Err(ClientError::NotMember { .. })));
    assert_eq!(sync(&mut bob).await, ["alice removed carol", "alice: after"]);

    // Added again, she reads from there on, under the same label, and nothing in between.
    alice.add("team", &names(&["carol"])).await.unwrap();
    alice.send("team", "welcome back").await.unwrap();
    assert_eq!(sync(&mut carol).await, ["joined by alice", "alice: welcome back"]);
    carol.send("team", "thanks").await.unwrap();
    assert_eq!(sync(&mut bob).await, ["alice added carol", "alice: welcome back", "carol: thanks"]);
    assert_eq!(
        read(&mut carol, "team"),
        ["alice: before", "bob: bob before", "alice: welcome back", "carol: thanks"]
    );
    assert_eq!(carol.groups().unwrap().len(), 1);
}

/// (R83) Removed and added again between two looks: what came before is lost, and the rest is read.
#[tokio::test]
async fn removed_and_added_again_unseen() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let mut carol = world.create("carol").await;
    alice.create_group("team", &names(&["bob", "carol"])).await.unwrap();
    for who in [&mut bob, &mut carol] {
        who.fetch().await.unwrap();
        who.send("team", "hello").await.unwrap();
    }
    alice.remove("team", &names(&["bob", "carol"])).await.unwrap();
    alice.add("team", &names(&["bob", "carol"])).await.unwrap();
    alice.send("team", "again").await.unwrap();
    // One learns it by looking, the other by sending.
    let told = sync(&mut bob).await;
    assert_eq!(told, ["joined by alice", "joined by alice", "alice: again"]);
    carol.send("team", "here").await.unwrap();
    let told = sync(&mut carol).await;
    assert_eq!(told, ["joined by alice", "bob: hello", "joined by alice", "alice: again"]);
    assert_eq!(sync(&mut bob).await, ["carol: here"]);
    bob.send("team", "too").await.unwrap();
    let told = sync(&mut alice).await;
    assert_eq!(told, ["bob: hello", "carol: hello", "carol: here", "bob: too"]);
}

#[tokio::test]
async fn a_newcomer_reads_nothing_older() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let mut erin = world.create("erin").await;
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    for n in 0..5 {
        alice.send("team", &format!("old {n}")).await.unwrap();
    }
    sync(&mut bob).await;
    bob.send("team", "old too").await.unwrap();
    alice.add("team", &names(&["erin"])).await.unwrap();
    // Both seal under chains that came to her in the welcome.
    alice.send("team", "new").await.unwrap();
    bob.send("team", "new too").await.unwrap();
    assert_eq!(sync(&mut erin).await, ["joined by alice", "alice: new", "bob: new too"]);
    assert_eq!(erin.group("team").unwrap().members.len(), 3);
}

#[tokio::test]
async fn rights_are_kept() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let _carol = world.create("carol").await;
    alice.create_group("team", &names(&["bob", "carol"])).await.unwrap();
    sync(&mut bob).await;
    let refused = bob.remove("team", &names(&["carol"])).await.unwrap_err();
    assert!(matches!(refused, ClientError::NotAllowed { .. }), "{refused}");
    assert!(matches!(bob.add("team", &names(&["carol"])).await, Err(ClientError::AlreadyInGroup { .. })));
    alice.set_role("team", &name("bob"), Role::Admin).await.unwrap();
    bob.remove("team", &names(&["carol"])).await.unwrap();
    assert_eq!(sync(&mut bob).await, ["alice made bob admin"]);
    assert_eq!(sync(&mut alice).await, ["bob removed carol"]);
    assert!(matches!(bob.remove("team", &names(&["carol"])).await, Err(ClientError::NotInGroup { .. })));
    assert!(matches!(alice.remove("team", &names(&["alice"])).await, Err(ClientError::NotAllowed { .. })));
}

#[tokio::test]
async fn wrong_input_gets_an_answer() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let unknown = alice.create_group("team", &names(&["nobody"])).await.unwrap_err();
    assert!(matches!(unknown, ClientError::UnknownName { .. }));
    assert_eq!(alice.groups().unwrap(), [], "nothing was made");
    alice.create_group("team", &[]).await.unwrap();
    assert!(matches!(alice.create_group("team", &[]).await, Err(ClientError::GroupExists { .. })));
    assert!(matches!(alice.create_group("a\nb", &[]).await, Err(ClientError::BadLabel)));
    assert!(matches!(alice.send("tea", "x").await, Err(ClientError::UnknownGroup { .. })));
    assert!(matches!(alice.send("team", "").await, Err(ClientError::MessageEmpty)));
    let long = "x".repeat(10 << 20);
    assert!(matches!(alice.send("team", &long).await, Err(ClientError::MessageTooLong { .. })));
    let most = "x".repeat(conclave_client::MAX_TEXT);
    alice.send("team", &most).await.unwrap();
    assert_eq!(alice.history("team").unwrap()[0].text, most);

    let again = Client::create(&world.profile("alice"), &world.unlock(), name("alice"), &world.url()).await;
    assert!(matches!(again, Err(ClientError::ProfileLocked { .. })));
    alice.close().await;
    let again = Client::create(&world.profile("alice"), &world.unlock(), name("alice"), &world.url()).await;
    assert!(matches!(again, Err(ClientError::ProfileExists { .. })));
    let wrong = Unlock::Passphrase(Zeroizing::new("wrong".into()));
    let opened = Client::open(&world.profile("alice"), &wrong).await;
    assert!(matches!(opened, Err(ClientError::WrongPassphrase)));
    let none = Client::open(&world.profile("nobody"), &world.unlock()).await;
    assert!(matches!(none, Err(ClientError::NoProfile { .. })));
}

#[tokio::test]
async fn a_name_that_is_taken_can_be_changed() {
    let world = World::new().await;
    let _alice = world.create("alice").await;
    let dir = world.profile("other");
    let taken = Client::create(&dir, &world.unlock(), name("alice"), &world.url()).await.unwrap_err();
    assert!(matches!(taken, ClientError::NameTaken { .. }), "{taken}");
    let other = Client::create(&dir, &world.unlock(), name("alina"), &world.url()).await.unwrap();
    assert_eq!(other.identity().name, name("alina"));
}

#[tokio::test]
async fn one_label_each() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    bob.create_group("team", &[]).await.unwrap();
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    alice.send("team", "which?").await.unwrap();
    sync(&mut bob).await;
    let labels: Vec<_> = bob.groups().unwrap().into_iter().map(|group| group.label).collect();
    assert_eq!(labels, ["team", "team-2"]);
    assert_eq!(read(&mut bob, "team-2"), ["alice: which?"]);
    bob.send("team-2", "this").await.unwrap();
    assert_eq!(sync(&mut alice).await, ["bob: this"]);
}

/// What Alice hands to Bob in one group may open only with what she handed him in another: the order in which he reads
/// the groups is not the order in which she wrote to them.
#[tokio::test]
async fn one_sender_in_several_groups() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let _carol = world.create("carol").await;
    for n in 0..6 {
        alice.create_group(&format!("g{n}"), &names(&["bob", "carol"])).await.unwrap();
        alice.send(&format!("g{n}"), "hello").await.unwrap();
    }
    let told = sync(&mut bob).await;
    assert_eq!(told.iter().filter(|told| *told == "joined by alice").count(), 6, "{told:?}");
    assert_eq!(told.iter().filter(|told| *told == "alice: hello").count(), 6, "{told:?}");
    assert_eq!(told.len(), 12);

    // The same with groups that he is in: a chain begins with Dave's first sender key, in one of them.
    let mut dave = world.create("dave").await;
    for n in 0..6 {
        alice.add(&format!("g{n}"), &names(&["dave"])).await.unwrap();
        alice.set_role(&format!("g{n}"), &name("dave"), Role::Admin).await.unwrap();
    }
    dave.fetch().await.unwrap();
    for n in 0..6 {
        dave.send(&format!("g{n}"), "hi").await.unwrap();
        dave.remove(&format!("g{n}"), &names(&["carol"])).await.unwrap();
    }
    let told = sync(&mut bob).await;
    assert!(!told.iter().any(|told| told.starts_with("ALARM")), "{told:?}");
    assert_eq!(told.iter().filter(|told| *told == "dave: hi").count(), 6, "{told:?}");
    assert_eq!(told.iter().filter(|told| *told == "dave removed carol").count(), 6, "{told:?}");
    for n in 0..6 {
        bob.send(&format!("g{n}"), "still here").await.unwrap();
    }
}

#[tokio::test]
async fn live() {
    let mut world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let listener = tokio::spawn(async move {
        let mut heard = Vec::new();
        while heard.len() < 7 {
            heard.push(next(&mut bob).await);
        }
        (bob, heard)
    });
    // Added while he listens, to a group that he did not know.
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    for n in 0..3 {
        alice.send("team", &format!("{n}")).await.unwrap();
    }
    // The server goes away in between; both come back by themselves.
    world.stop().await;
    let unsent = alice.send("team", "kept").await.unwrap_err();
    assert!(matches!(unsent, ClientError::Queued { .. }), "{unsent}");
    assert_eq!(unsent.exit_code(), 12);
    world.start().await;
    alice.send("team", "3").await.unwrap();
    alice.send("team", "4").await.unwrap();
    let (mut bob, heard) = listener.await.unwrap();
    assert_eq!(
        heard,
        ["joined by alice", "alice: 0", "alice: 1", "alice: 2", "alice: kept", "alice: 3", "alice: 4"]
    );

    // Cancelling `next` loses nothing.
    for n in 0..20 {
        alice.send("team", &format!("x{n}")).await.unwrap();
    }
    let mut heard = Vec::new();
    while heard.len() < 20 {
        let patience = std::time::Duration::from_millis(2);
        if let Ok(notice) = tokio::time::timeout(patience, bob.next()).await {
            heard.push(brief(&notice.unwrap()));
        }
    }
    assert_eq!(heard, (0..20).map(|n| format!("alice: x{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_change_the_group_at_once() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let mut others = Vec::new();
    for n in 0..8 {
        others.push(world.create(&format!("m{n}")).await);
    }
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    alice.set_role("team", &name("bob"), Role::Admin).await.unwrap();
    sync(&mut bob).await;
    let one = tokio::spawn(async move {
        for n in 0..4 {
            alice.add("team", &names(&[&format!("m{n}")])).await.unwrap();
            alice.send("team", &format!("alice {n}")).await.unwrap();
        }
        alice
    });
    let two = tokio::spawn(async move {
        for n in 4..8 {
            bob.add("team", &names(&[&format!("m{n}")])).await.unwrap();
            bob.send("team", &format!("bob {n}")).await.unwrap();
        }
        bob
    });
    let (mut alice, mut bob) = (one.await.unwrap(), two.await.unwrap());
    alice.send("team", "end").await.unwrap();
    let told = sync(&mut bob).await;
    assert!(!told.iter().any(|told| told.starts_with("ALARM")), "{told:?}");
    let told = sync(&mut alice).await;
    assert!(!told.iter().any(|told| told.starts_with("ALARM")), "{told:?}");
    assert_eq!(alice.group("team").unwrap().members.len(), 10);
    assert_eq!(read(&mut alice, "team").len(), 9);
    assert_eq!(read(&mut alice, "team"), read(&mut bob, "team"));
    for other in &mut others {
        let told = sync(other).await;
        assert!(!told.iter().any(|told| told.starts_with("ALARM")), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("alice: end"));
        assert_eq!(other.group("team").unwrap().summary.epoch, alice.group("team").unwrap().summary.epoch);
    }
}

#[tokio::test]
async fn an_unreachable_server_is_said_at_once() {
    let mut world = World::new().await;
    let mut alice = world.create("alice").await;
    alice.create_group("team", &[]).await.unwrap();
    alice.close().await;
    world.stop().await;
    let mut alice = world.open("alice").await;
    let error = alice.next().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }));
    assert!(error.to_string().contains(&world.url()), "{error}");
    assert!(matches!(alice.send("team", "x").await, Err(ClientError::Unreachable { .. })));
    assert_eq!(alice.groups().unwrap().len(), 1, "what the profile knows, it tells");
    world.start().await;
    alice.send("team", "y").await.unwrap();
    assert_eq!(read(&mut alice, "team"), ["alice: y"], "what was refused at once was not kept");
}

/// Futures of the client can be spawned.
#[test]
fn calls_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let never = |mut client: Client| async move {
        let _ = client.send("", "").await;
        let _ = client.next().await;
        let _ = client.create_group("", &[]).await;
        client.close().await;
    };
    let open = async move {
        let client = Client::open("".as_ref(), &Unlock::KeyFile("".into())).await.unwrap();
        never(client).await;
    };
    is_send(&open);
}

/// More people than one commit adds, and more than whose welcomes fit a frame.
#[tokio::test]
async fn a_large_group() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut everybody = Vec::new();
    for n in 0..510 {
        let member = world.create(&format!("m{n}")).await;
        everybody.push(member.identity().name.clone());
        if n == 0 || n == 509 {
            member.close().await;
        }
    }
    let team = alice.create_group("team", &everybody).await.unwrap();
    assert_eq!((team.members, team.epoch.0), (511, 2));
    alice.send("team", "hello all").await.unwrap();
    alice.remove("team", &everybody[..100]).await.unwrap();
    alice.send("team", "hello some").await.unwrap();
    let mut first = world.open("m0").await;
    let told = sync(&mut first).await;
    assert!(told[1].starts_with("alice added m500 m501 "), "{}", told[1]);
    assert_eq!([&told[0], &told[2], &told[3]], ["joined by alice", "alice: hello all", "removed by alice"]);
    let mut last = world.open("m509").await;
    last.fetch().await.unwrap();
    assert_eq!(read(&mut last, "team"), ["alice: hello all", "alice: hello some"]);
    last.send("team", "hi").await.unwrap();
    assert_eq!(
        last.group("team").unwrap().members.iter().filter(|member| member.name.is_some()).count(),
        411
    );
}
