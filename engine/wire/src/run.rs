//! The run of messages: several messages of one sender in one log entry, with one signature.
//!
//! ```text
//!      0                                 16                                32                40       42
//!     +---------------------------------+---------------------------------+-----------------+--------+
//!     | header, flags 1, first index    | link                            | hedge           | count  |
//!     +---------------------------------+---------------------------------+-----------------+--------+
//!     | length, 4 bytes | ciphertext ‖ tag (16) of that length          |    count times
//!     +-----------------+----------------------------------------------- - - -
//!     | signature, 64 bytes                                              |
//!     +------------------------------------------------------------------+
//! ```
//!
//! The header is a message's ([`crate::message`]) but for its flags; message i stands at the header's index + i. Integers
//! are big endian. 42 bytes stand before the messages, 20 are around each padded plaintext, 64 follow.

use crate::codec::DecodeError;
use crate::ids::MessageIndex;
use crate::limits::{MAX_PADDED, MAX_RUN, MAX_RUN_PADDED, MIN_RUN};
use crate::message::{Flags, Header, Hedge, Link, PREFIX, Prefix, TAG, check_head};
use crate::signature::Signature;

const NAME: &str = "run of group messages";
const COUNT: usize = 2;
const LENGTH: usize = 4;

/// Longest run.
pub const MAX_RUN_BYTES: usize = run_bytes(MAX_RUN, MAX_RUN_PADDED);

/// Bytes of a run of `count` messages whose padded plaintexts have `padded` bytes together.
const fn run_bytes(count: usize, padded: usize) -> usize {
    PREFIX + COUNT + count * (LENGTH + TAG) + padded + Signature::SIZE
}

/// A run, parsed in place and not yet verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunView<'a> {
    /// Position of its first message.
    pub header: Header,
    /// What the first message says of the sender's message before.
    pub link: &'a Link,
    /// The nonce hedge of all its messages.
    pub hedge: &'a Hedge,
    /// By the generation's signing key, over the digest of the last message.
    pub signature: Signature,
    count: u16,
    /// Lengths and ciphertexts, walked once when it was parsed.
    messages: &'a [u8],
}

impl<'a> RunView<'a> {
    /// Parses; checks form only: 2 to 256 messages ([`MAX_RUN`]) whose indices fit their 16 bits, each and all together
    /// within their bounds.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        check_head(bytes, NAME, MAX_RUN_BYTES)?;
        Self::parse_fields(bytes).ok_or(DecodeError::Malformed { structure: NAME })
    }

    fn parse_fields(bytes: &'a [u8]) -> Option<Self> {
        let (Prefix { header, link, hedge }, rest) = Prefix::split(bytes, Flags::Run)?;
        let (count, rest) = rest.split_first_chunk::<COUNT>()?;
        let (messages, signature) = rest.split_last_chunk::<{ Signature::SIZE }>()?;
        let count = u16::from_be_bytes(*count);
        if !(MIN_RUN..=MAX_RUN).contains(&usize::from(count)) {
            return None;
        }
        header.index.0.checked_add(count - 1)?;
        let (mut left, mut padded) = (messages, 0);
        for _ in 0..count {
            let (ciphertext, rest) = split_message(left)?;
            padded += ciphertext.len().checked_sub(TAG).filter(|padded| *padded <= MAX_PADDED)?;
            left = rest;
        }
        if !left.is_empty() || padded > MAX_RUN_PADDED {
            return None;
        }
        let signature = Signature::from_bytes(*signature);
        Some(Self { header, link, hedge, signature, count, messages })
    }

    /// How many messages there are, 2 to 256.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Index of the last message.
    pub fn last_index(&self) -> MessageIndex {
        MessageIndex(self.header.index.0.saturating_add(self.count - 1))
    }

    /// Each message: its header, and its ciphertext with the tag at the end.
    pub fn messages(&self) -> impl Iterator<Item = (Header, &'a [u8])> + use<'a> {
        let (header, mut left) = (self.header, self.messages);
        (header.index.0..=self.last_index().0).map_while(move |index| {
            let (ciphertext, rest) = split_message(left)?;
            left = rest;
            Some((Header { index: MessageIndex(index), ..header }, ciphertext))
        })
    }
}

/// The first ciphertext, and what follows it.
fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// A run on its way to being written, message by message, in one buffer.
pub struct RunWriter(Vec<u8>);

impl RunWriter {
    /// Begins a run of `count` messages whose padded plaintexts have `padded` bytes together: as many as are then
    /// written, or [`RunView::parse`] refuses it.
    pub fn new(header: &Header, link: &Link, hedge: &Hedge, count: u16, padded: usize) -> Self {
        let mut out = Vec::with_capacity(run_bytes(usize::from(count), padded));
        out.extend_from_slice(&header.encode_in_run());
        out.extend_from_slice(link);
        out.extend_from_slice(hedge);
        out.extend_from_slice(&count.to_be_bytes());
        Self(out)
    }

    /// Writes the next message: `seal` appends its ciphertext and tag, which is returned.
    pub fn message(&mut self, seal: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let at = self.0.len();
        self.0.extend_from_slice(&[0; LENGTH]);
        seal(&mut self.0);
        let (_, written) = self.0.split_at_mut_checked(at).unwrap_or_default();
        let Some((length, ciphertext)) = written.split_first_chunk_mut::<LENGTH>() else { return &[] };
        *length = u32::try_from(ciphertext.len()).unwrap_or(u32::MAX).to_be_bytes();
        ciphertext
    }

