//! Evidence, opened: entries that stand in the ledger, documents with their bytes, and the form of whatever is wrong.
//!
//! ```text
//! open(&file, &key)? ──► (TreeHead, Vec<Entry>)
//! ```
//!
//! Deliberately absent: what the entries mean together.

use serde_json::Value;
use steward_ledger::{Body, Leaf, Salt, TreeHead, tlog_proof};
use steward_seal::{
    Digest,
    json::{self, Limits},
    note::NoteKey,
};
use steward_wire::{EvidenceEntry, EvidenceFile};

/// What a document of a run may be at most.
const DOCUMENT: Limits = Limits { bytes: 16 << 20, depth: 32 };

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where.
    pub(crate) at: String,
    /// What.
    pub(crate) message: String,
}

impl Wrong {
    pub(super) fn at(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into() }
    }

    pub(super) fn entry(seq: u64, message: impl Into<String>) -> Self {
        Self::at(format!("entry {seq}"), message)
    }
}

/// An entry that stands in the ledger.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) leaf: Leaf,
    /// None if it was erased.
    pub(super) body: Option<Body>,
}

impl Entry {
    pub(super) fn kind(&self) -> &str {
        &self.leaf.kind
    }

    /// The body, which must be there for the story to be followed.
    pub(super) fn told(&self) -> Result<&Body, Wrong> {
        let erased = || {
            Wrong::entry(
                self.seq,
                format!("the body of this `{}` was erased, so that nothing shows what it was", self.kind()),
            )
        };
        self.body.as_ref().ok_or_else(erased)
    }

    /// A text of what it says beside.
    pub(super) fn says(&self, name: &str) -> Option<&str> {
        self.body.as_ref()?.detail.get(name)?.as_str()
    }
}

/// A document with its bytes.
pub(super) struct Document<'a> {
    pub(super) kind: &'a str,
    pub(super) digest: Digest,
    pub(super) bytes: Vec<u8>,
}

/// Opens each entry with its own proof. All stand under one head: two could be of two histories.
pub(super) fn open(file: &EvidenceFile, key: &NoteKey) -> Result<(TreeHead, Vec<Entry>), Wrong> {
    let mut head: Option<TreeHead> = None;
    let mut entries: Vec<Entry> = Vec::new();
    for shown in &file.entries {
        let wrong = |message: String| Wrong::entry(shown.seq, message);
        let proved = tlog_proof::verify_offline(shown.proof.as_bytes(), shown.leaf.as_bytes(), key, key.name());
        let proved = proved.map_err(|e| wrong(e.to_string()))?;
        if proved.seq != shown.seq {
            return Err(wrong(format!("its proof is that of entry {}", proved.seq)));
        }
        match &head {
            Some(first) if *first != proved.head => {
                return Err(wrong("it stands under another tree head than the entries before it".to_owned()));
            }
            _ => head = Some(proved.head),
        }
        if let Some(before) = entries.last() {
            if before.seq >= shown.seq {
                return Err(wrong(format!("it comes after entry {}; each is there once, in order", before.seq)));
            }
            if before.leaf.time > proved.leaf.time {
                return Err(wrong(format!("it was recorded before entry {}", before.seq)));
            }
        }
        let body = body_of(shown, &proved.leaf).map_err(wrong)?;
        entries.push(Entry { seq: shown.seq, leaf: proved.leaf, body });
    }
    let head = head.ok_or_else(|| Wrong::at("entries", "there are none"))?;
    Ok((head, entries))
}

fn body_of(shown: &EvidenceEntry, leaf: &Leaf) -> Result<Option<Body>, String> {
    let (Some(salt), Some(body)) = (&shown.salt, &shown.body) else {
        let one = shown.salt.is_some() || shown.body.is_some();
        let message = "of body and salt it has only one, so that nothing can be said of either";
        return if one { Err(message.to_owned()) } else { Ok(None) };
    };
    let mut bytes = [0; 32];
    hex::decode_to_slice(salt, &mut bytes).map_err(|_| "its salt is not 32 bytes in hexadecimal")?;
    if !leaf.is_of(&Salt(bytes), body.as_bytes()) {
        return Err("body and salt do not fit the leaf: one of them was changed".to_owned());
    }
    Body::decode(body.as_bytes()).map(Some).map_err(|e| e.to_string())
}

impl Document<'_> {
    pub(super) fn at(&self) -> String {
        format!("document {} ({})", self.kind, self.digest)
    }

    /// Its JSON.
    pub(super) fn value(&self) -> Result<Value, Wrong> {
        json::value(&self.bytes, DOCUMENT).map_err(|e| Wrong::at(self.at(), format!("it cannot be read: {e}")))
    }
}
