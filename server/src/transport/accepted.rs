//! A connection from its acceptance to its upgrade: what HTTP reads and writes.

use super::certificates::Certificates;
use super::{Encrypted, Transport};
use crate::limits::HANDSHAKE_DEADLINE;
use actix_rt::net::TcpStream;
use rustls::ServerConfig;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Takes connections: as they are, or with a TLS handshake.
#[derive(Clone)]
pub(crate) struct Acceptor(Option<TlsAcceptor>);

impl Acceptor {
    /// With TLS if there are certificates.
    pub(crate) fn new(certificates: Option<&Arc<Certificates>>) -> Result<Self, rustls::Error> {
        let Some(certificates) = certificates else { return Ok(Self(None)) };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Some(TlsAcceptor::from(Arc::new(config)))))
    }

    /// Does what comes before HTTP.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Accepted> {
        let Some(acceptor) = &self.0 else { return Ok(Accepted::Plain(stream)) };
        match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
            Ok(accepted) => Ok(Accepted::Tls(Box::new(accepted?))),
            Err(_) => Err(ErrorKind::TimedOut.into()),
        }
    }
}

/// A connection that HTTP is spoken on.
pub(crate) enum Accepted {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<Accepted> for Transport {
    fn from(accepted: Accepted) -> Self {
        match accepted {
            Accepted::Plain(stream) => Self::Plain(stream),
            Accepted::Tls(encrypted) => {
                let (stream, session) = encrypted.into_inner();
                Self::Tls(Box::new(Encrypted::new(stream, session)))
            }
        }
    }
}

/// One call for both.
macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Accepted::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Accepted::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Accepted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(context))
    }
}
