//! What the log never has, however much of it an operator asks for: contents, tokens, passwords, names, whole identifiers.

use crate::client::Client;
use crate::command::Process;
use crate::people::Person;
use conclave_postgres_fixture::Postgres;
use conclave_server::{StoreLocation, Terms, invite};
use conclave_wire::frame::ServerFrame;
use conclave_wire::ids::Opaque;
use conclave_wire::letter::LetterKind;
use conclave_wire::name::Name;
use conclave_wire::reply::Reply;
use conclave_wire::request::Request;
use std::fs::File;
use std::time::Duration;

const PASSWORD: &str = "correct-horse-battery";
const TEXT: &str = "the-eagle-has-landed";
const LETTER: &[u8] = b"my-sender-key-for-you";

/// A store, and what keeps it there.
fn store(dir: &std::path::Path) -> (String, Option<Postgres>) {
    if !crate::CLUSTER {
        return (format!("fjall:{}", dir.join("data").display()), None);
    }
    let postgres = Postgres::start();
    postgres.database("conclave");
    (format!("{}&password={PASSWORD}", postgres.url("conclave")), Some(postgres))
}

/// Bytes as a log may show them: more than the four bytes of an identifier that may be there.
fn ways_to_write(bytes: &[u8]) -> Vec<String> {
    let start = &bytes[..bytes.len().min(8)];
    let hex: String = start[..5].iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{start:?}").trim_matches(['[', ']']).to_owned();
    let escaped = start.escape_ascii().to_string();
    vec![hex.to_uppercase(), hex, list, escaped]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_most_talkative_level_nothing_is_given_away() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (store, _postgres) = store(dir.path());
    let mut server = Process::logging(&store, File::create(&log).unwrap(), "trace");
    let location: StoreLocation = store.parse().unwrap();
    let terms = Terms { uses: 2, expires_in: Duration::from_secs(3600) };
    let token = tokio::task::spawn_blocking(move || invite(&location, terms).unwrap()).await.unwrap();

    let [alice, bob] = ["zaphod.the.first", "trillian.of.earth"].map(Person::new);
    let mut clients = Vec::new();
    for person in [&alice, &bob] {
        let mut client = Client::connect(&server.url).await;
        let Request::Register { name, manifest, prekeys, login, .. } =
            person.register(&client.server, &client.nonce)
        else {
            panic!()
        };
        let invite = Some(token.clone());
        let register = Request::Register { name, manifest, prekeys, login, invite };
        assert_eq!(client.ask(register).await, Reply::Done);
        clients.push(client);
    }
    let [a, b] = clients.as_mut_slice() else { panic!() };
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add.clone(), 0, &[&bob]).await;
    b.subscribe(&[(room.id(), 2)]).await;
    a.post(&room, &alice, TEXT).await;
    let entry = b.push().await;
    a.ask(Request::Lookup { name: bob.name.parse::<Name>().unwrap() }).await;
    a.ask(Request::Prekeys { devices: vec![bob.device()] }).await;
    let body = Opaque(LETTER.to_vec());
    let letter =
        Request::SendLetter { group: room.id(), to: bob.device(), kind: LetterKind::RepairAnswer, body };
    assert_eq!(a.ask(letter).await, Reply::Done);
    assert_eq!(b.frame().await.unwrap(), ServerFrame::LettersWait);
    // Refused things are what is most likely to be told.
    a.refused(Request::Post { group: room.id(), message: Opaque(TEXT.as_bytes().to_vec()) }).await;
    let stranger = Person::new("marvin.the.android");
    let mut c = Client::connect(&server.url).await;
    let login = stranger.login(&c.server, &c.nonce);
    c.refused(Request::Login { login }).await;
    a.send_raw(tokio_tungstenite::tungstenite::Message::Binary(TEXT.as_bytes().into())).await.unwrap();
    a.closed().await;
    server.signal("-TERM");
    assert!(server.child.wait().unwrap().success());

    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "it says little:\n{log}");
    let mut secrets = vec![token[..20].to_owned(), PASSWORD.to_owned()];
    for person in [&alice, &bob, &stranger] {
        secrets.push(person.name.clone());
        for id in [*person.account().as_bytes(), *person.device().as_bytes(), *person.device_key().as_bytes()]
        {
            secrets.extend(ways_to_write(&id));
        }
    }
    for bytes in [room.id().as_bytes().as_slice(), &add, &entry.body.0, TEXT.as_bytes(), LETTER] {
        secrets.extend(ways_to_write(bytes));
    }
    for secret in secrets {
        let found = log.lines().find(|line| line.contains(&secret));
        assert_eq!(found, None, "{secret} is in the log");
    }
}
