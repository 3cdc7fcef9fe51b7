//! A client for tests: requests and answers by id, pushes kept in order. Everything is bounded in time.

use crate::people::{Person, Room};
use conclave_postgres_fixture::Postgres;
use conclave_server::{Config, Server, StoreLocation};
use conclave_wire::codec;
use conclave_wire::entry::Entry;
use conclave_wire::frame::{ClientFrame, RequestId, ServerFrame};
use conclave_wire::ids::{GroupId, Opaque, Seq};
use conclave_wire::login::Nonce;
use conclave_wire::reply::{Membership, Refusal, Reply};
use conclave_wire::request::{Cursor, Request, WelcomeFor};
use futures_util::{SinkExt, StreamExt};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request as ClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a test runs against: one server in a directory of its own, or three on one database, which are to be as one.
pub(crate) struct TestServer {
    nodes: Vec<Server>,
    store: TestStore,
    /// How many clients have been sent to one.
    served: AtomicUsize,
}

enum TestStore {
    Dir(tempfile::TempDir),
    Database(Postgres),
}

impl TestStore {
    fn location(&self) -> StoreLocation {
        match self {
            Self::Dir(dir) => dir.path().into(),
            Self::Database(postgres) => postgres.url("conclave").parse().unwrap(),
        }
    }

    async fn serve(&self) -> Vec<Server> {
        let mut nodes = Vec::new();
        for _ in 0..if matches!(self, Self::Dir(_)) { 1 } else { 3 } {
            let config = Config::new(self.location(), ([127, 0, 0, 1], 0).into()).with_workers(2);
            nodes.push(Server::start(config).await.unwrap());
        }
        nodes
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        let store = if crate::CLUSTER {
            let postgres = Postgres::start();
            postgres.database("conclave");
            TestStore::Database(postgres)
        } else {
            TestStore::Dir(tempfile::tempdir().unwrap())
        };
        Self { nodes: store.serve().await, store, served: AtomicUsize::new(0) }
    }

    pub(crate) async fn restart(self) -> Self {
        for node in self.nodes {
            node.shutdown().await;
        }
        Self { nodes: self.store.serve().await, ..self }
    }

    /// The first node.
    pub(crate) fn node(&self) -> &Server {
        &self.nodes[0]
    }

    /// Where to connect: another node each time.
    pub(crate) fn url(&self) -> String {
        self.nodes[self.served.fetch_add(1, Ordering::Relaxed) % self.nodes.len()].url()
    }

    /// A client that has registered.
    pub(crate) async fn client(&self, person: &Person) -> Client {
        Client::registered(&self.url(), person).await
    }
}

