//! Reads a whole ledger again, entry by entry, and says what does not fit.
//!
//! ```text
//! audit = Audit::new(key, origin)      the key and origin that the reader knows, not those that the store says
//! audit.anchor(head) …                 heads that others kept, before the first entry
//! audit.entry(stored) …                every entry, in order
//! audit.tile(id, bytes) …              every stored tile; best in turn with the entries
//! audit.finish(head) → Report          and StateAudit::new(report) for the rows
//! ```
//!
//! An entry is checked against itself (leaf, hash, keyed hash of the body, spelling, mirrored columns), against its place
//! (sequence, tiles), and all of them against the signed head and the kept ones. Memory: a digest for each row that is
//! there, what is left of each erased entry, 32 bytes for each entry whose tile was not given yet, and [`MAX_FINDINGS`](crate::MAX_FINDINGS).
//!
//! Deliberately absent: reading the store (it drives this), and a verdict.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::Entry};

use steward_clock::Timestamp;
use steward_naming::visible;
use steward_seal::{Sealed, note::NoteKey};

use crate::{
    body::{Body, Columns},
    edge::Edge,
    hash::{Hash, leaf_hash},
    head::{self, HeadError, TreeHead},
    kind,
    leaf::{Leaf, Salt},
    redaction::Redaction,
    report::{Expected, FindingCode, Findings, Place, Report},
    row::RowDigest,
    tile::{HASH_BYTES, TileId},
};

/// An entry as the store keeps it. Nothing in it is believed.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Its sequence number, counted from 0.
    pub seq: u64,
    /// The leaf's bytes.
    pub leaf: &'a [u8],
    /// The hash that is kept beside the leaf.
    pub leaf_hash: &'a [u8],
    /// The salt; none if it was erased.
    pub salt: Option<&'a [u8]>,
    /// The body; none if it was erased.
    pub body: Option<&'a [u8]>,
    /// The mirrored columns. Not looked at when only hashes are verified.
    pub columns: Columns<'a>,
}

/// What is left of an entry whose body is gone.
#[derive(Debug)]
struct Left {
    time: Timestamp,
    kind: String,
    namespace: String,
    actor: String,
    subject: String,
    action: Option<String>,
    decision: Option<String>,
    decision_id: Option<String>,
    trace: Option<String>,
}

impl Left {
    /// Time and kind are the leaf's: they were compared with it.
    fn of(leaf: &Leaf, found: &Columns<'_>) -> Self {
        let word = |text: Option<&str>| text.map(str::to_owned);
        Self {
            time: leaf.time,
            kind: leaf.kind.clone(),
            namespace: found.namespace.to_owned(),
            actor: found.actor.to_owned(),
            subject: found.subject.to_owned(),
            action: word(found.action),
            decision: word(found.decision),
            decision_id: word(found.decision_id),
            trace: word(found.trace),
        }
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            time: self.time,
            kind: &self.kind,
            namespace: &self.namespace,
            actor: &self.actor,
            subject: &self.subject,
            action: self.action.as_deref(),
            decision: self.decision.as_deref(),
            decision_id: self.decision_id.as_deref(),
            trace: self.trace.as_deref(),
        }
    }
}

/// An audit under way.
#[derive(Debug)]
pub struct Audit {
    key: NoteKey,
    origin: String,
    hashes_only: bool,
    /// The tree over the entries until the first gap.
    edge: Edge,
    /// Sequence number of the next entry.
    next: u64,
    entries: u64,
    /// No entry was missing so far, so that the tree can still be compared.
    whole: bool,
    /// Roots of kept heads that were not reached yet, by size.
    anchors: BTreeMap<u64, Vec<Hash>>,
    anchored_size: u64,
    /// Tiles that the entries make and that were not given yet.
    made: BTreeMap<TileId, Vec<u8>>,
    /// Tiles that were given before their entries.
    given: BTreeMap<TileId, Vec<u8>>,
    /// Kept between calls, so that appending allocates tiles only.
    full: Vec<(TileId, Vec<u8>)>,
    last_time: Timestamp,
    erased: BTreeMap<u64, Left>,
    /// What entries say of others that were erased, by these.
    redactions: BTreeMap<u64, (u64, Redaction)>,
    /// Those of these that say so because the entries were older than they are kept.
    sweeps: BTreeSet<u64>,
    rows: HashMap<Box<str>, Expected>,
    blobs: HashSet<steward_seal::Digest>,
    findings: Findings,
    warnings: Findings,
}

