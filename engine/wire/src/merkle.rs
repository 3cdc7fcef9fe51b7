//! The roster's hash tree: binary, padded with blank leaves to a power of two, all levels kept.
//!
//! A commit changes few leaves, so a new root costs O(changes · log N) and is computed as a [`Patch`] beside the tree:
//! a commit whose root turns out wrong leaves nothing to undo.
//!
//! Source: RFC 9162 section 2.1 for leaf and node separation (here by context strings).

use crate::hash;
use std::collections::BTreeMap;

type Hash = [u8; 32];

/// Hash of a leaf that is not there.
const BLANK: Hash = [0; 32];

/// A tree over leaf hashes.
#[derive(Clone, Debug)]
pub struct MerkleTree {
    /// `levels[0]` are the leaves, the last level is the top node alone. Every level is whole.
    levels: Vec<Vec<Hash>>,
}

/// New values for some nodes of a tree, its top node last.
#[derive(Clone, Debug)]
pub struct Patch {
    /// Height that the tree has after the patch.
    height: usize,
    levels: Vec<BTreeMap<usize, Hash>>,
    top: Hash,
}

impl Patch {
    /// Top node of the patched tree.
    pub fn top(&self) -> Hash {
        self.top
    }
}

impl Default for MerkleTree {
    fn default() -> Self {
        Self { levels: vec![vec![BLANK]] }
    }
}

impl MerkleTree {
    /// The top node.
    pub fn top(&self) -> Hash {
        self.node(self.levels.len().saturating_sub(1), 0)
    }

    /// Computes the nodes that change when the leaves named take the hashes given (`None` blanks one) and the tree
    /// has room for `leaves` leaves.
    pub fn patch(&self, changes: &[(usize, Option<Hash>)], leaves: usize) -> Patch {
        let height = height_for(leaves).max(self.levels.len());
        let mut level: BTreeMap<usize, Hash> =
            changes.iter().map(|(index, leaf)| (*index, leaf.unwrap_or(BLANK))).collect();
        if height > self.levels.len() {
            // The old top becomes an inner node: recompute the path above it even if no leaf below changed.
            let first = level.get(&0).copied().unwrap_or_else(|| self.node(0, 0));
            level.insert(0, first);
        }
        let mut levels = Vec::with_capacity(height);
        for depth in 0..height.saturating_sub(1) {
            let mut parents = BTreeMap::new();
            for index in level.keys().map(|index| index / 2) {
                parents.entry(index).or_insert_with(|| {
                    let child = |i: usize| level.get(&i).copied().unwrap_or_else(|| self.node(depth, i));
                    parent(&child(index * 2), &child(index * 2 + 1))
                });
            }
            levels.push(std::mem::replace(&mut level, parents));
        }
        let top = level.get(&0).copied().unwrap_or_else(|| self.top());
        levels.push(level);
        Patch { height, levels, top }
    }

    /// Writes a patch that this tree computed.
    pub fn apply(&mut self, patch: Patch) {
        while self.levels.len() < patch.height {
            let depth = self.levels.len();
            for (below, level) in self.levels.iter_mut().enumerate() {
                let blank = blank_node(below);
                let width = 1 << (depth - below);
                level.resize(width, blank);
            }
            self.levels.push(vec![BLANK]);
        }
        for (level, changes) in self.levels.iter_mut().zip(patch.levels) {
            for (index, hash) in changes {
                if let Some(node) = level.get_mut(index) {
                    *node = hash;
                }
            }
        }
    }

    fn node(&self, depth: usize, index: usize) -> Hash {
        self.levels
            .get(depth)
            .and_then(|level| level.get(index))
            .copied()
            .unwrap_or_else(|| blank_node(depth))
    }
}

/// A node of which everything below is blank. Blank above blank is hashed like any other node.
fn blank_node(depth: usize) -> Hash {
    let mut node = BLANK;
    for _ in 0..depth {
        node = parent(&node, &node);
    }
    node
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    hash::ROSTER_NODE.hash(&[left, right])
}

/// Levels of the smallest tree with room for `leaves`.
fn height_for(leaves: usize) -> usize {
    let width = leaves.max(1).next_power_of_two();
    width.trailing_zeros() as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, without shortcuts.
    fn top_of(leaves: &[Option<Hash>]) -> Hash {
        let mut level: Vec<Hash> = leaves.iter().map(|leaf| leaf.unwrap_or(BLANK)).collect();
        level.resize(leaves.len().max(1).next_power_of_two(), BLANK);
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| parent(&pair[0], &pair[1])).collect();
        }
        level[0]
    }

    proptest! {
        #[test]
        fn patches_agree_with_the_definition(
            rounds in prop::collection::vec(prop::collection::vec((0usize..40, any::<Option<[u8; 32]>>()), 0..6), 1..12)
        ) {
            let mut tree = MerkleTree::default();
            let mut leaves: Vec<Option<Hash>> = Vec::new();
            for changes in rounds {
                for (index, leaf) in &changes {
                    if *index >= leaves.len() { leaves.resize(index + 1, None); }
                    leaves[*index] = *leaf;
                }
                let patch = tree.patch(&changes, leaves.len());
                prop_assert_eq!(patch.top(), top_of(&leaves));
                tree.apply(patch);
                prop_assert_eq!(tree.top(), top_of(&leaves));
            }
        }
    }
}
