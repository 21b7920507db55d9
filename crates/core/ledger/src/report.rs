//! What an audit found.
//!
//! A [`Report`] never says "valid". It says how many entries stand under heads that others kept
//! ([`Report::anchored_size`]), how many do not ([`Report::unanchored`]), and what does not fit.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

use steward_seal::Digest;

use crate::{hash::Hash, tile::TileId};

/// The most findings, and the most warnings, that are kept one by one; more are counted.
pub const MAX_FINDINGS: usize = 1000;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)*) => {
        /// What kind of thing does not fit. Stable; each has a page in docs/errors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingCode { $($(#[$doc])* $variant,)* }

        impl FindingCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as it is printed and documented.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }
        }
    };
}

codes! {
    /// A leaf, or the hash stored beside it, is not what it was.
    LeafChanged = "LEAF_CHANGED",
    /// A body or its salt is not the one that the leaf stands for.
    BodyChanged = "BODY_CHANGED",
    /// Body and salt of an entry are gone, and no entry says that they were erased.
    BodyMissing = "BODY_MISSING",
    /// Entries are gone.
    EntryMissing = "ENTRY_MISSING",
    /// An entry came a second time, or after a later one.
    EntryOutOfOrder = "ENTRY_OUT_OF_ORDER",
    /// A column beside an entry does not say what leaf and body say.
    ColumnChanged = "COLUMN_CHANGED",
    /// A stored tile does not hold the hashes of the entries.
    TileChanged = "TILE_CHANGED",
    /// A full tile is not stored.
    TileMissing = "TILE_MISSING",
    /// The signed head does not stand for these entries.
    HeadWrong = "HEAD_WRONG",
    /// The head is not signed by the expected key, or is of another ledger.
    HeadNotOurs = "HEAD_NOT_OURS",
    /// A row is not as its last entry wrote it.
    RowChanged = "ROW_CHANGED",
    /// A row that an entry wrote is gone, and no entry deleted it.
    RowMissing = "ROW_MISSING",
    /// A row is there that no readable entry wrote.
    RowUnrecorded = "ROW_UNRECORDED",
    /// A blob's content is not what its name says.
    BlobChanged = "BLOB_CHANGED",
    /// A blob that an entry names is gone.
    BlobMissing = "BLOB_MISSING",
    /// Somebody kept a head of a longer ledger than this one.
    RolledBack = "ROLLED_BACK",
    /// Somebody kept a head of another history than this one.
    SplitView = "SPLIT_VIEW",
    /// A warning: an entry is older than the one before it. Clocks are set back; it proves nothing.
    TimeBackwards = "TIME_BACKWARDS",
    /// A warning: a kept head could not be compared.
    AnchorUnused = "ANCHOR_UNUSED",
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where something does not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An entry, by its sequence number.
    Entry(u64),
    /// Entries, from the first to the last.
    Entries {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A tile.
    Tile(TileId),
    /// The signed head.
    Head,
    /// A head that was kept elsewhere, by its size.
    Anchor(u64),
    /// A row.
    Row {
        /// The table.
        table: String,
        /// The key's columns as JSON, in the spelling of row digests.
        key: String,
        /// The entry that wrote it last.
        seq: Option<u64>,
    },
    /// A blob, by the digest that entries name it by.
    Blob(Digest),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(seq) => write!(f, "entry {seq}"),
            Self::Entries { first, last } if first == last => write!(f, "entry {first}"),
            Self::Entries { first, last } => write!(f, "entries {first} to {last}"),
            Self::Tile(id) => write!(f, "tile {id}"),
            Self::Head => f.write_str("the tree head"),
            Self::Anchor(size) => write!(f, "the kept head of {size} entries"),
            Self::Row { table, key, seq: None } => write!(f, "row {key} of {table}"),
            Self::Row { table, key, seq: Some(seq) } => write!(f, "row {key} of {table} (entry {seq})"),
            Self::Blob(digest) => write!(f, "blob {digest}"),
        }
    }
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: FindingCode,
    /// Where.
    pub place: Place,
    /// What is wrong, in words.
    pub message: String,
}

