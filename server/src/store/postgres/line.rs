//! A connection that is nobody else's: what nodes tell each other goes over it.

use super::connect::{Connections, tls};
use super::trouble::describe;
use crate::limits::{DATABASE_PATIENCE, NOTIFICATIONS};
use crate::store::StoreError;
use std::future::poll_fn;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The channel on which nodes speak.
const CHANNEL: &str = "conclave";

/// A connection to the database. It ends when this is dropped.
pub(crate) struct Line {
    client: Client,
    notifications: Receiver<String>,
}

impl Line {
    pub(super) async fn open(connections: &Connections) -> Result<Self, StoreError> {
        let config = &connections.config;
        let failed = |error: tokio_postgres::Error| describe(&error);
        let (sender, notifications) = mpsc::channel(NOTIFICATIONS);
        let client = match config.get_ssl_mode() {
            SslMode::Disable => {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                tokio::spawn(drive(connection, sender));
                client
            }
            _ => {
                let tls = tls().map_err(|reason| StoreError::Database { reason })?;
                let (client, connection) =
                    config.connect(MakeRustlsConnect::new(tls)).await.map_err(failed)?;
                tokio::spawn(drive(connection, sender));
                client
            }
        };
        Ok(Self { client, notifications })
    }

    /// Hears what is said from now on.
    pub(crate) async fn listen(&self) -> Result<(), StoreError> {
        self.run(&format!("listen {CHANNEL}")).await
    }

    /// The next that was said; `None` when the connection is lost. Cancel-safe.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        self.notifications.recv().await
    }

    /// Says something to all who listen.
    pub(crate) async fn say(&self, text: &str) -> Result<(), StoreError> {
        in_time(self.client.execute("select pg_notify($1, $2)", &[&CHANNEL, &text])).await.map(drop)
    }

    /// Whether the database still answers.
    pub(crate) async fn is_alive(&self) -> bool {
        self.run("").await.is_ok()
    }

    async fn run(&self, statement: &str) -> Result<(), StoreError> {
        in_time(self.client.batch_execute(statement)).await
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(DATABASE_PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| describe(&error)),
        Err(_) => Err(StoreError::Database { reason: "it does not answer in time".to_owned() }),
    }
}

/// Moves what comes and goes on a connection, until either side ends it. While nobody hears, nothing is read: then the
/// database keeps what is said.
async fn drive<S, T>(connection: Connection<S, T>, heard: Sender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = pin!(connection);
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(said) = message
            && heard.send(said.payload().to_owned()).await.is_err()
        {
            return;
        }
    }
}
