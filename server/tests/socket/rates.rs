//! How often somebody may ask, and that only a trusted proxy says who that is.

use crate::client::Client;
use crate::people::Person;
use conclave_server::{Config, Server};
use conclave_wire::reply::{Refusal, Reply};
use std::net::{IpAddr, Ipv4Addr};

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
