//! A store that is full, for real: SQLite's own limit of pages.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use steward_ledger::kind;
use steward_store::{Change, CommitError, Options, Store};
use tokio::task::JoinSet;

use crate::{World, thing, things};

const LIMIT: u64 = 1 << 20;

fn filling(world: &World, name: &str, n: u8) -> Change {
    let bytes: Vec<u8> = [name.as_bytes(), &[n; 6000]].concat();
    Change::new(world.permit(), kind::NODE_STARTED, name).row(thing(name, i64::from(n))).blob(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_store_refuses_clearly_and_loses_nothing() {
    let world = World::new();
    let limited = || Options { max_bytes: Some(LIMIT), ..world.options() };
    let store = Store::open(&world.path(), limited()).expect("it opens");
    let is_full = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for writer in 0..8_u8 {
        let (store, is_full) = (store.clone(), Arc::clone(&is_full));
        let changes: Vec<(String, Change)> = (0..100)
            .map(|n| {
                let name = format!("w{writer}-{n:03}");
                let change = filling(&world, &name, n);
                (name, change)
            })
            .collect();
        tasks.spawn(async move {
            let (mut kept, mut refused) = (Vec::new(), Vec::new());
            for (name, change) in changes {
                match store.commit(change).await {
                    Ok(done) => kept.push((name, done.recorded.seq)),
                    Err(CommitError::Full) => {
                        is_full.store(true, Ordering::SeqCst);
                        refused.push(name);
                    }
                    Err(other) => panic!("{name}: {other}"),
                }
            }
            (kept, refused)
        });
    }
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for (k, r) in tasks.join_all().await {
        kept.extend(k);
        refused.extend(r);
    }
    assert!(is_full.load(Ordering::SeqCst) && kept.len() > 40, "{} kept, {} refused", kept.len(), refused.len());
    assert_eq!(store.broken(), None, "a full store is no broken one");

    // Nothing is half there, and everything that was acknowledged is there.
    let holds = |store: &Store| {
        let mut found: Vec<(String, u64)> = things(store).into_iter().map(|(name, _, seq)| (name, seq)).collect();
        let mut kept = kept.clone();
        found.sort();
        kept.sort();
        assert_eq!(found, kept);
    };
    holds(&store);
    world.verifies(kept.len() as u64);
    store.commit(filling(&world, "again", 1)).await.expect_err("it is still full");
    store.close();

    // A restart alone does not help, and does no harm; room does help.
    let store = Store::open(&world.path(), limited()).expect("a full store opens");
    holds(&store);
    store.commit(filling(&world, "again", 1)).await.expect_err("it is still full");
    store.close();
    let store = world.open();
    let next = store.commit(filling(&world, "again", 1)).await.expect("there is room").recorded.seq;
    assert_eq!(next, kept.len() as u64);
    world.verifies(next + 1);
}
