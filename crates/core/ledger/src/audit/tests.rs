//! A ledger is made, one thing in it is changed, and the audit must name it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use steward_clock::Timestamp;
use steward_seal::{Digest, note::NoteKey};

use super::{Audit, Stored};
use crate::{
    body::{Body, Columns},
    edge::Edge,
    hash::leaf_hash,
    head::{
        self, TreeHead,
        tests::{ORIGIN, key, note_key},
    },
    kind,
    leaf::{Leaf, Salt},
    redaction::Redaction,
    report::{FindingCode as Code, MAX_FINDINGS, Place, Report},
    row::{Cell, Columns as Row, RowDigest},
    state::StateAudit,
    tile::TileId,
};

/// An entry as a store's table has it.
#[derive(Clone)]
struct Entry {
    seq: u64,
    leaf: Vec<u8>,
    leaf_hash: Vec<u8>,
    salt: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
    time: Timestamp,
    kind: String,
    actor: String,
    subject: String,
    trace: Option<String>,
}

/// A whole store.
#[derive(Clone)]
struct Ledger {
    entries: Vec<Entry>,
    tiles: BTreeMap<TileId, Vec<u8>>,
    head: Option<String>,
    rows: BTreeMap<i64, Row>,
}

const BLOB: &[u8] = b"a blob";

fn time(n: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000).plus_ms(n)
}

fn row_key(id: i64) -> Row {
    [("id".to_owned(), Cell::Int(id))].into()
}

fn row(id: i64, seq: u64) -> Row {
    let seq = i64::try_from(seq).expect("small");
    [("id".to_owned(), Cell::Int(id)), ("entry_seq".to_owned(), Cell::Int(seq))].into()
}

/// Entry `n` writes row `n % 100`; every 50th deletes row 7 instead.
fn body(n: u64) -> Body {
    let mut body = Body::by_node("acme.internal", &format!("subject-{n}"));
    body.rows = if n % 50 == 49 {
        vec![RowDigest::of("t", row_key(7), None)]
    } else {
        let id = i64::try_from(n % 100).expect("small");
        vec![RowDigest::of("t", row_key(id), Some(&row(id, n)))]
    };
    if n == 3 {
        body.blobs.push(Digest::of(BLOB));
    }
    body
}

fn entry(n: u64, body: &Body) -> Entry {
    entry_of(n, kind::ACTION_SETTLED, body)
}

fn entry_of(n: u64, kind: &str, body: &Body) -> Entry {
    let salt = Salt([u8::try_from(n % 251).expect("small"); 32]);
    let bytes = body.encode().expect("encodes");
    let leaf = Leaf { time: time(n), kind: kind.to_owned(), body: salt.mac(&bytes) }.encode();
    Entry {
        seq: n,
        leaf_hash: leaf_hash(&leaf).0.to_vec(),
        leaf,
        salt: Some(salt.0.to_vec()),
        body: Some(bytes),
        time: time(n),
        kind: kind.to_owned(),
        actor: body.actor.name.clone(),
        subject: body.subject.clone(),
        trace: None,
    }
}

fn signed(size: u64, edge: &Edge) -> String {
    TreeHead { origin: ORIGIN.to_owned(), size, root: edge.root() }.sign(&key(1)).expect("signs")
}

impl Ledger {
    /// Erases an entry, and records that.
    fn redact(&mut self, n: usize) {
        let seq = self.entries.len() as u64;
        let erased = &mut self.entries[n];
        (erased.salt, erased.body) = (None, None);
        erased.subject.clear();
        erased.actor.clear();
        let redaction = Redaction {
            entry: erased.seq,
            namespace: "acme.internal".to_owned(),
            action: None,
            decision: None,
            decision_id: None,
            trace: erased.trace.clone(),
        };
        let mut body = Body::by_node("acme.internal", "an erasure");
        redaction.write(&mut body.detail);
        self.entries.push(entry_of(seq, kind::LEDGER_REDACTED, &body));
        *self = self.clone().sealed();
    }

