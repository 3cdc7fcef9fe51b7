//! The group message: a fixed byte layout, because it is the hot path.
//!
//! ```text
//!      0        1        2                 6                 10                14       16
//!     +--------+--------+-----------------+-----------------+-----------------+--------+
//!     | 0x01   | flags  | epoch           | leaf            | generation      | index  |     header, 16 bytes,
//!     +--------+--------+-----------------+-----------------+-----------------+--------+     integers big endian
//!      16                                32                40
//!     +---------------------------------+-----------------+------------------------- - - -
//!     | link                            | hedge           | ciphertext ‖ tag (16)
//!     +---------------------------------+-----------------+------------------------- - - -
//!                                                          len - 64
//!                                                - - - ---+------------------------------------------+
//!                                                         | signature                                |
//!                                                - - - ---+------------------------------------------+
//! ```
//!
//! `flags` is 0; a [`run`](crate::run) has 1. The overhead is 120 bytes around the padded plaintext.

use crate::codec::{DecodeError, VERSION};
use crate::ids::{Epoch, Generation, LeafIndex, MessageIndex};
use crate::limits::{MAX_PADDED, MESSAGE_OVERHEAD};
use crate::signature::Signature;

const NAME: &str = "group message";
const HEADER: usize = 16;
const LINK: usize = 16;
const HEDGE: usize = 8;
/// Bytes before the ciphertext.
pub const PREFIX: usize = HEADER + LINK + HEDGE;

/// Bytes of the AEAD's tag, at the end of each ciphertext.
pub(crate) const TAG: usize = 16;

/// The byte of a header that says what follows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flags {
    /// One message.
    Single = 0,
    /// A run of them.
    Run = 1,
}

/// Longest group message.
pub const MAX_MESSAGE_BYTES: usize = MAX_PADDED + MESSAGE_OVERHEAD;

/// First 16 bytes of the digest of the sender's message before.
pub type Link = [u8; LINK];

/// Random bytes that keep the nonce apart should a state ever be restored from a copy.
pub type Hedge = [u8; HEDGE];

/// Who sent a message, and where in their chain it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Header {
    /// The epoch whose chain sealed it.
    pub epoch: Epoch,
    /// The sender's position in that epoch's roster.
    pub leaf: LeafIndex,
    /// Which of the sender's sender keys.
    pub generation: Generation,
    /// Position in the chain.
    pub index: MessageIndex,
}

impl Header {
    /// The 16 bytes of a single message's header.
    pub fn encode(&self) -> [u8; HEADER] {
        self.encode_with(Flags::Single)
    }

    /// The 16 bytes of the header of a run that begins at this index, and of each message in it at its own.
    pub fn encode_in_run(&self) -> [u8; HEADER] {
        self.encode_with(Flags::Run)
    }

    fn encode_with(&self, flags: Flags) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let (fixed, fields) = out.split_at_mut(2);
        fixed.copy_from_slice(&[VERSION, flags as u8]);
        let (epoch, rest) = fields.split_at_mut(4);
        let (leaf, rest) = rest.split_at_mut(4);
        let (generation, index) = rest.split_at_mut(4);
        epoch.copy_from_slice(&self.epoch.0.to_be_bytes());
        leaf.copy_from_slice(&self.leaf.0.to_be_bytes());
        generation.copy_from_slice(&self.generation.0.to_be_bytes());
        index.copy_from_slice(&self.index.0.to_be_bytes());
        out
    }
}

/// What stands before the ciphertext of a message, or before the messages of a run.
pub(crate) struct Prefix<'a> {
    pub(crate) header: Header,
    pub(crate) link: &'a Link,
    pub(crate) hedge: &'a Hedge,
}

