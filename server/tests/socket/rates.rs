//! How often somebody may ask, and that only a trusted proxy says who that is.

use crate::client::{Client, commit_request};
use crate::people::{Person, Room};
use conclave_server::{Config, Server};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

async fn register(server: &Server, from: &str, number: usize) -> Reply {
    let person = Person::new(&format!("p{number}"));
    let mut client = Client::connect_from(&server.url(), from).await;
    let request = person.register(&client.server, &client.nonce);
    client.ask(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_from_one_address() {
    const REGISTRATIONS_PER_HOUR: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(dir.path(), (Ipv4Addr::LOCALHOST, 0).into()).with_workers(1);
    let trusting = config.clone().with_trusted_proxies(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let server = Server::start(trusting).await.unwrap();
    let said = "198.51.100.1, 203.0.113.7";
    for number in 0..REGISTRATIONS_PER_HOUR {
        assert_eq!(register(&server, said, number).await, Reply::Done, "{number}");
    }
    let Reply::Refused { refusal: Refusal::RateLimited { limit, .. } } = register(&server, said, 100).await
    else {
        panic!("not limited")
    };
    assert_eq!(limit, "registrations from one address");
    // The client's own claim, on the left, makes nobody somebody else; another address is another.
    let lies = register(&server, "198.51.100.99, 203.0.113.7", 101).await;
    assert!(matches!(lies, Reply::Refused { refusal: Refusal::RateLimited { .. } }));
    assert_eq!(register(&server, "203.0.113.8", 102).await, Reply::Done);
    server.shutdown().await;
    // A server that trusts nobody does not look at the header: all of this comes from this machine.
    let server = Server::start(config).await.unwrap();
    for number in 200..200 + REGISTRATIONS_PER_HOUR + 2 {
        assert_eq!(register(&server, said, number).await, Reply::Done, "{number}");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_one_account() {
    const FOUNDINGS_PER_HOUR: u8 = 200;
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(dir.path(), (Ipv4Addr::LOCALHOST, 0).into()).with_workers(1);
    let trusting = config.with_trusted_proxies(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let server = Server::start(trusting).await.unwrap();
    let mut clients = Vec::new();
    let people = ["alice", "bob"].map(Person::new);
    for person in &people {
        let mut client = Client::connect_from(&server.url(), "203.0.113.7").await;
        let request = person.register(&client.server, &client.nonce);
        assert_eq!(client.ask(request).await, Reply::Done);
        clients.push(client);
    }
    let ([alice, bob], [a, b]) = (&people, clients.as_mut_slice()) else { panic!() };
    let mut last = None;
    for nonce in 0..FOUNDINGS_PER_HOUR {
        last = Some(a.genesis(alice, nonce).await);
    }
    let (genesis, _) = Room::genesis(alice, FOUNDINGS_PER_HOUR);
    let refused = a.refused(commit_request(&genesis, 0, &[])).await;
    let Refusal::RateLimited { limit, retry_after_ms } = refused else { panic!("{refused:?}") };
    assert_eq!(limit, "groups that one account founds");
    assert!((1..=18_000).contains(&retry_after_ms), "{retry_after_ms}");
    // Those that there are go on, and others found theirs.
    let mut room = last.unwrap();
    let add = room.commit(alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[bob]).await;
    a.post(&room, alice, "still here").await;
    b.genesis(bob, 1).await;
    server.shutdown().await;
}

/// Whether it is answered, and not closed.
async fn is_served(client: &mut Client) -> bool {
    let Ok(id) = client.send(Request::Groups).await else { return false };
    client.reply(id).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_from_one_address() {
    const CONNECTIONS_PER_MINUTE: usize = 1200;
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(dir.path(), (Ipv4Addr::LOCALHOST, 0).into()).with_workers(1);
    let trusting = config.with_trusted_proxies(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let server = Server::start(trusting).await.unwrap();
    // Twenty come back every second, and so many at once are let in beside them.
    let begun = Instant::now();
    let mut opened = 0;
    loop {
        let mut client = Client::connect_from(&server.url(), "203.0.113.7").await;
        if !is_served(&mut client).await {
            break;
        }
        opened += 1;
        assert!(opened < 2 * CONNECTIONS_PER_MINUTE, "nobody is refused");
    }
    let come_back = usize::try_from(begun.elapsed().as_secs()).unwrap() * 20 + 20;
    assert!((CONNECTIONS_PER_MINUTE..=CONNECTIONS_PER_MINUTE + come_back).contains(&opened), "{opened}");
    let mut other = Client::connect_from(&server.url(), "203.0.113.8").await;
    assert!(is_served(&mut other).await);
    server.shutdown().await;
}
