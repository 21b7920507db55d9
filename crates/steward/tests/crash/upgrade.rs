//! A node dies while it brings a home of an earlier version up to date: all steps were taken or none, what stood there stands, and the next
//! start goes on.

use std::{os::unix::process::ExitStatusExt as _, process::Command};

use steward_app_flows::migrations;
use steward_ledger::Audit;
use steward_store::Archive;
use steward_testkit::{RELEASES, TestNode, write_old};

use crate::{common::Place, life::KILL};

/// Where it dies: within the steps, around their commit, and in what a start records after them.
const POINTS: [&str; 8] = [
    "upgrade.step:1",
    "upgrade.step:5",
    "upgrade.before_commit:1",
    "upgrade.after_commit:1",
    "commit.before_begin:1",
    "commit.before_commit:1",
    "commit.after_commit:1",
    "commit.after_commit:2",
];

/// Rows of the earlier version.
const ROWS: u64 = 3;

/// A home as an earlier version left it.
fn copied(node: &TestNode) -> Place {
    let place = Place::new();
    let copied = Command::new("cp").arg("-a").arg(node.home().path()).arg(place.home()).status();
    assert!(copied.expect("cp runs").success());
    place
}

/// How many steps are not taken yet, and that what is there verifies.
fn pending(node: &TestNode, place: &Place, context: &str) -> usize {
    let archive = Archive::open(&place.home().join("store.sqlite")).expect("there is a store");
    let report = archive.audit(Audit::new(node.head_key().clone(), node.head_key().name()), true);
    let report = report.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(report.is_consistent(), "{context}: {:?}", report.findings());
    assert!(report.rows_compared >= ROWS, "{context}: {report:?}");
    archive.schema(&migrations()).unwrap_or_else(|error| panic!("{context}: {error}")).pending.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_dies_anywhere_takes_all_steps_or_none_and_goes_on() {
    for (release, points) in [(RELEASES[0], &POINTS[..]), (RELEASES[1], &POINTS[1..4])] {
        let mut old = TestNode::new().await;
        old.stop().await;
        write_old(&old, release).await;
        let all = pending(&old, &copied(&old), "as it was left");
        assert!(all >= 5, "{all} steps");
        let (mut none, mut every) = (0, 0);
        for point in points {
            let context = format!("from {} steps, {point}", release.len());
            let place = copied(&old);
            let dead = place.try_up(&[], &[("STEWARD_MISHAP", point)]).err();
            let dead = dead.unwrap_or_else(|| panic!("{context}: it is reached while the node starts"));
            assert_eq!(dead.status.signal(), Some(KILL), "{context}: {}", dead.log);
            match pending(&old, &place, &context) {
                0 => every += 1,
                left if left == all => none += 1,
                left => panic!("{context}: {left} of {all} steps are left"),
            }
            let node = place.up(&[]);
            let (operator, _) = node.login().await;
            let agents = operator.agents().await.expect("they are listed").agents;
            assert_eq!(agents.len(), 1, "{context}: {agents:?}");
            node.stop();
            assert_eq!(pending(&old, &place, &context), 0, "{context}");
        }
        assert!(none >= 2 && every >= 1, "before its commit {none} times, after it {every} times");
    }
}