    fn of(size: u64) -> Self {
        let mut rows = BTreeMap::new();
        for n in 0..size {
            let id = i64::try_from(n % 100).expect("small");
            if n % 50 == 49 {
                rows.remove(&7)
            } else {
                rows.insert(id, row(id, n))
            };
        }
        let entries = (0..size).map(|n| entry(n, &body(n))).collect();
        Self { entries, tiles: BTreeMap::new(), head: None, rows }.sealed()
    }

    /// Tiles and head made anew, as somebody with the key can.
    fn sealed(mut self) -> Self {
        let (mut edge, mut tiles) = (Edge::new(), Vec::new());
        for entry in &mut self.entries {
            entry.leaf_hash = leaf_hash(&entry.leaf).0.to_vec();
            edge.append(leaf_hash(&entry.leaf), &mut tiles);
        }
        self.tiles = tiles.into_iter().collect();
        self.head = Some(signed(edge.size(), &edge));
        self
    }

    /// The head of the first `size` entries.
    fn head_at(&self, size: usize) -> String {
        let mut edge = Edge::new();
        self.entries[..size].iter().for_each(|e| edge.append(leaf_hash(&e.leaf), &mut Vec::new()));
        signed(size as u64, &edge)
    }

    fn audit(&self, mut audit: Audit) -> Report {
        for entry in &self.entries {
            audit.entry(Stored {
                seq: entry.seq,
                leaf: &entry.leaf,
                leaf_hash: &entry.leaf_hash,
                salt: entry.salt.as_deref(),
                body: entry.body.as_deref(),
                columns: Columns {
                    time: entry.time,
                    kind: &entry.kind,
                    namespace: "acme.internal",
                    actor: &entry.actor,
                    subject: &entry.subject,
                    action: None,
                    decision: None,
                    decision_id: None,
                    trace: entry.trace.as_deref(),
                },
            });
        }
        self.tiles.iter().for_each(|(id, bytes)| audit.tile(*id, bytes));
        audit.finish(self.head.as_deref().map(str::as_bytes))
    }

    fn findings(&self) -> Vec<(Code, Place)> {
        found(&self.audit(new()))
    }

    fn state(&self) -> StateAudit {
        let mut state = StateAudit::new(self.audit(new()));
        self.rows.iter().for_each(|(id, row)| state.row("t", &row_key(*id), row));
        state
    }
}

fn new() -> Audit {
    Audit::new(note_key(1), ORIGIN)
}

fn found(report: &Report) -> Vec<(Code, Place)> {
    report.findings().iter().map(|f| (f.code, f.place.clone())).collect()
}

/// What the audit finds after `change`, on a ledger of 600 entries.
fn after(change: impl FnOnce(&mut Ledger)) -> Vec<(Code, Place)> {
    let mut ledger = Ledger::of(600);
    change(&mut ledger);
    ledger.findings()
}

fn tile(level: u8, index: u64) -> Place {
    Place::Tile(TileId::full(level, index))
}

#[test]
fn a_ledger_that_nobody_touched() {
    for size in [1, 255, 256, 257, 600] {
        let ledger = Ledger::of(size);
        let report = ledger.audit(new());
        assert_eq!(found(&report), [], "size {size}");
        assert!(report.is_consistent() && report.warnings().is_empty());
        assert_eq!((report.entries, report.size, report.erased), (size, size, 0));
        assert_eq!((report.anchored_size, report.unanchored()), (0, size), "no kept head vouches for anything");
        assert_eq!(report.row_count(), ledger.rows.len());
        let hashes = ledger.audit(new().hashes_only());
        assert_eq!((found(&hashes), hashes.root, hashes.row_count()), (vec![], report.root, 0));
        assert_eq!(report.rows_compared, 0, "nobody showed a row yet");
        let compared = ledger.state().finish();
        assert_eq!((found(&compared), compared.rows_compared), (vec![], ledger.rows.len() as u64));
    }
}

