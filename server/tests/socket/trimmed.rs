//! A log of which too much is there: what went is named where it was, to who fetches and to who subscribes.

use crate::client::{Client, accepted, post};
use crate::metrics::{get, value};
use crate::people::Person;
use conclave_server::{Config, Retention, Server};
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::reply::Reply;
use conclave_wire::request::Request;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Checks that these are a whole log after `cursor` but for one hole at its beginning, and returns its end.
fn follow(entries: &[Entry], mut cursor: u64) -> u64 {
    for entry in entries {
        assert_eq!(entry.kind == EntryKind::Trimmed, cursor == 2, "{}", entry.seq);
        assert!(entry.follows(conclave_wire::ids::Seq(cursor)), "{} after {cursor}", entry.seq);
        cursor = entry.seq.0;
    }
    cursor
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_named_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let retention = Retention { group_bytes: "64MiB".parse().unwrap(), ..Retention::default() };
    let config = Config::new(dir.path(), any).with_workers(2).with_watch(any).with_retention(retention);
    let server = Server::start(config).await.unwrap();
    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let mut a = Client::registered(&server.url(), &alice).await;
    let mut b = Client::registered(&server.url(), &bob).await;
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;
    // 80 MiB.
    let long = "x".repeat(50 << 10);
    let mut last = 0;
    for _ in 0..64 {
        let mut ids = Vec::new();
        for _ in 0..26 {
            ids.push(a.send(post(&room, &alice, &long)).await.unwrap());
        }
        for id in ids {
            last = accepted(a.reply(id).await.unwrap()).0;
        }
    }
    let gone = || value(&get(server.watch_addr().unwrap(), "/metrics").1, "conclave_trimmed_entries_total");
    let begun = Instant::now();
    while gone() == 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is trimmed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let fetch = Request::Fetch { group: room.id(), after: conclave_wire::ids::Seq(2), limit: 3 };
    let Reply::Page { entries, head } = b.ask(fetch).await else { panic!() };
    assert_eq!((entries.len(), head.0), (3, last));
    follow(&entries, 2);
    assert!((entries[0].seq.0 - 2) as f64 >= gone() && entries[0].seq.0 < last / 2);

    b.subscribe(&[(room.id(), 2)]).await;
    let (mut pushed, mut cursor) = (Vec::new(), 2);
    while cursor < last {
        pushed.push(b.push().await);
        cursor = pushed.last().unwrap().seq.0;
    }
    assert_eq!(follow(&pushed, 2), last);
    // And on, live.
    a.post(&room, &alice, "after").await;
    assert_eq!(b.push().await.seq.0, last + 1);
    server.shutdown().await;
}
