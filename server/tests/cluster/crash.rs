//! Nodes and their database die under load: nothing acknowledged is missing, nothing refused is there, the sequence has no
//! gap, and a subscriber gets everything once and in order.

use crate::client::{Client, post, text};
use crate::command::Process;
use crate::people::{Person, Room};
use conclave_postgres_fixture::Postgres;
use conclave_server::{Config, Server};
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::Seq;
use conclave_wire::reply::{Refusal, Reply};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often nodes are killed.
const ROUNDS: u64 = 3;

/// How often the database is. What becomes of a commit in between shows in about one of fifty.
const DATABASE_ROUNDS: u64 = 10;

/// Posts under way at once.
const WINDOW: usize = 32;

/// What became of what somebody posted.
#[derive(Default)]
struct Posted {
    /// Accepted, at these positions.
    acknowledged: BTreeMap<Seq, String>,
    /// Refused: the server has said that it did not store them.
    refused: BTreeSet<String>,
}

/// Posts until it is told to stop, on one node after the other: where one fails, the next is tried.
async fn keep_posting(urls: Vec<String>, room: Room, person: Person, stop: Arc<AtomicBool>) -> Posted {
    let mut posted = Posted::default();
    let mut number = 0_u64;
    for url in urls.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let Some(mut client) = Client::try_logged_in(url, &person).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let mut waiting = VecDeque::new();
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            if !stopping {
                let text = format!("{} {number}", person.name);
                number += 1;
                let Ok(id) = client.send(post(&room, &person, &text)).await else { break };
                waiting.push_back((id, text));
            }
            if waiting.len() < WINDOW && !stopping {
                continue;
            }
            let Some((id, text)) = waiting.pop_front() else { break };
            match client.reply(id).await {
                Ok(Reply::Accepted { seq, .. }) => {
                    assert!(posted.acknowledged.insert(seq, text).is_none(), "two entries at {seq}");
                }
                Ok(Reply::Refused { refusal: Refusal::Unavailable | Refusal::RateLimited { .. } }) => {
                    posted.refused.insert(text);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Ok(other) => panic!("{other:?}"),
                // What is under way has an unknown end.
                Err(_) => break,
            }
        }
    }
    posted
}

/// A group of Alice and Bob.
async fn found(url: &str, others: &str, alice: &Person, bob: &Person) -> Room {
    let mut a = Client::registered(url, alice).await;
    drop(Client::registered(others, bob).await);
    let mut room = a.genesis(alice, 1).await;
    let add = room.commit(alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[bob]).await;
    room
}

/// Reads the log as Bob gets it, and compares.
async fn check(url: &str, room: &Room, bob: &Person, posted: &[Posted]) {
    let mut client = Client::logged_in(url, bob).await;
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
    let texts: BTreeSet<_> = log.values().collect();
    assert_eq!(texts.len(), log.len(), "something is there twice");
    for posted in posted {
        assert!(posted.acknowledged.len() > 100, "{}", posted.acknowledged.len());
        for (seq, text) in &posted.acknowledged {
            assert_eq!(log.get(seq), Some(text), "acknowledged and missing");
        }
        for text in &posted.refused {
            assert!(!texts.contains(text), "refused, and there all the same: {text}");
        }
    }
    for sender in ["alice", "bob"] {
        let key = |text: &String| -> Option<u64> { text.strip_prefix(sender)?.trim().parse().ok() };
        let order: Vec<_> = log.values().filter_map(key).collect();
        assert!(order.is_sorted_by(|a, b| a < b), "{sender}'s messages are out of order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_killed_under_load() {
    let mut postgres = Postgres::start();
    let database = postgres.database("conclave");
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let config = Config::new(
            database.parse::<conclave_server::StoreLocation>().unwrap(),
            ([127, 0, 0, 1], 0).into(),
        );
        nodes.push(Server::start(config.with_workers(1)).await.unwrap());
    }
    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let room = found(&nodes[0].url(), &nodes[1].url(), &alice, &bob).await;
    let stop = Arc::new(AtomicBool::new(false));
    let posting: Vec<_> = nodes
        .iter()
        .zip([alice, Person::new("bob")])
        .map(|(node, person)| {
            tokio::spawn(keep_posting(vec![node.url()], room.clone(), person, stop.clone()))
        })
        .collect();
    for round in 0..DATABASE_ROUNDS {
        tokio::time::sleep(Duration::from_millis(250 + 17 * round)).await;
        postgres = tokio::task::spawn_blocking(move || {
            postgres.kill();
            postgres.restart();
            postgres
        })
        .await
        .unwrap();
    }
    // Whoever was refused goes on by himself.
    until_ready(&nodes[0].url()).await;
    until_ready(&nodes[1].url()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let mut posted = Vec::new();
    for posting in posting {
        posted.push(posting.await.unwrap());
    }
    check(&nodes[1].url(), &room, &bob, &posted).await;
    for node in nodes {
        node.shutdown().await;
    }
}

/// Waits until a node takes requests again.
async fn until_ready(url: &str) {
    let probe = Person::new("probe");
    for _ in 0..2000 {
        if Client::try_registered(url, &probe).await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the node does not recover");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_killed_under_load() {
    let postgres = Postgres::start();
    let database = postgres.database("conclave");
    // One that stays, to which everybody turns when his own is gone.
    let stays = Process::on(&database);
    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let room = found(&stays.url, &stays.url, &alice, &bob).await;
    let mut watching = Client::logged_in(&stays.url, &bob).await;
    watching.subscribe(&[(room.id(), 2)]).await;
    let mut posted = Vec::new();
    for round in 0..ROUNDS {
        let dies = [Process::on(&database), Process::on(&database)];
        let stop = Arc::new(AtomicBool::new(false));
        let posting: Vec<_> = dies
            .iter()
            .zip(["alice", "bob"])
            .map(|(node, name)| {
                let urls = vec![node.url.clone(), stays.url.clone()];
                let person = Person::new(name);
                tokio::spawn(keep_posting(urls, room.clone(), person, stop.clone()))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300 + 170 * round)).await;
        dies.iter().for_each(|node| node.signal("-KILL"));
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
        for posting in posting {
            posted.push(posting.await.unwrap());
        }
    }
    // Names of a round come again in the next: only what the whole log must keep is compared.
    let mut client = Client::logged_in(&stays.url, &bob).await;
    let head = client.groups().await[0].head;
    let mut log = BTreeMap::new();
    for expected in 3..=head.0 {
        let entry = watching.push().await;
        assert_eq!(entry.seq, Seq(expected), "a gap or a duplicate");
        log.insert(entry.seq, text(&entry));
    }
    for posted in &posted {
        assert!(posted.acknowledged.len() > 50, "{}", posted.acknowledged.len());
        for (seq, text) in &posted.acknowledged {
            assert_eq!(log.get(seq), Some(text), "acknowledged and missing");
        }
    }
}
