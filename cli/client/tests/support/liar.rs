//! A server that lies: the real one, with somebody in between who changes what it says.

use conclave_wire::codec;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::frame::ServerFrame;
use conclave_wire::reply::Reply;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// What a client is told: the number of its connection, counted from 0, and the frame. `None` keeps it back.
type Lie = Box<dyn FnMut(usize, ServerFrame) -> Option<ServerFrame> + Send>;

/// Between clients and a server.
pub struct Liar {
    address: SocketAddr,
    lie: Arc<Mutex<Lie>>,
}

impl Liar {
    /// Honest at first. The listener's address must be the server's name.
    pub fn run(listener: TcpListener, server: SocketAddr) -> Self {
        let address = listener.local_addr().unwrap();
        let honest: Lie = Box::new(|_, frame| Some(frame));
        let lie = Arc::new(Mutex::new(honest));
        let shared = lie.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(client, server, shared.clone(), number));
            }
        });
        Self { address, lie }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// From now on.
    pub fn lie(&self, lie: impl FnMut(usize, ServerFrame) -> Option<ServerFrame> + Send + 'static) {
        *self.lie.lock().unwrap() = Box::new(lie);
    }

    pub fn be_honest(&self) {
        self.lie(|_, frame| Some(frame));
    }

    /// Flips a bit of everything that hangs on entries of this kind for one connection.
    pub fn spoil_deliveries(&self, connection: usize, kind: EntryKind) {
        self.lie(move |number, frame| {
            let spoil = |entry: &mut Entry| {
                let delivery = entry.delivery.as_mut().filter(|_| entry.kind == kind && number == connection);
                if let Some(last) = delivery.and_then(|delivery| delivery.0.last_mut()) {
                    *last ^= 1;
                }
            };
            Some(on_entries(frame, spoil))
        });
    }
}

/// Changes every entry of a frame.
pub fn on_entries(mut frame: ServerFrame, mut change: impl FnMut(&mut Entry)) -> ServerFrame {
    match &mut frame {
        ServerFrame::Push { entry } => change(entry),
        ServerFrame::Reply { reply: Reply::Page { entries, .. }, .. } => entries.iter_mut().for_each(change),
        _ => {}
    }
    frame
}

async fn pass(client: TcpStream, server: SocketAddr, lie: Arc<Mutex<Lie>>, number: usize) -> Option<()> {
    let client = tokio_tungstenite::accept_async(client).await.ok()?;
    let url = format!("ws://{server}/v1/socket");
    let (server, _) = tokio_tungstenite::connect_async(url).await.ok()?;
    let ((mut to_client, mut from_client), (mut to_server, mut from_server)) =
        (client.split(), server.split());
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            to_server.send(message).await.ok()?;
        }
        Some(())
    };
    let down = async {
        while let Some(Ok(message)) = from_server.next().await {
            let Message::Binary(bytes) = message else { continue };
            let frame: ServerFrame = codec::decode(&bytes).unwrap();
            let frame = (lie.lock().unwrap())(number, frame);
            if let Some(frame) = frame {
                to_client.send(Message::Binary(codec::encode(&frame).into())).await.ok()?;
            }
        }
        Some(())
    };
    tokio::select! { ended = up => ended, ended = down => ended }
}
