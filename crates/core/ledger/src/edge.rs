//! The right edge of the growing tree, in memory.
//!
//! [`Edge::append`] takes a leaf hash and hands out the tiles that it completes; it costs one hash on average.
//! [`Edge::root`] costs one hash per level. [`Edge::load`] makes the edge again from what the store keeps.

use crate::{
    hash::{EMPTY_ROOT, Hash, node_hash, perfect_root},
    tile::{HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, TileId},
};

/// What is needed to append: the roots of the perfect trees at the edge, and the tiles that are not full yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// One root for each bit that is set in `size`, the largest tree first.
    roots: Vec<Hash>,
    /// For each level the hashes of its partial tile, perhaps none.
    partial: Vec<Vec<u8>>,
}

/// Why an edge could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
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

impl Edge {
    /// The edge of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` leaves. `read` is asked for the partial tile of each level, as proofs ask for them: that
    /// of level 0 is the leaf hashes of the last entries, those above are the [roots](crate::tile_root) of full tiles.
    ///
    /// The result is what the tiles say. Whoever loads compares [`root`](Self::root) with the signed head.
    ///
    /// # Errors
    /// A tile cannot be read or has the wrong length.
    pub fn load<E>(size: u64, mut read: impl FnMut(TileId) -> Result<Vec<u8>, E>) -> Result<Self, LoadError<E>> {
        let mut edge = Self { size, ..Self::default() };
        for level in 0_u8.. {
            let hashes = size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0);
            if hashes == 0 {
                break;
            }
            let tile = TileId::in_tree(level, hashes / u64::from(TILE_WIDTH), size);
            edge.partial.push(match tile {
                None => Vec::new(),
                Some(tile) => {
                    let bytes = read(tile).map_err(|source| LoadError::Read { tile, source })?;
                    if bytes.len() != tile.bytes() {
                        return Err(LoadError::Length { tile, found: bytes.len() });
                    }
                    bytes
                }
            });
        }
        for tile in edge.partial.iter().rev() {
            let hashes = Hash::each(tile);
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (perfect, after) = rest.split_at(1 << rest.len().ilog2());
                edge.roots.push(perfect_root(perfect));
                rest = after;
            }
        }
        Ok(edge)
    }

    /// Appends a leaf hash; pushes each tile that is full now, the lowest level first.
    pub fn append(&mut self, leaf: Hash, full: &mut Vec<(TileId, Vec<u8>)>) {
        let mut hash = leaf;
        self.push(0, hash, full);
        for height in 1..=self.size.trailing_ones() {
            let left = self.roots.pop().expect("there is a root for each bit of the size");
            hash = node_hash(&left, &hash);
            if height.is_multiple_of(TILE_HEIGHT) {
                self.push((height / TILE_HEIGHT) as usize, hash, full);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    fn push(&mut self, level: usize, hash: Hash, full: &mut Vec<(TileId, Vec<u8>)>) {
        if self.partial.len() == level {
            self.partial.push(Vec::new());
        }
        let tile = &mut self.partial[level];
        tile.extend_from_slice(&hash.0);
        if tile.len() == usize::from(TILE_WIDTH) * HASH_BYTES {
            let level = u8::try_from(level).expect("a tree of 2^64 leaves has eight levels");
            let index = self.size >> TILE_HEIGHT >> (TILE_HEIGHT * u32::from(level));
            full.push((TileId::full(level, index), std::mem::take(tile)));
        }
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return EMPTY_ROOT };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The partial tile of `level`, if the tree has one.
    pub fn partial(&self, level: u8) -> Option<(TileId, &[u8])> {
        let bytes = self.partial.get(usize::from(level)).filter(|b| !b.is_empty())?;
        let index = self.size >> TILE_HEIGHT >> (TILE_HEIGHT * u32::from(level));
        let width = u16::try_from(bytes.len() / HASH_BYTES).expect("a partial tile has at most 255 hashes");
        Some((TileId { level, index, width }, bytes))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::{Edge, LoadError};
    use crate::{
        hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash, tile_root},
        tile::TileId,
    };

    /// RFC 6962's definition, word for word.
    pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_ROOT,
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&naive_root(left), &naive_root(right))
            }
        }
    }

    /// A log that keeps what a store keeps: leaf hashes and full tiles.
    #[derive(Default)]
    pub(crate) struct Log {
        pub(crate) edge: Edge,
        pub(crate) leaves: Vec<Hash>,
        pub(crate) tiles: BTreeMap<TileId, Vec<u8>>,
    }

    impl Log {
        pub(crate) fn of(size: u64) -> Self {
            let mut log = Self::default();
            (0..size).for_each(|n| log.append(leaf_hash(&n.to_be_bytes())));
            log
        }

        pub(crate) fn append(&mut self, leaf: Hash) {
            let mut full = Vec::new();
            self.edge.append(leaf, &mut full);
            self.leaves.push(leaf);
            self.tiles.extend(full);
        }

        /// What a store makes from its tables: leaf hashes of the last entries, roots of full tiles.
        pub(crate) fn stored(&self, tile: TileId) -> Result<Vec<u8>, &'static str> {
            let first = usize::try_from(tile.index * 256).expect("small");
            let hashes = first..first + usize::from(tile.width);
            if tile.level == 0 {
                return Ok(self.leaves[hashes].iter().flat_map(|h| h.0).collect());
            }
            let below = hashes.map(|n| self.tiles.get(&TileId::full(tile.level - 1, n as u64)));
            let roots = below.map(|tile| tile_root(tile?)).collect::<Option<Vec<Hash>>>();
            Ok(roots.ok_or("not stored")?.iter().flat_map(|h| h.0).collect())
        }

        /// What a log serves: the same, and every partial tile of the present size.
        pub(crate) fn served(&self, tile: TileId) -> Result<Vec<u8>, &'static str> {
            match self.edge.partial(tile.level) {
                Some((id, bytes)) if id == tile => Ok(bytes.to_vec()),
                _ => self.tiles.get(&tile).cloned().ok_or("not served"),
            }
        }
    }

    #[test]
    fn the_roots_of_the_reference_implementation() {
        // Certificate Transparency's eight leaves and the roots of their first n.
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut log = Log::default();
        assert_eq!(log.edge.root(), EMPTY_ROOT);
        for (leaf, root) in leaves.iter().zip(roots) {
            log.append(leaf_hash(&hex::decode(leaf).expect("hexadecimal")));
            assert_eq!(log.edge.root().to_string(), root);
        }
    }

    #[test]
    fn every_root_is_the_naive_one() {
        let mut log = Log::default();
        for n in 0..=1100_u64 {
            if n <= 300 || n % 97 == 0 {
                assert_eq!(log.edge.root(), naive_root(&log.leaves), "size {n}");
            }
            log.append(leaf_hash(&n.to_be_bytes()));
        }
    }

    #[test]
    fn an_edge_survives_its_tiles() {
        for size in (0..=20).chain([255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 66_000, 131_100]) {
            let log = Log::of(size);
            let loaded = Edge::load(size, |t| log.stored(t)).expect("all tiles are there");
            assert_eq!(loaded.root(), log.edge.root(), "size {size}");
            assert_eq!(
                (0..3).map(|l| loaded.partial(l)).collect::<Vec<_>>(),
                (0..3).map(|l| log.edge.partial(l)).collect::<Vec<_>>()
            );
            let (mut a, mut b) = (Log { edge: loaded, ..Log::default() }, log);
            for n in 0..300_u64 {
                a.append(leaf_hash(&n.to_le_bytes()));
                b.append(leaf_hash(&n.to_le_bytes()));
            }
            assert_eq!(a.edge, b.edge, "size {size}, and 300 more");
            assert!(a.tiles.iter().all(|(id, bytes)| b.tiles.get(id) == Some(bytes)));
            assert_eq!(a.edge.root(), naive_root(&b.leaves));
        }
    }

    #[test]
    fn tiles_are_those_of_the_specification() {
        let log = Log::of(70_000);
        assert_eq!(log.tiles.keys().filter(|t| t.level == 0).count(), 273);
        assert_eq!(log.tiles.keys().filter(|t| t.level == 1).count(), 1);
        let partial: Vec<_> = (0..4).map(|level| log.edge.partial(level).map(|(id, _)| (id.index, id.width))).collect();
        assert_eq!(partial, [Some((273, 112)), Some((1, 17)), Some((0, 1)), None]);
        for (id, bytes) in &log.tiles {
            let leaves = 256_usize.pow(u32::from(id.level));
            for (n, hash) in Hash::each(bytes).into_iter().enumerate().step_by(51) {
                let first = (usize::try_from(id.index).expect("small") * 256 + n) * leaves;
                assert_eq!(hash, naive_root(&log.leaves[first..first + leaves]), "{id}, hash {n}");
            }
        }
    }

    #[test]
    fn missing_and_short_tiles_are_errors() {
        let log = Log::of(700);
        let gone = Edge::load(700, |t| if t.level == 1 { Err("gone") } else { log.stored(t) });
        assert!(matches!(gone, Err(LoadError::Read { source: "gone", tile: TileId { level: 1, index: 0, width: 2 } })));
        let short = Edge::load(700, |t| log.stored(t).map(|b| b[32..].to_vec())).expect_err("short");
        assert!(matches!(short, LoadError::Length { found: 5_984, .. }), "{short}");
    }
}
