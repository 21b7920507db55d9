//! Proofs about the tree (RFC 9162, section 2.1): that a leaf is in it, and that one tree is the beginning of another.
//!
//! ```
//! # use steward_ledger::{Edge, leaf_hash, proof};
//! # let (mut edge, mut full) = (Edge::new(), Vec::new());
//! # for n in 0..10_u8 { edge.append(leaf_hash(&[n]), &mut full); }
//! # let tiles = |_| Ok::<_, std::convert::Infallible>(edge.partial(0).expect("ten leaves").1.to_vec());
//! let path = proof::prove_inclusion(10, 3, tiles).expect("the tiles are there");
//! assert!(proof::verify_inclusion(10, 3, &leaf_hash(&[3]), &path, &edge.root()).is_ok());
//! ```
//!
//! Proofs are made from tiles, full and partial, of the tree that they are about; each tile is asked for once. A proof
//! made from wrong tiles is a proof that does not verify, nothing worse.

use std::collections::BTreeMap;

use crate::{
    hash::{EMPTY_ROOT, Hash, node_hash, perfect_root},
    tile::{HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, TileId},
};

/// The most hashes in a proof: two for each level of the largest tree.
pub const MAX_PATH: usize = 128;

/// Why a proof could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError<E> {
    /// No such leaf.
    #[error("there is no entry {seq} in a ledger of {size} entries")]
    NoSuchLeaf {
        /// The leaf that was asked for.
        seq: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The old tree is larger than the new one.
    #[error("a ledger of {old} entries is not the beginning of one of {new}")]
    Backwards {
        /// The size that should be the smaller one.
        old: u64,
        /// The other size.
        new: u64,
    },
    /// A tile could not be read.
    #[error("tile {tile} could not be read: {source}")]
    Read {
        /// Which tile.
        tile: TileId,
        /// Why.
        source: E,
    },
    /// A tile has the wrong length.
    #[error("tile {tile} has {found} bytes instead of {}; run `ledger verify`", tile.bytes())]
    Length {
        /// Which tile.
        tile: TileId,
        /// Bytes that were read.
        found: usize,
    },
}

/// Why a proof was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It speaks of a leaf, or of trees, that cannot be.
    #[error("the proof is about an entry or a size that the ledger does not have")]
    Range,
    /// Too few or too many hashes.
    #[error("the proof has the wrong number of hashes for its size")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root: this is not what the head stands for")]
    Root,
}

/// The root of the tree of `size` leaves.
///
/// # Errors
/// A tile cannot be had.
pub fn root<E>(size: u64, hashes: impl FnMut(TileId) -> Result<Vec<u8>, E>) -> Result<Hash, ProveError<E>> {
    if size == 0 {
        return Ok(EMPTY_ROOT);
    }
    Tree { size, hashes, tiles: BTreeMap::new() }.root(0, size)
}

