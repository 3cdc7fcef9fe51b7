//! A process may die, or its connection break, between any two steps: nothing is lost, and nothing is shown twice.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use conclave_client::{Client, ClientError};
use std::time::Duration;
use support::proxy::{Loss, Proxy};
use support::{World, line, name, names, next, read, sync};

/// A server that is reached through a proxy alone.
async fn behind_proxy() -> (World, Proxy) {
    let listener = Proxy::bind().await;
    let name = listener.local_addr().unwrap().to_string();
    let world = World::named(Some(name)).await;
    let server = world.server.as_ref().unwrap().local_addr();
    (world, Proxy::run(listener, server))
}

async fn create(world: &World, proxy: &Proxy, who: &str) -> Client {
    Client::create(&world.profile(who), &world.unlock(), name(who), &proxy.url()).await.unwrap()
}

/// What Alice wants done, however often it takes to come through it.
async fn drive(alice: &mut Client, team: &str) -> Result<(), ClientError> {
    alice.fetch().await?;
    if alice.group(team).is_err() {
        alice.create_group(team, &names(&["bob"])).await?;
    }
    if !is_member(alice, team, "bob") {
        alice.add(team, &names(&["bob"])).await?;
    }
    say(alice, team, "one").await?;
    say(alice, team, "two").await?;
    if !has_said(alice, team, "three") {
        if !is_member(alice, team, "carol") {
            alice.add(team, &names(&["carol"])).await?;
        }
        say(alice, team, "three").await?;
    }
    if is_member(alice, team, "carol") {
        alice.remove(team, &names(&["carol"])).await?;
    }
    say(alice, team, "four").await
}

async fn say(alice: &mut Client, team: &str, text: &str) -> Result<(), ClientError> {
    if !has_said(alice, team, text) {
        alice.send(team, text).await?;
    }
    Ok(())
}

fn has_said(alice: &mut Client, team: &str, text: &str) -> bool {
    alice.history(team).unwrap().iter().any(|message| message.text == text)
}

fn is_member(alice: &mut Client, team: &str, who: &str) -> bool {
    alice.group(team).unwrap().members.iter().any(|member| member.name == Some(name(who)))
}

/// Alice's process dies at every frame that she ever sends, with the frame lost and with the answer lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dying_at_every_step() {
    let (world, proxy) = behind_proxy().await;
    let mut bob = create(&world, &proxy, "bob").await;
    let mut carol = create(&world, &proxy, "carol").await;
    let mut frames = 0;
    let mut finished = false;
    while !finished {
        for loss in [Loss::Request, Loss::Answer] {
            let team = format!("team-{frames}-{loss:?}");
            let who = format!("alice-{frames}-{}", team.len() % 2);
            let mut alice = create(&world, &proxy, &who).await;
            proxy.fail_after(frames, loss);
            finished = tokio::select! {
                done = drive(&mut alice, &team) => done.is_ok(),
                () = proxy.failed() => false,
            };
            // Dead, without any chance to tidy up.
            let copy = format!("{who}-copy");
            world.copy(&who, &copy);
            proxy.mend();
            drop(alice);
            let mut alice = world.open(&copy).await;
            drive(&mut alice, &team).await.unwrap();
            let alarms = sync(&mut alice).await;
            assert!(!alarms.iter().any(|told| told.starts_with("ALARM")), "{team}: {alarms:?}");

            let told = bob.sync().await.unwrap();
            let alarm =
                told.iter().find(|told| matches!(told.kind, conclave_client::NoticeKind::Alarm { .. }));
            assert_eq!(alarm, None, "{team}");
            let lines =
                |client: &mut Client| client.history(&team).unwrap().iter().map(line).collect::<Vec<_>>();
            let expected = ["one", "two", "three", "four"].map(|text| format!("{who}: {text}"));
            assert_eq!(lines(&mut alice), expected, "{team}");
            assert_eq!(lines(&mut bob), expected, "{team}");
            let told = sync(&mut carol).await;
            assert!(!told.iter().any(|told| told.starts_with("ALARM")), "{team}: {told:?}");
            assert_eq!(lines(&mut carol), expected[2..3], "{team}");
        }
        frames += 1;
        assert!(frames < 200, "the story ends");
    }
    assert!(frames > 20, "the story has that many frames: {frames}");
}

