//! Runs under runs: they have at most what their parents have, and end with them.

use serde_json::{Value, json};
use steward_app_agents::rows::Status;
use steward_app_flows::runs::NewRun;
use steward_app_node::Error;
use steward_app_runs::RunRow;
use steward_ledger::kind;
use steward_naming::RunId;
use steward_permit::Tier;
use steward_testkit::{Known, Played, TestNode};

use crate::common::{
    entries, executing, file, message, node, over, packet, packet_with, planned, report, standing, verdict,
};

async fn begin(node: &TestNode, who: &Known, parent: &RunId, packet: &Value) -> Result<RunRow, Error> {
    node.clock().advance_ms(1_000);
    let agent = packet["agent_id"].as_str().expect("packets name the agent").to_owned();
    let new = NewRun { agent, packet: Some(packet.to_string()), parent: Some(parent.clone()), ..NewRun::default() };
    node.runner().start(&node.again(who), new).await
}

/// A child in EXECUTE.
async fn child(node: &TestNode, who: &Known, parent: &RunId, packet: &Value) -> (RunId, Played) {
    let run = begin(node, who, parent, packet).await.expect("it begins");
    let mut agent = node.next_agent().await;
    planned(&mut agent).await;
    (run.id().clone(), agent)
}

/// A parent of `scribe` and a child of `second`, both in EXECUTE.
async fn family() -> (TestNode, Known, (RunId, Played), (RunId, Played)) {
    let (node, olivia) = node().await;
    node.agent("second", Tier::T1).await;
    let parent = executing(&node, &olivia, &packet("scribe")).await;
    let child = child(&node, &olivia, &parent.0, &packet("second")).await;
    assert_eq!(node.run(&parent.0).state.children.iter().collect::<Vec<_>>(), [&child.0]);
    (node, olivia, parent, child)
}

#[tokio::test]
async fn a_childs_end_is_told_to_its_parent() {
    let (node, _, (parent, mut lead), (id, mut agent)) = family().await;
    agent.call("fs.write", report()).await;
    agent.call("finish", json!({})).await;
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
    assert!(node.run(&parent).state.children.is_empty());
    let told: Vec<_> = entries(&node, kind::RUN_CHILD).iter().map(|body| body.detail["ended"].clone()).collect();
    assert_eq!(told, [json!(id.as_str())]);
    lead.call("fs.write", report()).await;
    lead.call("finish", json!({})).await;
    lead.exit(0);
    assert_eq!(verdict(&over(&node, &parent, &lead).await).1, "COMPLETED");
}

#[tokio::test]
async fn children_end_with_their_parent() {
    for how in ["stop", "revoke", "complete", "go away"] {
        let (node, olivia, (parent, mut lead), (id, agent)) = family().await;
        match how {
            "stop" => drop(node.runner().stop(&node.again(&olivia), &parent, "enough").await.expect("stopped")),
            "revoke" => drop(node.runner().revoke(&node.again(&olivia), "scribe", "seen").await.expect("revoked")),
            "complete" => {
                lead.call("fs.write", report()).await;
                assert_eq!(lead.call("finish", json!({})).await["ok"], true);
                lead.exit(0);
            }
            _ => lead.exit(1),
        }
        over(&node, &parent, &lead).await;
        let run = over(&node, &id, &agent).await;
        assert_eq!(verdict(&run), ("stopped", "STOPPED", None), "{how}");
        assert!(message(&run).contains(parent.as_str()), "{how}: {}", message(&run));
        assert_eq!(standing(&node, "second").1, Status::Active, "{how}: it keeps its standing");
    }
}

#[tokio::test]
async fn a_child_has_at_most_what_its_parent_has() {
    let (node, olivia, (parent, mut lead), (id, agent)) = family().await;
    node.agent("builder", Tier::T2).await;
    for wider in [
        packet_with("second", "/constraints/scope", json!(["fs.write:/**"])),
        packet_with("second", "/error_budget", json!({"max_total_errors": 9})),
        packet_with("second", "/error_budget", json!({"max_procedure_violations": 2})),
        // A tier above the parent's.
        packet("builder"),
    ] {
        let before = entries(&node, kind::RUN_REFUSED).len();
        let error = begin(&node, &olivia, &parent, &wider).await.expect_err("no run");
        assert_eq!(error.code, "WIDER_THAN_PARENT", "{error}");
        assert_eq!(entries(&node, kind::RUN_REFUSED).len(), before + 1, "that is on record");
    }
    // What the parent has spent is not there for a child.
    lead.call("report_problem", json!({"message": "one"})).await;
    let error = begin(&node, &olivia, &parent, &packet("second")).await.expect_err("no run");
    assert!(error.message.contains("at most 7 is left"), "{error}");
    node.runner().stop(&node.again(&olivia), &parent, "enough").await.expect("stopped");
    over(&node, &parent, &lead).await;
    over(&node, &id, &agent).await;
    let late = begin(&node, &olivia, &parent, &packet("second")).await.expect_err("no run");
    assert_eq!(late.code, "RUN_OVER");
}

#[tokio::test]
async fn what_is_forbidden_to_a_parent_is_forbidden_to_its_child() {
    let (node, olivia) = node().await;
    node.agent("second", Tier::T1).await;
    let (parent, lead) = executing(&node, &olivia, &packet("scribe")).await;
    let free = packet_with("second", "/constraints/forbidden", json!([]));
    let (id, mut agent) = child(&node, &olivia, &parent, &free).await;
    assert_eq!(agent.refused("fs.write", file("/reports/secret/a.md")).await, "FORBIDDEN_ACTION");
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "FORBIDDEN_ACTION");
    assert!(node.run(&parent).is_live(), "its parent goes on");
    node.runner().stop(&node.again(&olivia), &parent, "enough").await.expect("stopped");
    over(&node, &parent, &lead).await;
}

#[tokio::test]
async fn runs_are_four_deep() {
    let (node, olivia) = node().await;
    let mut played = vec![executing(&node, &olivia, &packet("scribe")).await];
    for agent in ["second", "third", "fourth"] {
        node.agent(agent, Tier::T1).await;
        let parent = played.last().expect("there is one").0.clone();
        played.push(child(&node, &olivia, &parent, &packet(agent)).await);
    }
    node.agent("fifth", Tier::T1).await;
    let deepest = played.last().expect("there is one").0.clone();
    let error = begin(&node, &olivia, &deepest, &packet("fifth")).await.expect_err("no run");
    assert_eq!(error.code, "RUN_TOO_DEEP");
    node.runner().stop(&node.again(&olivia), &played[0].0, "enough").await.expect("stopped");
    for (id, agent) in &played {
        assert_eq!(verdict(&over(&node, id, agent).await).0, "stopped", "all of them");
    }
}
