//! kill -9 under load: nothing acknowledged is missing, the sequence has no gap, the clients go on.

use crate::client::{Client, accepted, commit_request, post, text};
use crate::command::Process;
use crate::people::{Person, Room};
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::Seq;
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ROUNDS: u32 = 4;

/// Posts without waiting until the connection breaks; returns what was acknowledged, by position.
async fn post_until_it_breaks(url: String, room: Room, person: Person, round: u32) -> BTreeMap<Seq, String> {
    let mut client = Client::logged_in(&url, &person).await;
    let mut acknowledged = BTreeMap::new();
    let mut waiting = std::collections::VecDeque::new();
    for i in 0.. {
        let text = format!("{} {round} {i}", person.name);
        let Ok(id) = client.send(post(&room, &person, &text)).await else { break };
        waiting.push_back((id, text));
        if waiting.len() >= 64 {
            let (id, text) = waiting.pop_front().unwrap();
            match client.reply(id).await {
                Ok(reply) => assert!(acknowledged.insert(accepted(reply), text).is_none()),
                Err(_) => break,
            }
        }
    }
    acknowledged
}

/// (R81)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let people = || ["alice", "bob"].map(Person::new);
    let [alice, bob] = people();
    let mut server = Process::start(dir.path(), "127.0.0.1:0");
    let mut a = Client::registered(&server.url, &alice).await;
    drop(Client::registered(&server.url, &bob).await);
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add.clone(), 0, &[&bob]).await;

    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let posters: Vec<_> = people()
            .into_iter()
            .map(|person| tokio::spawn(post_until_it_breaks(server.url.clone(), room.clone(), person, round)))
            .collect();
        tokio::time::sleep(Duration::from_millis(300 + 170 * u64::from(round))).await;
        server.signal("-KILL");
        for poster in posters {
            acknowledged.extend(poster.await.unwrap());
        }
        server = Process::start(dir.path(), "127.0.0.1:0");
        let mut b = Client::logged_in(&server.url, &bob).await;
        check(&mut b, &room, &acknowledged).await;
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    // A commit that may or may not have been stored when the server died is asked for again.
    let mut a = Client::logged_in(&server.url, &alice).await;
    let reply = a.ask(commit_request(&add, 0, &[&bob])).await;
    assert_eq!(reply, Reply::Accepted { group: room.id(), seq: Seq(2) });
    let removal = room.commit(&alice, vec![bob.remove()]);
    a.commit(&mut room, removal, 0, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let alice = Person::new("alice");
    let server = Process::on_a_small_disk(dir.path());
    let mut a = Client::registered(&server.url, &alice).await;
    let room = a.genesis(&alice, 1).await;
    a.subscribe(&[(room.id(), 1)]).await;
    server.fill_disk(1 << 20);
    let long = "z".repeat(30_000);
    let mut acknowledged = Seq(1);
    let refusal = loop {
        match a.ask(post(&room, &alice, &long)).await {
            Reply::Accepted { seq, .. } => acknowledged = seq,
            Reply::Refused { refusal } => break refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refusal, Refusal::Unavailable);
    assert!(acknowledged > Seq(10));
    // From now on it says so to everybody, and to its operator.
    assert_eq!(a.refused(post(&room, &alice, "small")).await, Refusal::Unavailable);
    assert_eq!(a.refused(Request::Groups).await, Refusal::Unavailable);
    for _ in 1..acknowledged.0 {
        a.push().await;
    }
    let address = server.url.trim_start_matches("ws://").to_owned();
    let status = |path| http_status(&address, path);
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    drop(server);
    // With room again, everything acknowledged is there and nothing else.
    let server = Process::start(dir.path(), "127.0.0.1:0");
    let mut a = Client::logged_in(&server.url, &alice).await;
    assert_eq!(a.groups().await[0].head, acknowledged);
    assert_eq!(a.post(&room, &alice, "after").await, Seq(acknowledged.0 + 1));
    a.subscribe(&[(room.id(), 1)]).await;
    for seq in 2..=acknowledged.0 + 1 {
        assert_eq!(a.push().await.seq, Seq(seq));
    }
}

fn http_status(address: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The log has no gap, holds everything acknowledged where it was acknowledged, and each sender's messages in order.
async fn check(client: &mut Client, room: &Room, acknowledged: &BTreeMap<Seq, String>) {
    let head = client.groups().await[0].head;
    client.subscribe(&[(room.id(), 1)]).await;
    let mut log = BTreeMap::new();
    for expected in 2..=head.0 {
        let entry = client.push().await;
        assert_eq!(entry.seq, Seq(expected), "a gap");
        if entry.kind == EntryKind::Message {
            log.insert(entry.seq, text(&entry));
        }
    }
    for (seq, text) in acknowledged {
        assert_eq!(log.get(seq), Some(text), "acknowledged and missing");
    }
    for sender in ["alice", "bob"] {
        let key = |text: &String| -> Option<Vec<u64>> {
            text.strip_prefix(sender)?.split_whitespace().map(|n| n.parse().ok()).collect()
        };
        let order: Vec<_> = log.values().filter_map(key).collect();
        assert!(order.is_sorted_by(|a, b| a < b), "{sender}'s messages are out of order or twice");
    }
}