    /// Ends it.
    pub fn finish(mut self, signature: &Signature) -> Vec<u8> {
        self.0.extend_from_slice(signature.as_bytes());
        self.0
    }
}

/// Puts a run together around its ciphertexts.
pub fn assemble(
    header: &Header,
    link: &Link,
    hedge: &Hedge,
    ciphertexts: &[&[u8]],
    signature: &Signature,
) -> Vec<u8> {
    let count = u16::try_from(ciphertexts.len()).unwrap_or(u16::MAX);
    let padded = ciphertexts.iter().map(|ciphertext| ciphertext.len().saturating_sub(TAG)).sum();
    let mut run = RunWriter::new(header, link, hedge, count, padded);
    for ciphertext in ciphertexts {
        run.message(|out| out.extend_from_slice(ciphertext));
    }
    run.finish(signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, Generation, LeafIndex};
    use crate::limits::MAX_FRAME;

    const SAMPLE: Header = Header {
        epoch: Epoch(0x0102_0304),
        leaf: LeafIndex(0x0506_0708),
        generation: Generation(0x090a_0b0c),
        index: MessageIndex(0x0d0e),
    };

    fn run_at(index: u16, ciphertexts: &[&[u8]]) -> Vec<u8> {
        let header = Header { index: MessageIndex(index), ..SAMPLE };
        assemble(&header, &[1; 16], &[2; 8], ciphertexts, &Signature::from_bytes([9; 64]))
    }

    fn is_malformed(bytes: &[u8]) -> bool {
        matches!(RunView::parse(bytes), Err(DecodeError::Malformed { .. }))
    }

    fn with(good: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut changed = good.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    }

    #[test]
    fn round_trip_and_overhead() {
        let (first, second) = ([3; 32 + TAG], [4; 40 + TAG]);
        let bytes = run_at(SAMPLE.index.0, &[&first, &second]);
        assert_eq!(bytes.len(), 42 + 2 * 20 + 32 + 40 + 64);
        assert_eq!(bytes[..16], [1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        let view = RunView::parse(&bytes).unwrap();
        assert_eq!((view.header, view.link, view.hedge, view.count()), (SAMPLE, &[1; 16], &[2; 8], 2));
        let messages: Vec<_> = view.messages().collect();
        let next = Header { index: view.last_index(), ..SAMPLE };
        assert_eq!(messages, [(SAMPLE, &first[..]), (next, &second[..])]);
        assert_eq!(next.index, MessageIndex(0x0d0f));
    }

    /// (R140) Counts, lengths and indices at their bounds and beyond.
    #[test]
    fn bounds() {
        let shortest: &[u8] = &[0; TAG];
        for (count, good) in [(0, false), (1, false), (2, true), (256, true), (257, false)] {
            assert_eq!(is_malformed(&run_at(0, &vec![shortest; count])), !good, "{count} messages");
        }
        let longest = vec![0; MAX_PADDED + TAG];
        let too_long = vec![0; MAX_PADDED + TAG + 1];
        assert!(!is_malformed(&run_at(0, &[&longest[..]; 4])));
        assert!(is_malformed(&run_at(0, &[shortest, &too_long])));
        assert!(is_malformed(&run_at(0, &[&longest, &longest, &longest, &longest, &[0; TAG + 1]])));
        assert!(!is_malformed(&run_at(u16::MAX - 1, &[shortest; 2])));
        assert!(is_malformed(&run_at(u16::MAX, &[shortest; 2])));
        let mut full = vec![shortest; 252];
        full.extend([&longest[..]; 4]);
        assert_eq!(run_at(0, &full).len(), MAX_RUN_BYTES);
        assert!(RunView::parse(&run_at(0, &full)).is_ok());
        const { assert!(MAX_RUN_BYTES < MAX_FRAME / 2) }
    }

    #[test]
    fn refusals() {
        let good = run_at(7, &[&[3; TAG], &[4; TAG + 1]]);
        assert!(RunView::parse(&good).is_ok());
        assert!(matches!(RunView::parse(&[]), Err(DecodeError::Empty { .. })));
        let long = vec![1; MAX_RUN_BYTES + 1];
        assert!(matches!(RunView::parse(&long), Err(DecodeError::TooLarge { .. })));
        let unknown = RunView::parse(&with(&good, 0, &[2])).unwrap_err();
        assert!(matches!(unknown, DecodeError::UnknownVersion { version: 2, .. }));
        for length in 1..good.len() {
            assert!(is_malformed(&good[..length]), "{length}");
        }
        assert!(is_malformed(&[&good[..], &[0]].concat()));
        for flags in [0, 2, 255] {
            assert!(is_malformed(&with(&good, 1, &[flags])));
        }
        for count in [0, 1, 3, 257, u16::MAX] {
            assert!(is_malformed(&with(&good, 40, &count.to_be_bytes())), "{count} messages");
        }
        for length in [0, 15, 17, 33, u32::MAX - 3, u32::MAX] {
            assert!(is_malformed(&with(&good, 42, &length.to_be_bytes())), "a first message of {length}");
        }
    }
}
