//! Who may register: by invite, or nobody new.

use crate::client::Client;
use crate::people::Person;
use conclave_server::{Admission, Config, InviteError, Server, StoreLocation, Terms, invite};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;
use std::time::Duration;

async fn serve(store: &StoreLocation, admission: Admission) -> Server {
    let config = Config::new(store.clone(), ([127, 0, 0, 1], 0).into());
    Server::start(config.with_workers(1).with_admission(admission)).await.unwrap()
}

async fn register(server: &Server, person: &Person, token: Option<&str>) -> Reply {
    let mut client = Client::connect(&server.url()).await;
    let Request::Register { name, manifest, prekeys, login, .. } =
        person.register(&client.server, &client.nonce)
    else {
        panic!()
    };
    let invite = token.map(str::to_owned);
    client.ask(Request::Register { name, manifest, prekeys, login, invite }).await
}

#[tokio::test]
async fn by_invite() {
    let dir = tempfile::tempdir().unwrap();
    let store: StoreLocation = dir.path().join("data").into();
    let terms = Terms { uses: 1, expires_in: Duration::from_secs(3600) };
    // Where no server has been there is nothing to invite to.
    assert!(matches!(invite(&store, terms), Err(InviteError::Store(_))));
    let server = serve(&store, Admission::Open).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Person::new);
    assert_eq!(register(&server, &alice, None).await, Reply::Done);
    server.shutdown().await;

    let server = serve(&store, Admission::Invite).await;
    // The server runs, and the invite is made beside it.
    let token = invite(&store, terms).unwrap();
    let refused = |refusal| Reply::Refused { refusal };
    assert_eq!(register(&server, &bob, None).await, refused(Refusal::InviteNeeded));
    assert_eq!(register(&server, &bob, Some("invite-00")).await, refused(Refusal::InviteInvalid));
    assert_eq!(register(&server, &bob, Some(&token)).await, Reply::Done);
    assert_eq!(register(&server, &carol, Some(&token)).await, refused(Refusal::InviteUsedUp));
    // Again is harmless, and who was there before is let in.
    assert_eq!(register(&server, &bob, Some(&token)).await, Reply::Done);
    assert_eq!(register(&server, &alice, None).await, Reply::Done);
    let short = Terms { expires_in: Duration::ZERO, ..terms };
    let expired = invite(&store, short).unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(register(&server, &carol, Some(&expired)).await, refused(Refusal::InviteExpired));
    server.shutdown().await;

    let server = serve(&store, Admission::Closed).await;
    let another = invite(&store, terms).unwrap();
    assert_eq!(register(&server, &carol, Some(&another)).await, refused(Refusal::RegistrationClosed));
    assert_eq!(register(&server, &bob, None).await, Reply::Done);
    server.shutdown().await;
}
