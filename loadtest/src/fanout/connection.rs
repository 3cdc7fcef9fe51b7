//! One socket to the server: dialling, and one request after the other while the groups are prepared.

use super::source;
use super::target::Target;
use crate::failure::Failure;
use conclave_engine::wire::codec;
use conclave_engine::wire::frame::{ClientFrame, RequestId, ServerFrame};
use conclave_engine::wire::ids::{GroupId, Seq};
use conclave_engine::wire::limits::MAX_FRAME;
use conclave_engine::wire::login::Nonce;
use conclave_engine::wire::reply::Reply;
use conclave_engine::wire::request::Request;
use futures_util::{SinkExt, StreamExt};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

pub(super) type Socket = WebSocketStream<TcpStream>;

/// How long a server may take for one step of the preparation.
const PATIENCE: Duration = Duration::from_secs(60);

/// What each socket is read into: enough for a burst of small frames, little enough for thousands of sockets.
const READ_BUFFER: usize = 32 << 10;

/// A connection on which one request is under way at a time.
pub(super) struct Connection {
    socket: Socket,
    nonce: Nonce,
    next: u32,
    /// Pushes that came while an answer was waited for.
    early: Vec<Bytes>,
}

/// Opens a WebSocket.
pub(super) async fn open(target: &Target, from: Option<Ipv4Addr>) -> Result<Socket, Failure> {
    let to = target.socket();
    let stream = source::connect(to, from).await.map_err(|error| Failure::Connection(error.to_string()))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME))
        .read_buffer_size(READ_BUFFER);
    let opened = client_async_with_config(target.url(), stream, Some(config)).await;
    opened.map(|(socket, _)| socket).map_err(|error| Failure::Connection(error.to_string()))
}

impl Connection {
    /// Dials, and waits for the server's challenge.
    pub(super) async fn dial(target: &Target, from: Option<Ipv4Addr>) -> Result<Self, Failure> {
        let lost = |error: String| Failure::Connection(error);
        let socket = open(target, from).await?;
        let nonce = Nonce::from_bytes([0; 32]);
        let mut connection = Self { socket, nonce, next: 0, early: Vec::new() };
        match codec::decode(&connection.frame().await?) {
            Ok(ServerFrame::Hello { name, nonce }) if name == target.name() => {
                Ok(Self { nonce, ..connection })
            }
            Ok(ServerFrame::Hello { name, .. }) => {
                let dialled = target.name();
                Err(lost(format!("the server is called {name}, and was dialled as {dialled}; dial its name")))
            }
            _ => Err(Failure::Unexpected("the first contact")),
        }
    }

    /// The challenge for the login.
    pub(super) fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Asks, and waits for the answer. `what` names the request in a refusal.
    pub(super) async fn request(&mut self, what: &'static str, request: Request) -> Result<Reply, Failure> {
        let asked = RequestId(self.next);
        self.next += 1;
        let frame = codec::encode(&ClientFrame { id: asked, request });
        let sent = self.socket.send(Message::Binary(frame.into())).await;
        sent.map_err(|error| Failure::Connection(error.to_string()))?;
        loop {
            let frame = self.frame().await?;
            match codec::decode(&frame) {
                Ok(ServerFrame::Reply { id, reply: Reply::Refused { refusal } }) if id == asked => {
                    return Err(Failure::Refused { what, refusal });
                }
                Ok(ServerFrame::Reply { id, reply }) if id == asked => return Ok(reply),
                Ok(ServerFrame::Push { .. }) => self.early.push(frame),
                _ => return Err(Failure::Unexpected(what)),
            }
        }
    }

    /// As [`request`](Self::request), answered with `Done`.
    pub(super) async fn done(&mut self, what: &'static str, request: Request) -> Result<(), Failure> {
        match self.request(what, request).await? {
            Reply::Done => Ok(()),
            _ => Err(Failure::Unexpected(what)),
        }
    }

    /// As [`request`](Self::request), answered with `Accepted`.
    pub(super) async fn accepted(
        &mut self,
        what: &'static str,
        request: Request,
    ) -> Result<(GroupId, Seq), Failure> {
        match self.request(what, request).await? {
            Reply::Accepted { group, seq } => Ok((group, seq)),
            _ => Err(Failure::Unexpected(what)),
        }
    }

    /// The socket, the pushes that came already, and the number of the next request.
    pub(super) fn into_parts(self) -> (Socket, Vec<Bytes>, u32) {
        (self.socket, self.early, self.next)
    }

    async fn frame(&mut self) -> Result<Bytes, Failure> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next());
            let message = next.await.map_err(|_| Failure::Connection("the server does not answer".into()))?;
            match message {
                Some(Ok(Message::Binary(frame))) => return Ok(frame),
                Some(Ok(Message::Close(frame))) => {
                    let why = frame.map_or(String::new(), |frame| format!(": {}", frame.reason.as_str()));
                    return Err(Failure::Connection(format!("the server closed it{why}")));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Failure::Connection(error.to_string())),
                None => return Err(Failure::Connection("the server closed it".into())),
            }
        }
    }
}