impl<'a> Prefix<'a> {
    /// Splits it off, if the flags are these; the rest is what follows.
    pub(crate) fn split(bytes: &'a [u8], flags: Flags) -> Option<(Self, &'a [u8])> {
        let (&[_, found], rest) = bytes.split_first_chunk::<2>()?;
        if found != flags as u8 {
            return None;
        }
        let (epoch, rest) = rest.split_first_chunk()?;
        let (leaf, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (link, rest) = rest.split_first_chunk()?;
        let (hedge, rest) = rest.split_first_chunk()?;
        let header = Header {
            epoch: Epoch(u32::from_be_bytes(*epoch)),
            leaf: LeafIndex(u32::from_be_bytes(*leaf)),
            generation: Generation(u32::from_be_bytes(*generation)),
            index: MessageIndex(u16::from_be_bytes(*index)),
        };
        Some((Self { header, link, hedge }, rest))
    }
}

/// Size first, then version, before anything else is looked at.
pub(crate) fn check_head(bytes: &[u8], structure: &'static str, max: usize) -> Result<(), DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLarge { structure, bytes: bytes.len(), max });
    }
    match bytes.first() {
        None => Err(DecodeError::Empty { structure }),
        Some(&VERSION) => Ok(()),
        Some(&version) => Err(DecodeError::UnknownVersion { structure, version }),
    }
}

/// A group message, parsed in place and not yet verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageView<'a> {
    /// Its position.
    pub header: Header,
    /// What it says of the sender's message before.
    pub link: &'a Link,
    /// The nonce hedge.
    pub hedge: &'a Hedge,
    /// Ciphertext and tag.
    pub ciphertext: &'a [u8],
    /// By the generation's signing key.
    pub signature: Signature,
}

impl<'a> MessageView<'a> {
    /// Parses; checks form only.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        check_head(bytes, NAME, MAX_MESSAGE_BYTES)?;
        Self::parse_fields(bytes).ok_or(DecodeError::Malformed { structure: NAME })
    }

    fn parse_fields(bytes: &'a [u8]) -> Option<Self> {
        let (Prefix { header, link, hedge }, rest) = Prefix::split(bytes, Flags::Single)?;
        let (ciphertext, signature) = rest.split_last_chunk::<{ Signature::SIZE }>()?;
        if ciphertext.len() < TAG {
            return None;
        }
        Some(Self { header, link, hedge, ciphertext, signature: Signature::from_bytes(*signature) })
    }
}

/// Puts a message together around its ciphertext.
pub fn assemble(
    header: &Header,
    link: &Link,
    hedge: &Hedge,
    ciphertext: &[u8],
    signature: &Signature,
) -> Vec<u8> {
    let mut out = begin(header, link, hedge, ciphertext.len());
    out.extend_from_slice(ciphertext);
    out.extend_from_slice(signature.as_bytes());
    out
}

/// The [`PREFIX`] of a message, in a buffer with room for a ciphertext of this length and the signature.
pub fn begin(header: &Header, link: &Link, hedge: &Hedge, ciphertext: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + ciphertext + Signature::SIZE);
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(link);
    out.extend_from_slice(hedge);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Header = Header {
        epoch: Epoch(0x0102_0304),
        leaf: LeafIndex(0x0506_0708),
        generation: Generation(0x090a_0b0c),
        index: MessageIndex(0x0d0e),
    };

    #[test]
    fn round_trip_and_overhead() {
        let signature = Signature::from_bytes([9; 64]);
        let bytes = assemble(&SAMPLE, &[1; 16], &[2; 8], &[3; 32 + TAG], &signature);
        assert_eq!(bytes.len(), 32 + MESSAGE_OVERHEAD);
        assert_eq!(bytes[..16], [1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        let view = MessageView::parse(&bytes).unwrap();
        assert_eq!((view.header, view.link, view.hedge), (SAMPLE, &[1; 16], &[2; 8]));
        assert_eq!((view.ciphertext, view.signature), (&[3; 48][..], signature));
    }

    #[test]
    fn refusals() {
        let good = assemble(&SAMPLE, &[1; 16], &[2; 8], &[3; TAG], &Signature::from_bytes([9; 64]));
        assert!(MessageView::parse(&good).is_ok());
        assert!(matches!(MessageView::parse(&good[..good.len() - 1]), Err(DecodeError::Malformed { .. })));
        assert!(matches!(MessageView::parse(&[]), Err(DecodeError::Empty { .. })));
        assert!(matches!(
            MessageView::parse(&vec![1; MAX_MESSAGE_BYTES + 1]),
            Err(DecodeError::TooLarge { .. })
        ));
        let mut flagged = good.clone();
        flagged[1] = 1;
        assert!(matches!(MessageView::parse(&flagged), Err(DecodeError::Malformed { .. })));
        flagged[0] = 2;
        assert!(matches!(MessageView::parse(&flagged), Err(DecodeError::UnknownVersion { version: 2, .. })));
    }
}
