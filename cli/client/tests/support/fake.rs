//! A server that says whatever a test wants it to say.

use conclave_wire::codec;
use conclave_wire::entry::Entry;
use conclave_wire::frame::{ClientFrame, ServerFrame};
use conclave_wire::login::Nonce;
use conclave_wire::reply::Reply;
use conclave_wire::request::Request;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub type Socket = WebSocketStream<TcpStream>;

/// What a server answers to a request, and what it pushes after the answer.
pub type Answer = (Reply, Vec<Entry>);

/// A server that is honest about its name and answers every request by `answer`.
pub async fn serve(mut answer: impl FnMut(Request) -> Answer + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let hello = ServerFrame::Hello { name: address.to_string(), nonce: Nonce::from_bytes([1; 32]) };
            send(&mut socket, &hello).await;
            while let Some(Ok(message)) = socket.next().await {
                let Message::Binary(bytes) = message else { continue };
                let ClientFrame { id, request } = codec::decode(&bytes).unwrap();
                let (reply, pushes) = answer(request);
                send(&mut socket, &ServerFrame::Reply { id, reply }).await;
                for entry in pushes {
                    send(&mut socket, &ServerFrame::Push { entry }).await;
                }
            }
        }
    });
    address
}

/// A server that does `talk` with the first socket that connects.
pub async fn once<F, T>(talk: F) -> SocketAddr
where
    F: FnOnce(Socket, SocketAddr) -> T + Send + 'static,
    T: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        talk(tokio_tungstenite::accept_async(stream).await.unwrap(), address).await;
    });
    address
}

pub async fn send(socket: &mut Socket, frame: &ServerFrame) {
    // A client that has gone away is the test's affair.
    let _ = socket.send(Message::Binary(codec::encode(frame).into())).await;
}
