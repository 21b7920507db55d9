//! Guards: each is shown to refuse, and the same change without it to go through.

use steward_ledger::kind;
use steward_store::{Change, CommitError, Guard, Row, Store};
use tokio::task::JoinSet;

use crate::{World, named, thing, things, unchanged};

async fn seq(store: &Store, change: Change) -> u64 {
    store.commit(change).await.expect("it commits").recorded.seq
}

fn is_stale(outcome: Result<steward_store::Committed, CommitError>, name: &str) {
    match outcome {
        Err(CommitError::Stale { table, key }) => assert_eq!((table.as_str(), key.as_str()), ("thing", name)),
        other => panic!("not stale: {other:?}"),
    }
}

#[tokio::test]
async fn a_row_that_changed_meanwhile() {
    let world = World::new();
    let store = world.open();
    let loaded = seq(&store, world.change("a", 1)).await;
    let by_another = seq(&store, world.change("a", 2)).await;

    is_stale(store.commit(world.change("a", 3).guard(unchanged("a", loaded))).await, "a");
    assert_eq!(things(&store), [("a".to_owned(), 2, by_another)], "nothing of it was written");
    world.verifies(2);

    // The same without the guard is a lost update.
    let lost = seq(&store, world.change("a", 3)).await;
    assert_eq!(things(&store), [("a".to_owned(), 3, lost)]);
    let fresh = seq(&store, world.change("a", 4).guard(unchanged("a", lost))).await;
    assert_eq!(things(&store), [("a".to_owned(), 4, fresh)], "a guard that holds is no hindrance");
    world.verifies(4);
}

#[tokio::test]
async fn a_row_that_came_or_went_meanwhile() {
    let world = World::new();
    let store = world.open();
    let absent = || Guard::absent("thing", named("a"));
    let first = seq(&store, world.change("a", 1).guard(absent())).await;
    is_stale(store.commit(world.change("a", 2).guard(absent())).await, "a");

    let gone = Change::new(world.permit(), kind::NODE_STARTED, "a").row(Row::delete("thing").text("name", "a"));
    seq(&store, gone.guard(unchanged("a", first))).await;
    assert_eq!(things(&store), []);
    is_stale(store.commit(world.change("a", 3).guard(unchanged("a", first))).await, "a");
    assert_eq!(things(&store), []);
    // Without the guard it comes back from the dead.
    let back = seq(&store, world.change("a", 3)).await;
    assert_eq!(things(&store), [("a".to_owned(), 3, back)]);
    world.verifies(3);
}

#[tokio::test]
async fn a_guard_can_be_on_a_row_that_is_not_written() {
    let world = World::new();
    let store = world.open();
    let key = seq(&store, world.change("key", 1)).await;
    seq(&store, world.change("work", 1).guard(unchanged("key", key))).await;
    seq(&store, world.change("key", 0)).await;
    is_stale(store.commit(world.change("work", 2).guard(unchanged("key", key))).await, "key");
    assert_eq!(things(&store).iter().find(|(name, ..)| name == "work").expect("it is there").1, 1);
}

#[tokio::test]
async fn only_the_stale_one_of_a_group_is_refused() {
    let world = World::new();
    let store = world.open();
    let loaded = seq(&store, world.change("a", 0)).await;
    let mut tasks = JoinSet::new();
    for n in 0..40_i64 {
        let change = if n % 10 == 3 {
            // The first of them finds the row as it was, the others do not.
            world.change("a", n).guard(unchanged("a", loaded))
        } else {
            world.change(&format!("n{n:02}"), n)
        };
        let store = store.clone();
        tasks.spawn(async move { (n, store.commit(change).await) });
    }
    let mut refused = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (n, outcome) = done.expect("no task panics");
        match outcome {
            Ok(_) => {}
            Err(CommitError::Stale { .. }) => refused.push(n),
            Err(other) => panic!("{n}: {other}"),
        }
    }
    refused.sort_unstable();
    assert_eq!(refused, [13, 23, 33]);
    assert_eq!(things(&store).len(), 37);
    world.verifies(38);
}

/// How many of 32 who loaded the same row write it.
async fn winners(is_guarded: bool) -> usize {
    let world = World::new();
    let store = world.open();
    let loaded = seq(&store, world.change("key", 0)).await;
    let mut tasks = JoinSet::new();
    for n in 1..=32_i64 {
        let mut change = world.change("key", n);
        if is_guarded {
            change = change.guard(unchanged("key", loaded));
        }
        let store = store.clone();
        tasks.spawn(async move { store.commit(change).await.is_ok() });
    }
    let won = tasks.join_all().await.into_iter().filter(|won| *won).count();
    world.verifies(1 + won as u64);
    won
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_who_loaded_the_same_row_one_wins() {
    assert_eq!(winners(true).await, 1);
    assert_eq!(winners(false).await, 32, "without the guard they all do");
}

#[tokio::test]
async fn a_permit_that_was_kept_too_long() {
    let world = World::new();
    let store = world.open();
    let (in_time, late) = (world.change("a", 1), world.change("a", 2));
    world.clock.advance_ms(30_000);
    seq(&store, in_time).await;
    world.clock.advance_ms(1);
    assert!(matches!(store.commit(late).await, Err(CommitError::Expired)));
    assert_eq!(things(&store)[0].1, 1);
    world.verifies(1);
}

#[tokio::test]
async fn a_guard_that_makes_no_sense_is_an_error_and_not_a_pass() {
    let world = World::new();
    let store = world.open();
    for guard in [
        Guard::absent("nothing", named("a")),
        Guard::absent("ledger_entry", named("a")),
        Guard::absent("thing", steward_store::key([("other", "a")])),
    ] {
        let outcome = store.commit(world.change("a", 1).guard(guard)).await;
        assert!(matches!(outcome, Err(CommitError::Broken(_))), "{outcome:?}");
    }
    for row in [
        thing("a", 1).text("colour", "red"),
        Row::put("ledger_entry").integer("seq", 0),
        Row::put("thing").text("name", "a").text("size", "many"),
        Row::delete("thing").integer("size", 1),
    ] {
        let change = Change::new(world.permit(), kind::NODE_STARTED, "a").row(row);
        store.commit(change).await.expect_err("it is impossible");
    }
    assert_eq!(things(&store), []);
}
