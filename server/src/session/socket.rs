//! The loop around a session: reads the socket, does what the session decides, says goodbye.

use super::Identity;
use super::machine::{Action, Session, Task};
use super::websocket::{Incoming, Reader, Violation};
use crate::fanout::Asker;
use crate::fanout::connection::{Connection, End};
use crate::fanout::frame;
use crate::fanout::hub::Hub;
use crate::groups::Upload;
use crate::limits::{CLOSE_LINGER, CLOSE_LINGER_BYTES, MAX_IN_FLIGHT};
use crate::log::Answer;
use crate::rates::Peer;
use crate::store::Registration;
use crate::transport::Transport;
use actix_http::ws::CloseCode;
use bytes::BytesMut;
use conclave_wire::frame::RequestId;
use conclave_wire::ids::GroupId;
use conclave_wire::limits::MAX_CURSORS;
use conclave_wire::login::Nonce;
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Cursor;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;

/// How much is read at once. One buffer for each worker, not for each connection.
const READ_BYTES: usize = 64 << 10;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Serves a client until one side has enough. `read` is what came together with the handshake.
pub(crate) async fn serve(hub: Rc<Hub>, transport: Transport, read: BytesMut, peer: Peer) {
    let nonce = Nonce::from_bytes(rand::random());
    let connection = hub.open(transport);
    connection.push(frame::hello(hub.service.names.announced(), nonce));
    let session = Session::new(hub.service.names.clone(), nonce);
    let mut socket = Socket { hub, connection, session, reader: Reader::new(read), peer };
    let end = match socket.run().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    socket.say_goodbye(end).await;
}

/// What never comes.
enum Never {}

struct Socket {
    hub: Rc<Hub>,
    connection: Rc<Connection>,
    session: Session,
    reader: Reader,
    /// Where it comes from.
    peer: Peer,
}

impl Socket {
    async fn run(&mut self) -> Result<Never, End> {
        if self.hub.service.rates.connect(self.peer).is_err() {
            return Err(End::Close(CloseCode::Again, "too many connections from one address; wait a minute"));
        }
        loop {
            while let Some(incoming) =
                self.reader.next().map_err(|Violation(code, why)| End::Close(code, why))?
            {
                self.handle(incoming).await?;
            }
            self.connection.flush();
            self.connection.readable().await?;
            self.read()?;
            // A client that never stops sending leaves some of the thread to others.
            tokio::task::consume_budget().await;
        }
    }