impl Audit {
    /// An audit of the ledger `origin`, whose heads are signed by `key`.
    pub fn new(key: NoteKey, origin: &str) -> Self {
        Self {
            key,
            origin: origin.to_owned(),
            hashes_only: false,
            edge: Edge::new(),
            next: 0,
            entries: 0,
            whole: true,
            anchors: BTreeMap::new(),
            anchored_size: 0,
            made: BTreeMap::new(),
            given: BTreeMap::new(),
            full: Vec::new(),
            last_time: Timestamp::MIN,
            erased: BTreeMap::new(),
            redactions: BTreeMap::new(),
            sweeps: BTreeSet::new(),
            rows: HashMap::new(),
            blobs: HashSet::new(),
            findings: Findings::default(),
            warnings: Findings::default(),
        }
    }

    /// The same audit without a look into leaves and bodies: that the hashes, tiles and heads fit, and nothing else.
    #[must_use]
    pub fn hashes_only(self) -> Self {
        Self { hashes_only: true, ..self }
    }

    /// Whether only hashes are verified, so that neither bodies nor columns need be read.
    pub fn is_hashes_only(&self) -> bool {
        self.hashes_only
    }

    /// A head that was kept elsewhere: this ledger must be a continuation of it. Before the first entry.
    pub fn anchor(&mut self, head: &Sealed<TreeHead>) {
        let TreeHead { origin, size, root } = head.get();
        if *origin != self.origin {
            let message = format!("it is a head of the ledger `{}`, not of this one", visible(origin));
            self.findings.push(FindingCode::HeadNotOurs, Place::Anchor(*size), message);
        } else if self.entries > 0 {
            let message = "it was given after the first entry, and was not compared";
            self.warnings.push(FindingCode::AnchorUnused, Place::Anchor(*size), message);
        } else if *size > 0 {
            self.anchors.entry(*size).or_default().push(*root);
        }
    }

    /// The next entry.
    pub fn entry(&mut self, stored: Stored<'_>) {
        let seq = stored.seq;
        self.entries += 1;
        if seq < self.next {
            let message = "it came a second time, or after a later one";
            return self.findings.push(FindingCode::EntryOutOfOrder, Place::Entry(seq), message);
        }
        if seq > self.next {
            let place = Place::Entries { first: self.next, last: seq - 1 };
            let message = "they are gone; tiles, heads and kept heads beyond them cannot be compared";
            self.findings.push(FindingCode::EntryMissing, place, message);
            self.whole = false;
        }
        self.next = seq.saturating_add(1);
        let hash = leaf_hash(stored.leaf);
        if stored.leaf_hash != hash.0 {
            let message = "the stored leaf hash is not the hash of the stored leaf";
            self.findings.push(FindingCode::LeafChanged, Place::Entry(seq), message);
        }
        if self.whole {
            self.grow(hash);
        }
        if !self.hashes_only {
            self.read(&stored);
        }
    }

    fn grow(&mut self, leaf: Hash) {
        self.edge.append(leaf, &mut self.full);
        for (id, made) in self.full.drain(..) {
            match self.given.remove(&id) {
                Some(given) => compare_tile(&mut self.findings, id, &made, &given),
                None => {
                    self.made.insert(id, made);
                }
            }
        }
        let size = self.edge.size();
        if self.anchors.first_key_value().is_some_and(|(anchor, _)| *anchor == size) {
            let root = self.edge.root();
            for kept in self.anchors.remove(&size).unwrap_or_default() {
                if kept == root {
                    self.anchored_size = size;
                } else {
                    let message = format!("its root is {kept}, and that of the first {size} entries here is {root}");
                    self.findings.push(FindingCode::SplitView, Place::Anchor(size), message);
                }
            }
        }
    }

