//! The end.

use steward_store::{Archive, CommitError, Refusal};
use tokio::task::JoinSet;

use crate::{World, things};

#[tokio::test]
async fn what_was_handed_in_is_finished_and_what_comes_later_is_refused() {
    let world = World::new();
    let store = world.open();
    let mut tasks = JoinSet::new();
    for n in 0..50_i64 {
        let (store, change) = (store.clone(), world.change(&format!("n{n}"), n));
        tasks.spawn(async move { store.commit(change).await.map(|done| done.recorded.seq) });
    }
    // Every task runs until it waits for its answer.
    tokio::task::yield_now().await;
    store.close();
    let done = tasks.join_all().await;
    let kept = done.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(kept, 50, "{done:?}");
    assert!(matches!(store.commit(world.change("late", 1)).await, Err(CommitError::Closed(_))));
    let refused = store.refuse(world.denial(), Refusal::default()).await;
    assert!(matches!(refused, Err(CommitError::Closed(_))));
    assert_eq!(things(&store).len(), 50, "it can still be read");
    world.verifies(50);
}

#[tokio::test]
async fn the_file_alone_is_the_whole_of_a_closed_store() {
    let world = World::new();
    let store = world.open();
    for n in 0..20 {
        store.commit(world.change(&format!("n{n}"), n)).await.expect("commits");
    }
    store.close();
    drop(store);
    let copy = World::new();
    std::fs::copy(world.path(), copy.path()).expect("it can be copied");
    copy.verifies(20);
    assert_eq!(things(&copy.open()).len(), 20);
    assert!(Archive::open(&world.path()).is_ok());
}
