//! What a run leaves, checked with nothing but the file and a verifier key.
//!
//! ```text
//! examine(&file, &key, remembered) ──► Examination { proven, wrong, not_proven, … }
//! ```
//!
//! The steps are taken in order, and the first thing that is wrong ends it: what comes after could not be relied upon.
//!
//! Deliberately absent: files, and where the key comes from (`verbs/evidence.rs`). The key in the file is not looked at.

mod package;
mod read;
mod story;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use steward_ledger::TreeHead;
use steward_seal::{Digest, note::NoteKey};
use steward_wire::{EVIDENCE_FORMAT, EvidenceFile};

pub(crate) use read::Wrong;
use read::{Document, Entry, open};

/// The kinds of documents, which are also the names that entries call them by.
const DOCUMENTS: [&str; 5] = ["packet", PLAN, "package", "report", "handoff"];

/// An agent may submit several, until one is approved.
const PLAN: &str = "plan";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Examination {
    /// The tree head that everything stands under.
    pub(crate) head: Option<TreeHead>,
    /// What is proven, in words.
    pub(crate) proven: Vec<String>,
    /// What is not, in words.
    pub(crate) not_proven: Vec<String>,
    /// The first thing that is wrong.
    pub(crate) wrong: Option<Wrong>,
    /// How many artifacts the evidence package lists.
    pub(crate) artifacts: usize,
}

/// Checks an evidence file: that its entries stand in the ledger whose heads `key` signs, that they are the whole story of the
/// run, and that its documents and artifacts are the ones that they name. `remembered` is a head of that ledger that was seen
/// before.
pub(crate) fn examine(file: &EvidenceFile, key: &NoteKey, remembered: Option<&TreeHead>) -> Examination {
    let mut examination = Examination::default();
    if let Err(wrong) = take_steps(file, key, remembered, &mut examination) {
        examination.wrong = Some(wrong);
    }
    examination
}

fn take_steps(
    file: &EvidenceFile,
    key: &NoteKey,
    remembered: Option<&TreeHead>,
    found: &mut Examination,
) -> Result<(), Wrong> {
    if file.format != EVIDENCE_FORMAT {
        return Err(Wrong::at(
            "format",
            format!("it is `{}`, and this program reads `{EVIDENCE_FORMAT}`", file.format),
        ));
    }
    let (head, entries) = open(file, key)?;
    if let Some(seen) = remembered
        && seen.size == head.size
        && seen.root != head.root
    {
        let message =
            format!("SPLIT VIEW: another tree head of {} entries was seen before, with another root", head.size);
        return Err(Wrong::at("tree head", message));
    }
    let TreeHead { origin, size, root } = &head;
    found.proven.push(format!(
        "{} entries stand in the ledger `{origin}`, under one signed tree head of {size} entries (root {}), and say what they \
         said when they were recorded",
        entries.len(),
        root.to_base64()
    ));
    found.head = Some(head);
    belong(file, &entries)?;
    found.proven.push(story::follow(file, &entries)?);
    let documents = documents(file, &entries)?;
    let kinds: Vec<&str> = documents.iter().map(|document| document.kind).collect();
    found.proven.push(format!("{} documents are the ones that these entries name: {}", kinds.len(), kinds.join(", ")));
    found.proven.push(story::packet_fits(file, &documents)?);
    match package::fits(file, &entries, &documents)? {
        Some((artifacts, says)) => {
            found.artifacts = artifacts;
            found.proven.push(says);
        }
        None => found.not_proven.push("what it made: the run did not come as far as an evidence package".to_owned()),
    }
    found.not_proven.extend(open_questions(&entries));
    Ok(())
}

/// Every entry is of this run.
fn belong(file: &EvidenceFile, entries: &[Entry]) -> Result<(), Wrong> {
    let run = &file.run;
    for entry in entries {
        let Some(body) = &entry.body else { continue };
        let trace = body.trace.as_ref().map_or("", |trace| trace.as_str());
        if trace != run.trace {
            return Err(Wrong::entry(
                entry.seq,
                format!("it is not of this run: its trace is `{trace}`, not `{}`", run.trace),
            ));
        }
        if entry.kind().starts_with("run.") && body.subject != run.id {
            return Err(Wrong::entry(entry.seq, format!("it is about `{}`, and not about this run", body.subject)));
        }
    }
    Ok(())
}

/// What entries call a document of a kind by: its digest, of a handoff also beside its id.
fn names<'a>(entry: &'a Entry, kind: &str) -> Option<&'a str> {
    let said = entry.body.as_ref()?.detail.get(kind)?;
    said.as_str().or_else(|| said["digest"].as_str()).filter(|name| name.starts_with("sha256:"))
}

/// Every document is what an entry names, and what they name is there: of plans the last, which is the one that was followed.
fn documents<'a>(file: &'a EvidenceFile, entries: &[Entry]) -> Result<Vec<Document<'a>>, Wrong> {
    let mut named: BTreeMap<&str, Vec<(u64, &str)>> = BTreeMap::new();
    for kind in DOCUMENTS {
        let names = entries.iter().filter_map(|entry| Some((entry.seq, names(entry, kind)?)));
        named.insert(kind, names.collect());
    }
    let mut documents: Vec<Document<'a>> = Vec::new();
    for document in &file.documents {
        let at = format!("document {} ({})", document.kind, document.digest);
        let wrong = |message: &str| Wrong::at(at.as_str(), message);
        let bytes = STANDARD.decode(&document.bytes).map_err(|_| wrong("its bytes are not base 64"))?;
        let digest = Digest::of(&bytes);
        if digest.to_string() != document.digest {
            return Err(wrong(&format!("its bytes have another digest, {digest}: they were changed")));
        }
        let of_kind = named.get(document.kind.as_str()).ok_or_else(|| wrong("no run has such a document"))?;
        if documents.iter().any(|other| other.kind == document.kind && other.digest == digest) {
            return Err(wrong("it is there twice"));
        }
        if !of_kind.iter().any(|(_, name)| *name == document.digest) {
            return Err(wrong("no entry of the run names it"));
        }
        documents.push(Document { kind: &document.kind, digest, bytes });
    }
    for (kind, mut names) in named {
        if kind == PLAN {
            names.drain(..names.len().saturating_sub(1));
        }
        let is_there = |name: &str| documents.iter().any(|d| d.kind == kind && d.digest.to_string() == name);
        if let Some((seq, name)) = names.iter().find(|(_, name)| !is_there(name)) {
            return Err(Wrong::entry(*seq, format!("it names the {kind} {name}, which is missing")));
        }
    }
    Ok(documents)
}

/// What no file can show.
fn open_questions(entries: &[Entry]) -> Vec<String> {
    let mut open = Vec::new();
    let erased = entries.iter().filter(|entry| entry.body.is_none()).count();
    if erased > 0 {
        open.push(format!("what {erased} of the entries said: their bodies were erased"));
    }
    if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
        let between = (last.seq - first.seq + 1) - entries.len() as u64;
        if between > 0 {
            open.push(format!(
                "that no entry of the run was left out: {between} of the ledger's entries between {} and {} are not here, and \
                 are others' as far as the node says",
                first.seq, last.seq
            ));
        }
    }
    open.push(
        "what the run's summary says beyond that: its tier, version, sandbox, fence, number of errors and times; and the node's identity"
            .to_owned(),
    );
    open.push("what the artifacts say: this file has their digests, not their bytes".to_owned());
    open
}

#[cfg(test)]
mod tests;
