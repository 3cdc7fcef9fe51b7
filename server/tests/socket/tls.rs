//! TLS: what is sent arrives, however slowly it is read; who speaks something else harms nobody.

use crate::client::{Client, post, text};
use crate::people::{Person, Room};
use conclave_server::{Config, Server, TlsFiles};
use conclave_wire::ids::Seq;
use rustls::{ClientConfig, RootCertStore};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::Connector;

struct Encrypted {
    server: Server,
    connector: Connector,
    _dir: tempfile::TempDir,
}

impl Encrypted {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsFiles { certificates: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        std::fs::write(&files.certificates, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        let config = Config::new(dir.path().join("data"), ([127, 0, 0, 1], 0).into());
        let server = Server::start(config.with_workers(1).with_tls(files)).await.unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        Self { server, connector: Connector::Rustls(Arc::new(config)), _dir: dir }
    }

    async fn client(&self, person: &Person) -> Client {
        let url = format!("wss://localhost:{}", self.server.local_addr().port());
        let mut client = Client::connect_over(&url, self.connector.clone()).await.unwrap();
        let request = person.register(&client.server, &client.nonce);
        client.ask(request).await;
        client
    }

    fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_arrives_however_slowly_it_is_read() {
    const MESSAGES: u64 = 400;
    let encrypted = Encrypted::start().await;
    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let mut a = encrypted.client(&alice).await;
    let mut b = encrypted.client(&bob).await;
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;
    b.subscribe(&[(room.id(), 2)]).await;
    // More than all buffers on the way take, none of which Bob reads meanwhile.
    let message = |room: &Room, i: u64| post(room, &alice, &format!("{i} {}", "x".repeat(40_000)));
    let mut waiting = Vec::new();
    for i in 0..MESSAGES {
        waiting.push(a.send(message(&room, i)).await.unwrap());
    }
    for id in waiting {
        a.reply(id).await.unwrap();
    }
    for i in 0..MESSAGES {
        let pushed = b.push().await;
        assert_eq!(pushed.seq, Seq(3 + i));
        assert!(text(&pushed).starts_with(&format!("{i} x")));
        if i % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_something_else_harms_nobody() {
    let encrypted = Encrypted::start().await;
    let connect = || {
        let stream = TcpStream::connect(encrypted.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    };
    // One that says nothing, one that stops in the middle of its first record, and stays.
    let silent = connect();
    let mut halfway = connect();
    halfway.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).unwrap();
    // HTTP without TLS, and garbage: both are told so, or cut off.
    for garbage in [&b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 300]] {
        let mut stream = connect();
        stream.write_all(garbage).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    // One that goes in the middle of a handshake.
    let mut gone = connect();
    gone.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
    drop(gone);
    let alice = Person::new("alice");
    let mut a = encrypted.client(&alice).await;
    let room = a.genesis(&alice, 1).await;
    assert_eq!(a.post(&room, &alice, "hi").await, Seq(2));
    drop((silent, halfway));
    encrypted.server.shutdown().await;
}