    fn read(&mut self) -> Result<(), End> {
        READ_BUFFER.with_borrow_mut(|buffer| match self.connection.read(buffer) {
            Ok(0) => Err(End::Gone),
            Ok(read) => {
                self.reader.extend(buffer.get(..read).unwrap_or_default());
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(_) => Err(End::Gone),
        })
    }

    async fn handle(&mut self, incoming: Incoming) -> Result<(), End> {
        self.connection.may_ask(MAX_IN_FLIGHT - 1).await?;
        match incoming {
            Incoming::Ping(content) => self.connection.push(frame::pong(&content)),
            Incoming::Pong => {}
            Incoming::Close(code) => return Err(End::Answer(code.unwrap_or(CloseCode::Normal))),
            Incoming::Request(bytes) => {
                let action = self.session.receive(&bytes);
                let action = self.limited(action, bytes.len());
                // Boxed: an idle connection would keep room for the largest request.
                Box::pin(self.act(action)).await?;
            }
        }
        Ok(())
    }

    /// The same, unless somebody asks too often, or for too much.
    fn limited(&self, action: Action, bytes: usize) -> Action {
        let (rates, peer) = (&self.hub.service.rates, self.peer);
        let ask = |identity: &Identity| rates.ask(peer, identity.device, bytes);
        let (id, within) = match &action {
            Action::Register(id, ..) => (id, rates.register(peer)),
            Action::Perform(id, identity, Task::Prekeys(devices)) => {
                let prekeys = rates.ask_prekeys(peer, identity.device, devices.len());
                (id, prekeys.and_then(|()| ask(identity)))
            }
            Action::Perform(id, identity, Task::Commit(upload)) if upload.renews() => {
                let renewal = rates.renew(peer, identity.device, upload.group());
                (id, renewal.and_then(|()| ask(identity)))
            }
            Action::Perform(id, identity, Task::Commit(upload)) if upload.is_genesis() => {
                let founding = rates.found(peer, identity.account);
                (id, founding.and_then(|()| ask(identity)))
            }
            Action::Perform(id, identity, _)
            | Action::Append(id, identity, ..)
            | Action::Subscribe(id, identity, _) => (id, ask(identity)),
            Action::LogIn(id, _) | Action::Refuse(id, _) | Action::End(id, ..) => (id, Ok(())),
        };
        match within {
            Ok(()) => action,
            Err(refusal) => Action::Refuse(*id, refusal),
        }
    }

    /// The rarer ones are boxed once more, so that posting needs little memory.
    async fn act(&mut self, action: Action) -> Result<(), End> {
        let ready = self.hub.service.health.is_ready();
        match action {
            Action::Refuse(id, refusal) => self.refuse(id, refusal),
            Action::End(id, refusal, code) => {
                self.refuse(id, refusal);
                return Err(End::Close(code, "see the answer before this"));
            }
            Action::LogIn(id, ..)
            | Action::Register(id, ..)
            | Action::Perform(id, ..)
            | Action::Append(id, ..)
            | Action::Subscribe(id, ..)
                if !ready =>
            {
                self.refuse(id, Refusal::Unavailable);
            }
            Action::Append(id, identity, group, upload) => self.append(id, identity, group, upload).await,
            Action::LogIn(id, identity) => Box::pin(self.log_in(id, identity)).await,
            Action::Register(id, identity, registration, invite) => {
                Box::pin(self.register(id, identity, registration, invite)).await;
            }
            Action::Perform(id, identity, task) => Box::pin(self.perform(id, identity, task)).await?,
            Action::Subscribe(id, identity, cursors) => Box::pin(self.subscribe(id, identity, cursors)).await,
        }
        Ok(())
    }

    async fn log_in(&mut self, id: RequestId, identity: Identity) {
        self.connection.claim(identity);
        let reply = self.hub.service.log_in(identity).await;
        self.identify(id, identity, reply);
    }

    async fn register(
        &mut self,
        id: RequestId,
        identity: Identity,
        registration: Registration,
        invite: Option<String>,
    ) {
        self.connection.claim(identity);
        let reply = self.hub.service.register(registration, invite).await;
        self.identify(id, identity, reply);
    }

    async fn perform(&mut self, id: RequestId, identity: Identity, task: Task) -> Result<(), End> {
        // What was answered before need not wait for this.
        self.connection.flush();
        if matches!(task, Task::Commit(_)) {
            // In order: what was posted before is in the log before.
            self.connection.may_ask(0).await?;
        }
        let reply = self.hub.service.perform(identity, task).await;
        self.answer(id, reply);
        Ok(())
    }

    fn identify(&mut self, id: RequestId, identity: Identity, reply: Reply) {
        self.hub.service.metrics.logged_in(&reply);
        if reply == Reply::Done {
            self.session.identify(identity);
            self.connection.identify();
        }
        self.answer(id, reply);
    }

    async fn subscribe(&mut self, id: RequestId, identity: Identity, cursors: Vec<Cursor>) {
        if Hub::subscriptions_with(&self.connection, &cursors) > MAX_CURSORS {
            let refusal = Refusal::TooLarge { what: "subscriptions".to_owned(), max: MAX_CURSORS as u64 };
            return self.refuse(id, refusal);
        }
        match self.hub.service.may_subscribe(identity.device, cursors).await {
            Ok(cursors) => {
                // The answer first: pushes follow it.
                self.answer(id, Reply::Done);
                self.hub.subscribe(&self.connection, &cursors);
            }
            Err(refusal) => self.refuse(id, refusal),
        }
    }

    /// Queues an entry and goes on: the answer comes through the hub, when the entry is durable.
    async fn append(&mut self, id: RequestId, identity: Identity, group: GroupId, upload: Upload) {
        let service = &self.hub.service;
        let checked = match service.check_cached(&identity, &group, upload) {
            Ok(Ok(append)) => Ok(append),
            Ok(Err(unfit)) => Err(Box::pin(service.refusal(identity.device, group, unfit)).await),
            Err(upload) => Box::pin(service.check(identity, group, upload)).await,
        };
        match checked {
            Ok(append) => {
                self.connection.asked();
                let (hub, connection) = (self.hub.id, self.connection.id);
                let to = Answer::Through(Asker { hub, connection, request: id });
                if let Err(refusal) = service.append(append, to).await {
                    self.connection.answered();
                    self.refuse(id, refusal);
                }
            }
            Err(refusal) => self.refuse(id, refusal),
        }
    }

    fn refuse(&self, id: RequestId, refusal: Refusal) {
        self.answer(id, Reply::Refused { refusal });
    }

    fn answer(&self, id: RequestId, reply: Reply) {
        self.hub.service.metrics.answered(&reply);
        self.connection.push(frame::reply(id, reply));
    }

    async fn say_goodbye(mut self, end: End) {
        self.hub.retire(&self.connection);
        let code = match end {
            End::Gone => None,
            End::Close(code, reason) => Some((code, reason)),
            End::Answer(code) => Some((code, "")),
        };
        if let Some((code, reason)) = code {
            self.connection.push(frame::close(code, reason));
            self.connection.flush();
            let _ = tokio::time::timeout(CLOSE_LINGER, self.linger(end)).await;
        }
        // Whatever the socket has not taken by now goes with it.
        self.connection.abandon();
        self.hub.close(&self.connection);
    }

    /// Reads on until the other side has closed too. Were the socket dropped with something unread, the system would
    /// tell the other side of an error, and what it was told before might be lost.
    async fn linger(&mut self, end: End) -> io::Result<()> {
        let mut read = 0;
        while read < CLOSE_LINGER_BYTES {
            if matches!(end, End::Answer(_)) && self.connection.is_drained() {
                return Ok(());
            }
            self.connection.readable_at_the_end().await?;
            let bytes = READ_BUFFER.with_borrow_mut(|buffer| match self.connection.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                read => read.map(Some),
            })?;
            match bytes {
                Some(0) => return Ok(()),
                Some(bytes) => read += bytes,
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::Hubs;
    use crate::people::Person;
    use crate::service::tests::over;
    use crate::store::contract::registration;
    use crate::store::embedded::Embedded;
    use crate::store::hooked::{Hooked, When};
    use conclave_wire::codec;
    use conclave_wire::frame::{ClientFrame, ServerFrame};
    use conclave_wire::request::Request;
    use futures_util::{SinkExt, StreamExt};
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Barrier};
    use std::time::Duration;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    /// The account is looked up, its newer manifest without this device comes, and only then is the answer there.
    #[actix_rt::test]
    async fn who_is_revoked_while_it_logs_in_does_not_stay() {
        let alice = Person::new("alice");
        let mut laptop = Person::with_device("alice", "laptop");
        laptop.renew_manifest();
        let dir = tempfile::tempdir().unwrap();
        let (looked, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let hook = (looked.clone(), go_on.clone());
        let store = Hooked::new(Embedded::open(dir.path()).unwrap(), move |when, _| {
            if when == When::AccountRead {
                hook.0.wait();
                hook.1.wait();
            }
            Ok(())
        });
        let hubs = Arc::new(Hubs::default());
        let service = over(Arc::new(store), hubs.clone());
        assert_eq!(service.register(registration(&alice), None).await, Reply::Done);
        let hub = Hub::start(service.clone(), &hubs, Arc::new(AtomicUsize::new(0)));

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (socket, address) = accepted.unwrap();
        actix_rt::spawn(serve(hub, socket.into(), BytesMut::new(), Peer::of(address.ip())));
        let mut client = WebSocketStream::from_raw_socket(client.unwrap(), Role::Client, None).await;
        let hello = client.next().await.unwrap().unwrap().into_data();
        let Ok(ServerFrame::Hello { name, nonce }) = codec::decode(&hello) else { panic!() };
        let request = Request::Login { login: alice.login(&name, &nonce) };
        let frame = codec::encode(&ClientFrame { id: RequestId(1), request });
        client.send(Message::Binary(frame.into())).await.unwrap();
        actix_rt::task::spawn_blocking(move || looked.wait()).await.unwrap();
        assert_eq!(service.register(registration(&laptop), None).await, Reply::Done);
        tokio::time::sleep(Duration::from_millis(50)).await;
        actix_rt::task::spawn_blocking(move || go_on.wait()).await.unwrap();
        let closed = async {
            while let Some(Ok(message)) = client.next().await {
                if message.is_close() {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), closed).await.expect("the end of the connection");
    }

    fn size_of_future<F>(_: impl Fn(Rc<Hub>, Transport, BytesMut, Peer) -> F) -> usize {
        size_of::<F>()
    }

    /// What a hundred thousand idle connections pay for what one of them might do.
    #[test]
    fn an_idle_connection_is_small() {
        let (task, connection) = (size_of_future(serve), size_of::<Connection>());
        assert!(task + connection <= 2048, "{task} + {connection} bytes");
    }
}
