//! The live stream: every entry, once, in order, whatever the reader does.

use crate::client::{Client, TestServer, accepted, post, text};
use crate::people::{Person, Room};
use conclave_wire::ids::{GroupId, Opaque, Seq};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::{Cursor, Request};
use std::time::Duration;

/// Posts `count` messages `<name> <i>`, all at once, and waits for the answers. Returns their positions.
async fn flood(client: &mut Client, room: &Room, sender: &Person, count: usize) -> Vec<Seq> {
    let mut ids = Vec::new();
    for i in 0..count {
        ids.push(client.send(post(room, sender, &format!("{} {i}", sender.name))).await.unwrap());
    }
    let mut seqs = Vec::new();
    for id in ids {
        seqs.push(accepted(client.reply(id).await.unwrap()));
    }
    seqs
}

/// Reads pushes of one group from `first` to `last`, each of which must come next.
async fn read_through(client: &mut Client, first: u64, last: u64) -> Vec<String> {
    let mut texts = Vec::new();
    for expected in first..=last {
        let entry = client.push().await;
        assert_eq!(entry.seq, Seq(expected));
        if matches!(entry.kind, conclave_wire::entry::EntryKind::Message) {
            texts.push(text(&entry));
        }
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_posts_keep_their_order_and_reach_everybody_once() {
    let server = TestServer::start().await;
    let people: Vec<_> = (0..5).map(|i| Person::new(&format!("p{i}"))).collect();
    let mut clients = Vec::new();
    for person in &people {
        clients.push(server.client(person).await);
    }
    let mut room = clients[0].genesis(&people[0], 1).await;
    let add = room.commit(&people[0], people[1..].iter().map(Person::add).collect());
    let others: Vec<_> = people[1..].iter().collect();
    clients[0].commit(&mut room, add, 0, &others).await;
    for client in &mut clients {
        client.subscribe(&[(room.id(), 2)]).await;
    }
    const EACH: usize = 500;
    let tasks: Vec<_> = clients
        .into_iter()
        .zip(people)
        .map(|(mut client, person)| {
            let room = room.clone();
            tokio::spawn(async move {
                let seqs = flood(&mut client, &room, &person, EACH).await;
                assert!(seqs.is_sorted_by(|a, b| a < b));
                let texts = read_through(&mut client, 3, 2 + 5 * EACH as u64).await;
                assert!(client.nothing_pushed().await);
                texts
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    for i in 0..5 {
        let own: Vec<_> = all[0].iter().filter(|text| text.starts_with(&format!("p{i} "))).collect();
        let expected: Vec<_> = (0..EACH).map(|n| format!("p{i} {n}")).collect();
        assert!(own.into_iter().eq(&expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reconnects_again_and_again_misses_nothing_and_gets_nothing_twice() {
    let server = TestServer::start().await;
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let mut a = server.client(&alice).await;
    drop(server.client(&bob).await);
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;
    const POSTS: u64 = 4000;
    let (url, group) = (server.url(), room.id());
    let posting = tokio::spawn(async move {
        for _ in 0..POSTS / 100 {
            flood(&mut a, &room, &alice, 100).await;
        }
    });
    let mut cursor = 1;
    let last = 2 + POSTS;
    let mut rounds = 0;
    while cursor < last {
        rounds += 1;
        let mut b = Client::logged_in(&url, &bob).await;
        b.subscribe(&[(group, cursor)]).await;
        // Part from the log, part live.
        for _ in 0..150.min(last - cursor) {
            let entry = b.push().await;
            assert_eq!(entry.seq, Seq(cursor + 1));
            cursor += 1;
        }
    }
    assert!(rounds > 10);
    posting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_falls_back_to_the_log() {
    let server = TestServer::start().await;
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let mut a = server.client(&alice).await;
    let mut b = server.client(&bob).await;
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;
    b.subscribe(&[(room.id(), 2)]).await;
    // Bob does not read. What is posted is many times what his socket and his queue hold.
    let long = "x".repeat(60_000);
    const POSTS: u64 = 300;
    for _ in 0..POSTS {
        a.post(&room, &alice, &long).await;
    }
    let texts = read_through(&mut b, 3, 2 + POSTS).await;
    assert!(texts.iter().all(|text| *text == long));
    // And is live again.
    assert_eq!(a.post(&room, &alice, "now").await, Seq(3 + POSTS));
    assert_eq!(text(&b.push().await), "now");
    assert!(b.nothing_pushed().await);
}

/// (R82)
#[tokio::test]
async fn subscribing_again_begins_again() {
    let server = TestServer::start().await;
    let alice = Person::new("alice");
    let mut a = server.client(&alice).await;
    let (one, two) = (a.genesis(&alice, 1).await, a.genesis(&alice, 2).await);
    for i in 0..5 {
        a.post(&one, &alice, &format!("one {i}")).await;
        a.post(&two, &alice, &format!("two {i}")).await;
    }
    a.subscribe(&[(one.id(), 6), (two.id(), 6)]).await;
    assert!(a.nothing_pushed().await);
    a.subscribe(&[(one.id(), 3)]).await;
    assert_eq!(read_through(&mut a, 4, 6).await, ["one 2", "one 3", "one 4"]);
    a.post(&two, &alice, "two 5").await;
    assert_eq!(text(&a.push().await), "two 5");
    let cursors = vec![Cursor { group: one.id(), seq: Seq(7) }];
    assert!(matches!(a.refused(Request::Subscribe { cursors }).await, Refusal::Malformed { .. }));
    let cursors = vec![
        Cursor { group: one.id(), seq: Seq(0) },
        Cursor { group: GroupId::from_bytes([7; 32]), seq: Seq(0) },
    ];
    assert_eq!(a.refused(Request::Subscribe { cursors }).await, Refusal::NotMember);
    assert!(a.nothing_pushed().await);
}

/// (R82)
#[tokio::test]
async fn a_newcomers_stream_begins_with_its_addition_however_it_subscribes() {
    let server = TestServer::start().await;
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let mut a = server.client(&alice).await;
    let mut b = server.client(&bob).await;
    let mut room = a.genesis(&alice, 1).await;
    a.post(&room, &alice, "before bob").await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;
    a.post(&room, &alice, "to bob").await;
    b.subscribe(&[(room.id(), 0)]).await;
    assert_eq!(b.push().await.seq, Seq(3));
    assert_eq!(text(&b.push().await), "to bob");
    assert_eq!(b.fetch(room.id(), 0).await[0].seq, Seq(3));
}

#[tokio::test]
async fn several_connections_of_a_device_each_get_the_stream() {
    let server = TestServer::start().await;
    let alice = Person::new("alice");
    let mut a = server.client(&alice).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(Client::logged_in(&server.url(), &alice).await);
    }
    let room = a.genesis(&alice, 1).await;
    for other in &mut others {
        other.subscribe(&[(room.id(), 1)]).await;
    }
    a.post(&room, &alice, "to all").await;
    for other in &mut others {
        assert_eq!(text(&other.push().await), "to all");
    }
}

#[tokio::test]
async fn pages_are_bounded_and_complete() {
    let server = TestServer::start().await;
    let alice = Person::new("alice");
    let mut a = server.client(&alice).await;
    let room = a.genesis(&alice, 1).await;
    let long = "y".repeat(60_000);
    for _ in 0..40 {
        a.post(&room, &alice, &long).await;
    }
    let (mut after, mut pages) = (0, 0);
    while after < 41 {
        let request = Request::Fetch { group: room.id(), after: Seq(after), limit: u32::MAX };
        let reply = a.ask(request).await;
        let Reply::Page { entries, head } = reply else { panic!("{reply:?}") };
        assert_eq!(head, Seq(41));
        let bytes: usize = entries.iter().map(|entry| entry.body.0.len()).sum();
        assert!(bytes <= 512 << 10 && !entries.is_empty());
        assert!(entries.iter().zip(after + 1..).all(|(entry, seq)| entry.seq == Seq(seq)));
        after = entries.last().unwrap().seq.0;
        pages += 1;
    }
    assert!(pages > 3);
    let few = a.page(Request::Fetch { group: room.id(), after: Seq(1), limit: 3 }).await;
    assert_eq!(few.len(), 3);
    assert!(a.fetch(room.id(), 41).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_an_old_epoch_is_appended_under_any_race() {
    let server = TestServer::start().await;
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let mut a = server.client(&alice).await;
    let mut b = server.client(&bob).await;
    let mut room = a.genesis(&alice, 1).await;
    for _ in 0..15 {
        let add = room.commit(&alice, vec![bob.add()]);
        a.commit(&mut room, add, 0, &[&bob]).await;
        let old = room.clone();
        let (bob, removal) = (Person::new("bob"), room.commit(&alice, vec![bob.remove()]));
        // Bob floods while he is removed.
        let flooding = tokio::spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..200 {
                let message = Opaque(old.message(&bob, b"flood"));
                ids.push(b.send(Request::Post { group: old.id(), message }).await.unwrap());
            }
            let mut accepted = Vec::new();
            for id in ids {
                match b.reply(id).await.unwrap() {
                    Reply::Accepted { seq, .. } => accepted.push(seq),
                    Reply::Refused { refusal: Refusal::EpochStale { .. } | Refusal::NotMember } => {}
                    other => panic!("{other:?}"),
                }
            }
            (b, accepted)
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        let removed = a.commit(&mut room, removal, 0, &[]).await;
        let accepted;
        (b, accepted) = flooding.await.unwrap();
        assert!(accepted.iter().all(|seq| *seq < removed));
    }
}
