//! What is opened, and what is not.

use std::{fs, os::unix::fs::PermissionsExt as _};

use rusqlite::Connection;
use steward_ledger::{Audit, head};
use steward_seal::SigningKey;
use steward_store::{Archive, Migration, Options, Store, StoreError};
use steward_testkit::SeededDice;

use crate::{ORIGIN, THINGS, World, things};

/// A store with some entries, closed.
async fn used() -> World {
    let world = World::new();
    let store = world.open();
    for n in 0..5 {
        store.commit(world.change(&format!("n{n}"), n)).await.expect("commits");
    }
    store.close();
    world
}

fn refusal(world: &World, options: Options) -> StoreError {
    Store::open(&world.path(), options).err().expect("it is refused")
}

fn behind_our_back(world: &World, sql: &str) {
    let connection = Connection::open(world.path()).expect("it opens");
    assert_eq!(connection.execute(sql, []).expect("it runs"), 1, "{sql}");
}

#[tokio::test]
async fn a_store_that_is_opened_again_goes_on() {
    let world = World::new();
    let store = world.open();
    for n in 0..300 {
        store.commit(world.change(&format!("n{n}"), n)).await.expect("commits");
    }
    let note = Archive::open(&world.path()).and_then(|a| a.head_note()).expect("there is a head");
    let kept = head::open(note.as_bytes(), store.head_key(), ORIGIN).expect("it is signed");
    drop(store);
    // Whoever opens it cannot give it another origin.
    let options = Options { new_origin: "other.internal/ledger/x".to_owned(), ..world.options() };
    let store = Store::open(&world.path(), options).expect("it opens");
    assert_eq!(store.head_key().name(), ORIGIN);
    assert_eq!(things(&store).len(), 300);
    for n in 0..300 {
        let done = store.commit(world.change(&format!("n{n}"), n + 1)).await.expect("commits");
        assert_eq!(done.recorded.seq, 300 + u64::try_from(n).expect("small"));
    }
    let mut audit = Audit::new(store.head_key().clone(), ORIGIN);
    audit.anchor(&kept);
    let report = Archive::open(&world.path()).and_then(|a| a.audit(audit, true)).expect("it reads");
    assert!(report.is_consistent(), "{:?}", report.findings());
    assert_eq!((report.size, report.anchored_size), (600, 300));
}

#[tokio::test]
async fn another_key_is_refused() {
    let world = used().await;
    let other = SigningKey::generate(&SeededDice::new(2));
    let error = refusal(&world, Options { tree_head_key: other, ..world.options() });
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("key")), "{error}");
    world.open();
    world.verifies(5);
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let world = World::new();
    let other = Connection::open(world.path()).expect("it opens");
    other.execute_batch("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')").expect("it runs");
    drop(other);
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o644)).expect("it can be set");
    let before = fs::read(world.path()).expect("it reads");
    let error = refusal(&world, world.options());
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("another program")), "{error}");
    assert_eq!(fs::read(world.path()).expect("it reads"), before);
    assert_eq!(fs::metadata(world.path()).expect("it is there").permissions().mode() & 0o777, 0o644);

    fs::write(world.path(), "not a database, but a letter to a friend, long enough to be read as a header of one")
        .expect("it can be written");
    assert!(matches!(refusal(&world, world.options()), StoreError::Sqlite(_)));
    let missing = Archive::open(&world.folder.path().join("nothing"));
    assert!(matches!(missing.err(), Some(StoreError::Missing(_))));
}

#[tokio::test]
async fn a_newer_store_is_refused() {
    let world = used().await;
    behind_our_back(&world, "INSERT INTO migration VALUES ('things-0002', 'SELECT 1', '2027-01-01T00:00:00.000Z')");
    let error = refusal(&world, world.options());
    assert!(
        matches!(&error, StoreError::Unusable(why) if why.contains("newer") && why.contains("things-0002")),
        "{error}"
    );
}

#[tokio::test]
async fn a_migration_that_was_edited_is_refused() {
    let world = used().await;
    let edited = Migration { sql: "CREATE TABLE thing (name TEXT PRIMARY KEY, entry_seq INTEGER) STRICT", ..THINGS };
    let error = refusal(&world, Options { migrations: vec![edited], ..world.options() });
    assert!(matches!(&error, StoreError::Damaged(why) if why.contains("things-0001")), "{error}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_store_as_it_was() {
    let world = used().await;
    let bad = Migration {
        name: "things-0002",
        sql: "CREATE TABLE more (name TEXT PRIMARY KEY) STRICT; CREATE TABLE thing (x)",
    };
    let error = refusal(&world, Options { migrations: vec![THINGS, bad], ..world.options() });
    assert!(matches!(error, StoreError::Sqlite(_)), "{error}");
    let store = world.open();
    let tables: u64 = store
        .read(|r| {
            let count = "SELECT count(*) FROM sqlite_schema WHERE name = 'more'";
            Ok::<_, StoreError>(r.sql().query_row(count, [], |r| r.get(0))?)
        })
        .expect("it reads");
    assert_eq!(tables, 0);
    // One that works is applied, once.
    drop(store);
    let good = Migration { name: "things-0002", sql: "ALTER TABLE thing ADD COLUMN colour TEXT" };
    for _ in 0..2 {
        let options = Options { migrations: vec![THINGS, good], ..world.options() };
        Store::open(&world.path(), options).expect("it opens").close();
    }
    // A new column that may be null changes no digest.
    world.verifies(5);
}

#[tokio::test]
async fn a_store_whose_end_was_cut_off_is_not_written_to() {
    for sql in [
        "DELETE FROM ledger_entry WHERE seq = 4",
        "DELETE FROM ledger_head",
        "UPDATE ledger_entry SET leaf_hash = zeroblob(32) WHERE seq = 2",
    ] {
        let world = used().await;
        behind_our_back(&world, sql);
        let error = refusal(&world, world.options());
        assert!(matches!(error, StoreError::Damaged(_)), "{sql}: {error}");
        assert!(error.to_string().contains("verify"), "it says what to do next: {error}");
    }
}

#[tokio::test]
async fn its_files_are_its_owners_alone() {
    let world = World::new();
    let store = world.open();
    store.commit(world.change("a", 1)).await.expect("commits");
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", world.path().display());
        let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path}");
    }
}
