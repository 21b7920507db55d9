//! What `up --demo` shows: a run through all phases, one that is revoked, one that is refused, and a successor.

use crate::{DONE, REFUSED, demo, json, list, run, text};

#[test]
fn the_demo_runs_a_task_through_all_phases_and_another_to_a_successor() {
    let (place, node) = demo();
    let table: Vec<&str> =
        node.said().lines().skip_while(|line| !line.contains("some of them ran")).skip(2).take(4).collect();
    let expected = [
        ["completed", "designer on design", ""],
        ["revoked", "novice on migration", "[ERROR_BUDGET_EXCEEDED]"],
        ["refused", "novice on migration", "[AGENT_PREVIOUSLY_REVOKED]"],
        ["completed", "veteran on migration", ""],
    ];
    for (line, [status, who, code]) in table.iter().zip(expected) {
        assert!(line.trim_start().starts_with(status) && line.contains(who) && line.ends_with(code), "{line}");
        assert_eq!(line.contains('['), !code.is_empty(), "{line}");
    }
    assert_eq!(table.len(), 4, "{}", node.said());
    let runs = json(&place, DONE, &["run", "list"]);
    let ended: Vec<_> =
        list(&runs, "/runs").iter().rev().map(|run| (text(run, "/status"), text(run, "/ended_in"))).collect();
    assert_eq!(
        ended,
        [("completed", "REPORT"), ("revoked", "EXECUTE"), ("refused", "BOOTSTRAP"), ("completed", "REPORT")]
    );
    let veteran = text(&runs, "/runs/0/id");
    let handoff = json(&place, DONE, &["handoff", "show", "migration"]);
    assert_eq!(
        (text(&handoff, "/acknowledged_by"), text(&handoff, "/handoff/artifacts/0/path")),
        (veteran, "/reports/draft.md")
    );
    let shown = run(&place, DONE, &["run", "show", veteran]).out;
    assert!(shown.contains("What it took over") && shown.contains("novice.acme.internal"), "{shown}");

    // What it says to try, tried.
    let said = run(&place, DONE, &["run", "start", "designer", "--task", "shop", "Design a shop"]);
    assert!(said.err.contains("EXECUTE → VERIFY"), "{said:?}");
    run(&place, REFUSED, &["run", "start", "novice", "--task", "shop", "Design a shop"]);
    let doctor = json(&place, DONE, &["doctor"]);
    assert!(list(&doctor, "/checks").iter().all(|check| text(check, "/status") == "ok"), "{doctor:#}");
    node.stop();
    run(&place, DONE, &["ledger", "verify", "--state"]);
    // Once is enough.
    let node = place.up(&["--demo"]);
    assert!(node.said().contains("nothing was added") && !node.said().contains("some of them ran"), "{}", node.said());
    node.stop();
}
