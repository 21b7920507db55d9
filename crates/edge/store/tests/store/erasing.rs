//! What is erased stands in no file any more, and everything else still verifies (LED-5).

use std::{collections::BTreeSet, fs};

use steward_ledger::kind;
use steward_store::{Change, CommitError, Guard, Row, Store, key};

use crate::{World, thing};

/// How many entries are written. A prime, so that a step of any size visits all of them.
const ENTRIES: u64 = 127;

/// A text that stands nowhere else, and of a length that spreads over pages now and then.
fn needle(n: u64) -> String {
    let length = usize::try_from(n * 977 % 9_000).expect("small");
    format!("needle-{n:05}-{}", "abcdefghij".repeat(length / 10 + 1))
}

fn saying(world: &World, n: u64) -> Change {
    Change::new(world.permit(), kind::NODE_STARTED, format!("subject-{}", needle(n))).detail("says", needle(n))
}

async fn erase(store: &Store, world: &World, entry: u64) -> Result<u64, CommitError> {
    let change = Change::new(world.permit(), kind::LEDGER_REDACTED, format!("entry {entry}")).erases(entry);
    store.commit(change).await.map(|done| done.recorded.seq)
}

/// The needles whose beginning stands in any file of the store.
fn there(world: &World) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for item in fs::read_dir(world.folder.path()).expect("a folder") {
        let bytes = fs::read(item.expect("it can be read").path()).expect("a file");
        let mut rest = &bytes[..];
        while let Some(at) = rest.iter().position(|b| *b == b'n') {
            rest = &rest[at..];
            let number = rest.strip_prefix(b"needle-").and_then(|after| std::str::from_utf8(after.get(..5)?).ok());
            found.extend(number.and_then(|number| number.parse::<u64>().ok()));
            rest = &rest[1..];
        }
    }
    found
}

#[tokio::test]
async fn an_erased_body_stands_in_no_file() {
    let world = World::new();
    let store = world.open();
    for n in 0..ENTRIES {
        store.commit(saying(&world, n)).await.expect("commits");
    }
    assert_eq!(there(&world).len() as u64, ENTRIES, "the search finds what is there");
    // In an order that makes pages shrink, merge and be freed: two thirds of them.
    let mut done = BTreeSet::new();
    for entry in (0..ENTRIES).map(|n| n * 37 % ENTRIES).filter(|n| n % 3 > 0) {
        erase(&store, &world, entry).await.expect("commits");
        assert!(store.fold().await.expect("it folds"), "nobody reads");
        done.insert(entry);
        let left: Vec<u64> = there(&world).intersection(&done).copied().collect();
        assert!(left.is_empty(), "after {entry}: {left:?}");
    }
    assert_eq!(there(&world).len() as u64, ENTRIES - done.len() as u64, "the others are there");
    let report = world.audit();
    assert!(report.is_consistent(), "{:?}", report.findings());
    assert_eq!((report.erased, report.redactions.len()), (done.len() as u64, done.len()));
    assert!(matches!(erase(&store, &world, 1).await, Err(CommitError::Stale { .. })), "once");
    assert!(matches!(erase(&store, &world, 9_999).await, Err(CommitError::Stale { .. })), "what is not there");
    drop(store);
    world.open();
}

#[tokio::test]
async fn rows_that_only_the_erased_entry_vouched_for_are_restated() {
    let world = World::new();
    let store = world.open();
    let put = |name: &str, size| world.change(name, size);
    store.commit(put("kept", 1)).await.expect("commits");
    store.commit(put("rewritten", 1)).await.expect("commits");
    store.commit(put("rewritten", 2)).await.expect("commits");
    store.commit(put("deleted", 1)).await.expect("commits");
    let gone = Change::new(world.permit(), kind::NODE_STARTED, "x").row(Row::delete("thing").text("name", "deleted"));
    store.commit(gone).await.expect("commits");
    store.commit(put("back", 1)).await.expect("commits");
    store
        .commit(Change::new(world.permit(), kind::NODE_STARTED, "x").row(Row::delete("thing").text("name", "back")))
        .await
        .expect("commits");
    store.commit(put("back", 2)).await.expect("commits");
    for entry in 0..8 {
        erase(&store, &world, entry).await.expect("commits");
        let report = world.audit();
        assert!(report.is_consistent(), "after entry {entry}: {:?}", report.findings());
    }
    // Versions are what they were: a guard still holds.
    let change = Change::new(world.permit(), kind::NODE_STARTED, "kept")
        .guard(Guard::unchanged("thing", key([("name", "kept")]), 0))
        .row(thing("kept", 9));
    store.commit(change).await.expect("commits");
    assert!(world.audit().is_consistent());
}