/// The same without a death: the connection breaks, and the call itself goes on or says what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_in_the_middle_of_sending() {
    let (world, proxy) = behind_proxy().await;
    let mut alice = create(&world, &proxy, "alice").await;
    let mut bob = create(&world, &proxy, "bob").await;
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    alice.send("team", "first").await.unwrap();
    for (n, loss) in [Loss::Request, Loss::Answer].into_iter().enumerate() {
        for frame in 0..2 {
            proxy.fail_after(frame, loss);
            let text = format!("{n} {frame}");
            let sent = alice.send("team", &text);
            let mend = async {
                proxy.failed().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                proxy.mend();
            };
            tokio::join!(async { sent.await.unwrap() }, mend);
        }
    }
    assert_eq!(
        sync(&mut bob).await,
        ["joined by alice", "alice: first", "alice: 0 0", "alice: 0 1", "alice: 1 0", "alice: 1 1"]
    );
    assert_eq!(read(&mut alice, "team").len(), 5);
}

/// What was sealed and could not be posted goes out with the next process, under the next epoch.
#[tokio::test]
async fn sealed_in_one_epoch_posted_in_another() {
    let mut world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    let mut carol = world.create("carol").await;
    alice.create_group("team", &names(&["bob", "carol"])).await.unwrap();
    bob.fetch().await.unwrap();
    bob.send("team", "hello").await.unwrap();
    world.stop().await;
    for text in ["x", "y"] {
        let queued = bob.send("team", text).await.unwrap_err();
        assert!(queued.is_temporary() || matches!(queued, ClientError::Queued { .. }), "{queued}");
    }
    drop(bob);
    world.start().await;
    alice.remove("team", &names(&["carol"])).await.unwrap();
    let mut bob = world.open("bob").await;
    assert_eq!(sync(&mut bob).await, ["joined by alice", "alice removed carol", "sent x"]);
    assert_eq!(sync(&mut alice).await, ["bob: hello", "bob: x"]);
    assert_eq!(sync(&mut carol).await, ["joined by alice", "bob: hello", "removed by alice"]);
    assert_eq!(read(&mut bob, "team"), ["bob: hello", "bob: x"]);
    bob.send("team", "z").await.unwrap();
    assert_eq!(sync(&mut alice).await, ["bob: z"]);
}

/// Removed while something waits in the outbox: it is told, not sent.
#[tokio::test]
async fn removed_before_it_could_be_posted() {
    let mut world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    bob.fetch().await.unwrap();
    bob.send("team", "hello").await.unwrap();
    world.stop().await;
    assert!(bob.send("team", "too late").await.is_err());
    world.start().await;
    alice.remove("team", &names(&["bob"])).await.unwrap();
    let told = sync(&mut bob).await;
    assert_eq!(
        told,
        ["joined by alice", "removed by alice", "ALARM 1 of your messages could not be sent any more"]
    );
    assert_eq!(read(&mut bob, "team"), ["bob: hello"]);
}

/// A notice that was handed out counts as told when the client is asked again or dropped; one that a dying process had
/// not shown is told by the next.
#[tokio::test]
async fn notices_survive_a_death() {
    let world = World::new().await;
    let mut alice = world.create("alice").await;
    let mut bob = world.create("bob").await;
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    alice.send("team", "one").await.unwrap();
    alice.send("team", "two").await.unwrap();
    assert_eq!(next(&mut bob).await, "joined by alice");
    assert_eq!(next(&mut bob).await, "alice: one");
    world.copy("bob", "bob-died");
    drop(bob);
    let mut died = world.open("bob-died").await;
    assert_eq!(sync(&mut died).await, ["joined by alice", "alice: one", "alice: two"], "none is lost");
    assert_eq!(sync(&mut died).await, Vec::<String>::new());
}

/// (R68) A message whose signature was broken on the way is held back, which is said at once; the sender's next message
/// vouches for it.
#[tokio::test]
async fn a_broken_signature_is_told_and_mended() {
    let (world, proxy) = behind_proxy().await;
    let mut alice = create(&world, &proxy, "alice").await;
    let mut bob = create(&world, &proxy, "bob").await;
    alice.create_group("team", &names(&["bob"])).await.unwrap();
    alice.send("team", "first").await.unwrap();
    assert_eq!([next(&mut bob).await, next(&mut bob).await], ["joined by alice", "alice: first"]);
    // That may have been fetched, and its push be still on its way. This one is pushed, and what was pushed before it is past.
    alice.send("team", "live").await.unwrap();
    assert_eq!(next(&mut bob).await, "alice: live");
    proxy.spoil_next_push(1);
    alice.send("team", "second").await.unwrap();
    assert_eq!(next(&mut bob).await, "ALARM a message is held back: its signature does not fit");
    assert_eq!(read(&mut bob, "team"), ["alice: first", "alice: live"]);
    alice.send("team", "third").await.unwrap();
    assert_eq!([next(&mut bob).await, next(&mut bob).await], ["alice: second", "alice: third"]);
    assert_eq!(read(&mut bob, "team"), ["alice: first", "alice: live", "alice: second", "alice: third"]);
}
