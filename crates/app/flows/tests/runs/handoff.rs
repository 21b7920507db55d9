//! What a revoked agent leaves, and how its successor goes on.

use serde_json::{Value, json};
use steward_app_agents::rows::Status;
use steward_app_flows::runs;
use steward_app_runs::HandoffRow;
use steward_naming::{HandoffId, RunId};
use steward_permit::Tier;
use steward_seal::Digest;
use steward_testkit::{Known, Played, TestNode};

use crate::common::{
    executing, message, node, over, packet, packet_with, plan, planning, problem, refused, report, standing, verdict,
};

/// A node where `scribe` wrote the report and was revoked; `second` is to follow.
async fn left() -> (TestNode, Known, RunId) {
    let (node, olivia) = node().await;
    node.agent("second", Tier::T1).await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    agent.call("fs.write", report()).await;
    agent.call("report_problem", problem("PRINTER")).await;
    agent.call("report_problem", problem("PRINTER")).await;
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "REPEATED_ERROR");
    (node, olivia, id)
}

async fn latest(node: &TestNode, who: &Known) -> (HandoffRow, Value) {
    let task = "weekly".parse().expect("a label");
    runs::handoff(node.context(), &node.again(who), &task).await.expect("there is one")
}

/// Starts the successor; its first line too.
async fn successor(node: &TestNode, who: &Known, agent: &str) -> (RunId, Played, Value) {
    node.clock().advance_ms(1_000);
    let run = node.start_run(who, agent, &packet(agent)).await.expect("it begins");
    assert!(run.is_live(), "{:?}", run.state.ended);
    let mut agent = node.next_agent().await;
    let begin = agent.begin().await;
    (run.id().clone(), agent, begin)
}

fn acknowledging(id: &str) -> Value {
    let mut plan = plan();
    plan["acknowledges"] = id.into();
    plan
}

#[tokio::test]
async fn the_document_says_what_a_successor_must_know() {
    let (node, olivia, id) = left().await;
    let (row, document) = latest(&node, &olivia).await;
    assert_eq!((&row.run, row.acknowledged_by.as_ref()), (&id, None));
    let content = report()["content"].as_str().expect("text").as_bytes().to_vec();
    let expected = json!({
        "id": row.id.as_str(),
        "task_id": "weekly",
        "previous_agent_id": "scribe.acme.internal",
        "revoked": true,
        "revocation_reason": {"type": "REPEATED_ERROR", "details": "PRINTER: it does not work"},
        "last_known_state": {"phase": "EXECUTE", "step": "every artifact of the plan's 1 steps is there"},
        "what_was_tried": [{"action": "fs.write", "resource": "/reports/week.md", "outcome": "succeeded"}],
        "blocking_issue": "REPEATED_ERROR: PRINTER: it does not work",
        "required_next_actions": [
            "avoid what led to REPEATED_ERROR: see blocking_issue",
            "see to it that `/reports/week.md` is there and holds `Nothing burned`",
        ],
        "constraints_reminder": [
            "allowed: `fs.read:/**`",
            "allowed: `fs.write:/reports/**`",
            "allowed: `exec:grep`",
            "forbidden: `fs.write:/reports/secret/**`",
            "required: write the report",
        ],
        "artifacts": [
            {"path": "/reports/week.md", "digest": Digest::of(&content).to_string(), "bytes": content.len()},
        ],
    });
    assert_eq!(document, expected);
}

#[tokio::test]
async fn a_successor_acknowledges_and_completes() {
    let (node, olivia, _) = left().await;
    let (row, document) = latest(&node, &olivia).await;
    let (id, mut agent, begin) = successor(&node, &olivia, "second").await;
    assert_eq!(begin["handoff"], document, "it gets it with its packet");
    let said = agent.call("submit_plan", acknowledging(row.id.as_str())).await;
    assert_eq!((said["ok"].as_bool(), said["phase"].as_str()), (Some(true), Some("EXECUTE")), "{said}");
    let (after, _) = latest(&node, &olivia).await;
    assert_eq!(after, HandoffRow { acknowledged_by: Some(id.clone()), entry_seq: after.entry_seq, ..row });
    agent.call("fs.write", report()).await;
    agent.call("finish", json!({})).await;
    agent.exit(0);
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("completed", "COMPLETED", Some(true)));
    assert_eq!(run.state.handoff, Some(after.id));
    let evidence = runs::evidence(node.context(), &node.again(&olivia), &id).await.expect("it can be read");
    assert!(evidence.documents.iter().any(|document| document.kind == "handoff"));

    // The task is done: whoever works on it again has nothing to take over.
    let (id, agent, begin) = successor(&node, &olivia, "second").await;
    assert_eq!(begin["handoff"], Value::Null);
    assert!(agent.spec.mounts.iter().all(|mount| mount.at != "/handoff"));
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    over(&node, &id, &agent).await;
}

#[tokio::test]
async fn what_the_predecessor_made_is_there_for_the_successor() {
    let (node, olivia, _) = left().await;
    let (id, agent, _) = successor(&node, &olivia, "second").await;
    let mount = agent.spec.mounts.iter().find(|mount| mount.at == "/handoff").expect("it is shown what was left");
    assert!(!mount.executable);
    let copied = std::fs::read(mount.from.join("reports/week.md")).expect("a copy");
    assert_eq!(copied, report()["content"].as_str().expect("text").as_bytes());
    assert_eq!(node.file("second", "/reports/week.md"), None, "its own folder is its own");
    let scratch = node.home().runs().join(id.as_str());
    assert!(mount.from.starts_with(&scratch));
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    over(&node, &id, &agent).await;
    assert!(!scratch.exists(), "the copy goes with the run");
}