#[test]
fn every_byte_of_an_entry_is_guarded() {
    let ledger = Ledger::of(4);
    for at in 0..ledger.entries[2].leaf.len() {
        let mut ledger = ledger.clone();
        ledger.entries[2].leaf[at] ^= 1;
        let findings = ledger.findings();
        assert!(findings.contains(&(Code::LeafChanged, Place::Entry(2))), "byte {at}: {findings:?}");
        assert!(findings.contains(&(Code::HeadWrong, Place::Head)), "byte {at}: {findings:?}");
        assert_eq!(found(&ledger.audit(new().hashes_only())), [findings[0].clone(), (Code::HeadWrong, Place::Head)]);
    }
    let guarded = |change: &dyn Fn(&mut Entry) -> &mut u8, code| {
        let mut ledger = ledger.clone();
        *change(&mut ledger.entries[2]) ^= 1;
        assert_eq!(ledger.findings(), [(code, Place::Entry(2))]);
    };
    for at in 0..32 {
        guarded(&|e| &mut e.leaf_hash[at], Code::LeafChanged);
        guarded(&|e| &mut e.salt.as_mut().expect("there")[at], Code::BodyChanged);
    }
    for at in 0..ledger.entries[2].body.as_ref().expect("there").len() {
        guarded(&|e| &mut e.body.as_mut().expect("there")[at], Code::BodyChanged);
    }
}

#[test]
fn a_leaf_changed_with_its_hash_is_named_by_its_tile() {
    let change = |ledger: &mut Ledger| {
        let forged = entry(300, &body(301));
        ledger.entries[300] = forged;
        ledger.entries[300].seq = 300;
    };
    let mut ledger = Ledger::of(600);
    change(&mut ledger);
    let report = ledger.audit(new());
    assert_eq!(found(&report), [(Code::TileChanged, tile(0, 1)), (Code::HeadWrong, Place::Head)]);
    assert!(report.findings()[0].message.contains("entry 300"), "{}", report.findings()[0]);
}

#[test]
fn columns_are_held_against_the_entry() {
    let entry = |change: fn(&mut Entry)| after(|l| change(&mut l.entries[5]));
    let expected = [(Code::ColumnChanged, Place::Entry(5))];
    assert_eq!(entry(|e| e.subject.push('x')), expected);
    assert_eq!(entry(|e| e.kind = kind::ACTION_REFUSED.to_owned()), expected);
    assert_eq!(entry(|e| e.time = e.time.plus_ms(1)), expected);
    assert_eq!(entry(|e| e.trace = Some("trc_1".to_owned())), expected);
    let mut ledger = Ledger::of(6);
    ledger.entries[5].subject = "\u{202e}x".to_owned();
    let message = ledger.audit(new()).findings()[0].to_string();
    assert_eq!(message, r"COLUMN_CHANGED at entry 5: column subject says `\u{202e}x`, and the entry says `subject-5`");
}

#[test]
fn missing_entries_are_named() {
    let gap = after(|l| drop(l.entries.drain(100..110)));
    // From the gap on nothing is made, so that no tile can be missing or compared.
    assert_eq!(gap, [(Code::EntryMissing, Place::Entries { first: 100, last: 109 })]);
    let tail = after(|l| l.entries.truncate(590));
    assert_eq!(tail, [(Code::EntryMissing, Place::Entries { first: 590, last: 599 })]);
    let first = after(|l| drop(l.entries.remove(0)));
    assert_eq!(first, [(Code::EntryMissing, Place::Entries { first: 0, last: 0 })]);
    let everything = after(|l| {
        l.entries.clear();
        l.tiles.clear();
    });
    assert_eq!(everything, [(Code::EntryMissing, Place::Entries { first: 0, last: 599 })]);
    let twice = after(|l| l.entries.insert(6, l.entries[5].clone()));
    assert_eq!(twice, [(Code::EntryOutOfOrder, Place::Entry(5))]);
    // Sequence numbers closed up again: the tree is another one.
    let closed = after(|l| {
        l.entries.remove(599);
        l.entries.remove(10);
        (0_u64..).zip(&mut l.entries).for_each(|(n, e)| e.seq = n);
    });
    assert!(closed.contains(&(Code::EntryMissing, Place::Entries { first: 598, last: 599 })), "{closed:?}");
    assert!(closed.contains(&(Code::TileChanged, tile(0, 0))), "{closed:?}");
}

