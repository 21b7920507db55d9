//! Reading a whole ledger again: by hashes only, and in full.

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use steward_clock::Timestamp;
use steward_ledger::{Audit, Columns, Report, Stored, TileId, leaf_hash};
use steward_seal::note::NoteKey;
use steward_store::Archive;

use crate::{
    append::{beside, fill, open},
    measure::{Spent, folder, on_this_thread},
    report::{Section, count},
};

/// Entries a second of one core, by hashes.
const GOAL_HASHES: f64 = 1e6;

/// Entries a second of one core, in full.
const GOAL_FULL: f64 = 150e3;

/// How often everything is read; the quickest by processor time counts, because others may use the machine.
const ROUNDS: u32 = 3;

/// An entry as it lies in the store, in memory.
struct Kept {
    leaf: Vec<u8>,
    leaf_hash: Vec<u8>,
    salt: Vec<u8>,
    body: Vec<u8>,
    time: Timestamp,
    /// kind, namespace, actor, subject.
    words: [String; 4],
    /// action, decision, decision_id, trace.
    more: [Option<String>; 4],
}

/// A whole ledger in memory.
struct Ledger {
    entries: Vec<Kept>,
    tiles: Vec<(TileId, Vec<u8>)>,
    head: String,
}

fn load(connection: &Connection, head: String) -> Result<Ledger> {
    let mut statement = connection.prepare(
        "SELECT leaf, leaf_hash, salt, body, time, kind, namespace, actor, subject, action, decision, decision_id, trace
         FROM ledger_entry ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(Kept {
            leaf: row.get(0)?,
            leaf_hash: row.get(1)?,
            salt: row.get(2)?,
            body: row.get::<_, String>(3)?.into_bytes(),
            time: row.get::<_, String>(4)?.parse()?,
            words: [row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?],
            more: [row.get(9)?, row.get(10)?, row.get(11)?, row.get(12)?],
        });
    }
    let mut statement = connection.prepare("SELECT level, idx, hashes FROM ledger_tile ORDER BY level, idx")?;
    let tiles = statement.query_map([], |r| Ok((TileId::full(r.get(0)?, r.get(1)?), r.get(2)?)))?;
    Ok(Ledger { entries, tiles: tiles.collect::<Result<_, _>>()?, head })
}

impl Ledger {
    fn audit(&self, mut audit: Audit) -> Report {
        for (seq, kept) in self.entries.iter().enumerate() {
            let [kind, namespace, actor, subject] = &kept.words;
            let [action, decision, decision_id, trace] = &kept.more;
            audit.entry(Stored {
                seq: seq as u64,
                leaf: &kept.leaf,
                leaf_hash: &kept.leaf_hash,
                salt: Some(&kept.salt),
                body: Some(&kept.body),
                columns: Columns {
                    time: kept.time,
                    kind,
                    namespace,
                    actor,
                    subject,
                    action: action.as_deref(),
                    decision: decision.as_deref(),
                    decision_id: decision_id.as_deref(),
                    trace: trace.as_deref(),
                },
            });
        }
        for (id, hashes) in &self.tiles {
            audit.tile(*id, hashes);
        }
        audit.finish(Some(self.head.as_bytes()))
    }
}

/// Does it a few times. Fails unless everything verifies.
fn quickest(entries: u64, mut audit: impl FnMut() -> Result<Report>) -> Result<Spent> {
    let mut best: Option<Spent> = None;
    for _ in 0..ROUNDS {
        let (report, spent) = on_this_thread(&mut audit)?;
        let report = report?;
        anyhow::ensure!(
            report.is_consistent() && report.size == entries,
            "it does not verify: {:?}",
            report.findings()
        );
        if best.is_none_or(|best| spent.cpu < best.cpu) {
            best = Some(spent);
        }
    }
    best.context("at least one round")
}

/// Makes a ledger of `entries` and reads it again.
pub(crate) fn run(entries: u64) -> Result<Section> {
    let folder = folder()?;
    let path = folder.path().join("ours.sqlite");
    let store = open(folder.path(), "ours.sqlite")?;
    fill(&store, entries)?;
    let key: NoteKey = store.head_key().clone();
    store.close();
    let archive = Archive::open(&path)?;
    let audit = || Audit::new(key.clone(), key.name());
    let ledger = load(&beside(&path)?, archive.head_note()?)?;
    let bytes = ledger.entries.iter().map(|e| e.body.len()).sum::<usize>() as f64 / entries as f64;

    let ((), leaves) = on_this_thread(|| {
        for kept in &ledger.entries {
            std::hint::black_box(leaf_hash(std::hint::black_box(&kept.leaf)));
        }
    })?;
    let hashes_memory = quickest(entries, || Ok(ledger.audit(audit().hashes_only())))?;
    let full_memory = quickest(entries, || Ok(ledger.audit(audit())))?;
    drop(ledger);
    let hashes_archive = quickest(entries, || Ok(archive.audit(audit().hashes_only(), false)?))?;
    let full_archive = quickest(entries, || Ok(archive.audit(audit(), false)?))?;
    let state_archive = quickest(entries, || Ok(archive.audit(audit(), true)?))?;

    let mut section = Section::new("verify", "Verifying a ledger");
    let rate = |spent: &Spent| spent.rate_by_core(entries);
    let figure = |spent: &Spent| format!("{} entries/s", count(rate(spent)));
    let by_core = |goal: f64| format!("{} entries/s and core", count(goal));
    for (what, goal, spent) in [
        ("hashes only, from the store", GOAL_HASHES, &hashes_archive),
        ("in full, with rows and blobs, from the store", GOAL_FULL, &state_archive),
    ] {
        section.goal(what, &by_core(goal), figure(spent), rate(spent) >= goal);
    }
    let row = |what: &str, spent: &Spent| {
        [
            what.to_owned(),
            figure(spent),
            format!("{:.2}", spent.cpu_us(entries)),
            format!("{:.2}", spent.wall_us(entries)),
        ]
    };
    section.table(
        ["what is read", "of one core", "CPU µs an entry", "wall µs an entry"],
        &[
            row("SHA-256 of the leaves alone", &leaves),
            row("hashes only, from memory", &hashes_memory),
            row("hashes only, from the store", &hashes_archive),
            row("in full, from memory", &full_memory),
            row("in full, from the store (`ledger verify`)", &full_archive),
            row("in full with rows and blobs, from the store (`ledger verify --state`)", &state_archive),
        ],
    );
    section.say(format!(
        "{} entries with one fact row each, bodies of {} bytes on average; the best of {ROUNDS} rounds by processor time, on one \
         thread, with the file in the system's cache. In full: leaves and bodies are parsed, the keyed hash of each body and its one \
         spelling are checked, nine columns are compared with it, and the digest of every row that is there with what its last entry \
         says.",
        count(entries as f64),
        count(bytes)
    ));
    Ok(section)
}