/// One connection.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What the server called itself.
    pub(crate) server: String,
    /// Its challenge.
    pub(crate) nonce: Nonce,
    next: u32,
    replies: HashMap<RequestId, Reply>,
    pushes: VecDeque<Entry>,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        Self::try_connect(url).await.unwrap()
    }

    async fn try_connect(url: &str) -> Option<Self> {
        Self::connect_over(url, Connector::Plain).await
    }

    pub(crate) async fn connect_over(url: &str, connector: Connector) -> Option<Self> {
        Self::connect_with(format!("{url}/v1/socket").into_client_request().unwrap(), connector).await
    }

    /// As a proxy does that speaks for somebody.
    pub(crate) async fn connect_from(url: &str, address: &str) -> Self {
        let mut request = format!("{url}/v1/socket").into_client_request().unwrap();
        request.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
        Self::connect_with(request, Connector::Plain).await.unwrap()
    }

    async fn connect_with(request: ClientRequest, connector: Connector) -> Option<Self> {
        let connecting =
            tokio_tungstenite::connect_async_tls_with_config(request, None, true, Some(connector));
        let (socket, _) = tokio::time::timeout(PATIENCE, connecting).await.unwrap().ok()?;
        let mut client = Self {
            socket,
            server: String::new(),
            nonce: Nonce::from_bytes([0; 32]),
            next: 1,
            replies: HashMap::new(),
            pushes: VecDeque::new(),
        };
        let ServerFrame::Hello { name, nonce } = client.frame().await.ok()? else { panic!("no hello") };
        (client.server, client.nonce) = (name, nonce);
        Some(client)
    }

    pub(crate) async fn registered(url: &str, person: &Person) -> Self {
        let mut client = Self::connect(url).await;
        let request = person.register(&client.server, &client.nonce);
        assert_eq!(client.ask(request).await, Reply::Done);
        client
    }

    pub(crate) async fn logged_in(url: &str, person: &Person) -> Self {
        let mut client = Self::connect(url).await;
        let login = person.login(&client.server, &client.nonce);
        assert_eq!(client.ask(Request::Login { login }).await, Reply::Done);
        client
    }

    /// Connects and logs in, if the server is there and able.
    pub(crate) async fn try_logged_in(url: &str, person: &Person) -> Option<Self> {
        let mut client = Self::try_connect(url).await?;
        let login = person.login(&client.server, &client.nonce);
        client.try_done(Request::Login { login }).await.then_some(client)
    }

    /// Connects and registers, if the server is there and able.
    pub(crate) async fn try_registered(url: &str, person: &Person) -> Option<Self> {
        let mut client = Self::try_connect(url).await?;
        let request = person.register(&client.server, &client.nonce);
        client.try_done(request).await.then_some(client)
    }

    async fn try_done(&mut self, request: Request) -> bool {
        let Ok(id) = self.send(request).await else { return false };
        matches!(self.reply(id).await, Ok(Reply::Done))
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn ask(&mut self, request: Request) -> Reply {
        let id = self.send(request).await.unwrap();
        self.reply(id).await.unwrap()
    }

    /// Sends a request that must be refused.
    pub(crate) async fn refused(&mut self, request: Request) -> Refusal {
        match self.ask(request).await {
            Reply::Refused { refusal } => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Sends a request and does not wait.
    pub(crate) async fn send(&mut self, request: Request) -> Result<RequestId, Error> {
        let id = RequestId(self.next);
        self.next += 1;
        self.send_raw(Message::Binary(codec::encode(&ClientFrame { id, request }).into())).await?;
        Ok(id)
    }

    pub(crate) async fn send_raw(&mut self, message: Message) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.socket.send(message)).await.unwrap()
    }

    /// Waits for an answer; pushes that come meanwhile are kept.
    pub(crate) async fn reply(&mut self, id: RequestId) -> Result<Reply, Error> {
        loop {
            if let Some(reply) = self.replies.remove(&id) {
                return Ok(reply);
            }
            self.receive().await?;
        }
    }

    /// Waits for the next push.
    pub(crate) async fn push(&mut self) -> Entry {
        loop {
            if let Some(entry) = self.pushes.pop_front() {
                return entry;
            }
            self.receive().await.unwrap();
        }
    }

    /// Whether nothing more is pushed. Everything that was stored before is pushed before the answer.
    pub(crate) async fn nothing_pushed(&mut self) -> bool {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.ask(Request::Groups).await;
        self.pushes.is_empty()
    }

    /// The close frame with which the server ends the connection.
    pub(crate) async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn receive(&mut self) -> Result<(), Error> {
        match self.frame().await? {
            ServerFrame::Hello { .. } => panic!("a second hello"),
            ServerFrame::Reply { id, reply } => assert!(self.replies.insert(id, reply).is_none()),
            ServerFrame::Push { entry } => self.pushes.push_back(entry),
            ServerFrame::LettersWait => {}
        }
        Ok(())
    }

    pub(crate) async fn frame(&mut self) -> Result<ServerFrame, Error> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("no frame in time") {
                Some(Ok(Message::Binary(bytes))) => return Ok(codec::decode(&bytes).unwrap()),
                Some(Ok(Message::Close(_))) | None => return Err(Error::ConnectionClosed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            }
        }
    }

    pub(crate) async fn groups(&mut self) -> Vec<Membership> {
        match self.ask(Request::Groups).await {
            Reply::Groups { groups } => groups,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn fetch(&mut self, group: GroupId, after: u64) -> Vec<Entry> {
        self.page(Request::Fetch { group, after: Seq(after), limit: 1000 }).await
    }

    pub(crate) async fn page(&mut self, request: Request) -> Vec<Entry> {
        match self.ask(request).await {
            Reply::Page { entries, .. } => entries,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn subscribe(&mut self, cursors: &[(GroupId, u64)]) {
        let cursors = cursors.iter().map(|(group, seq)| Cursor { group: *group, seq: Seq(*seq) }).collect();
        assert_eq!(self.ask(Request::Subscribe { cursors }).await, Reply::Done);
    }

    pub(crate) async fn post(&mut self, room: &Room, sender: &Person, text: &str) -> Seq {
        accepted(self.ask(post(room, sender, text)).await)
    }

    /// Commits, with as many deliveries and welcomes as asked for, and moves the room on.
    pub(crate) async fn commit(
        &mut self,
        room: &mut Room,
        commit: Vec<u8>,
        deliveries: usize,
        welcomes: &[&Person],
    ) -> Seq {
        let seq = accepted(self.ask(commit_request(&commit, deliveries, welcomes)).await);
        room.advance(&commit);
        seq
    }

    /// A new group of one.
    pub(crate) async fn genesis(&mut self, owner: &Person, nonce: u8) -> Room {
        let (commit, room) = Room::genesis(owner, nonce);
        let reply = self.ask(commit_request(&commit, 0, &[])).await;
        assert_eq!(reply, Reply::Accepted { group: room.id(), seq: Seq(1) });
        room
    }
}

pub(crate) fn post(room: &Room, sender: &Person, text: &str) -> Request {
    Request::Post { group: room.id(), message: Opaque(room.message(sender, text.as_bytes())) }
}

/// Delivery number i is `d<i>`, the welcome of a person `welcome <name>`.
pub(crate) fn commit_request(commit: &[u8], deliveries: usize, welcomes: &[&Person]) -> Request {
    Request::Commit {
        commit: Opaque(commit.to_vec()),
        deliveries: numbered(deliveries),
        welcomes: welcomes
            .iter()
            .map(|person| WelcomeFor {
                device: person.device(),
                welcome: Opaque(format!("welcome {}", person.name).into_bytes()),
            })
            .collect(),
        staged: None,
    }
}

pub(crate) fn numbered(deliveries: usize) -> Vec<Opaque> {
    (0..deliveries).map(|i| Opaque(format!("d{i}").into_bytes())).collect()
}

pub(crate) fn accepted(reply: Reply) -> Seq {
    match reply {
        Reply::Accepted { seq, .. } => seq,
        other => panic!("not accepted: {other:?}"),
    }
}

/// The text that a test's message carries.
pub(crate) fn text(entry: &Entry) -> String {
    let view = conclave_wire::message::MessageView::parse(&entry.body.0).unwrap();
    String::from_utf8(view.ciphertext[..view.ciphertext.len() - 16].to_vec()).unwrap()
}

pub(crate) fn delivery(entry: &Entry) -> Option<String> {
    entry.delivery.as_ref().map(|delivery| String::from_utf8(delivery.0.clone()).unwrap())
}
