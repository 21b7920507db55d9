//! Many changes in one transaction, and one writer for all.

use steward_ledger::{FindingCode, kind};
use steward_store::{Change, CommitError, MAX_BLOB_BYTES, Row, StoreError};
use tokio::task::JoinSet;

use crate::{World, thing, things, unchanged};

#[tokio::test]
async fn one_bad_change_among_good_ones_leaves_nothing() {
    let world = World::new();
    let store = world.open();
    let mut tasks = JoinSet::new();
    for n in 0..60_i64 {
        let mut change = world.change(&format!("n{n:02}"), n);
        if n % 7 == 5 {
            // A good row and a blob first; then one that a rule of the table refuses.
            change = change.blob(format!("blob {n}").into_bytes()).row(thing(&format!("bad{n}"), -1));
        }
        let store = store.clone();
        tasks.spawn(async move { (n, store.commit(change).await.map(|done| done.recorded.seq)) });
    }
    let mut seqs = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done.expect("no task panics") {
            (n, Ok(seq)) => {
                assert_ne!(n % 7, 5);
                seqs.push(seq);
            }
            (n, Err(CommitError::Conflict(_))) => assert_eq!(n % 7, 5),
            (n, Err(other)) => panic!("{n}: {other}"),
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (0..52).collect::<Vec<u64>>(), "no number is left out");
    let things = things(&store);
    assert_eq!(things.len(), 52);
    assert!(things.iter().all(|(_, size, _)| size % 7 != 5), "{things:?}");
    let blobs: u64 = store
        .read(|r| Ok::<_, StoreError>(r.sql().query_row("SELECT count(*) FROM blob", [], |r| r.get(0))?))
        .expect("it reads");
    assert_eq!(blobs, 0);
    world.verifies(52);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let world = World::new();
    let store = world.open();
    let refused = [
        world.change("a", 1).detail("fraction", 0.5),
        world.change("a", 1).detail("long", "x".repeat(2 << 20)),
        world.change("a", 1).confidence_bp(Some(10_001)),
        world.change("a", 1).blob(vec![0; MAX_BLOB_BYTES + 1]),
    ];
    for change in refused {
        let outcome = store.commit(change).await;
        assert!(matches!(outcome, Err(CommitError::Broken(_))), "{outcome:?}");
    }
    assert_eq!(things(&store), []);
    store.commit(world.change("a", 1)).await.expect("the next is none the worse");
    world.verifies(1);
}

#[tokio::test]
async fn time_does_not_run_back() {
    let world = World::new();
    let store = world.open();
    let first = store.commit(world.change("a", 1)).await.expect("commits").recorded;
    world.clock.advance_ms(-3_600_000);
    let second = store.commit(world.change("b", 1)).await.expect("commits").recorded;
    drop(store);
    // Not even over a restart.
    let store = world.open();
    let third = store.refuse(world.denial(), steward_store::Refusal::default()).await.expect("recorded");
    world.clock.advance_ms(3_600_001);
    let fourth = store.commit(world.change("c", 1)).await.expect("commits").recorded;
    let order = [first, second, third, fourth];
    assert_eq!(order.map(|r| r.seq), [0, 1, 2, 3]);
    assert_eq!(order.map(|r| r.time), [first.time, first.time, first.time, first.time.plus_ms(1)]);
    for recorded in order {
        let entry = store.read(|r| r.entry(recorded.seq)).expect("reads").expect("is there");
        assert_eq!(entry.time, recorded.time);
    }
    world.verifies(4);
}

#[tokio::test]
async fn every_change_of_a_row_has_its_digest_and_a_deletion_too() {
    let world = World::new();
    let store = world.open();
    let a = store.commit(world.change("a", 1)).await.expect("commits").recorded.seq;
    let noted = Change::new(world.permit(), kind::NODE_STARTED, "a")
        .guard(unchanged("a", a))
        .row(thing("a", 2).text("note", "once"))
        .row(thing("b", 1))
        // The same row twice in one change: the later one counts.
        .row(thing("b", 7));
    store.commit(noted).await.expect("commits");
    store.commit(world.change("a", 3)).await.expect("a note that is not said is null again");
    let gone = Row::delete("thing").text("name", "b");
    store.commit(Change::new(world.permit(), kind::NODE_STARTED, "b").row(gone)).await.expect("commits");
    world.verifies(4);

    for (sql, code) in [
        ("UPDATE thing SET note = 'once'", FindingCode::RowChanged),
        ("UPDATE thing SET note = NULL, size = 4", FindingCode::RowChanged),
        ("INSERT INTO thing VALUES ('b', 7, NULL, 1)", FindingCode::RowUnrecorded),
        ("DELETE FROM thing", FindingCode::RowMissing),
    ] {
        let behind_our_back = rusqlite::Connection::open(world.path()).expect("it opens");
        behind_our_back.execute(sql, []).expect("it runs");
        let report = world.audit();
        assert!(report.findings().iter().any(|f| f.code == code), "{sql}: {:?}", report.findings());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_verify_clean() {
    const EACH: i64 = 300;
    let world = World::new();
    let store = world.open();
    let mut tasks = JoinSet::new();
    for writer in 0..8_i64 {
        let store = store.clone();
        let changes: Vec<Change> = (0..EACH).map(|n| world.change(&format!("w{writer}-{}", n % 50), n)).collect();
        tasks.spawn(async move {
            let mut seqs = Vec::new();
            for change in changes {
                seqs.push(store.commit(change).await.expect("it commits").recorded.seq);
            }
            assert!(seqs.is_sorted(), "whoever waits for an answer comes later than it");
            seqs
        });
    }
    let mut seqs = tasks.join_all().await.concat();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..2400).collect::<Vec<u64>>());
    assert_eq!(things(&store).len(), 400);
    world.verifies(2400);
}

#[tokio::test]
async fn whoever_asks_whether_it_works_waits_for_what_was_handed_in_before() {
    let world = World::new();
    let store = world.open();
    store.answers().await.expect("it works");
    let (asked, done) = tokio::join!(store.answers(), store.commit(world.change("a", 1)));
    asked.expect("it works");
    done.expect("it is written");
    let bad = store.commit(world.change("b", 1).row(thing("bad", -1))).await;
    assert!(bad.is_err(), "{bad:?}");
    let measures = store.measures();
    assert_eq!((measures.commits, measures.failed, measures.waiting), (1, 1, 0));
    store.close();
    assert!(matches!(store.answers().await, Err(CommitError::Closed(_))));
    world.verifies(1);
}
