//! The keys that operators know (GOV-6), as they are during a run and after it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use steward_app_flows::runs::{StateEntry, state};
use steward_permit::Role;
use steward_testkit::{Known, TestNode};

use crate::common::{executing, node, over, packet, problem, report};

async fn keys(node: &TestNode, who: &Known, pattern: &str) -> BTreeMap<String, StateEntry> {
    let entries = state(node.runner(), &node.again(who), pattern).await.expect("allowed");
    entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect()
}

fn names(keys: &BTreeMap<String, StateEntry>) -> Vec<&str> {
    keys.keys().map(String::as_str).collect()
}

fn parsed(entry: &StateEntry) -> Value {
    serde_json::from_str(entry.value.as_str().expect("a string")).expect("JSON")
}

#[tokio::test]
async fn keys_during_a_run_and_after_it() {
    let (node, olivia) = node().await;
    assert_eq!(names(&keys(&node, &olivia, "*").await), [] as [&str; 0]);
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    agent.call("fs.write", report()).await;
    agent.call("report_problem", problem("PRINTER")).await;
    let during = keys(&node, &olivia, "*").await;
    let of = |key: &str| format!("agent:scribe.acme.internal:{key}");
    assert_eq!(
        names(&during),
        [
            &of("errors"),
            &of("heartbeat"),
            &of("lock"),
            &of("packet"),
            &of("state"),
            "task:weekly:active_agent",
            "task:weekly:artifacts",
        ]
    );
    let expected = json!({"total": "1", "violations": "0", "PRINTER: it does not work": "1"});
    assert_eq!((during[&of("errors")].kind, &during[&of("errors")].value), ("hash", &expected));
    assert_eq!(parsed(&during[&of("packet")])["task_id"], "weekly");
    let told = parsed(&during[&of("state")]);
    assert_eq!(
        (told["run"].as_str(), told["phase"].as_str(), told["status"].as_str()),
        (Some(id.as_str()), Some("EXECUTE"), Some("live"))
    );
    let lock = &during[&of("lock")];
    assert_eq!(lock.value, format!("{id}#1"));
    assert_eq!(lock.expires_at, Some(node.now().plus_ms(30 * 60_000)));
    assert!(during[&of("heartbeat")].expires_at.is_some(), "it expires");
    assert_eq!(during["task:weekly:active_agent"].value, "scribe.acme.internal");
    let artifacts = &during["task:weekly:artifacts"];
    assert!(
        artifacts.kind == "list"
            && artifacts.value[0].as_str().is_some_and(|a| a.starts_with("/reports/week.md sha256:")),
        "{artifacts:?}"
    );

    assert_eq!(names(&keys(&node, &olivia, "agent:*:lock").await), [&of("lock")]);
    assert_eq!(names(&keys(&node, &olivia, "task:weekly:active_agent").await), ["task:weekly:active_agent"]);
    assert_eq!(names(&keys(&node, &olivia, "nothing:*").await), [] as [&str; 0]);

    agent.call("report_problem", problem("PRINTER")).await;
    over(&node, &id, &agent).await;
    let after = keys(&node, &olivia, "*").await;
    assert_eq!(
        names(&after),
        [
            &of("errors"),
            &of("packet"),
            &of("state"),
            "handoff:weekly:latest",
            "revocations:ledger",
            "task:weekly:artifacts",
        ],
        "heartbeat, lock and active agent are gone"
    );
    assert_eq!(parsed(&after[&of("state")])["status"], "revoked");
    assert_eq!(after[&of("errors")].value["total"], "2");
    assert_eq!(parsed(&after["handoff:weekly:latest"])["previous_agent_id"], "scribe.acme.internal");
    let revoked = after["revocations:ledger"].value[0].as_str().expect("a string").to_owned();
    assert!(revoked.contains("scribe.acme.internal REPEATED_ERROR"), "{revoked}");
}

#[tokio::test]
async fn who_may_read_the_state() {
    let (node, olivia) = node().await;
    let own = node.agent_key("scribe").await;
    for (name, role) in [("vera", Role::Viewer), ("rita", Role::Reviewer), ("ada", Role::Admin)] {
        let known = node.person(name, &[role]).await;
        state(node.runner(), &node.again(&known), "*").await.expect("who reads, reads this");
    }
    let error = state(node.runner(), &node.again(&own), "*").await.expect_err("refused");
    assert_eq!(error.code, "NOT_PERMITTED", "an agent does not see the others");
    let long = "*".repeat(257);
    assert_eq!(state(node.runner(), &node.again(&olivia), &long).await.expect_err("too long").code, "INVALID_REQUEST");
}
