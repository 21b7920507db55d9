//! The tamper matrix: whatever is changed in a store behind its back is found, and named.
//!
//! A node that really worked leaves a store of more than 300 entries. Every case edits a copy of its file with SQL and has it
//! audited by somebody who knows the key and the origin, and nothing else. A case says which code must be found, and where.
//!
//! What needs a head that somebody kept elsewhere (a rollback, a history written anew with the true key) is in `kept`, with the
//! proof that without one it is *not* found.

mod cases;
mod kept;
mod subject;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::subject::{Case, Subject};

/// Threads that audit copies at once.
const THREADS: usize = 4;

/// Runs every case; tells how many there were of each kind, or what was not found.
fn run(subject: &Subject, cases: &[Case]) -> BTreeMap<&'static str, usize> {
    let next = AtomicUsize::new(0);
    let missed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut missed = Vec::new();
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        missed.extend(subject.miss(case));
                    }
                    missed
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no auditor panics")).collect()
    });
    assert!(missed.is_empty(), "{} of {} cases:\n{}", missed.len(), cases.len(), missed.join("\n"));
    let mut counts = BTreeMap::new();
    for case in cases {
        *counts.entry(case.kind).or_default() += 1;
    }
    counts
}

#[test]
fn whatever_is_changed_is_found_and_named() {
    let subject = Subject::build();
    let mut cases = Vec::new();
    cases::entries(&subject, &mut cases);
    cases::facts(&subject, &mut cases);
    cases::blobs(&subject, &mut cases);
    cases::tiles(&subject, &mut cases);
    cases::heads(&subject, &mut cases);
    let counts = run(&subject, &cases);
    println!("{} cases over {} entries: {counts:?}", cases.len(), subject.entries);
    assert!(subject.entries > 300, "{}", subject.entries);
    for (kind, at_least) in [("entry", 1_000), ("row", 200), ("blob", 100), ("tile", 350), ("head", 200)] {
        assert!(counts.get(kind).is_some_and(|n| *n >= at_least), "{kind}: {counts:?}");
    }
}

#[test]
fn what_only_a_kept_head_shows() {
    let subject = Subject::build();
    kept::rolled_back(&subject);
    kept::written_anew(&subject);
    kept::signed_by_another(&subject);
    kept::erased(&subject);
}
