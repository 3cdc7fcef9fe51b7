//! The one codec of every structure but the group message: a version byte, then one canonical CBOR item.
//!
//! ```text
//!     0        1
//!     +--------+----------------------------------+
//!     | 0x01   | CBOR array, deterministic form   |
//!     +--------+----------------------------------+
//! ```
//!
//! [`decode`] checks the size before it looks at anything else, the version before it parses, then that every byte was
//! consumed, then that encoding the value again gives the same bytes (R3): there is one encoding of each value, so a
//! hash over the bytes is a hash over the value. (RFC 8949 section 4.2 describes the deterministic form.)

use minicbor::encode::Write;
use minicbor::{Decode, Encode};
use std::convert::Infallible;
use thiserror::Error;

/// The version that this crate speaks, first byte of every structure (R2).
pub const VERSION: u8 = 1;

/// A type with a place on the wire.
pub trait Structure: Encode<()> + for<'b> Decode<'b, ()> {
    /// What errors call it.
    const NAME: &'static str;
    /// Longest encoding accepted, version byte included.
    const MAX_BYTES: usize;
}

/// Why bytes are not the structure that they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than any valid encoding.
    #[error("{structure} of {bytes} bytes is longer than the {max} allowed")]
    TooLarge {
        /// Which structure was expected.
        structure: &'static str,
        /// How many bytes were given.
        bytes: usize,
        /// How many may be given.
        max: usize,
    },
    /// No bytes at all.
    #[error("{structure} is empty")]
    Empty {
        /// Which structure was expected.
        structure: &'static str,
    },
    /// Written by a version of the protocol that this one does not speak.
    #[error(
        "{structure} has version {version}, this program speaks version {VERSION}; upgrade the older side"
    )]
    UnknownVersion {
        /// Which structure was expected.
        structure: &'static str,
        /// The version found.
        version: u8,
    },
    /// Not CBOR, or not of this shape.
    #[error("{structure} is malformed")]
    Malformed {
        /// Which structure was expected.
        structure: &'static str,
    },
    /// More bytes follow the structure.
    #[error("{structure} is followed by {bytes} more bytes")]
    Trailing {
        /// Which structure was expected.
        structure: &'static str,
        /// How many bytes were left over.
        bytes: usize,
    },
    /// Means the right thing but is written in another than the one canonical way.
    #[error("{structure} is not in canonical form")]
    NotCanonical {
        /// Which structure was expected.
        structure: &'static str,
    },
}

/// Encodes `value` canonically, version byte first.
pub fn encode<T: Structure>(value: &T) -> Vec<u8> {
    encode_as(value)
}

/// As [`encode`], for a value that stands in for a structure and encodes just as it does.
///
/// The result is allocated once, at its final size: a value may hold secrets, and growing would leave copies behind.
pub fn encode_as(value: &impl Encode<()>) -> Vec<u8> {
    let mut length = Length(1);
    // Neither writer can fail, and no `Encode` of this workspace refuses a value.
    let counted = minicbor::encode(value, &mut length);
    let mut out = Vec::with_capacity(length.0);
    out.push(VERSION);
    let written = minicbor::encode(value, &mut out);
    debug_assert!(counted.is_ok() && written.is_ok() && out.len() == length.0);
    out
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// Compares what is written with what was read, without keeping it.
struct Expected<'a>(&'a [u8]);

/// What was written is not what was read.
struct Differs;

impl Write for Expected<'_> {
    type Error = Differs;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Differs> {
        self.0 = self.0.strip_prefix(bytes).ok_or(Differs)?;
        Ok(())
    }
}

/// Decodes exactly one `T` from all of `bytes`.
pub fn decode<T: Structure>(bytes: &[u8]) -> Result<T, DecodeError> {
    let structure = T::NAME;
    if bytes.len() > T::MAX_BYTES {
        return Err(DecodeError::TooLarge { structure, bytes: bytes.len(), max: T::MAX_BYTES });
    }
    let (&version, item) = bytes.split_first().ok_or(DecodeError::Empty { structure })?;
    if version != VERSION {
        return Err(DecodeError::UnknownVersion { structure, version });
    }
    let mut decoder = minicbor::Decoder::new(item);
    let value: T = decoder.decode().map_err(|_| DecodeError::Malformed { structure })?;
    let left = item.len().saturating_sub(decoder.position());
    if left > 0 {
        return Err(DecodeError::Trailing { structure, bytes: left });
    }
    let mut expected = Expected(item);
    if minicbor::encode(&value, &mut expected).is_err() || !expected.0.is_empty() {
        return Err(DecodeError::NotCanonical { structure });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Pair(#[n(0)] u32, #[n(1)] u32);

    impl Structure for Pair {
        const NAME: &'static str = "pair";
        const MAX_BYTES: usize = 8;
    }

    #[test]
    fn round_trip() {
        assert_eq!(encode(&Pair(1, 500)), [1, 0x82, 1, 0x19, 0x01, 0xf4]);
        assert_eq!(decode(&encode(&Pair(1, 500))), Ok(Pair(1, 500)));
    }

    /// (R2) (R3) Each refusal, by its type.
    #[test]
    fn refusals() {
        let structure = "pair";
        assert_eq!(decode::<Pair>(&[]), Err(DecodeError::Empty { structure }));
        assert_eq!(
            decode::<Pair>(&[2, 0x82, 1, 2]),
            Err(DecodeError::UnknownVersion { structure, version: 2 })
        );
        assert_eq!(decode::<Pair>(&[1, 0x82, 1]), Err(DecodeError::Malformed { structure }));
        assert_eq!(decode::<Pair>(&[1, 0x82, 1, 2, 3]), Err(DecodeError::Trailing { structure, bytes: 1 }));
        // 1 written in two bytes, and an array of indefinite length
        assert_eq!(decode::<Pair>(&[1, 0x82, 0x18, 1, 2]), Err(DecodeError::NotCanonical { structure }));
        assert_eq!(decode::<Pair>(&[1, 0x9f, 1, 2, 0xff]), Err(DecodeError::NotCanonical { structure }));
        assert_eq!(decode::<Pair>(&[1; 9]), Err(DecodeError::TooLarge { structure, bytes: 9, max: 8 }));
    }
}
