//! Dialling: from an address to a connection whose server has said who it is.

use super::pump::{self, Shared, Socket};
use super::{Address, Connection, PUSH_QUEUE, WRITE_QUEUE, tls};
use crate::error::{ClientError, Source};
use conclave_wire::codec::{self, DecodeError};
use conclave_wire::frame::ServerFrame;
use conclave_wire::limits::MAX_FRAME;
use conclave_wire::login::Nonce;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, client_async_tls_with_config};

/// How long until the server has said hello.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

impl Connection {
    /// Dials, and checks that the server goes by the name that it was dialled by: a login is bound to that name.
    pub(crate) async fn dial(address: &Address) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable { server: address.as_given().to_owned(), source };
        let (socket, name, nonce) = tokio::time::timeout(DIAL_TIMEOUT, greet(address))
            .await
            .map_err(|_| unreachable("it does not answer".into()))?
            .map_err(|failure| match failure {
                Failure::Unreachable(source) => match tls::distrust(source.as_ref()) {
                    Some(reason) => ClientError::Untrusted { server: address.as_given().to_owned(), reason },
                    None => unreachable(source),
                },
                Failure::Foreign(what) => ClientError::OtherServerVersion { what },
            })?;
        if !address.may_be(&name) {
            return Err(ClientError::ServerName { dialled: address.name().to_owned(), name });
        }
        let (outgoing, frames) = mpsc::channel(WRITE_QUEUE);
        let (to_client, pushes) = mpsc::channel(PUSH_QUEUE);
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(pump::run(socket, frames, to_client, Arc::clone(&shared)));
        let server = address.as_given().to_owned();
        Ok(Self { server, nonce, next_id: 0, outgoing, pushes, shared, task })
    }
}

enum Failure {
    Unreachable(Source),
    Foreign(String),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Unreachable(Box::new(error))
    }
}

async fn greet(address: &Address) -> Result<(Socket, String, Nonce), Failure> {
    let stream = TcpStream::connect(address.socket()).await?;
    // Small frames wait for nothing: a request is one write.
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
    let connector = if address.is_encrypted() {
        tls::connector().map_err(Failure::Unreachable)?
    } else {
        Connector::Plain
    };
    let (mut socket, _) =
        client_async_tls_with_config(address.url(), stream, Some(config), Some(connector)).await?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                return hello(&bytes).map(|(name, nonce)| (socket, name, nonce));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_)) => return Err(Failure::Foreign("it sends what is no frame".into())),
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Failure::Unreachable("it closed the connection".into())),
        }
    }
}

fn hello(bytes: &[u8]) -> Result<(String, Nonce), Failure> {
    match codec::decode(bytes) {
        Ok(ServerFrame::Hello { name, nonce }) => Ok((name, nonce)),
        Ok(_) => Err(Failure::Foreign("it does not say hello first".into())),
        Err(error @ DecodeError::UnknownVersion { .. }) => Err(Failure::Foreign(error.to_string())),
        Err(_) => Err(Failure::Foreign("its first frame cannot be read".into())),
    }
}
