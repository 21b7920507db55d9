//! The hashes of the tree (RFC 6962, section 2.1).

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// A hash of the tree: of a leaf, of an inner node, or the root. Written in hexadecimal; in heads and proofs in base 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// The root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// The text is not a hash as this house writes them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a hash of the tree; one is 64 lower-case hexadecimal digits")]
pub struct MalformedHash;

/// The hash of a leaf: SHA-256 of 0x00 and the leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(leaf).finalize().into())
}

/// The hash of an inner node: SHA-256 of 0x01, the left and the right child.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(bytes).into())
}

/// The root of a perfect tree over `hashes`; their number is a power of two.
pub(crate) fn perfect_root(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two(), "a perfect tree has a power of two of leaves");
    match hashes {
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&perfect_root(left), &perfect_root(right))
        }
    }
}

/// The root of a full tile: its hash in the level above. `None` unless the bytes are those of a full tile.
pub fn tile_root(tile: &[u8]) -> Option<Hash> {
    (tile.len() == 256 * 32).then(|| perfect_root(&Hash::each(tile)))
}

impl Hash {
    /// The hash in base 64, as heads and proofs write it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads base 64 in its one canonical spelling.
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Cuts the bytes of a tile into its hashes. What is left over is not looked at.
    pub(crate) fn each(bytes: &[u8]) -> Vec<Self> {
        bytes.as_chunks::<32>().0.iter().map(|h| Self(*h)).collect()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = MalformedHash;

    fn from_str(text: &str) -> Result<Self, MalformedHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| MalformedHash)?;
        let hash = Self(bytes);
        if hash.to_string() == text { Ok(hash) } else { Err(MalformedHash) }
    }
}

#[cfg(test)]
mod tests {
    use super::{EMPTY_ROOT, Hash, leaf_hash, node_hash, tile_root};

    #[test]
    fn the_hashes_of_rfc_6962() {
        assert_eq!(EMPTY_ROOT.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(steward_seal::Digest::of(b"").as_bytes(), &EMPTY_ROOT.0);
        // Of the reference implementation of Certificate Transparency.
        assert_eq!(leaf_hash(b"").to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(
            node_hash(&leaf_hash(b""), &leaf_hash(b"\0")).to_string(),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
    }

    #[test]
    fn only_a_full_tile_has_a_root() {
        let leaf = leaf_hash(b"");
        let root = (0..8).fold(leaf, |below, _| node_hash(&below, &below));
        assert_eq!(tile_root(&leaf.0.repeat(256)), Some(root));
        assert_eq!((tile_root(&leaf.0.repeat(255)), tile_root(&[]), tile_root(&[0; 8193])), (None, None, None));
    }

    #[test]
    fn one_hash_one_spelling() {
        let text = EMPTY_ROOT.to_string();
        assert_eq!(text.parse(), Ok(EMPTY_ROOT));
        assert!(text.to_uppercase().parse::<Hash>().is_err());
        assert!(text[2..].parse::<Hash>().is_err());
        let base64 = EMPTY_ROOT.to_base64();
        assert_eq!(Hash::from_base64(&base64), Some(EMPTY_ROOT));
        assert_eq!(Hash::from_base64(base64.trim_end_matches('=')), None);
        assert_eq!(Hash::from_base64(&base64.replace("U=", "V=")), None, "bits beyond the hash are not zero");
    }
}
