//! The content of a test message: every byte follows from who sent it and which one it is.

use std::iter::repeat_n;

/// Bytes that say which message it is.
const HEAD: usize = 16;

/// The content of a sender's `ordinal`-th message.
pub(super) fn make(size: usize, group: usize, sender: usize, ordinal: u64) -> Vec<u8> {
    let mut content = Vec::with_capacity(size);
    content.extend_from_slice(&head(group, sender, ordinal));
    content.extend(repeat_n(filler(ordinal), size.saturating_sub(HEAD)));
    content
}

/// Whether this is that content.
pub(super) fn is(content: &[u8], size: usize, group: usize, sender: usize, ordinal: u64) -> bool {
    let Some((found, rest)) = content.split_first_chunk::<HEAD>() else { return false };
    let filler = filler(ordinal);
    content.len() == size && *found == head(group, sender, ordinal) && rest.iter().all(|byte| *byte == filler)
}

fn head(group: usize, sender: usize, ordinal: u64) -> [u8; HEAD] {
    // Neither is above 100,000.
    let place = ((group as u64) << 32) | sender as u64;
    let mut head = [0; HEAD];
    let (first, second) = head.split_at_mut(8);
    first.copy_from_slice(&place.to_be_bytes());
    second.copy_from_slice(&ordinal.to_be_bytes());
    head
}

fn filler(ordinal: u64) -> u8 {
    let [.., last] = ordinal.to_be_bytes();
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn itself_and_nothing_else() {
        let content = make(100, 3, 1, 258);
        assert!(is(&content, 100, 3, 1, 258));
        for other in [make(101, 3, 1, 258), make(100, 2, 1, 258), make(100, 3, 0, 258), make(100, 3, 1, 2)] {
            assert!(!is(&other, 100, 3, 1, 258));
        }
        for position in 0..100 {
            let mut changed = content.clone();
            changed[position] ^= 1;
            assert!(!is(&changed, 100, 3, 1, 258), "{position}");
        }
        assert!(!is(&[], 0, 0, 0, 0));
    }
}