impl Finding {
    /// The entry that it is about, if it is about one.
    pub fn seq(&self) -> Option<u64> {
        match &self.place {
            Place::Entry(seq) | Place::Entries { first: seq, .. } | Place::Row { seq: Some(seq), .. } => Some(*seq),
            _ => None,
        }
    }
}

impl fmt::Display for Finding {
    /// `LEAF_CHANGED at entry 42: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.code, self.place, self.message)
    }
}

/// Findings, at most [`MAX_FINDINGS`] one by one and the rest counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) kept: Vec<Finding>,
    pub(crate) more: u64,
}

impl Findings {
    pub(crate) fn push(&mut self, code: FindingCode, place: Place, message: impl Into<String>) {
        if self.kept.len() < MAX_FINDINGS {
            self.kept.push(Finding { code, place, message: message.into() });
        } else {
            self.more += 1;
        }
    }
}

/// The row as its last entry wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) digest: Digest,
    pub(crate) seq: u64,
}

/// What an audit found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which ledger.
    pub origin: String,
    /// Entries that were read.
    pub entries: u64,
    /// Entries from the first on without a gap; the tree is over these.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The largest kept head that this ledger continues; 0 if there is none.
    pub anchored_size: u64,
    /// Entries whose body and salt were erased.
    pub erased: u64,
    /// Those of them of which an entry says so: the erased one, and the one that says it. In the order of the erased ones.
    pub redactions: Vec<(u64, u64)>,
    /// Those that say so because the entries were older than they are kept.
    pub sweeps: BTreeSet<u64>,
    /// Blobs that entries name, and that no [`StateAudit`](crate::StateAudit) looked at yet.
    pub blobs: HashSet<Digest>,
    /// Rows that were held against the entries, those that are missing included; 0 if no [`StateAudit`](crate::StateAudit) looked.
    pub rows_compared: u64,
    pub(crate) findings: Findings,
    pub(crate) warnings: Findings,
    pub(crate) rows: HashMap<Box<str>, Expected>,
}

impl Report {
    /// What does not fit, in the order in which it was found; at most [`MAX_FINDINGS`].
    pub fn findings(&self) -> &[Finding] {
        &self.findings.kept
    }

    /// How many things do not fit, those that were only counted included.
    pub fn finding_count(&self) -> u64 {
        self.findings.kept.len() as u64 + self.findings.more
    }

    /// What is odd and proves nothing; at most [`MAX_FINDINGS`].
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings.kept
    }

    /// How many things are odd.
    pub fn warning_count(&self) -> u64 {
        self.warnings.kept.len() as u64 + self.warnings.more
    }

    /// Whether everything that was read fits together. This says nothing about entries that no kept head covers: whoever
    /// holds the key could have written those anew.
    pub fn is_consistent(&self) -> bool {
        self.findings.kept.is_empty()
    }

    /// Entries at the end that no kept head vouches for.
    pub fn unanchored(&self) -> u64 {
        self.size.saturating_sub(self.anchored_size)
    }

    /// How many rows the readable entries say that there are, and that no [`StateAudit`](crate::StateAudit) looked at yet.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{FindingCode, Findings, MAX_FINDINGS, Place};

    #[test]
    fn codes_are_different_and_plain() {
        for (n, code) in FindingCode::ALL.iter().enumerate() {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code}");
            assert!(FindingCode::ALL[..n].iter().all(|c| c.as_str() != code.as_str()), "{code} is there twice");
        }
    }

    #[test]
    fn a_finding_reads_alone() {
        let mut findings = Findings::default();
        let row = Place::Row { table: "effect".into(), key: r#"{"id":"a"}"#.into(), seq: Some(4) };
        findings.push(FindingCode::RowChanged, row, "it is not as it was written");
        let expected = r#"ROW_CHANGED at row {"id":"a"} of effect (entry 4): it is not as it was written"#;
        assert_eq!(findings.kept[0].to_string(), expected);
        assert_eq!(findings.kept[0].seq(), Some(4));
        (0..MAX_FINDINGS as u64).for_each(|n| findings.push(FindingCode::LeafChanged, Place::Entry(n), ""));
        assert_eq!((findings.kept.len(), findings.more), (MAX_FINDINGS, 1));
    }
}
