//! Refusals: recorded, then counted, and told.

use serde_json::json;
use steward_app_flows::{Tended, tend};
use steward_ledger::kind;
use steward_testkit::TestNode;

use crate::{code, desk, entries, size};

fn counts(node: &TestNode) -> Vec<serde_json::Value> {
    let counted = entries(node, kind::DENIALS_COUNTED);
    let body = |entry: &steward_store::EntryRow| entry.read_body().expect("a body").expect("it is there");
    counted.iter().map(|entry| json!(body(entry).detail["counts"])).collect()
}

#[tokio::test]
async fn the_first_is_recorded_and_the_rest_of_its_minute_is_counted() {
    let (mut node, otto) = desk().await;
    for n in 0..5 {
        node.clock().advance_ms(1_000);
        let path = format!("/etc/{n}");
        assert_eq!(code(node.act(&otto, "scribe", "fs.write", &path, b"x").await), "NOT_PERMITTED");
    }
    for (action, resource) in [("exec", "ls"), ("shell", "ls"), ("logs.read", "/x")] {
        // Its tier may; this node has no tool for it.
        assert_eq!(code(node.act(&otto, "scribe", action, resource, b"").await), "NO_TOOL", "{action}");
    }
    assert_eq!(code(node.act(&otto, "scribe", "staging.deploy", "db", b"").await), "NOT_PERMITTED");
    assert_eq!(entries(&node, kind::ACTION_REFUSED).len(), 2, "one for each action");
    let round = async || {
        tend(node.runner(), &node.home().policies(), &mut Tended::default()).await.expect("a round");
    };
    round().await;
    assert_eq!(counts(&node), [] as [serde_json::Value; 0], "the minute is not over");

    node.clock().advance_ms(60_000);
    round().await;
    let four =
        json!([{"actor": "agent scribe.acme.internal", "action": "fs.write", "code": "NOT_PERMITTED", "more": "4"}]);
    assert_eq!(counts(&node), std::slice::from_ref(&four));
    round().await;
    assert_eq!(counts(&node).len(), 1, "once");

    // The next minute begins anew; what it counted is recorded when the node stops.
    for _ in 0..5 {
        assert_eq!(code(node.act(&otto, "scribe", "fs.write", "/etc/x", b"x").await), "NOT_PERMITTED");
    }
    assert_eq!(entries(&node, kind::ACTION_REFUSED).len(), 3);
    node.restart().await;
    assert_eq!(counts(&node), [four.clone(), four]);
}

#[tokio::test]
async fn made_up_names_are_counted_as_one() {
    let (node, otto) = desk().await;
    for n in 0..50 {
        assert_eq!(code(node.act(&otto, "scribe", &format!("made.up{n}"), "x", b"").await), "UNKNOWN_ACTION");
    }
    assert_eq!(entries(&node, kind::ACTION_REFUSED).len(), 1, "whoever makes up names fills no disk");
    node.clock().advance_ms(60_000);
    tend(node.runner(), &node.home().policies(), &mut Tended::default()).await.expect("a round");
    let more = json!([{"actor": "agent scribe.acme.internal", "action": "*", "code": "UNKNOWN_ACTION", "more": "49"}]);
    assert_eq!(counts(&node), [more]);
}

#[tokio::test]
async fn names_that_could_be_mistaken_are_on_record_and_reach_nothing() {
    let (node, otto) = desk().await;
    let written = [
        ("DROP", "UNKNOWN_ACTION"),
        (" drop", "MALFORMED_ACTION"),
        ("dr\u{43e}p", "MALFORMED_ACTION"),
        ("dr\u{200b}op", "MALFORMED_ACTION"),
        ("fs.write\u{200d}", "MALFORMED_ACTION"),
        ("fs/write", "MALFORMED_ACTION"),
    ];
    for (n, (name, expected)) in written.into_iter().enumerate() {
        node.clock().advance_ms(60_000);
        let before = size(&node);
        let refused = node.act(&otto, "scribe", name, "/reports/a.md", b"x").await.expect_err("refused");
        assert_eq!(refused.code, expected, "{name:?}");
        let recorded = entries(&node, kind::ACTION_REFUSED);
        assert_eq!((recorded.len(), size(&node)), (n + 1, before + 1), "{name:?}");
        let entry = recorded.last().expect("there is one");
        assert_eq!(entry.actor, "scribe.acme.internal");
        assert_eq!(entry.decision_id.as_deref(), refused.action.as_ref().map(|id| id.as_str()));
        assert!(!refused.message.contains('\u{200b}') && !refused.message.contains('\u{43e}'), "{refused}");
    }
    // Spelled otherwise, and the same: it is normalised before any policy sees it.
    node.act(&otto, "scribe", "FS.Write", "/reports/a.md", b"x").await.expect("allowed");
    assert_eq!(entries(&node, kind::ACTION_INTENDED)[0].action.as_deref(), Some("fs.write"));
}

#[tokio::test]
async fn whoever_is_refused_is_told_what_and_by_what() {
    let (node, otto) = desk().await;
    let refused = node.act(&otto, "scribe", "fs.write", "/etc/passwd", b"x").await.expect_err("refused");
    assert!(refused.message.contains("no policy permits") && refused.message.contains("/etc/passwd"), "{refused}");
    let id = refused.action.expect("it names the decision");
    let told = steward_app_actions::own(node.context(), &id).expect("whoever asked may read it");
    let sentences = told.sentences().join(" ");
    assert!(sentences.contains("scribe.acme.internal (tier T1), driven by otto@acme.internal"), "{sentences}");
    assert!(sentences.contains("It was refused, because no policy permits it"), "{sentences}");

    let escaping = node.act(&otto, "scribe", "fs.write", "/reports/../../x", b"x").await.expect_err("refused");
    assert_eq!(escaping.code, "FORBIDDEN");
    assert!(escaping.message.contains("files/plain-paths"), "{escaping}");
    // A second time in the minute it is only counted, and points to the one on record.
    let again = node.act(&otto, "scribe", "fs.write", "/etc/passwd", b"x").await.expect_err("refused");
    assert_eq!(again.action, Some(id));
}
