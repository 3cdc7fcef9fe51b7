//! Frames that are wrong, connections that are silent, and HTTP that is not a socket.

use crate::client::{Client, TestServer};
use crate::people::Person;
use conclave_wire::codec;
use conclave_wire::frame::{ClientFrame, RequestId, ServerFrame};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

async fn code(client: &mut Client) -> CloseCode {
    client.closed().await.expect("closed without a reason").code
}

#[tokio::test]
async fn wrong_frames_get_the_right_goodbye() {
    let server = TestServer::start().await;
    let url = server.url();

    let mut client = Client::connect(&url).await;
    client.send_raw(Message::Text("hello".into())).await.unwrap();
    assert_eq!(code(&mut client).await, CloseCode::Unsupported);

    let mut client = Client::connect(&url).await;
    // The server says goodbye before all of it is there; sending the rest may then fail.
    let _ = client.send_raw(Message::Binary(vec![0; (1 << 20) + 1].into())).await;
    assert_eq!(code(&mut client).await, CloseCode::Size);

    let good = codec::encode(&ClientFrame { id: RequestId(3), request: Request::Groups });
    let mut truncated = Client::connect(&url).await;
    truncated.send_raw(Message::Binary(good[..good.len() - 1].to_vec().into())).await.unwrap();
    let answer = truncated.frame().await.unwrap();
    let ServerFrame::Reply { id: RequestId(0), reply: Reply::Refused { refusal } } = answer else {
        panic!("{answer:?}")
    };
    assert!(matches!(refusal, Refusal::Malformed { .. }));
    assert_eq!(code(&mut truncated).await, CloseCode::Invalid);

    let mut newer = Client::connect(&url).await;
    newer.send_raw(Message::Binary([&[9], &good[1..]].concat().into())).await.unwrap();
    let refusal = Refusal::UnknownVersion { min: 1, max: 1 };
    let expected = ServerFrame::Reply { id: RequestId(0), reply: Reply::Refused { refusal } };
    assert_eq!(newer.frame().await.unwrap(), expected);
    assert_eq!(code(&mut newer).await, CloseCode::Protocol);

    // The server is as well as before.
    let mut client = server.client(&Person::new("alice")).await;
    assert_eq!(client.groups().await, []);
}

#[tokio::test]
async fn random_frames_harm_nobody() {
    let server = TestServer::start().await;
    let mut state = 0x1234_5678_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..100 {
        let mut client = Client::connect(&server.url()).await;
        let length = random() % 300;
        let mut bytes: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[3]).collect();
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        client.send_raw(Message::Binary(bytes.into())).await.unwrap();
        assert!(client.closed().await.is_some());
    }
    assert_eq!(server.client(&Person::new("alice")).await.groups().await, []);
}

#[tokio::test]
async fn large_and_fragmented_requests_are_read() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let server = TestServer::start().await;
    let mut client = server.client(&Person::new("alice")).await;
    let bytes = codec::encode(&ClientFrame { id: RequestId(70), request: Request::Groups });
    let (first, last) = bytes.split_at(2);
    let fragment = |bytes: &[u8], opcode, last| {
        Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(opcode), last))
    };
    client.send_raw(fragment(first, Data::Binary, false)).await.unwrap();
    client.send_raw(Message::Ping("between".into())).await.unwrap();
    client.send_raw(fragment(last, Data::Continue, true)).await.unwrap();
    assert_eq!(client.reply(RequestId(70)).await.unwrap(), Reply::Groups { groups: vec![] });
    // The longest frame that is allowed is read whole before it is refused for what it says.
    client.send_raw(Message::Binary(vec![1; 1 << 20].into())).await.unwrap();
    let answer = client.frame().await.unwrap();
    assert!(matches!(answer, ServerFrame::Reply { reply: Reply::Refused { .. }, .. }), "{answer:?}");
}

#[tokio::test]
async fn who_does_not_log_in_is_sent_away() {
    let server = TestServer::start().await;
    let mut silent = Client::connect(&server.url()).await;
    let begin = Instant::now();
    assert_eq!(code(&mut silent).await, CloseCode::Policy);
    assert!(begin.elapsed() > Duration::from_secs(9));
}

#[tokio::test]
async fn who_guesses_is_sent_away() {
    let server = TestServer::start().await;
    let alice = Person::new("alice");
    let mut client = Client::connect(&server.url()).await;
    for _ in 0..4 {
        let login = alice.login("elsewhere", &client.nonce);
        assert!(matches!(client.refused(Request::Login { login }).await, Refusal::LoginFailed { .. }));
    }
    assert_eq!(code(&mut client).await, CloseCode::Policy);
}

/// Sends bytes, and returns what comes until the server closes or a second passes.
fn raw(server: &TestServer, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.node().local_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_is_answered_as_http() {
    let server = TestServer::start().await;
    let get = |path: &str, headers: &str| {
        raw(
            &server,
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes(),
        )
    };
    let upgrade = |method: &str, path: &str, headers: &str| {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
        raw(&server, format!("{head}{headers}\r\n").as_bytes())
    };
    const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let health = get("/healthz", "");
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("ok\n"), "{health}");
    assert!(get("/readyz", "").starts_with("HTTP/1.1 200"));
    assert!(get("/v1/socket", "").starts_with("HTTP/1.1 426"));
    assert!(get("/", "").starts_with("HTTP/1.1 404"));
    assert!(upgrade("GET", "/elsewhere", KEY).starts_with("HTTP/1.1 404"));
    assert!(upgrade("POST", "/v1/socket", KEY).starts_with("HTTP/1.1 405"));
    assert!(upgrade("GET", "/v1/socket", "").starts_with("HTTP/1.1 400"));
    let old = "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert!(upgrade("GET", "/v1/socket", old).starts_with("HTTP/1.1 426"));
    let good = upgrade("GET", "/v1/socket", KEY);
    assert!(good.starts_with("HTTP/1.1 101") && good.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{good}");
    // Garbage after a good handshake, in the same packet.
    let garbage = [
        b"GET /v1/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        KEY.as_bytes(),
    ];
    let garbage = [&garbage.concat(), &b"\r\n\xff\xff\xff\xff\xff\xff\xff\xff"[..]].concat();
    let answer = raw(&server, &garbage);
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("not a WebSocket frame"), "{answer}");
}
