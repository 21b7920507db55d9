//! Copies that are made beside a writer, stores that are behind, and what a newer program would do to one.

use std::sync::atomic::{AtomicBool, Ordering};

use steward_clock::Clock as _;
use steward_ledger::{Audit, kind};
use steward_seal::{SigningKey, note::NoteKey};
use steward_store::{Archive, Change, CommitError, Migration, Options, Refusal, Store, StoreError};
use steward_testkit::SeededDice;

use crate::{ORIGIN, THINGS, World, things};

/// What comes after [`THINGS`].
const LATER: Migration = Migration {
    name: "things-0002",
    sql: "ALTER TABLE thing ADD COLUMN colour TEXT; CREATE INDEX thing_size ON thing (size);",
};

fn key() -> NoteKey {
    NoteKey::new(ORIGIN, SigningKey::generate(&SeededDice::new(1)).verifying_key()).expect("a name")
}

fn audit(archive: &Archive) -> steward_ledger::Report {
    archive.audit(Audit::new(key(), ORIGIN), true).expect("it reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_of_one_moment_whoever_writes() {
    let world = World::new();
    let store = world.open();
    for n in 0..300 {
        store.commit(world.change(&format!("n{n}"), n)).await.expect("commits");
    }
    let stop = AtomicBool::new(false);
    let sizes = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                for n in 300_i64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    store.commit(world.change(&format!("n{}", n % 400), n)).await.expect("commits");
                }
            });
        });
        let archive = Archive::open(&world.path()).expect("it opens");
        let sizes: Vec<u64> = (0..5)
            .map(|n| {
                let to = world.folder.path().join(format!("copy-{n}.sqlite"));
                archive.copy_to(&to).expect("it copies");
                let copy = Archive::open(&to).expect("it opens");
                let report = audit(&copy);
                assert!(report.is_consistent(), "{:?}", report.findings());
                assert!(!world.folder.path().join(format!("copy-{n}.sqlite-wal")).exists(), "one file");
                report.size
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        writing.join().expect("it ends");
        sizes
    });
    assert!(sizes[0] >= 300 && sizes.windows(2).all(|pair| pair[0] <= pair[1]), "{sizes:?}");
    // A copy goes on like any store.
    let path = world.folder.path().join("copy-4.sqlite");
    let copy = Store::open(&path, world.options()).expect("it opens");
    copy.commit(world.change("more", 1)).await.expect("commits");
    assert!(audit(&Archive::open(&path).expect("it opens")).is_consistent());
}

#[tokio::test]
async fn a_store_that_is_behind_takes_one_change_only() {
    let world = World::new();
    let store = world.open();
    store.commit(world.change("a", 1)).await.expect("commits");
    drop(store);
    let behind = || Options { behind: Some("a head of 9 entries is known".to_owned()), ..world.options() };
    let store = Store::open(&world.path(), behind()).expect("it opens");
    let refused = store.commit(world.change("b", 1)).await;
    assert!(matches!(&refused, Err(CommitError::RolledBack(why)) if why.contains("9 entries")), "{refused:?}");
    let urgent = store.commit(world.change("b", 1).urgent()).await;
    assert!(matches!(urgent, Err(CommitError::RolledBack(_))));
    let refused = store.refuse(world.denial(), Refusal::default()).await;
    assert!(matches!(refused, Err(CommitError::RolledBack(_))));
    assert_eq!(things(&store).len(), 1, "it reads");
    world.verifies(1);
    let new = "acme.internal/ledger/new";
    let change = Change::new(world.permit(), kind::ROLLBACK_ACCEPTED, "acme.internal").opens_origin(new);
    assert_eq!(store.commit(change).await.expect("this one").recorded.seq, 1);
    drop(store);
    let store = Store::open(&world.path(), world.options()).expect("it opens");
    assert_eq!(store.head_key().name(), new);
    store.commit(world.change("b", 1)).await.expect("it goes on");
    let archive = Archive::open(&world.path()).expect("it opens");
    let audited = archive.audit(Audit::new(store.head_key().clone(), new), true).expect("it reads");
    assert!(audited.is_consistent() && audited.size == 3, "{:?}", audited.findings());
    assert!(!audit(&archive).is_consistent(), "it is no ledger of the old origin any more");
}

#[tokio::test]
async fn what_a_newer_program_would_do_is_tried_on_a_copy() {
    let world = World::new();
    let store = world.open();
    store.commit(world.change("a", 1)).await.expect("commits");
    drop(store);
    let archive = Archive::open(&world.path()).expect("it opens");
    assert_eq!(archive.schema(&[THINGS]).expect("known").pending, Vec::<&str>::new());
    let schema = archive.schema(&[THINGS, LATER]).expect("known");
    assert_eq!(
        (schema.applied, schema.pending),
        (vec!["store-0001".to_owned(), "things-0001".to_owned()], vec!["things-0002"])
    );
    assert!(matches!(archive.schema(&[]), Err(StoreError::Unusable(why)) if why.contains("things-0001")));
    let edited = Migration { name: "things-0001", sql: "SELECT 1" };
    assert!(matches!(archive.schema(&[edited]), Err(StoreError::Damaged(_))));

    let beside = world.folder.path().join("beside.sqlite");
    let try_out = |migrations: &[Migration]| {
        let tried = archive.try_out(&beside, migrations, Audit::new(key(), ORIGIN), world.clock.now());
        std::fs::remove_file(&beside).expect("it was made");
        tried
    };
    assert!(try_out(&[THINGS, LATER]).expect("it can be done").is_consistent());
    let wrong = Migration { name: "things-0002", sql: "ALTER TABLE nothing ADD COLUMN x TEXT" };
    assert!(try_out(&[THINGS, wrong]).is_err());
    let harmful = Migration { name: "things-0002", sql: "UPDATE thing SET size = 7" };
    assert!(!try_out(&[THINGS, harmful]).expect("it runs").is_consistent(), "a step that changes facts is found");
    // The store itself was not touched.
    assert_eq!(archive.schema(&[THINGS, LATER]).expect("known").pending, ["things-0002"]);
    let options = Options { migrations: vec![THINGS, LATER], ..world.options() };
    Store::open(&world.path(), options).expect("it opens");
    assert_eq!(archive.schema(&[THINGS, LATER]).expect("known").pending, Vec::<&str>::new());
    world.verifies(1);
}
