//! Acknowledged means there: for whoever looks from outside, at once.

use rusqlite::Connection;
use steward_store::{Refusal, StoreError};
use tokio::task::JoinSet;

use crate::World;

#[tokio::test]
async fn whatever_was_acknowledged_is_there_for_another_connection() {
    let world = World::new();
    let store = world.open();
    let outside = Connection::open(world.path()).expect("it opens");
    for n in 0..40_i64 {
        let seq = store.commit(world.change("a", n)).await.expect("commits").recorded.seq;
        let seen: (i64, u64) = outside
            .query_row(
                "SELECT t.size, e.seq FROM thing t JOIN ledger_entry e ON e.seq = t.entry_seq WHERE t.name = 'a'",
                [],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .expect("it is there");
        assert_eq!(seen, (n, seq));
        let note: String = outside.query_row("SELECT note FROM ledger_head", [], |r| r.get(0)).expect("it is there");
        assert_eq!(note.lines().nth(1), Some((seq + 1).to_string().as_str()), "the head covers it");
        let size = store.read(|r| r.size()).expect("it reads");
        assert_eq!(size, seq + 1, "and so say the store's own readers");
    }
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_a_death_at_any_time() {
    let world = World::new();
    let store = world.open();
    for n in 0..30_i64 {
        let seq = store.commit(world.change(&format!("n{n}"), n)).await.expect("commits").recorded.seq;
        // The files as they are at this moment, which is what a machine finds that lost its power.
        let after = World { folder: tempfile::tempdir().expect("a folder"), ..World::new() };
        for suffix in ["", "-wal"] {
            let file = |world: &World| format!("{}{suffix}", world.path().display());
            std::fs::copy(file(&world), file(&after)).expect("it can be copied");
        }
        after.verifies(seq + 1);
        let revived = after.open();
        let next = revived.commit(after.change("next", 1)).await.expect("it goes on").recorded.seq;
        assert_eq!(next, seq + 1);
    }
}

#[tokio::test]
async fn a_reader_sees_one_moment() {
    let world = World::new();
    let store = world.open();
    store.commit(world.change("a", 1)).await.expect("commits");
    let (handed_in, started) = std::sync::mpsc::channel();
    let (go_on, wait) = std::sync::mpsc::channel();
    let reading = {
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            store.read(|reader| {
                let before = reader.size()?;
                handed_in.send(()).expect("somebody listens");
                wait.recv().expect("somebody says so");
                let entry = reader.entry(before)?;
                Ok::<_, StoreError>((before, reader.size()?, entry.is_some()))
            })
        })
    };
    tokio::task::spawn_blocking(move || started.recv()).await.expect("no panic").expect("it began to read");
    store.commit(world.change("b", 1)).await.expect("a reader keeps nobody from writing");
    go_on.send(()).expect("it still reads");
    assert_eq!(reading.await.expect("no panic").expect("it reads"), (1, 1, false));
    assert_eq!(store.read(|r| r.size()).expect("it reads"), 2);
}

#[tokio::test]
async fn refusals_are_recorded_among_changes() {
    let world = World::new();
    let store = world.open();
    let mut tasks = JoinSet::new();
    for n in 0..20_i64 {
        let (store, change, denial) = (store.clone(), world.change("a", n), world.denial());
        tasks.spawn(async move {
            if n % 2 == 0 {
                store.commit(change).await.expect("commits").recorded
            } else {
                store.refuse(denial, Refusal::default()).await.expect("is recorded")
            }
        });
    }
    assert_eq!(tasks.join_all().await.len(), 20);
    let refused = store.read(|r| r.entries("WHERE decision = 'deny'", &[])).expect("it reads");
    assert_eq!(refused.len(), 10);
    assert!(refused.iter().all(|e| e.action.as_deref() == Some("person.add")), "{refused:?}");
    world.verifies(20);
}
