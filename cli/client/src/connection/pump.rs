//! The task that owns a socket: writes what it is given, hands answers to who asked, pushes to the client.

use conclave_wire::codec;
use conclave_wire::entry::Entry;
use conclave_wire::frame::{RequestId, ServerFrame};
use conclave_wire::reply::Reply;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How often a silent server is asked whether it is there.
const PING: Duration = Duration::from_secs(30);

/// When a server that says nothing at all is gone: two pings went unanswered.
const SILENCE: Duration = Duration::from_secs(75);

/// Requests whose answer nobody waits for any more are forgotten beyond this many.
const MAX_PENDING: usize = 1024;

/// A frame to write, and who waits for its answer.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) id: RequestId,
    pub(super) frame: Vec<u8>,
    pub(super) answer: oneshot::Sender<Reply>,
}

/// What the server says without having been asked.
#[derive(Debug)]
pub(super) enum Pushed {
    /// A new entry.
    Entry(Entry),
    /// Letters wait in the mailbox.
    Letters,
}

/// What the task tells the client beside the channels.
#[derive(Debug, Default)]
pub(super) struct Shared {
    missed: AtomicBool,
    why: Mutex<Option<String>>,
}

impl Shared {
    /// Whether pushes were dropped since this was last asked.
    pub(super) fn take_missed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }

    /// Why the connection ended.
    pub(super) fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Pending = Mutex<HashMap<RequestId, oneshot::Sender<Reply>>>;

/// Runs until the connection ends or the client drops its side. Reads while a write waits, so that two full pipes do
/// not wait for each other.
pub(super) async fn run(
    socket: Socket,
    frames: mpsc::Receiver<Outgoing>,
    pushes: mpsc::Sender<Pushed>,
    shared: Arc<Shared>,
) {
    let (sink, stream) = socket.split();
    let pending = Pending::default();
    let why = tokio::select! {
        why = read(stream, &pending, &pushes, &shared) => why,
        why = write(sink, frames, &pending) => why,
    };
    tracing::debug!(why, "connection ended");
    *shared.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    // Dropping `pending` and `pushes` now wakes everybody who waits, after the reason is in place.
}

async fn read(
    mut stream: SplitStream<Socket>,
    pending: &Pending,
    pushes: &mpsc::Sender<Pushed>,
    shared: &Shared,
) -> String {
    loop {
        let bytes = match tokio::time::timeout(SILENCE, stream.next()).await {
            Err(_) => return "it has gone silent".into(),
            Ok(None) => return "it closed the connection".into(),
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
            Ok(Some(Ok(Message::Close(Some(frame))))) if !frame.reason.is_empty() => {
                return format!("it closed the connection: {:?}", frame.reason.as_str());
            }
            Ok(Some(Ok(_))) => continue,
        };
        match codec::decode(&bytes) {
            Ok(ServerFrame::Reply { id, reply }) => {
                let waiting = pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                // An error means that nobody waits any more.
                let _ = waiting.map(|answer| answer.send(reply));
            }
            Ok(ServerFrame::Push { entry }) => {
                if pushes.try_send(Pushed::Entry(entry)).is_err() {
                    shared.missed.store(true, Ordering::Release);
                }
            }
            Ok(ServerFrame::LettersWait) => {
                if pushes.try_send(Pushed::Letters).is_err() {
                    shared.missed.store(true, Ordering::Release);
                }
            }
            Ok(ServerFrame::Hello { .. }) => return "it says hello twice".into(),
            Err(error) => return format!("it sends what cannot be read: {error}"),
        }
    }
}

async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut frames: mpsc::Receiver<Outgoing>,
    pending: &Pending,
) -> String {
    loop {
        let message = match tokio::time::timeout(PING, frames.recv()).await {
            Err(_) => Message::Ping(Bytes::new()),
            Ok(Some(Outgoing { id, frame, answer })) => {
                let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
                if pending.len() >= MAX_PENDING {
                    pending.retain(|_, answer| !answer.is_closed());
                }
                pending.insert(id, answer);
                Message::Binary(frame.into())
            }
            Ok(None) => {
                // The client is done. What fails now fails unseen.
                let _ = sink.send(Message::Close(None)).await;
                return "closed".into();
            }
        };
        if let Err(error) = sink.send(message).await {
            return error.to_string();
        }
    }
}
