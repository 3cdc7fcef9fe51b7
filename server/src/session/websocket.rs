//! What a client sends, out of the bytes of its socket: whole messages, bounded before they are collected.

use actix_http::ws::{CloseCode, Codec, Frame, Item, ProtocolError};
use bytes::{Bytes, BytesMut};
use conclave_wire::limits::MAX_FRAME;
use tokio_util::codec::Decoder;

/// One thing that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A request.
    Request(Bytes),
    /// Wants its content back.
    Ping(Bytes),
    /// An answer to a ping.
    Pong,
    /// Goodbye.
    Close(Option<CloseCode>),
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation(pub(super) CloseCode, pub(super) &'static str);

const TOO_LARGE: Violation = Violation(CloseCode::Size, "a frame has at most 1 MiB");
const TEXT: Violation = Violation(CloseCode::Unsupported, "frames are binary");
const NOT_WEBSOCKET: Violation = Violation(CloseCode::Protocol, "not a WebSocket frame");

/// A socket's bytes, and what was read of a message that comes in fragments.
#[derive(Debug)]
pub(super) struct Reader {
    codec: Codec,
    bytes: BytesMut,
    /// The fragments so far.
    fragments: Vec<u8>,
}

impl Reader {
    /// Begins with what was read together with the handshake.
    pub(super) fn new(bytes: BytesMut) -> Self {
        Self { codec: Codec::new().max_size(MAX_FRAME), bytes, fragments: Vec::new() }
    }

    /// Takes what was read.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next thing, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Violation> {
        loop {
            // The codec looks at a frame's length only when all of it is there.
            if announced_length(&self.bytes).is_some_and(|length| length > MAX_FRAME as u64) {
                return Err(TOO_LARGE);
            }
            let Some(frame) = self.codec.decode(&mut self.bytes).map_err(|error| violation(&error))? else {
                if self.bytes.is_empty() {
                    // An idle connection keeps no buffer.
                    self.bytes = BytesMut::new();
                }
                return Ok(None);
            };
            let incoming = match frame {
                Frame::Binary(bytes) => Incoming::Request(bytes),
                Frame::Text(_) | Frame::Continuation(Item::FirstText(_)) => return Err(TEXT),
                Frame::Continuation(Item::FirstBinary(bytes) | Item::Continue(bytes)) => {
                    self.collect(&bytes)?;
                    continue;
                }
                Frame::Continuation(Item::Last(bytes)) => {
                    self.collect(&bytes)?;
                    Incoming::Request(std::mem::take(&mut self.fragments).into())
                }
                Frame::Ping(content) => Incoming::Ping(content),
                Frame::Pong(_) => Incoming::Pong,
                Frame::Close(reason) => Incoming::Close(reason.map(|reason| reason.code)),
            };
            return Ok(Some(incoming));
        }
    }

    fn collect(&mut self, fragment: &[u8]) -> Result<(), Violation> {
        if self.fragments.len() + fragment.len() > MAX_FRAME {
            return Err(TOO_LARGE);
        }
        self.fragments.extend_from_slice(fragment);
        Ok(())
    }
}

/// The length that a frame's header announces, as soon as it is there.
fn announced_length(bytes: &[u8]) -> Option<u64> {
    let length = bytes.get(1)? & 0x7f;
    match length {
        126 => Some(u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => Some(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        length => Some(u64::from(length)),
    }
}

fn violation(error: &ProtocolError) -> Violation {
    match error {
        ProtocolError::Overflow => TOO_LARGE,
        _ => NOT_WEBSOCKET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    /// A masked client frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.put_u8(0x80 | u8::try_from(length).unwrap()),
            length @ 126..65_536 => {
                frame.put_u8(0x80 | 126);
                frame.put_u16(u16::try_from(length).unwrap());
            }
            length => {
                frame.put_u8(0x80 | 127);
                frame.put_u64(length as u64);
            }
        }
        frame.extend([0, 0, 0, 0]);
        frame.extend(payload);
        frame
    }

    fn read(bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        let mut reader = Reader::new(BytesMut::new());
        let mut all = Vec::new();
        for chunk in bytes.chunks(1000) {
            reader.extend(chunk);
            while let Some(incoming) = reader.next()? {
                all.push(incoming);
            }
        }
        Ok(all)
    }

    #[test]
    fn whole_and_in_fragments() {
        let whole = frame(0x82, &vec![1; 70_000]);
        assert_eq!(read(&whole), Ok(vec![Incoming::Request(vec![1; 70_000].into())]));
        // A ping may come between fragments.
        let parts = [frame(0x02, b"ab"), frame(0x89, b"?"), frame(0x00, b"cd"), frame(0x80, b"e")].concat();
        let expected = vec![Incoming::Ping("?".into()), Incoming::Request("abcde".into())];
        assert_eq!(read(&parts), Ok(expected));
        assert_eq!(read(&frame(0x88, &[0x03, 0xe8])), Ok(vec![Incoming::Close(Some(CloseCode::Normal))]));
    }

    #[test]
    fn refused_with_the_right_code() {
        let long = [0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1];
        assert_eq!(read(&long), Err(TOO_LARGE));
        let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(read(&huge), Err(TOO_LARGE));
        let half = vec![1; MAX_FRAME / 2 + 1];
        assert_eq!(read(&[frame(0x02, &half), frame(0x80, &half)].concat()), Err(TOO_LARGE));
        assert_eq!(read(&frame(0x81, b"hello")), Err(TEXT));
        assert_eq!(read(&frame(0x01, b"hello")), Err(TEXT));
        assert_eq!(read(&[0x82, 0x01, 0x00]), Err(NOT_WEBSOCKET)); // not masked
        assert_eq!(read(&frame(0xc2, b"x")), Err(NOT_WEBSOCKET)); // a reserved bit
        assert_eq!(read(&frame(0x83, b"x")), Err(NOT_WEBSOCKET)); // no such opcode
        assert_eq!(read(&frame(0x80, b"x")), Err(NOT_WEBSOCKET)); // the end of nothing
        assert_eq!(read(&frame(0x89, &[0; 126])), Err(NOT_WEBSOCKET)); // a long ping
    }
}
