//! The tree cut into tiles of 256 hashes, and leaves into bundles of 256 (c2sp.org/tlog-tiles).
//!
//! A tile at level 0 holds leaf hashes; at level 1 each hash is the root of a full tile of level 0, and so on up. A tile
//! that is not full yet has a width below 256 and is never hashed into the level above.
//!
//! Deliberately absent: the URL's prefix. A path here begins with the level, or with `entries`.

use std::{fmt, str::FromStr};

/// Levels of the tree in a tile.
pub const TILE_HEIGHT: u32 = 8;

/// Hashes in a full tile, and leaves in a full bundle.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;

/// Bytes of a hash.
pub(crate) const HASH_BYTES: usize = 32;

/// The highest level that the specification knows.
const MAX_LEVEL: u8 = 63;

/// Which tile: its level, its place in the level, and how many hashes of it there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for leaf hashes.
    pub level: u8,
    /// Counted from 0 at the left.
    pub index: u64,
    /// 1 to 256 hashes; 256 is a full tile.
    pub width: u16,
}

/// The text is not the path of a tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the path of a tile; one looks like `0/x001/x234/067`, or `0/x001/x234/067.p/12` while it is partial"
)]
pub struct TileError;

impl TileId {
    /// The full tile at `level` and `index`.
    pub const fn full(level: u8, index: u64) -> Self {
        Self { level, index, width: TILE_WIDTH }
    }

    /// The tile as it is in a tree of `size` leaves; none if that tree has no hash in it.
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0);
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = u16::try_from(hashes.checked_sub(before)?.min(u64::from(TILE_WIDTH))).ok()?;
        (width > 0).then_some(Self { level, index, width })
    }

    /// Whether the tile is full, and so will never change.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Bytes of the tile.
    pub fn bytes(&self) -> usize {
        usize::from(self.width) * HASH_BYTES
    }
}

impl fmt::Display for TileId {
    /// `0/x001/x234/067.p/12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.level, place(self.index, self.width))
    }
}

impl FromStr for TileId {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        let (level, rest) = text.split_once('/').ok_or(TileError)?;
        let level: u8 = decimal(level)
            .filter(|l| *l <= u64::from(MAX_LEVEL))
            .ok_or(TileError)?
            .try_into()
            .map_err(|_| TileError)?;
        let (index, width) = parse_place(rest).ok_or(TileError)?;
        Ok(Self { level, index, width })
    }
}

/// The path of a bundle of leaves: `entries/x001/067.p/12`.
pub fn entries_path(index: u64, width: u16) -> String {
    format!("entries/{}", place(index, width))
}

/// Reads what [`entries_path`] writes, and nothing else: the index and the width.
///
/// # Errors
/// Not such a path.
pub fn parse_entries_path(text: &str) -> Result<(u64, u16), TileError> {
    text.strip_prefix("entries/").and_then(parse_place).ok_or(TileError)
}

fn place(index: u64, width: u16) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE_WIDTH {
        text.push_str(&format!(".p/{width}"));
    }
    text
}

fn parse_place(text: &str) -> Option<(u64, u16)> {
    let (path, width) = match text.split_once(".p/") {
        Some((path, width)) => {
            (path, decimal(width).filter(|w| (1..u64::from(TILE_WIDTH)).contains(w))?.try_into().ok()?)
        }
        None => (text, TILE_WIDTH),
    };
    let mut index: u64 = 0;
    for part in path.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // One tile, one path: this refuses a missing or extra `x` and leading groups of zeroes.
    (place(index, width) == text).then_some((index, width))
}

/// A decimal number without a sign or leading zeroes.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// Why a bundle was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Longer than its length prefix can say.
    #[error("leaf {0} of the bundle has more than 65535 bytes")]
    LeafTooLong(usize),
    /// More leaves than a bundle holds.
    #[error("a bundle holds at most 256 leaves")]
    TooMany,
    /// The bytes end within a leaf.
    #[error("the bundle ends within leaf {0}")]
    Cut(usize),
}

/// The bytes of a bundle: each leaf after its length in two bytes, the higher first.
///
/// # Errors
/// [`BundleError`].
pub fn encode_bundle<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    for (n, leaf) in leaves.into_iter().enumerate() {
        if n == usize::from(TILE_WIDTH) {
            return Err(BundleError::TooMany);
        }
        let length = u16::try_from(leaf.len()).map_err(|_| BundleError::LeafTooLong(n))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(leaf);
    }
    Ok(bytes)
}