    fn read(&mut self, stored: &Stored<'_>) {
        let place = Place::Entry(stored.seq);
        let leaf = match Leaf::decode(stored.leaf) {
            Ok(leaf) => leaf,
            Err(e) => return self.findings.push(FindingCode::LeafChanged, place, e.to_string()),
        };
        if leaf.time < self.last_time {
            let message = format!("its time {} is before {} of the entry before", leaf.time, self.last_time);
            self.warnings.push(FindingCode::TimeBackwards, place.clone(), message);
        }
        self.last_time = leaf.time;
        let (salt, bytes) = match (stored.salt, stored.body) {
            (Some(salt), Some(body)) => (salt, body),
            (None, None) => {
                // What is left to compare now is what the leaf says; the rest, when it is known who erased it.
                let said = Columns { time: leaf.time, kind: &leaf.kind, ..stored.columns };
                self.compare_columns(stored.seq, &stored.columns, &said);
                self.erased.insert(stored.seq, Left::of(&leaf, &stored.columns));
                return;
            }
            (salt, _) => {
                let gone = if salt.is_none() { "salt" } else { "body" };
                let message = format!("its {gone} is gone; both are erased together or not at all");
                return self.findings.push(FindingCode::BodyChanged, place, message);
            }
        };
        let fits = salt.try_into().is_ok_and(|salt| leaf.is_of(&Salt(salt), bytes));
        if !fits {
            let message = "body and salt are not those that the leaf stands for";
            return self.findings.push(FindingCode::BodyChanged, place, message);
        }
        match Body::decode(bytes) {
            Err(e) => self.findings.push(FindingCode::BodyChanged, place, format!("it was recorded, but {e}")),
            Ok(body) => {
                self.compare_columns(stored.seq, &stored.columns, &body.columns(&leaf.kind, leaf.time));
                for redaction in Redaction::all(&leaf.kind, &body).into_iter().filter(|one| one.entry < stored.seq) {
                    if leaf.kind == kind::LEDGER_SWEPT {
                        self.sweeps.insert(stored.seq);
                    }
                    self.redactions.insert(redaction.entry, (stored.seq, redaction));
                }
                self.remember(stored.seq, body);
            }
        }
    }

    fn compare_columns(&mut self, seq: u64, found: &Columns<'_>, said: &Columns<'_>) {
        if found == said {
            return;
        }
        let mut compare = |column: &str, found: Option<&str>, said: Option<&str>| {
            if found != said {
                let word = |text: Option<&str>| text.map_or("nothing".to_owned(), |t| format!("`{}`", visible(t)));
                let message = format!("column {column} says {}, and the entry says {}", word(found), word(said));
                self.findings.push(FindingCode::ColumnChanged, Place::Entry(seq), message);
            }
        };
        compare("time", Some(&found.time.to_string()), Some(&said.time.to_string()));
        compare("kind", Some(found.kind), Some(said.kind));
        compare("namespace", Some(found.namespace), Some(said.namespace));
        compare("actor", Some(found.actor), Some(said.actor));
        compare("subject", Some(found.subject), Some(said.subject));
        compare("action", found.action, said.action);
        compare("decision", found.decision, said.decision);
        compare("decision_id", found.decision_id, said.decision_id);
        compare("trace", found.trace, said.trace);
    }

    fn remember(&mut self, seq: u64, body: Body) {
        for row in &body.rows {
            let place = RowDigest::place(&row.table, &row.key).into_boxed_str();
            match (row.digest, self.rows.entry(place)) {
                (Some(digest), Entry::Occupied(mut row)) => *row.get_mut() = Expected { digest, seq },
                (Some(digest), Entry::Vacant(row)) => {
                    row.insert(Expected { digest, seq });
                }
                (None, Entry::Occupied(row)) => {
                    row.remove();
                }
                (None, Entry::Vacant(_)) => {}
            }
        }
        self.blobs.extend(body.blobs);
    }

    /// A stored tile. Only full ones are stored.
    pub fn tile(&mut self, id: TileId, bytes: &[u8]) {
        if !id.is_full() {
            self.findings.push(
                FindingCode::TileChanged,
                Place::Tile(id),
                "it is partial, and only full tiles are kept",
            );
        } else if let Some(made) = self.made.remove(&id) {
            compare_tile(&mut self.findings, id, &made, bytes);
        } else {
            self.given.insert(id, bytes.to_vec());
        }
    }