#[test]
fn tiles_are_held_against_the_entries() {
    let id = TileId::full(0, 1);
    assert_eq!(after(|l| l.tiles.get_mut(&id).expect("there")[8191] ^= 1), [(Code::TileChanged, tile(0, 1))]);
    assert_eq!(after(|l| l.tiles.get_mut(&id).expect("there").truncate(8160)), [(Code::TileChanged, tile(0, 1))]);
    assert_eq!(after(|l| drop(l.tiles.remove(&id))), [(Code::TileMissing, tile(0, 1))]);
    let invented = after(|l| drop(l.tiles.insert(TileId::full(1, 0), vec![0; 8192])));
    assert_eq!(invented, [(Code::TileChanged, tile(1, 0))]);
    let partial = TileId { width: 88, ..TileId::full(0, 2) };
    assert_eq!(after(|l| drop(l.tiles.insert(partial, vec![0; 2816]))), [(Code::TileChanged, Place::Tile(partial))]);
    // Tiles before entries, as well.
    let mut ledger = Ledger::of(600);
    let mut audit = new();
    ledger.tiles.get_mut(&id).expect("there")[32] ^= 1;
    std::mem::take(&mut ledger.tiles).iter().for_each(|(id, bytes)| audit.tile(*id, bytes));
    let report = ledger.audit(audit);
    assert_eq!(found(&report), [(Code::TileChanged, tile(0, 1))]);
    assert!(report.findings()[0].message.contains("entry 257"), "{}", report.findings()[0]);
}

#[test]
fn heads_are_held_against_the_entries() {
    let head = |note: Option<String>| after(|l| l.head = note);
    let ours = |size, edge: &Edge| Some(signed(size, edge));
    assert_eq!(head(None), [(Code::HeadWrong, Place::Head)]);
    assert_eq!(head(Some("rubbish".to_owned())), [(Code::HeadNotOurs, Place::Head)]);
    let theirs =
        TreeHead { origin: ORIGIN.to_owned(), size: 600, root: Edge::new().root() }.sign(&key(2)).expect("signs");
    assert_eq!(head(Some(theirs)), [(Code::HeadNotOurs, Place::Head)]);
    assert_eq!(head(ours(600, &Edge::new())), [(Code::HeadWrong, Place::Head)], "another root");
    let short = after(|l| l.head = Some(l.head_at(599)));
    assert_eq!(short, [(Code::HeadWrong, Place::Head)], "the last entry stands under no head");
    assert_eq!(head(ours(601, &Edge::new())), [(Code::EntryMissing, Place::Entries { first: 600, last: 600 })]);
    let elsewhere = Audit::new(NoteKey::new(ORIGIN, key(1).verifying_key()).expect("a name"), "other");
    assert_eq!(found(&Ledger::of(3).audit(elsewhere)), [(Code::HeadNotOurs, Place::Head)]);
}

