//! The connection: one WebSocket to the server, requests answered by their number, pushes in a bounded channel.
//!
//! A task of its own owns the socket ([`pump`]); this side sends it frames and waits for answers. A connection does not
//! mend itself: when it is lost, every request in flight fails, and the client dials again and carries on from what the
//! store says.

mod address;
mod dial;
mod pump;
mod servers;
mod tls;

pub(crate) use address::Address;
pub(crate) use servers::Servers;

use crate::error::ClientError;
use conclave_wire::codec;
use conclave_wire::entry::Entry;
use conclave_wire::frame::{ClientFrame, RequestId};
use conclave_wire::ids::Seq;
use conclave_wire::limits::MAX_FRAME;
use conclave_wire::login::Nonce;
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;
use pump::{Outgoing, Pushed, Shared};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long a server may take to answer: a commit to a large group over a slow link fits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// How long [`Connection::close`] waits for the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Pushes that wait to be processed. When it is full, pushes are dropped and fetched from the log instead.
const PUSH_QUEUE: usize = 256;

/// Requests that wait to be written.
const WRITE_QUEUE: usize = 64;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    server: String,
    nonce: Nonce,
    next_id: u32,
    outgoing: mpsc::Sender<Outgoing>,
    pushes: mpsc::Receiver<Pushed>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What comes without having been asked for.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A new entry.
    Push(Entry),
    /// Letters wait in the mailbox.
    Letters,
    /// Pushes were dropped: read the log from the cursors.
    Missed,
    /// The connection is gone.
    Lost,
}

impl Connection {
    /// The challenge for the login.
    pub(crate) fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Whether the connection has ended.
    pub(crate) fn is_lost(&self) -> bool {
        self.task.is_finished() || self.outgoing.is_closed()
    }

    /// Asks and waits for the answer. If this fails, or is dropped, the server may have done it all the same.
    pub(crate) async fn request(&mut self, request: Request) -> Result<Reply, ClientError> {
        let answer = self.begin(request).await?;
        match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(self.lost()),
            Err(_) => {
                // Later answers would come out of nowhere; whoever goes on dials again.
                self.task.abort();
                Err(self.unreachable("it does not answer"))
            }
        }
    }

    /// Asks and does not wait for the answer.
    pub(crate) async fn tell(&mut self, request: Request) -> Result<(), ClientError> {
        self.begin(request).await.map(drop)
    }

    async fn begin(&mut self, request: Request) -> Result<oneshot::Receiver<Reply>, ClientError> {
        let id = RequestId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let frame = codec::encode(&ClientFrame { id, request });
        if frame.len() > MAX_FRAME {
            return Err(ClientError::TooLarge {
                what: "what goes to all devices of the group at once",
                max: MAX_FRAME,
                advice: "change fewer accounts at a time, or use a smaller group",
            });
        }
        let (answer, receiver) = oneshot::channel();
        let queued = self.outgoing.send(Outgoing { id, frame, answer });
        match tokio::time::timeout(REQUEST_TIMEOUT, queued).await {
            Ok(Ok(())) => Ok(receiver),
            Ok(Err(_)) => Err(self.lost()),
            Err(_) => {
                self.task.abort();
                Err(self.unreachable("it takes nothing any more"))
            }
        }
    }

    /// Waits for what comes next. Cancel-safe.
    pub(crate) async fn incoming(&mut self) -> Incoming {
        if self.shared.take_missed() {
            return Incoming::Missed;
        }
        match self.pushes.recv().await {
            Some(Pushed::Entry(entry)) => Incoming::Push(entry),
            Some(Pushed::Letters) => Incoming::Letters,
            None if self.shared.take_missed() => Incoming::Missed,
            None => Incoming::Lost,
        }
    }

    /// What has come already, without waiting.
    pub(crate) fn try_incoming(&mut self) -> Option<Incoming> {
        self.pushes.try_recv().ok().map(|pushed| match pushed {
            Pushed::Entry(entry) => Incoming::Push(entry),
            Pushed::Letters => Incoming::Letters,
        })
    }

    /// Closes in order.
    pub(crate) async fn close(self) {
        let Self { outgoing, pushes, mut task, .. } = self;
        drop((outgoing, pushes));
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut task).await.is_err() {
            task.abort();
        }
    }

    fn lost(&self) -> ClientError {
        match self.shared.why() {
            Some(why) => self.unreachable(&why),
            None => self.unreachable("the connection was lost"),
        }
    }

    fn unreachable(&self, why: &str) -> ClientError {
        ClientError::Unreachable { server: self.server.clone(), source: why.into() }
    }
}

/// The error for a refusal that the caller has no use for.
pub(crate) fn refused(refusal: Refusal) -> ClientError {
    match refusal {
        Refusal::Unavailable => ClientError::Unavailable,
        Refusal::UnknownVersion { min, max } => ClientError::OtherServerVersion {
            what: format!("it speaks versions {min} to {max}, this program {}", codec::VERSION),
        },
        other => ClientError::Refused(other),
    }
}

/// The error for a reply of the wrong kind.
pub(crate) fn unexpected(reply: Reply) -> ClientError {
    match reply {
        Reply::Refused { refusal } => refused(refusal),
        _ => ClientError::OtherServerVersion { what: "its answer does not fit the question".into() },
    }
}

/// `Done`, or why not.
pub(crate) fn done(reply: Reply) -> Result<(), ClientError> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// A page of a log and the log's last entry.
pub(crate) fn page(reply: Reply) -> Result<(Vec<Entry>, Seq), ClientError> {
    match reply {
        Reply::Page { entries, head } => Ok((entries, head)),
        other => Err(unexpected(other)),
    }
}