#[tokio::test]
async fn whoever_reads_an_older_state_keeps_the_log() {
    let world = World::new();
    let store = world.open();
    store.commit(saying(&world, 3)).await.expect("commits");
    let reader = rusqlite::Connection::open(world.path()).expect("it opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM ledger_entry").expect("it reads");
    erase(&store, &world, 0).await.expect("commits");
    assert!(!store.fold().await.expect("it answers"), "somebody reads");
    reader.execute_batch("COMMIT").expect("it ends");
    assert!(store.fold().await.expect("it answers"));
    assert_eq!(there(&world), BTreeSet::new());
    store.commit(saying(&world, 4)).await.expect("the writer goes on");
}

/// The twin: what is only unlinked, and not overwritten, still stands in the file, and the search finds it.
#[tokio::test]
async fn what_is_not_overwritten_is_found() {
    let world = World::new();
    let store = world.open();
    for n in 0..20 {
        store.commit(saying(&world, n)).await.expect("commits");
    }
    drop(store);
    let sql = rusqlite::Connection::open(world.path()).expect("it opens");
    sql.execute_batch(
        "PRAGMA secure_delete = OFF;
         UPDATE ledger_entry SET actor = '', subject = '', salt = NULL, body = NULL;
         PRAGMA wal_checkpoint(TRUNCATE);",
    )
    .expect("it runs");
    drop(sql);
    assert!(there(&world).len() > 10, "{:?}", there(&world));
}

#[tokio::test]
async fn many_are_erased_in_one_commit_that_names_each() {
    let world = World::new();
    let store = world.open();
    for n in 0..20 {
        store.commit(saying(&world, n)).await.expect("commits");
    }
    store.commit(world.change("standing", 1)).await.expect("commits");
    let gone = || Change::new(world.permit(), kind::NODE_STARTED, "x").row(Row::delete("thing").text("name", "twice"));
    for _ in 0..2 {
        store.commit(world.change("twice", 1)).await.expect("commits");
        store.commit(gone()).await.expect("commits");
    }
    let sweep = |entries: &[u64]| {
        let change = Change::new(world.permit(), kind::LEDGER_SWEPT, kind::NODE_STARTED);
        entries.iter().fold(change, |change, entry| change.erases(*entry))
    };
    let entries: Vec<u64> = (0..10).chain(20..25).collect();
    let by = store.commit(sweep(&entries)).await.expect("commits").recorded.seq;
    assert!(store.fold().await.expect("it folds"));
    let left = there(&world);
    assert_eq!(left.into_iter().collect::<Vec<_>>(), (10..20).collect::<Vec<_>>());
    let report = world.audit();
    assert!(report.is_consistent(), "{:?}", report.findings());
    assert_eq!((report.erased, report.redactions.len()), (15, 15));
    assert!(report.redactions.iter().all(|(_, sweep)| *sweep == by));
    assert_eq!(report.sweeps.into_iter().collect::<Vec<_>>(), [by]);
    // All of it or nothing: one of them is gone already.
    assert!(matches!(store.commit(sweep(&[10, 3, 11])).await, Err(CommitError::Stale { .. })));
    assert!(there(&world).contains(&10));
    // A person names one.
    let two = Change::new(world.permit(), kind::LEDGER_REDACTED, "entry 10").erases(10).erases(11);
    assert!(matches!(store.commit(two).await, Err(CommitError::Broken(_))));
}