#[tokio::test]
async fn what_changed_since_is_not_handed_over() {
    let (node, olivia, _) = left().await;
    let path = node.home().agents().join("acme.internal/scribe/files/reports/week.md");
    let before = std::fs::read(&path).expect("it is there");
    for changed in [Some(b"All burned.".as_slice()), None] {
        match changed {
            Some(bytes) => std::fs::write(&path, bytes).expect("it can be written"),
            None => std::fs::remove_file(&path).expect("it can be removed"),
        }
        let run = refused(&node, &olivia, &packet("second")).await;
        assert_eq!(verdict(&run), ("refused", "PREFLIGHT_FAILED", None));
        assert!(message(&run).contains("/reports/week.md"), "{}", message(&run));
        assert!(!node.home().runs().join(run.id().as_str()).exists(), "half of a handoff is none");
    }
    std::fs::write(&path, before).expect("it can be written");
    let (id, agent, _) = successor(&node, &olivia, "second").await;
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    over(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_successor_that_does_not_acknowledge_is_revoked() {
    let (node, olivia, _) = left().await;
    let (row, _) = latest(&node, &olivia).await;
    let (id, mut agent, _) = successor(&node, &olivia, "second").await;
    assert_eq!(agent.refused("submit_plan", plan()).await, "HANDOFF_NOT_ACKNOWLEDGED");
    assert_eq!((node.run(&id).state.phase.as_str(), node.run(&id).state.spent.total), ("PLAN", 1));
    // Another id than that of its handoff acknowledges nothing.
    let other = HandoffId::new(node.now(), node.dice());
    assert_eq!(agent.refused("submit_plan", acknowledging(other.as_str())).await, "HANDOFF_NOT_ACKNOWLEDGED");
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("revoked", "REPEATED_ERROR", Some(false)));
    assert_eq!(standing(&node, "second").1, Status::Revoked);
    let first = node.context().store.read(|reader| steward_app_runs::handoff(reader, &row.id)).expect("it reads");
    assert_eq!(first.expect("it is kept").acknowledged_by, None);
    // It leaves one of its own.
    let (latest, document) = latest(&node, &olivia).await;
    assert_eq!((&latest.run, document["previous_agent_id"].as_str()), (&id, Some("second.acme.internal")));
    assert_eq!(document["last_known_state"], json!({"phase": "PLAN", "step": "no plan was submitted"}));
}

#[tokio::test]
async fn an_id_that_is_none_is_an_error() {
    let (node, olivia, _) = left().await;
    let (row, _) = latest(&node, &olivia).await;
    let (id, mut agent, _) = successor(&node, &olivia, "second").await;
    assert_eq!(agent.refused("submit_plan", acknowledging("yes")).await, "INVALID_REQUEST");
    let said = agent.call("submit_plan", acknowledging(row.id.as_str())).await;
    assert_eq!(said["phase"], "EXECUTE", "{said}");
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    over(&node, &id, &agent).await;
}

#[tokio::test]
async fn what_was_not_reached_is_said() {
    let (node, olivia) = node().await;
    let packet = packet_with("scribe", "/deliverables", json!(["/reports/week.md", "/reports/annex.md"]));
    let (id, mut agent) = executing(&node, &olivia, &packet).await;
    agent.refused("fs.write", json!({"path": "/reports/secret/a.md", "content": "x"})).await;
    over(&node, &id, &agent).await;
    let (_, document) = latest(&node, &olivia).await;
    assert_eq!(document["revocation_reason"]["type"], "FORBIDDEN_ACTION");
    assert_eq!(document["last_known_state"]["step"], "step 1 of 1: write the report");
    let next: Vec<&str> =
        document["required_next_actions"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(
        next[1..3],
        ["write the required artifact `/reports/week.md`", "write the deliverable `/reports/annex.md`"]
    );
    assert_eq!(document["artifacts"], json!([]));
}

#[tokio::test]
async fn another_task_has_nothing_to_take_over() {
    let (node, olivia, _) = left().await;
    let (id, agent) = planning(&node, &olivia, &packet_with("second", "/task_id", json!("monthly"))).await;
    assert_eq!(node.run(&id).state.handoff, None);
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    over(&node, &id, &agent).await;
}

#[tokio::test]
async fn what_was_handed_on_is_handed_on_again() {
    let (node, olivia, _) = left().await;
    node.agent("third", Tier::T1).await;
    let (row, first) = latest(&node, &olivia).await;
    // The second writes nothing before it is revoked, too.
    let (id, mut agent, _) = successor(&node, &olivia, "second").await;
    agent.call("submit_plan", acknowledging(row.id.as_str())).await;
    agent.call("report_problem", problem("STAPLER")).await;
    agent.call("report_problem", problem("STAPLER")).await;
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "REPEATED_ERROR");
    let (row, second) = latest(&node, &olivia).await;
    assert_eq!(row.previous_agent.to_string(), "second.acme.internal");
    assert_eq!(second["artifacts"], first["artifacts"], "nothing was lost on the way");
    let (id, agent, begin) = successor(&node, &olivia, "third").await;
    assert_eq!(begin["handoff"]["id"], row.id.as_str());
    let handed = agent.spec.mounts.iter().find(|mount| mount.at == "/handoff").expect("it is shown what was left");
    let copy = std::fs::read(handed.from.join("reports/week.md")).expect("the first one's file");
    assert_eq!(copy, report()["content"].as_str().expect("text").as_bytes());
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("it stops");
    node.ended(&id).await;
}
