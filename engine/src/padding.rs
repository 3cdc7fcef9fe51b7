//! Padding: `0x80`, then zeros up to a Padmé length, so that a length tells little and costs at most 12 %.
//!
//! Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", section 4
//! (Padmé); ISO/IEC 7816-4 for the mark.

use crate::aead::TAG;
use thiserror::Error;
use zeroize::Zeroizing;

/// No mark where one must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the padding is not valid")]
pub(crate) struct PaddingError;

/// The concatenation of `parts` with the mark and zeros, allocated once, with room for the tag that it will get.
pub(crate) fn pad(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = padded_length(parts.iter().map(|part| part.len()).sum());
    let mut padded = Zeroizing::new(Vec::with_capacity(length + TAG));
    pad_onto(&mut padded, parts);
    padded
}

/// Appends what [`pad`] gives, where there is room for it: growing would leave a copy behind.
pub(crate) fn pad_onto(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let (begin, length) = (out.len(), padded_length(parts.iter().map(|part| part.len()).sum()));
    debug_assert!(out.capacity() - begin >= length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.push(0x80);
    out.resize(begin.saturating_add(length), 0);
}

/// Length of a plaintext of `length` bytes with its padding.
pub(crate) fn padded_length(length: usize) -> usize {
    padme(length.saturating_add(1))
}

/// The plaintext without its padding, whose length must be the canonical one.
pub(crate) fn unpad(padded: &[u8]) -> Result<&[u8], PaddingError> {
    let mark = padded.iter().rposition(|byte| *byte != 0).ok_or(PaddingError)?;
    let plaintext = padded.get(..mark).ok_or(PaddingError)?;
    if padded.get(mark) != Some(&0x80) || padme(mark + 1) != padded.len() {
        return Err(PaddingError);
    }
    Ok(plaintext)
}

/// The smallest length ≥ `len` whose floating-point mantissa fits the bits of its exponent; at least 32.
fn padme(len: usize) -> usize {
    let len = len.max(32);
    let exponent = len.ilog2();
    let mantissa_bits = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - mantissa_bits)) - 1;
    len.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_CONTENT;
    use conclave_wire::limits::MAX_PADDED;

    #[test]
    fn known_lengths() {
        for (len, padded) in [(1, 32), (33, 36), (100, 104), (1000, 1024), (1025, 1088), (65536, 65536)] {
            assert_eq!(padme(len), padded, "{len}");
        }
    }

    /// The mark makes every plaintext come back, and the overhead stays below 12 % from 32 bytes on.
    #[test]
    fn round_trip() {
        for len in (0..3000).chain([MAX_CONTENT + 16]) {
            let text = pad(&[&vec![7; len]]);
            assert_eq!(unpad(&text), Ok(&vec![7; len][..]));
            assert!(len < 32 || text.len() * 100 <= (len + 1) * 112, "{len} {}", text.len());
            assert!(text.len() <= MAX_PADDED);
        }
    }

    #[test]
    fn refusals() {
        let mut text = pad(&[&[7; 40]]);
        assert_eq!(unpad(&[]), Err(PaddingError));
        assert_eq!(unpad(&[0; 32]), Err(PaddingError));
        assert_eq!(unpad(&[7; 32]), Err(PaddingError));
        text.push(0);
        assert_eq!(unpad(&text), Err(PaddingError), "one zero more than canonical");
    }
}
