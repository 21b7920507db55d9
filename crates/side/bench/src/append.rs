//! Appending durably, with rows: the store's whole commit beside bare SQLite that writes the same bytes.
//!
//! Us: permits are there already; guards, rows and their digests, body, salt, leaf, tree, tiles and a signed head are made and
//! committed, in groups. Bare: the finished entries and rows, read back from our store, are inserted into the same tables with the
//! same indexes, in groups of the same size; no tiles, no heads, nothing computed.

use std::{collections::VecDeque, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OpenFlags};
use steward_app_node::system::{SystemClock, SystemDice};
use steward_clock::Clock as _;
use steward_ledger::{Edge, leaf_hash};
use steward_naming::ActionId;
use steward_policy::{Engine, Question};
use steward_seal::SigningKey;
use steward_store::{Change, Migration, Options, Row, Store};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    decide::{NAMESPACE, question, shipped},
    measure::{Spent, folder, in_this_process, on_this_thread, syncs_per_second},
    peers::{Bare, Rows},
    report::{Section, count},
};

/// The origin of ledgers that are made here.
pub(crate) const ORIGIN: &str = "bench.internal/ledger/bench";

/// Rounds of each kind, us and SQLite in turns.
const ROUNDS: u64 = 4;

/// Operations in a round: a multiple of every group's size.
const OPERATIONS: u64 = 6_400;

/// The share of bare SQLite's rate that is asked for.
const GOAL: f64 = 0.6;

/// Leaves for the tree in memory.
const LEAVES: u64 = 2_000_000;

/// A table as a noun of the house has it: a key with a namespace, a version, an index.
const MIGRATION: Migration = Migration {
    name: "bench-0001",
    sql: "
CREATE TABLE bench_fact (
    namespace  TEXT NOT NULL,
    id         TEXT NOT NULL,
    agent      TEXT NOT NULL,
    resource   TEXT NOT NULL,
    status     TEXT NOT NULL,
    written_at TEXT NOT NULL,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX bench_fact_agent ON bench_fact (namespace, agent);
",
};

/// A new store in `folder`.
pub(crate) fn open(folder: &Path, name: &str) -> Result<Store> {
    let options = Options {
        clock: Arc::new(SystemClock),
        dice: Arc::new(SystemDice),
        tree_head_key: SigningKey::generate(&SystemDice),
        new_origin: ORIGIN.to_owned(),
        migrations: vec![MIGRATION],
        max_bytes: None,
        behind: None,
    };
    Store::open(&folder.join(name), options).context("a store")
}

/// `operations` permitted changes with `rows` fact rows each, ready to be committed.
fn changes(engine: &Engine, asked: &Question, operations: u64, rows: usize) -> Result<Vec<Change>> {
    let now = SystemClock.now();
    let one = |_| {
        let id = ActionId::new(now, &SystemDice);
        let permit = engine.decide(Question { id: id.clone(), ..asked.clone() }, now);
        let permit = permit.map_err(|denial| anyhow::anyhow!("agents may write plans: {denial}"))?;
        let change = Change::new(permit, steward_ledger::kind::ACTION_DECIDED, id.as_str());
        Ok((0..rows).fold(change, |change, n| {
            change.row(
                Row::put("bench_fact")
                    .text("namespace", NAMESPACE)
                    .text("id", format!("{id}-{n}"))
                    .text("agent", asked.actor.full_name())
                    .text("resource", "/plans/next.md")
                    .text("status", "intended")
                    .text("written_at", now.to_string()),
            )
        }))
    };
    (0..operations).map(one).collect()
}

/// Commits changes in groups of `group`: while one is being written, the next is handed in.
async fn commit(store: &Store, changes: Vec<Change>, group: usize) -> Result<()> {
    let mut changes = changes.into_iter();
    let mut under_way = VecDeque::new();
    loop {
        let mut handed_in = JoinSet::new();
        for change in changes.by_ref().take(group) {
            let store = store.clone();
            handed_in.spawn(async move { store.commit(change).await.map(|_| ()) });
        }
        let is_last = handed_in.is_empty();
        under_way.push_back(handed_in);
        while under_way.len() > 1 || is_last {
            let Some(mut oldest) = under_way.pop_front() else { return Ok(()) };
            while let Some(done) = oldest.join_next().await {
                done?.context("a commit")?;
            }
        }
    }
}

/// Fills a store with `operations` entries that write a row each, in groups of 256.
pub(crate) fn fill(store: &Store, operations: u64) -> Result<()> {
    let (engine, asked) = (shipped()?, question(0)?);
    let runtime = runtime()?;
    let mut left = operations;
    while left > 0 {
        let some = left.min(20_000);
        runtime.block_on(commit(store, changes(&engine, &asked, some, 1)?, 256))?;
        left -= some;
    }
    Ok(())
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().build().context("a runtime")
}

/// Opens a store's database beside its writer, to read it.
pub(crate) fn beside(path: &Path) -> Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).context("the store's database")
}

