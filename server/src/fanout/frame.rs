//! Frames as they go on a socket: the WebSocket header and the payload in one buffer, made once.
//!
//! ```text
//!      0        1        2              4                      10
//!     +--------+--------+--------------+----------------------+
//!     | 0x82   | length | ...16 bits   | ...or 64 bits        |    payload follows; a server does not mask
//!     +--------+--------+--------------+----------------------+
//! ```
//!
//! Source: RFC 6455 section 5.2.

use actix_http::ws::{CloseCode, OpCode};
use bytes::{BufMut, Bytes, BytesMut};
use conclave_wire::codec;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::frame::{RequestId, ServerFrame};
use conclave_wire::ids::{GroupId, Opaque, Seq};
use conclave_wire::login::Nonce;
use conclave_wire::reply::Reply;

/// The first frame of a connection.
pub(crate) fn hello(name: &str, nonce: Nonce) -> Bytes {
    binary(&ServerFrame::Hello { name: name.to_owned(), nonce })
}

/// An answer.
pub(crate) fn reply(id: RequestId, reply: Reply) -> Bytes {
    binary(&ServerFrame::Reply { id, reply })
}

/// A push of an entry.
pub(crate) fn push(entry: Entry) -> Bytes {
    binary(&ServerFrame::Push { entry })
}

/// Says that letters wait.
pub(crate) fn letters_wait() -> Bytes {
    binary(&ServerFrame::LettersWait)
}

/// A push put together from what the log writer has.
pub(crate) fn push_of(
    group: GroupId,
    seq: Seq,
    kind: EntryKind,
    body: &[u8],
    delivery: Option<&[u8]>,
) -> Bytes {
    let delivery = delivery.map(|bytes| Opaque(bytes.to_vec()));
    push(Entry { group, seq, kind, delivery, body: Opaque(body.to_vec()) })
}

/// Asks a silent connection whether it is there.
pub(crate) fn ping() -> Bytes {
    control(OpCode::Ping, &[])
}

/// Answers a ping with its own content, at most 125 bytes.
pub(crate) fn pong(content: &[u8]) -> Bytes {
    control(OpCode::Pong, content)
}

/// Says goodbye, with a reason for people.
pub(crate) fn close(code: CloseCode, reason: &str) -> Bytes {
    control(OpCode::Close, &[&u16::from(code).to_be_bytes(), reason.as_bytes()].concat())
}

fn binary(frame: &ServerFrame) -> Bytes {
    let payload = codec::encode(frame);
    with_header(OpCode::Binary, &payload)
}

/// The longest payload of a control frame; reasons are written to fit.
const MAX_CONTROL: usize = 125;

fn control(opcode: OpCode, payload: &[u8]) -> Bytes {
    with_header(opcode, payload.get(..MAX_CONTROL).unwrap_or(payload))
}

fn with_header(opcode: OpCode, payload: &[u8]) -> Bytes {
    const FINAL: u8 = 0x80;
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(FINAL | u8::from(opcode));
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => frame.put_u8(length),
        (_, Ok(length)) => {
            frame.put_u8(126);
            frame.put_u16(length);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(payload.len() as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_http::ws::{Codec, Frame};
    use tokio_util::codec::Decoder;

    #[test]
    fn read_back_by_another_implementation() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
            let payload = vec![7; length];
            let mut bytes = BytesMut::from(&with_header(OpCode::Binary, &payload)[..]);
            let frame = Codec::new().client_mode().max_size(1 << 20).decode(&mut bytes).unwrap();
            assert_eq!(frame, Some(Frame::Binary(payload.into())));
            assert!(bytes.is_empty());
        }
        let mut bytes = BytesMut::from(&close(CloseCode::Size, "too long")[..]);
        let frame = Codec::new().client_mode().decode(&mut bytes).unwrap();
        assert_eq!(frame, Some(Frame::Close(Some((CloseCode::Size, "too long").into()))));
    }
}
