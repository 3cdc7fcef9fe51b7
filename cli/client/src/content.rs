//! What is inside a message: a version byte, then a CBOR array whose first items are the kind and the time.
//!
//! ```text
//!     text    version ‖ CBOR [ 0, sent at: uint ms, text: tstr ]
//! ```
//!
//! A kind that this version does not know is kept as it came and shown as such.

use crate::error::ClientError;
use conclave_engine::limits::MAX_CONTENT;
use conclave_wire::ids::Timestamp;

/// The version written.
const VERSION: u8 = 1;

const TEXT: u64 = 0;

/// Longest text in bytes.
pub const MAX_TEXT: usize = 65_500;

// The version, three heads and the longest number.
const _: () = assert!(MAX_TEXT + 1 + 1 + 1 + 9 + 3 <= MAX_CONTENT);

/// A message's content, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text {
        sent_at: Timestamp,
        text: String,
    },
    /// Of another version or kind, or malformed.
    Unknown,
}

/// Encodes a text.
pub(crate) fn encode_text(text: &str, sent_at: Timestamp) -> Result<Vec<u8>, ClientError> {
    if text.is_empty() {
        return Err(ClientError::MessageEmpty);
    }
    if text.len() > MAX_TEXT {
        return Err(ClientError::MessageTooLong { max: MAX_TEXT });
    }
    let mut out = vec![VERSION];
    // Writing to a `Vec` cannot fail.
    let _ = minicbor::Encoder::new(&mut out)
        .array(3)
        .and_then(|e| e.u64(TEXT))
        .and_then(|e| e.u64(sent_at.0))
        .and_then(|e| e.str(text))
        .map(drop);
    Ok(out)
}

/// Decodes; never fails.
pub(crate) fn decode(bytes: &[u8]) -> Content {
    decode_text(bytes).unwrap_or(Content::Unknown)
}

fn decode_text(bytes: &[u8]) -> Option<Content> {
    let (&VERSION, item) = bytes.split_first()? else { return None };
    let mut d = minicbor::Decoder::new(item);
    if d.array().ok()? != Some(3) || d.u64().ok()? != TEXT {
        return None;
    }
    let sent_at = Timestamp(d.u64().ok()?);
    let text = d.str().ok()?;
    if text.is_empty() || text.len() > MAX_TEXT || d.position() != item.len() {
        return None;
    }
    Some(Content::Text { sent_at, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn round_trip() {
        let longest = "ä".repeat(MAX_TEXT / 2);
        for text in ["hi", "two\nlines", "\u{1f600}", &longest] {
            let bytes = encode_text(text, TIME).unwrap();
            assert!(bytes.len() <= MAX_CONTENT);
            assert_eq!(decode(&bytes), Content::Text { sent_at: TIME, text: text.to_owned() });
        }
        assert_eq!(encode_text("hi", Timestamp(5)).unwrap(), [1, 0x83, 0, 5, 0x62, b'h', b'i']);
    }

    #[test]
    fn refusals() {
        assert!(matches!(encode_text("", TIME), Err(ClientError::MessageEmpty)));
        let long = "x".repeat(MAX_TEXT + 1);
        assert!(matches!(encode_text(&long, TIME), Err(ClientError::MessageTooLong { max: MAX_TEXT })));
    }

    #[test]
    fn whatever_comes_is_text_or_unknown() {
        let good = encode_text("hi", Timestamp(5)).unwrap();
        for end in 0..good.len() {
            assert_eq!(decode(&good[..end]), Content::Unknown, "cut to {end}");
        }
        let mut other = good.clone();
        other[0] = 2;
        assert_eq!(decode(&other), Content::Unknown, "another version");
        other = good.clone();
        other[2] = 1;
        assert_eq!(decode(&other), Content::Unknown, "another kind");
        other = good.clone();
        other.push(0);
        assert_eq!(decode(&other), Content::Unknown, "something follows");
        other = good.clone();
        other[5] = 0xff;
        assert_eq!(decode(&other), Content::Unknown, "not UTF-8");
        assert_eq!(decode(&[1, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255]), Content::Unknown);
    }
}