    /// The end of the ledger, and the signed head that the store keeps, if there is one.
    pub fn finish(mut self, head: Option<&[u8]>) -> Report {
        for id in self.made.keys() {
            self.findings.push(FindingCode::TileMissing, Place::Tile(*id), "the entries make it, and it is not stored");
        }
        // After a gap nobody knows which tiles the entries would make.
        for id in self.given.keys().filter(|_| self.whole) {
            self.findings.push(FindingCode::TileChanged, Place::Tile(*id), "it is stored, and no entries make it");
        }
        let erased = self.erased.len() as u64;
        let redactions = self.compare_erased();
        match head {
            Some(head) => self.compare_head(head),
            None => self.findings.push(FindingCode::HeadWrong, Place::Head, "there is none"),
        }
        let size = self.edge.size();
        for anchor in self.anchors.keys() {
            if self.whole {
                let message = format!("this ledger ends after {size} entries: the later ones were taken away");
                self.findings.push(FindingCode::RolledBack, Place::Anchor(*anchor), message);
            } else {
                let message = "entries before it are missing, so that it could not be compared";
                self.warnings.push(FindingCode::AnchorUnused, Place::Anchor(*anchor), message);
            }
        }
        Report {
            origin: self.origin,
            entries: self.entries,
            size,
            root: self.edge.root(),
            anchored_size: self.anchored_size,
            erased,
            redactions,
            sweeps: self.sweeps,
            blobs: self.blobs,
            findings: self.findings,
            warnings: self.warnings,
            rows_compared: 0,
            rows: self.rows,
        }
    }

    /// Holds what is left of erased entries against those that say so.
    fn compare_erased(&mut self) -> Vec<(u64, u64)> {
        let mut redactions = Vec::new();
        for (seq, left) in std::mem::take(&mut self.erased) {
            match self.redactions.remove(&seq) {
                None => {
                    let message = "its body and salt are gone, and no entry says that they were erased";
                    self.findings.push(FindingCode::BodyMissing, Place::Entry(seq), message);
                }
                Some((by, redaction)) => {
                    let found = left.columns();
                    self.compare_columns(seq, &found, &redaction.columns(&found));
                    redactions.push((seq, by));
                }
            }
        }
        redactions
    }

    fn compare_head(&mut self, bytes: &[u8]) {
        let mut found = |code, message: String| self.findings.push(code, Place::Head, message);
        let head = match head::open(bytes, &self.key, &self.origin) {
            Ok(head) => head.into_inner(),
            Err(e @ (HeadError::Note(_) | HeadError::OtherOrigin { .. })) => {
                return found(FindingCode::HeadNotOurs, e.to_string());
            }
            Err(e @ HeadError::Malformed(_)) => return found(FindingCode::HeadWrong, e.to_string()),
        };
        if head.size > self.next {
            let place = Place::Entries { first: self.next, last: head.size - 1 };
            let message = format!("the signed head is one of {} entries, and these are gone from the end", head.size);
            return self.findings.push(FindingCode::EntryMissing, place, message);
        }
        if !self.whole {
            return;
        }
        let (size, root) = (self.edge.size(), self.edge.root());
        if head.size < size {
            found(
                FindingCode::HeadWrong,
                format!("it covers {} entries of {size}: the others were never signed for", head.size),
            );
        } else if head.root != root {
            found(FindingCode::HeadWrong, format!("its root is {}, and that of the entries is {root}", head.root));
        }
    }
}

/// Says which hash of a tile differs.
fn compare_tile(findings: &mut Findings, id: TileId, made: &[u8], given: &[u8]) {
    if made == given {
        return;
    }
    let message = if made.len() == given.len() {
        let n = made.iter().zip(given).take_while(|(a, b)| a == b).count() / HASH_BYTES;
        let below = id.index.saturating_mul(256).saturating_add(n as u64);
        match id.level {
            0 => format!("hash {n} is not that of entry {below}: the tile or the entry was changed"),
            level => format!("hash {n} is not that of tile {}", TileId::full(level - 1, below)),
        }
    } else {
        format!("it has {} bytes instead of {}", given.len(), made.len())
    };
    findings.push(FindingCode::TileChanged, Place::Tile(id), message);
}

#[cfg(test)]
mod tests;
