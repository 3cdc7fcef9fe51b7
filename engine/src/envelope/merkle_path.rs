//! One signature for many envelopes: it covers the root of a tree over them, and each carries its path.
//!
//! The leaves are `H("envelope leaf", th ‖ H("envelope inner", inner))`, padded with zeros to a power of two. Covering
//! the transcripts alone would let a thief of one recipient's prekeys forge contents for that recipient (R53).

use crate::kdf;

/// The root over `leaves`, and for each leaf the siblings on its way up.
pub(crate) fn root_and_paths(leaves: &[[u8; 32]]) -> ([u8; 32], Vec<Vec<[u8; 32]>>) {
    let mut level = leaves.to_vec();
    level.resize(leaves.len().max(1).next_power_of_two(), [0; 32]);
    let mut paths = vec![Vec::new(); leaves.len()];
    let mut depth = 0;
    while level.len() > 1 {
        for (index, path) in paths.iter_mut().enumerate() {
            if let Some(sibling) = level.get((index >> depth) ^ 1) {
                path.push(*sibling);
            }
        }
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| node(left, right)).collect();
        depth += 1;
    }
    (level.first().copied().unwrap_or_default(), paths)
}

/// The root that `leaf` at `index` has with these siblings; `None` if the index does not fit the path.
pub(crate) fn root(leaf: [u8; 32], index: u32, path: &[[u8; 32]]) -> Option<[u8; 32]> {
    if u64::from(index) >> path.len().min(63) != 0 {
        return None;
    }
    let climb = |below: [u8; 32], (depth, sibling): (usize, &[u8; 32])| {
        if (index >> depth) & 1 == 0 { node(&below, sibling) } else { node(sibling, &below) }
    };
    Some(path.iter().take(32).enumerate().fold(leaf, climb))
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    kdf::ENVELOPE_NODE.hash(&[left, right])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_reaches_the_root_and_no_other_does() {
        for count in 1..=9_u8 {
            let leaves: Vec<_> = (1..=count).map(|i| [i; 32]).collect();
            let (top, paths) = root_and_paths(&leaves);
            for (index, (leaf, path)) in (0..).zip(leaves.iter().zip(&paths)) {
                assert_eq!(root(*leaf, index, path), Some(top));
                assert_ne!(root([99; 32], index, path), Some(top));
                assert_eq!(root(*leaf, index + 16, path), None);
                if count > 1 {
                    assert_ne!(root(*leaf, index ^ 1, path), Some(top));
                }
            }
        }
    }
}