/// The leaves of a bundle.
///
/// # Errors
/// [`BundleError`].
pub fn decode_bundle(mut bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut leaves = Vec::new();
    while !bytes.is_empty() {
        if leaves.len() == usize::from(TILE_WIDTH) {
            return Err(BundleError::TooMany);
        }
        let cut = || BundleError::Cut(leaves.len());
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or_else(cut)?;
        let (leaf, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or_else(cut)?;
        leaves.push(leaf);
        bytes = rest;
    }
    Ok(leaves)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BundleError, TileError, TileId, decode_bundle, encode_bundle, entries_path, parse_entries_path};

    #[test]
    fn paths_of_the_specification() {
        for (id, path) in [
            (TileId::full(8, 1_234_067), "8/x001/x234/067"),
            (TileId { level: 0, index: 1_234_067, width: 1 }, "0/x001/x234/067.p/1"),
            (TileId::full(0, 0), "0/000"),
            (TileId { level: 63, index: 999, width: 255 }, "63/999.p/255"),
            (TileId::full(1, 1000), "1/x001/000"),
            (TileId::full(0, u64::MAX), "0/x018/x446/x744/x073/x709/x551/615"),
        ] {
            assert_eq!(id.to_string(), path);
            assert_eq!(path.parse(), Ok(id));
            let entries = entries_path(id.index, id.width);
            assert_eq!(parse_entries_path(&entries), Ok((id.index, id.width)));
        }
        assert_eq!(entries_path(1067, 12), "entries/x001/067.p/12");
    }

    #[test]
    fn other_paths_are_refused() {
        for path in [
            "",
            "0",
            "0/",
            "0/0",
            "0/00",
            "0/0000",
            "00/000",
            "64/000",
            "-1/000",
            "+1/000",
            "0/x000/000",
            "0/x001",
            "0/001/000",
            "0/x001/x000",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "0/000.p/1/",
            "/0/000",
            "0/000/",
            "0/000.p/1.p/1",
            "0/x018/x446/x744/x073/x709/x551/616",
            "0/000 ",
            "0/٠٠٠",
            "entries/000",
            "0/x+01/000",
        ] {
            assert_eq!(path.parse::<TileId>(), Err(TileError), "{path:?}");
        }
        assert!(parse_entries_path("0/000").is_err());
    }

    #[test]
    fn the_specifications_tree_of_70_000() {
        let at = |level, index| TileId::in_tree(level, index, 70_000).map(|t| t.width);
        assert_eq!((at(0, 272), at(0, 273), at(0, 274)), (Some(256), Some(112), None));
        assert_eq!((at(1, 0), at(1, 1), at(1, 2)), (Some(256), Some(17), None));
        assert_eq!((at(2, 0), at(2, 1), at(3, 0), at(40, 0), at(0, u64::MAX)), (Some(1), None, None, None, None));
        assert_eq!(TileId::in_tree(1, 0, 256).map(|t| t.width), Some(1));
    }

    #[test]
    fn bundles_have_limits() {
        assert_eq!(encode_bundle([b"ab".as_slice(), b""]).expect("short"), b"\0\x02ab\0\0");
        assert_eq!(encode_bundle([vec![0; 65536].as_slice()]), Err(BundleError::LeafTooLong(0)));
        assert_eq!(encode_bundle(vec![b"".as_slice(); 257]), Err(BundleError::TooMany));
        assert_eq!(decode_bundle(&[0; 514]), Err(BundleError::TooMany));
        assert_eq!(decode_bundle(b"\0\0\0\x02a"), Err(BundleError::Cut(1)));
        assert_eq!(decode_bundle(b"\0"), Err(BundleError::Cut(0)));
        assert_eq!(decode_bundle(b""), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(text in "[0-9]{1,2}/(x?[0-9]{3}/?){0,4}(\\.p/[0-9]{1,3})?|\\PC{0,20}") {
            if let Ok(id) = text.parse::<TileId>() {
                prop_assert_eq!(id.to_string(), text.clone());
            }
            let entries = format!("entries/{text}");
            if let Ok((index, width)) = parse_entries_path(&entries) {
                prop_assert_eq!(entries_path(index, width), entries);
            }
        }

        #[test]
        fn every_tile_has_its_path(level in 0..=63_u8, index in any::<u64>(), width in 1..=256_u16) {
            let id = TileId { level, index, width };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn bundles_survive(leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..=256)) {
            let bytes = encode_bundle(leaves.iter().map(Vec::as_slice)).expect("within limits");
            prop_assert_eq!(decode_bundle(&bytes).expect("well formed"), leaves);
        }

        #[test]
        fn any_bundle_is_survived(bytes in prop::collection::vec(0..4_u8, 0..200)) {
            if let Ok(leaves) = decode_bundle(&bytes) {
                prop_assert_eq!(encode_bundle(leaves), Ok(bytes));
            }
        }
    }
}
