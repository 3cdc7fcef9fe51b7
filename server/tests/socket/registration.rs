//! Who is who: registration, login, directory.

use crate::client::{Client, TestServer};
use crate::people::Person;
use conclave_wire::ids::Opaque;
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;

fn lookup(name: &str) -> Request {
    Request::Lookup { name: name.parse().unwrap() }
}

#[tokio::test]
async fn an_account_is_registered_found_and_logged_in() {
    let server = TestServer::start().await;
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let mut a = server.client(&alice).await;
    assert_eq!(a.server, server.node().name());
    assert_eq!(a.refused(lookup("bob")).await, Refusal::UnknownName);
    let mut b = server.client(&bob).await;
    let manifest = Opaque(bob.manifest.encoded().to_vec());
    assert_eq!(a.ask(lookup("bob")).await, Reply::Account { manifest });

    let nobody = Person::new("nobody");
    let names = a.ask(Request::Names { accounts: vec![bob.account(), nobody.account(), alice.account()] });
    let expected = vec![Some("bob".parse().unwrap()), None, Some("alice".parse().unwrap())];
    assert_eq!(names.await, Reply::Names { names: expected });

    let new = Opaque(bob.prekeys(9));
    assert_eq!(b.ask(Request::PublishPrekeys { prekeys: new.clone() }).await, Reply::Done);
    let prekeys = a.ask(Request::Prekeys { devices: vec![alice.device(), nobody.device(), bob.device()] });
    let expected = vec![Some(Opaque(alice.prekeys.clone())), None, Some(new.clone())];
    assert_eq!(prekeys.await, Reply::Prekeys { prekeys: expected, one_time: None });

    // Everything is there after a restart, and a login is enough.
    drop((a, b));
    let server = server.restart().await;
    let mut a = Client::logged_in(&server.url(), &alice).await;
    let prekeys = a.ask(Request::Prekeys { devices: vec![bob.device()] }).await;
    assert_eq!(prekeys, Reply::Prekeys { prekeys: vec![Some(new)], one_time: None });
}

#[tokio::test]
async fn registering_again_is_harmless_and_names_are_for_ever() {
    let server = TestServer::start().await;
    let alice = Person::new("alice");
    drop(server.client(&alice).await);
    drop(server.client(&alice).await);
    // A newer manifest replaces the older one.
    let mut renewed = Person::new("alice");
    renewed.renew_manifest();
    let mut client = server.client(&renewed).await;
    let manifest = Opaque(renewed.manifest.encoded().to_vec());
    assert_eq!(client.ask(lookup("alice")).await, Reply::Account { manifest });

    let mut thief = Person::new("bob");
    thief.name = "alice".to_owned();
    let mut client = Client::connect(&server.url()).await;
    let request = thief.register(&client.server, &client.nonce);
    assert_eq!(client.refused(request).await, Refusal::NameTaken);
    // The refused one is not logged in.
    assert_eq!(client.refused(Request::Groups).await, Refusal::NotIdentified);
    let mut second = Person::new("alice");
    second.name = "alice-2".to_owned();
    let request = second.register(&client.server, &client.nonce);
    let already = Refusal::AlreadyRegistered { name: "alice".parse().unwrap() };
    assert_eq!(client.refused(request).await, already);
}

#[tokio::test]
async fn logins_neither_replay_nor_serve_another_server() {
    let server = TestServer::start().await;
    let alice = Person::new("alice");
    drop(server.client(&alice).await);
    let node = server.node();
    let failed = Refusal::LoginFailed { server: node.name().to_owned() };

    let mut first = Client::connect(&node.url()).await;
    let login = alice.login(&first.server, &first.nonce);
    assert_eq!(first.ask(Request::Login { login: login.clone() }).await, Reply::Done);
    let mut second = Client::connect(&node.url()).await;
    assert_eq!(second.refused(Request::Login { login }).await, failed);
    let elsewhere = alice.login("chat.example:7300", &second.nonce);
    assert_eq!(second.refused(Request::Login { login: elsewhere }).await, failed);
    // As localhost it is the same server.
    let port = node.local_addr().port();
    let login = alice.login(&format!("localhost:{port}"), &second.nonce);
    assert_eq!(second.ask(Request::Login { login }).await, Reply::Done);
}

/// A device that its account has revoked is let in no more.
#[tokio::test]
async fn a_revoked_device_stays_outside() {
    let server = TestServer::start().await;
    let alice = Person::new("alice");
    // On whichever node: it is there when the newer manifest comes, as is somebody who has nothing to do with it.
    let mut open = server.client(&alice).await;
    let mut bob = server.client(&Person::new("bob")).await;
    let mut laptop = Person::with_device("alice", "laptop");
    laptop.renew_manifest();
    let mut new = server.client(&laptop).await;
    let closed = open.closed().await.expect("a close frame");
    assert!(closed.reason.contains("connect again"), "{closed:?}");
    // Said again it is nothing new, and the one who says it goes on.
    drop(server.client(&laptop).await);
    for other in [&mut new, &mut bob] {
        other.groups().await;
    }
    // The node that hears it knows which device said it.
    if !crate::CLUSTER {
        laptop.renew_manifest();
        drop(server.client(&laptop).await);
        new.groups().await;
    }
    let mut client = Client::connect(&server.url()).await;
    let login = alice.login(&client.server, &client.nonce);
    assert_eq!(client.refused(Request::Login { login }).await, Refusal::DeviceRevoked);
    let register = alice.register(&client.server, &client.nonce);
    assert_eq!(client.refused(register).await, Refusal::DeviceRevoked);
    drop(Client::logged_in(&server.url(), &laptop).await);
}

#[tokio::test]
async fn strangers_are_told_to_register() {
    let server = TestServer::start().await;
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    drop(server.client(&alice).await);
    let mut client = Client::connect(&server.url()).await;
    let login = bob.login(&client.server, &client.nonce);
    assert_eq!(client.refused(Request::Login { login }).await, Refusal::NotRegistered);
    // Alice's account on a device that she has not registered.
    let intruder = Person::with_device("alice", "bob");
    let login = intruder.login(&client.server, &client.nonce);
    assert_eq!(client.refused(Request::Login { login }).await, Refusal::NotRegistered);
    // Bob's prekeys for Alice's device.
    let mut a = Client::logged_in(&server.url(), &alice).await;
    let foreign = Request::PublishPrekeys { prekeys: Opaque(bob.prekeys.clone()) };
    assert!(matches!(a.refused(foreign).await, Refusal::InvalidAccount { .. }));
}