#[test]
fn kept_heads_anchor_the_ledger() {
    let ledger = Ledger::of(600);
    let anchored = |ledger: &Ledger, heads: &[String]| {
        let mut audit = new();
        heads.iter().for_each(|h| audit.anchor(&head::open(h.as_bytes(), &note_key(1), ORIGIN).expect("ours")));
        ledger.audit(audit)
    };
    let report = anchored(&ledger, &[ledger.head_at(256), ledger.head_at(590), ledger.head_at(1), ledger.head_at(0)]);
    assert_eq!((found(&report), report.anchored_size, report.unanchored()), (vec![], 590, 10));
    let report = anchored(&ledger, &[ledger.head_at(600)]);
    assert_eq!((found(&report), report.unanchored()), (vec![], 0));

    // Written anew by somebody with the key: everything fits, except with what others kept.
    let mut other = ledger.clone();
    other.entries[300] = entry(300, &body(301));
    let other = other.sealed();
    assert!(!other.findings().iter().any(|(c, _)| matches!(c, Code::HeadWrong | Code::TileChanged)));
    let report = anchored(&other, &[ledger.head_at(300), ledger.head_at(301), ledger.head_at(600)]);
    let split = [(Code::SplitView, Place::Anchor(301)), (Code::SplitView, Place::Anchor(600))];
    assert!(split.iter().all(|s| found(&report).contains(s)), "{:?}", found(&report));
    assert_eq!((report.anchored_size, report.unanchored()), (300, 300));

    // Cut short by somebody with the key.
    let mut short = ledger.clone();
    short.entries.truncate(500);
    let short = short.sealed();
    assert_eq!(short.findings(), []);
    let report = anchored(&short, &[ledger.head_at(400), ledger.head_at(501)]);
    assert_eq!((found(&report), report.anchored_size), (vec![(Code::RolledBack, Place::Anchor(501))], 400));

    // Two kept heads of one size that differ: at least one does not fit.
    let report = anchored(&ledger, &[ledger.head_at(400), other.head_at(400)]);
    assert_eq!((found(&report), report.anchored_size), (vec![(Code::SplitView, Place::Anchor(400))], 400));

    // A gap makes the later ones incomparable, and says so.
    let mut gap = ledger.clone();
    gap.entries.remove(450);
    let report = anchored(&gap, &[ledger.head_at(400), ledger.head_at(500)]);
    assert_eq!(report.warnings()[0].code, Code::AnchorUnused);
    assert_eq!((report.anchored_size, report.size, report.unanchored()), (400, 450, 50));

    let foreign =
        TreeHead { origin: "other".to_owned(), size: 5, root: Edge::new().root() }.sign(&key(3)).expect("signs");
    let foreign_key = NoteKey::new("other", key(3).verifying_key()).expect("a name");
    let mut audit = new();
    audit.anchor(&head::open(foreign.as_bytes(), &foreign_key, "other").expect("theirs"));
    assert_eq!(found(&ledger.audit(audit)), [(Code::HeadNotOurs, Place::Anchor(5))]);
}

#[test]
fn erased_bodies_are_counted() {
    let mut ledger = Ledger::of(600);
    ledger.redact(10);
    ledger.redact(599);
    let report = ledger.audit(new());
    assert_eq!((found(&report), report.erased), (vec![], 2), "proofs and heads still hold");
    assert_eq!(report.redactions, [(10, 600), (599, 601)]);
    // What is left beside the leaf is what the redaction says is left.
    let tampered = |tamper: fn(&mut Entry)| {
        let mut ledger = ledger.clone();
        tamper(&mut ledger.entries[10]);
        ledger.findings()
    };
    assert_eq!(tampered(|e| e.subject.push('x')), [(Code::ColumnChanged, Place::Entry(10))]);
    assert_eq!(tampered(|e| e.trace = Some("trc_1".to_owned())), [(Code::ColumnChanged, Place::Entry(10))]);
    // A body that is gone without an entry that says so was taken away.
    let gone = after(|l| (l.entries[10].salt, l.entries[10].body) = (None, None));
    assert_eq!(gone, [(Code::BodyMissing, Place::Entry(10))]);
    assert_eq!(after(|l| l.entries[5].salt = None), [(Code::BodyChanged, Place::Entry(5))]);
    assert_eq!(after(|l| l.entries[5].body = None), [(Code::BodyChanged, Place::Entry(5))]);
    ledger.entries[10].kind.push('x');
    assert_eq!(ledger.findings(), [(Code::ColumnChanged, Place::Entry(10))]);
}

#[test]
fn bodies_must_be_readable_even_if_they_fit() {
    let mut ledger = Ledger::of(3);
    let body = br#"{"subject":"x"}"#.to_vec();
    let salt = Salt([1; 32]);
    ledger.entries[1].leaf =
        Leaf { time: time(1), kind: kind::ACTION_SETTLED.to_owned(), body: salt.mac(&body) }.encode();
    (ledger.entries[1].salt, ledger.entries[1].body) = (Some(salt.0.to_vec()), Some(body));
    assert_eq!(ledger.sealed().findings(), [(Code::BodyChanged, Place::Entry(1))]);
}

#[test]
fn time_going_backwards_is_a_warning() {
    let mut ledger = Ledger::of(3);
    let mut entry = entry(0, &body(2));
    entry.seq = 2;
    ledger.entries[2] = entry;
    let report = ledger.sealed().audit(new());
    assert_eq!((report.findings(), report.warnings()[0].code), ([].as_slice(), Code::TimeBackwards));
}

