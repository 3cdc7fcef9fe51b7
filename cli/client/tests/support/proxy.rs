//! A proxy between clients and a server, that loses what it is told to lose.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What becomes of the frame at which the proxy fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is lost, as is everything after it.
    Request,
    /// It arrives, and the answer is lost, as is everything after it.
    Answer,
}

/// Counts frames of clients, over all connections, and fails at one of them.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Frames until it fails.
    left: AtomicUsize,
    /// Whether answers are lost already.
    silent: AtomicBool,
    loss: std::sync::Mutex<Loss>,
    failed: Notify,
    /// Of which connection the next push is spoilt; the first is 0.
    spoilt: AtomicUsize,
}

impl Proxy {
    /// A listener whose address is known before the server behind it.
    pub async fn bind() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    pub fn run(listener: TcpListener, server: SocketAddr) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            left: AtomicUsize::new(usize::MAX),
            silent: AtomicBool::new(false),
            loss: std::sync::Mutex::new(Loss::Request),
            failed: Notify::new(),
            spoilt: AtomicUsize::new(usize::MAX),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            for number in 0.. {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&shared), number));
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Fails at the frame after the next `frames`.
    pub fn fail_after(&self, frames: usize, loss: Loss) {
        *self.state.loss.lock().unwrap() = loss;
        self.state.left.store(frames, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.state.silent.store(false, Ordering::SeqCst);
        self.state.left.store(usize::MAX, Ordering::SeqCst);
    }

    /// Flips a bit at the end of the next push that this connection gets: in the signature, if it is a message that
    /// comes alone.
    pub fn spoil_next_push(&self, connection: usize) {
        self.state.spoilt.store(connection, Ordering::SeqCst);
    }

    /// Waits until it has failed.
    pub async fn failed(&self) {
        self.state.failed.notified().await;
    }
}

async fn pass(client: TcpStream, server: TcpStream, state: Arc<State>, number: usize) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = requests(from_client, to_server, &state) => {}
        _ = answers(from_server, to_client, &state, number) => {}
    }
}

async fn requests(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, state: &State) -> Option<()> {
    // The handshake, up to its empty line.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    server.write_all(&head).await.ok()?;
    loop {
        let frame = frame(&mut client).await?;
        let failed = state
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1)))
            .unwrap()
            == 0;
        if failed {
            let loss = *state.loss.lock().unwrap();
            if loss == Loss::Answer {
                state.silent.store(true, Ordering::SeqCst);
                server.write_all(&frame).await.ok()?;
                // The server has time to do it; nothing comes back.
                tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            }
            state.failed.notify_one();
            return None;
        }
        server.write_all(&frame).await.ok()?;
    }
}

/// One masked frame, with its head.
async fn frame(client: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![client.read_u8().await.ok()?, client.read_u8().await.ok()?];
    let extended = match frame[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = usize::from(frame[1] & 0x7f);
    if extended > 0 {
        length = 0;
        for _ in 0..extended {
            let byte = client.read_u8().await.ok()?;
            frame.push(byte);
            length = length << 8 | usize::from(byte);
        }
    }
    let start = frame.len();
    frame.resize(start + 4 + length, 0);
    client.read_exact(&mut frame[start..]).await.ok()?;
    Some(frame)
}

async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    state: &State,
    number: usize,
) -> Option<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = server.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        if state.silent.load(Ordering::SeqCst) {
            // The frame that was let through is on its way: whoever reads it ends the connection.
            std::future::pending::<()>().await;
        }
        // Behind the frame's head of 4 bytes: version, an array of two, variant 2.
        let is_push = buffer[..n].get(4..7) == Some(&[1, 0x82, 2]);
        let spoils = is_push && state.spoilt.load(Ordering::SeqCst) == number;
        if spoils {
            state.spoilt.store(usize::MAX, Ordering::SeqCst);
            buffer[n - 1] ^= 1;
        }
        client.write_all(&buffer[..n]).await.ok()?;
    }
}
