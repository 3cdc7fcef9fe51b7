use super::*;
use crate::transport::certificates::{Certificates, TlsFiles};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection and the client's end of it.
pub(crate) async fn encrypted() -> (Transport, TlsStream<TcpStream>) {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificates: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
    std::fs::write(&files.certificates, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let acceptor = Acceptor::new(Some(&Certificates::load(files).unwrap())).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dial = async {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    };
    let accept = async { acceptor.accept(listener.accept().await.unwrap().0).await.unwrap() };
    let (client, accepted) = tokio::join!(dial, accept);
    (accepted.into(), client)
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap()
}

#[actix_rt::test]
async fn what_was_taken_is_written_when_there_is_room() {
    let (transport, mut client) = encrypted().await;
    let bytes = vec![7; 50_000];
    let mut taken = 0;
    loop {
        match transport.try_write_vectored(&[IoSlice::new(&bytes)]) {
            Ok(count) => taken += count,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(!transport.try_flush().unwrap());
    let flush = async {
        while !transport.try_flush().unwrap() {
            transport.writable().await.unwrap();
        }
        transport.finish();
    };
    let mut read = Vec::new();
    let ((), count) = soon(async { tokio::join!(flush, client.read_to_end(&mut read)) }).await;
    assert_eq!((count.unwrap(), read.len()), (taken, taken));
}

#[actix_rt::test]
async fn what_was_decrypted_is_read_to_its_end() {
    let (transport, mut client) = encrypted().await;
    client.write_all(&[7; 1000]).await.unwrap();
    client.flush().await.unwrap();
    let mut read = 0;
    while read < 1000 {
        soon(transport.readable()).await.unwrap();
        match transport.try_read(&mut [0; 10]) {
            Ok(count) => read += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    client.shutdown().await.unwrap();
    loop {
        soon(transport.readable()).await.unwrap();
        match transport.try_read(&mut [0; 10]) {
            Ok(count) => break assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}
