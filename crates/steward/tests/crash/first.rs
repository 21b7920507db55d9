//! A node dies on its very first start: the next start finds a home that it can finish, and somebody can log in.

use std::os::unix::process::ExitStatusExt as _;

use steward_ledger::Audit;
use steward_store::Archive;

use crate::common::Place;

/// SIGKILL.
const KILL: i32 = 9;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_dies_is_finished_by_the_next() {
    let mut deaths = 0;
    for point in ["commit.before_begin", "commit.after_commit"] {
        for nth in 1.. {
            let mishap = format!("{point}:{nth}");
            let place = Place::new();
            match place.try_up(&[], &[("STEWARD_MISHAP", &mishap)]) {
                Err(dead) => assert_eq!(dead.status.signal(), Some(KILL), "{mishap}: {}", dead.log),
                // A first start has fewer commits.
                Ok(node) => {
                    node.kill();
                    break;
                }
            }
            deaths += 1;
            let node = place.up(&[]);
            let (operator, _) = node.login().await;
            let people = operator.people().await.expect("people").people;
            assert_eq!(people.len(), 1, "{mishap}: {people:?}");
            let key = operator.ledger_vkey().await.expect("the key").vkey.parse().expect("a verifier key");
            node.stop();
            let archive = Archive::open(&place.home().join("store.sqlite")).expect("there is a store");
            let created = archive.read(|reader| reader.entries("WHERE kind = 'ledger.created'", &[]));
            assert_eq!(created.expect("it can be read").len(), 1, "{mishap}");
            let origin = archive.origin().to_owned();
            let report = archive.audit(Audit::new(key, &origin), true).expect("it can be read");
            assert!(report.is_consistent(), "{mishap}: {:#?}", report.findings());
        }
    }
    assert!(deaths >= 6, "a first start commits at least three times, and died only {deaths} times");
}

/// Commits of a first start, and of its demo until it used up the log-in key and made another.
const COMMITS_UNTIL_KEY: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_dies_leaves_a_way_in() {
    for after in [0, 1, 2, 5, 9, 14] {
        let mishap = format!("commit.after_commit:{}", COMMITS_UNTIL_KEY + after);
        let place = Place::new();
        let dead = place.try_up(&["--demo"], &[("STEWARD_MISHAP", &mishap)]).err();
        let dead = dead.unwrap_or_else(|| panic!("{mishap}: a demo has fewer commits"));
        assert_eq!(dead.status.signal(), Some(KILL), "{mishap}: {}", dead.log);
        if after == 0 {
            // Nobody knows a key: it says so, and what to do.
            let lost = place.try_up(&["--demo"], &[]).err().expect("there is no way in");
            assert!(lost.log.contains("and start again: this key was good for one request"), "{}", lost.log);
            continue;
        }
        let node = place.up(&["--demo"]);
        let (operator, _) = node.login().await;
        assert!(!operator.agents().await.expect("agents").agents.is_empty(), "{mishap}");
        node.stop();
    }
}