#[test]
fn rows_are_held_against_the_entries() {
    let state = |change: fn(&mut Ledger)| {
        let mut ledger = Ledger::of(600);
        change(&mut ledger);
        found(&ledger.state().finish())
    };
    let row_at = |id: i64, seq| Place::Row { table: "t".to_owned(), key: format!(r#"{{"id":{{"i":"{id}"}}}}"#), seq };
    let changed = state(|l| drop(l.rows.get_mut(&42).expect("there").insert("entry_seq".to_owned(), Cell::Int(541))));
    assert_eq!(changed, [(Code::RowChanged, row_at(42, Some(542)))]);
    let missing = state(|l| l.rows.retain(|id, _| *id != 42 && *id != 3));
    assert_eq!(missing, [(Code::RowMissing, row_at(3, Some(503))), (Code::RowMissing, row_at(42, Some(542)))]);
    let back = state(|l| drop(l.rows.insert(7, row(7, 507))));
    assert_eq!(back, [(Code::RowUnrecorded, row_at(7, None))], "a row that was deleted");
    let invented = state(|l| drop(l.rows.insert(1000, row(1000, 599))));
    assert_eq!(invented, [(Code::RowUnrecorded, row_at(1000, None))]);
    // What an erased body wrote is vouched for by nobody, unless another entry restates it.
    let erased = state(|l| (l.entries[598].salt, l.entries[598].body) = (None, None));
    assert_eq!(erased, [(Code::BodyMissing, Place::Entry(598)), (Code::RowChanged, row_at(98, Some(498)))]);
    let restated = state(|l| {
        (l.entries[598].salt, l.entries[598].body) = (None, None);
        let mut restating = Body::by_node("acme.internal", "subject-600");
        restating.rows = vec![RowDigest::of("t", row_key(98), Some(&row(98, 598)))];
        l.entries.push(entry(600, &restating));
        *l = l.clone().sealed();
    });
    assert_eq!(restated, [(Code::BodyMissing, Place::Entry(598))], "the row is vouched for");
}

#[test]
fn blobs_are_held_against_their_names() {
    let named = Digest::of(BLOB);
    let look = |content: Option<Digest>| {
        let mut state = Ledger::of(10).state();
        assert_eq!(state.blobs().collect::<Vec<_>>(), [&named]);
        state.blob(&named, content.as_ref());
        let report = state.finish();
        assert!(report.blobs.is_empty());
        found(&report)
    };
    assert_eq!(look(Some(named)), []);
    assert_eq!(look(Some(Digest::of(b"other"))), [(Code::BlobChanged, Place::Blob(named))]);
    assert_eq!(look(None), [(Code::BlobMissing, Place::Blob(named))]);
    assert_eq!(Ledger::of(10).state().finish().blobs.len(), 1, "a blob that nobody looked at is not vouched for");
}

#[test]
fn findings_have_a_limit() {
    let mut ledger = Ledger::of(1200);
    ledger.entries.iter_mut().for_each(|e| e.subject.clear());
    let report = ledger.audit(new());
    assert_eq!((report.findings().len(), report.finding_count()), (MAX_FINDINGS, 1200));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn anything_stored_is_survived(
        seq in prop_oneof![Just(0), Just(1), any::<u64>()],
        (leaf, hash, salt, bytes, tile) in any::<(Vec<u8>, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>)>(),
        (level, index, width) in any::<(u8, u64, u16)>(),
        head in any::<Vec<u8>>(),
    ) {
        let rubbish = Entry { seq, leaf, leaf_hash: hash, salt, body: bytes, ..entry(0, &body(0)) };
        let mut audit = new();
        audit.tile(TileId { level, index, width }, &tile);
        let ledger = Ledger { entries: vec![rubbish.clone(), rubbish], head: Some(String::from_utf8_lossy(&head).into_owned()), ..Ledger::of(1) };
        let report = ledger.audit(audit);
        prop_assert!(!report.is_consistent());
        prop_assert!(report.findings().iter().all(|f| f.to_string().starts_with(f.code.as_str())));
    }
}