struct Measured {
    group: usize,
    rows: usize,
    body_bytes: f64,
    ours: Spent,
    bare: Spent,
}

fn measure(engine: &Engine, group: usize, rows: usize) -> Result<Measured> {
    let folder = folder()?;
    let store = open(folder.path(), "ours.sqlite")?;
    let read = beside(&folder.path().join("ours.sqlite"))?;
    let bare = Bare::new(&folder.path().join("bare.sqlite"), &read, &["ledger_entry", "bench_fact"])?;
    let (runtime, asked) = (runtime()?, question(0)?);
    let mut out = Measured { group, rows, body_bytes: 0.0, ours: Spent::default(), bare: Spent::default() };
    for round in 0..ROUNDS {
        let changes = changes(engine, &asked, OPERATIONS, rows)?;
        let (done, spent) = in_this_process(|| runtime.block_on(commit(&store, changes, group)))?;
        done?;
        out.ours.add(spent);
        let first = round * OPERATIONS;
        let written =
            [Rows::read(&read, "ledger_entry", "seq", first)?, Rows::read(&read, "bench_fact", "entry_seq", first)?];
        anyhow::ensure!(
            (written[0].len(), written[1].len()) == (OPERATIONS as usize, OPERATIONS as usize * rows),
            "every operation is an entry with its rows"
        );
        out.body_bytes = written[0].mean_bytes("body");
        let (done, spent) = in_this_process(|| bare.insert(&written, group))?;
        done?;
        out.bare.add(spent);
    }
    store.close();
    Ok(out)
}

/// Leaves a second into the tree in memory, hashed there, and hashed before.
fn in_memory() -> Result<(f64, f64)> {
    let leaf = [b'x'; 150];
    let mut full = Vec::new();
    let mut edge = Edge::new();
    let ((), ready) = on_this_thread(|| {
        let hash = leaf_hash(&leaf);
        for _ in 0..LEAVES {
            edge.append(hash, &mut full);
            full.clear();
        }
    })?;
    let mut edge = Edge::new();
    let ((), hashed) = on_this_thread(|| {
        for _ in 0..LEAVES {
            edge.append(leaf_hash(std::hint::black_box(&leaf)), &mut full);
            full.clear();
        }
    })?;
    Ok((ready.rate_by_core(LEAVES), hashed.rate_by_core(LEAVES)))
}

/// Measures every size of group with one and with four rows.
pub(crate) fn run() -> Result<Section> {
    let engine = shipped()?;
    let disk = folder()?;
    let before = syncs_per_second(disk.path())?;
    let mut measured = Vec::new();
    for (group, rows) in [(100, 1), (256, 1), (100, 4), (256, 4)] {
        measured.push(measure(&engine, group, rows)?);
    }
    let after = syncs_per_second(disk.path())?;
    let (ready, hashed) = in_memory()?;

    let all = ROUNDS * OPERATIONS;
    let mut section = Section::new("append", "Appending to the ledger, durable and integrated");
    for m in &measured {
        let share = m.ours.rate(all) / m.bare.rate(all);
        let plural = if m.rows == 1 { "row" } else { "rows" };
        section.goal(
            &format!("operations a second in groups of {}, {} fact {plural} each, of bare SQLite", m.group, m.rows),
            &format!("at least {:.0} %", GOAL * 100.0),
            format!("{:.0} %", share * 100.0),
            share >= GOAL,
        );
    }
    let rows: Vec<[String; 7]> = measured
        .iter()
        .map(|m| {
            [
                m.group.to_string(),
                m.rows.to_string(),
                count(m.body_bytes),
                format!("{}/s", count(m.ours.rate(all))),
                format!("{}/s", count(m.bare.rate(all))),
                format!("{:.1}", m.ours.cpu_us(all)),
                format!("{:.1}", m.bare.cpu_us(all)),
            ]
        })
        .collect();
    let head =
        ["group", "fact rows", "bytes of a body", "us", "bare SQLite FULL", "us, CPU µs", "bare SQLite FULL, CPU µs"];
    section.table(head, &rows);
    section.say(format!(
        "The disk made 4 KiB durable {} times a second before and {} times after. The tree alone, in memory, on one core: {} \
         leaves a second, {} with the hashing of leaves of 150 bytes.",
        count(before),
        count(after),
        count(ready),
        count(hashed)
    ));
    section.say(
        "Bare SQLite writes the finished rows of the same run (WAL, `synchronous = FULL`) into the same tables with the same \
         indexes, and computes nothing; our processor time has that of the caller, who hands every change in by itself, and of the \
         thread that folds the log back.",
    );
    Ok(section)
}