/// Proves that leaf `seq` is in the tree of `size` leaves: its path, from the leaf's sibling up.
///
/// # Errors
/// There is no such leaf, or a tile cannot be had.
pub fn prove_inclusion<E>(
    size: u64,
    seq: u64,
    hashes: impl FnMut(TileId) -> Result<Vec<u8>, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if seq >= size {
        return Err(ProveError::NoSuchLeaf { seq, size });
    }
    let mut tree = Tree { size, hashes, tiles: BTreeMap::new() };
    let (mut first, mut end, mut path) = (0, size, Vec::new());
    while end - first > 1 {
        let middle = first + left_width(end - first);
        if seq < middle {
            path.push(tree.root(middle, end)?);
            end = middle;
        } else {
            path.push(tree.root(first, middle)?);
            first = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Proves that the tree of `old` leaves is the beginning of the tree of `new` leaves.
///
/// # Errors
/// `old` is larger than `new`, or a tile cannot be had.
pub fn prove_consistency<E>(
    old: u64,
    new: u64,
    hashes: impl FnMut(TileId) -> Result<Vec<u8>, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if old > new {
        return Err(ProveError::Backwards { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut tree = Tree { size: new, hashes, tiles: BTreeMap::new() };
    let (mut first, mut end, mut path) = (0, new, Vec::new());
    while end != old {
        let middle = first + left_width(end - first);
        if old <= middle {
            path.push(tree.root(middle, end)?);
            end = middle;
        } else {
            path.push(tree.root(first, middle)?);
            first = middle;
        }
    }
    // The old tree's own root is known to who asks, unless it is only a part of what is left.
    if first > 0 {
        path.push(tree.root(first, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Verifies that a leaf stands at `seq` in the tree with `root` (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// [`PathError`].
pub fn verify_inclusion(size: u64, seq: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> Result<(), PathError> {
    if seq >= size {
        return Err(PathError::Range);
    }
    let (mut node, mut last, mut hash) = (seq, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return Err(PathError::Length);
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node.is_multiple_of(2) && node != 0 {
                node /= 2;
                last /= 2;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node /= 2;
        last /= 2;
    }
    match last {
        0 if hash == *root => Ok(()),
        0 => Err(PathError::Root),
        _ => Err(PathError::Length),
    }
}

/// Verifies that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 9162, section 2.1.4.2).
///
/// The empty tree is the beginning of every tree.
///
/// # Errors
/// [`PathError`].
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), PathError> {
    if old > new {
        return Err(PathError::Range);
    }
    if old == 0 || old == new {
        let expected = if old == new { new_root } else { &EMPTY_ROOT };
        let fits = old_root == expected && (new > 0 || new_root == &EMPTY_ROOT);
        return if !path.is_empty() {
            Err(PathError::Length)
        } else if fits {
            Ok(())
        } else {
            Err(PathError::Root)
        };
    }
    let (mut node, mut last) = (old - 1, new - 1);
    let below = node.trailing_ones();
    (node, last) = (node >> below, last >> below);
    let mut path = path.iter();
    let first = if old.is_power_of_two() { old_root } else { path.next().ok_or(PathError::Length)? };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return Err(PathError::Length);
        }
        if node % 2 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node.is_multiple_of(2) && node != 0 {
                node /= 2;
                last /= 2;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node /= 2;
        last /= 2;
    }
    match last {
        0 if old_hash == *old_root && new_hash == *new_root => Ok(()),
        0 => Err(PathError::Root),
        _ => Err(PathError::Length),
    }
}

/// Leaves in the left child of a tree of `size` > 1 leaves: the largest power of two below `size`.
fn left_width(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// A tree behind its tiles.
struct Tree<F> {
    size: u64,
    hashes: F,
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

impl<E, F: FnMut(TileId) -> Result<Vec<u8>, E>> Tree<F> {
    /// The root over the leaves from `first` to before `end`: those of a node, or of the right edge.
    fn root(&mut self, first: u64, end: u64) -> Result<Hash, ProveError<E>> {
        let size = end - first;
        if size.is_power_of_two() {
            return self.node(size.trailing_zeros(), first >> size.trailing_zeros());
        }
        let middle = first + left_width(size);
        let left = self.root(first, middle)?;
        Ok(node_hash(&left, &self.root(middle, end)?))
    }

    /// The root of the perfect tree of 2^`height` leaves that is `index`th of its height.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, ProveError<E>> {
        let level = u8::try_from(height / TILE_HEIGHT).expect("a height is below 64");
        let hashes = 1_u64 << (height % TILE_HEIGHT);
        let first = index * hashes;
        let width = u64::from(TILE_WIDTH);
        let id = TileId::in_tree(level, first / width, self.size).expect("the node is in the tree");
        let tile = match self.tiles.entry(id) {
            std::collections::btree_map::Entry::Occupied(tile) => tile.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let bytes = (self.hashes)(id).map_err(|source| ProveError::Read { tile: id, source })?;
                if bytes.len() != usize::from(id.width) * HASH_BYTES {
                    return Err(ProveError::Length { tile: id, found: bytes.len() });
                }
                place.insert(Hash::each(&bytes))
            }
        };
        let start = usize::try_from(first % width).expect("below 256");
        let count = usize::try_from(hashes).expect("at most 128");
        Ok(perfect_root(&tile[start..start + count]))
    }
}

#[cfg(test)]
mod tests;
