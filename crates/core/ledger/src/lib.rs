//! The Merkle log, and proofs that anyone can check off-line.
//!
//! A [`Body`] says what happened; a [`Leaf`] binds it to the tree without showing it; an [`Edge`] grows the tree; a
//! [`TreeHead`] is what the node signs; [`proof`] and [`tlog_proof`] show a stranger that an entry stands under a head;
//! an [`Audit`] reads a whole ledger again and says what does not fit.
//!
//! ```
//! use steward_ledger::{Body, Edge, Leaf, Salt, kind, leaf_hash};
//! let body = Body::by_node("acme.internal", "acme.internal").encode().expect("no floats");
//! let salt = Salt([7; 32]); // random, where it is not an example
//! let leaf = Leaf { time: "2026-11-20T20:14:27.123Z".parse().expect("a time"), kind: kind::LEDGER_CREATED.into(), body: salt.mac(&body) };
//! let mut edge = Edge::new();
//! let mut full_tiles = Vec::new();
//! edge.append(leaf_hash(&leaf.encode()), &mut full_tiles);
//! assert_eq!((edge.size(), edge.root()), (1, leaf_hash(&leaf.encode())));
//! ```
//!
//! The tree is RFC 6962's, cut into the tiles of c2sp.org/tlog-tiles; heads are c2sp.org/tlog-checkpoint, proofs are
//! c2sp.org/tlog-proof. A body lies outside the tree with its salt, so that erasing both leaves every proof valid.
//! Whoever erases a body restates the digests of its rows in the entry that records the erasure, a [`Redaction`]; rows that no
//! readable entry vouches for are findings, and so is a body that is gone without such an entry.
//!
//! Deliberately absent: storage, time and chance (the store passes them in), cosignatures of witnesses (they are passed
//! over until nodes witness each other), pruning.

mod audit;
mod body;
mod canonical;
mod edge;
mod hash;
pub mod head;
pub mod kind;
mod leaf;
pub mod proof;
mod redaction;
mod report;
mod row;
mod state;
mod tile;
pub mod tlog_proof;

pub use audit::{Audit, Stored};
pub use body::{
    ActorKind, Body, BodyActor, BodyDecision, BodyError, BodyOutcome, BodyResource, Columns, MAX_BODY_BYTES, Verdict,
};
pub use edge::{Edge, LoadError};
pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash, tile_root};
pub use head::TreeHead;
pub use leaf::{Leaf, LeafError, Salt, body_mac};
pub use redaction::Redaction;
pub use report::{Finding, FindingCode, MAX_FINDINGS, Place, Report};
pub use row::{Cell, Columns as RowColumns, RowDigest, row_digest};
pub use state::StateAudit;
pub use tile::{
    BundleError, TILE_HEIGHT, TILE_WIDTH, TileError, TileId, decode_bundle, encode_bundle, entries_path,
    parse_entries_path,
};
