//! One story for each ending and code. After each: nothing is left of the run, its agent stands as it should, and all is on record.

use serde_json::json;
use steward_app_agents::rows::Status;
use steward_ledger::kind;
use steward_permit::Tier;
use steward_testkit::{Known, TestNode, output};
use steward_worker::EndedBy;

use crate::common::{
    entries, executing, kinds, message, node, over, packet, packet_with, planning, report, standing, verdict,
};

/// A run that is in EXECUTE.
async fn at_work() -> (TestNode, Known, steward_naming::RunId, steward_testkit::Played) {
    let (node, olivia) = node().await;
    let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
    (node, olivia, id, agent)
}

#[tokio::test]
async fn completed() {
    let (node, olivia, id, mut agent) = at_work().await;
    agent.call("fs.write", report()).await;
    assert_eq!(agent.call("finish", json!({"summary": "done"})).await["ok"], true);
    agent.exit(0);
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("completed", "COMPLETED", Some(true)));
    assert_eq!(standing(&node, "scribe"), (Tier::T1, Status::Active));
    assert_eq!(
        kinds(&node, &id),
        [
            kind::RUN_STARTED,
            kind::RUN_PHASE,
            kind::RUN_PHASE,
            kind::RUN_AGENT_STARTED,
            kind::RUN_PLANNED,
            kind::RUN_PHASE,
            kind::ACTION_INTENDED,
            kind::ACTION_PUBLISHING,
            kind::ACTION_SETTLED,
            kind::RUN_PHASE,
            kind::RUN_AGENT_ENDED,
            kind::RUN_PHASE,
            kind::RUN_PHASE,
            kind::RUN_ENDED,
        ]
    );
    // An agent that stays after it said that it is finished is ended.
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    agent.call("fs.write", report()).await;
    agent.call("finish", json!({})).await;
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
}

#[tokio::test]
async fn failed_because_the_agent_went_away() {
    for code in [0, 3] {
        let (node, _, id, agent) = at_work().await;
        agent.exit(code);
        let run = over(&node, &id, &agent).await;
        assert_eq!(verdict(&run), ("failed", "AGENT_EXITED", Some(false)), "exit code {code}");
        assert!(message(&run).contains(&format!("with exit code {code}")), "{}", message(&run));
        assert_eq!(standing(&node, "scribe").1, Status::Active);
        let recorded = kinds(&node, &id);
        assert_eq!(recorded[recorded.len() - 2..], [kind::RUN_AGENT_ENDED, kind::RUN_ENDED]);
    }
    // Before it planned, too.
    let (node, olivia) = node().await;
    let (id, agent) = planning(&node, &olivia, &packet("scribe")).await;
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &id, &agent).await), ("failed", "AGENT_EXITED", Some(false)));
}

#[tokio::test]
async fn failed_at_a_limit_of_the_sandbox() {
    for (limit, word) in [(EndedBy::WallTime, "longer"), (EndedBy::Output, "said more"), (EndedBy::Memory, "memory")] {
        let (node, _, id, agent) = at_work().await;
        agent.ended_by(limit);
        let run = over(&node, &id, &agent).await;
        assert_eq!(verdict(&run), ("failed", "SANDBOX_LIMIT", Some(false)), "{limit:?}");
        assert!(message(&run).contains(word), "{limit:?}: {}", message(&run));
        assert_eq!(standing(&node, "scribe").1, Status::Active);
        let ended = entries(&node, kind::RUN_AGENT_ENDED);
        assert_eq!(ended[0].detail["ended_by"], limit.as_str());
    }
}

#[tokio::test]
async fn an_agent_that_asks_the_system_for_what_no_agent_may_is_revoked() {
    let (node, _, id, agent) = at_work().await;
    agent.ended_by(EndedBy::Seccomp);
    assert_eq!(verdict(&over(&node, &id, &agent).await), ("revoked", "PROCEDURE_VIOLATION", Some(false)));
    assert_eq!(standing(&node, "scribe").1, Status::Revoked);
}

#[tokio::test]
async fn failed_because_a_criterion_does_not_hold() {
    let (node, _, id, mut agent) = at_work().await;
    agent.call("fs.write", json!({"path": "/reports/week.md", "content": "All burned."})).await;
    assert_eq!(agent.call("finish", json!({})).await["ok"], true, "whether it is good, VERIFY finds");
    agent.exit(0);
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("failed", "CRITERION_FAILED", Some(false)));
    assert!(message(&run).contains("Nothing burned"), "{}", message(&run));
    assert_eq!(standing(&node, "scribe").1, Status::Active);
    assert_eq!(kinds(&node, &id).last().map(String::as_str), Some(kind::RUN_ENDED));
}

#[tokio::test]
async fn a_command_says_whether_a_criterion_holds() {
    let (node, olivia) = node().await;
    let criteria = json!([{"kind": "command", "argv": ["grep", "-q", "burned", "/files/reports/week.md"]}]);
    let packet = packet_with("scribe", "/success_criteria", criteria);
    for (code, expected) in
        [(1, ("failed", "CRITERION_FAILED", Some(false))), (0, ("completed", "COMPLETED", Some(true)))]
    {
        node.worker().tool("grep", move |spec| {
            assert_eq!(spec.argv.len(), 4, "{spec:?}");
            output(code, "")
        });
        let ran = node.worker().ran();
        let (id, mut agent) = executing(&node, &olivia, &packet).await;
        agent.call("fs.write", report()).await;
        agent.call("finish", json!({})).await;
        agent.exit(0);
        let run = over(&node, &id, &agent).await;
        assert_eq!(verdict(&run), expected, "{}", message(&run));
        assert_eq!(node.worker().ran(), ran + 1, "it was run once");
        assert_eq!(kinds(&node, &id).iter().filter(|kind| *kind == kind::ACTION_SETTLED).count(), 2, "and journalled");
    }
}

#[tokio::test]
async fn failed_because_a_deliverable_is_missing() {
    let (node, olivia) = node().await;
    let packet = packet_with("scribe", "/deliverables", json!(["/reports/week.md", "/reports/annex.md"]));
    let (id, mut agent) = executing(&node, &olivia, &packet).await;
    agent.call("fs.write", report()).await;
    assert_eq!(agent.call("finish", json!({})).await["ok"], true);
    agent.exit(0);
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("failed", "MISSING_DELIVERABLE", Some(false)));
    assert!(message(&run).contains("/reports/annex.md"), "{}", message(&run));
    assert_eq!(standing(&node, "scribe").1, Status::Active);
}

#[tokio::test]
async fn failed_because_the_node_stopped_or_died() {
    for in_order in [true, false] {
        let (mut node, _, id, agent) = at_work().await;
        if in_order {
            node.stop().await;
        } else {
            node.kill();
        }
        node.revive().await.expect("it starts");
        agent.exit(0);
        let run = over(&node, &id, &agent).await;
        assert_eq!(verdict(&run), ("failed", "INTERRUPTED", None), "in order: {in_order}");
        assert_eq!(standing(&node, "scribe").1, Status::Active);
    }
}

#[tokio::test]
async fn stopped_by_a_person() {
    let (node, olivia, id, mut agent) = at_work().await;
    let run = node.runner().stop(&node.again(&olivia), &id, "enough for today").await.expect("stopped");
    assert_eq!(verdict(&run), ("stopped", "STOPPED", None));
    let run = over(&node, &id, &agent).await;
    assert_eq!(message(&run), "enough for today");
    assert_eq!(standing(&node, "scribe").1, Status::Active, "it keeps its standing");
    let ended = entries(&node, kind::RUN_ENDED);
    assert_eq!(ended[0].actor.name, "olivia@acme.internal", "it is on record who stopped it");
    assert_eq!(agent.hear().await, None, "nothing is said to who is over");
}

#[tokio::test]
async fn stopped_by_a_rule_of_the_packet() {
    for (then, code) in [("stop", "ESCALATED")] {
        let (node, olivia) = node().await;
        let packet = packet_with("scribe", "/escalation_rules", json!([{"when": "first_error", "then": then}]));
        let (id, mut agent) = executing(&node, &olivia, &packet).await;
        agent.call("report_problem", json!({"message": "the source is gone"})).await;
        let run = over(&node, &id, &agent).await;
        assert_eq!(verdict(&run), ("stopped", code, None), "{then}");
        assert!(message(&run).contains("the source is gone"), "{}", message(&run));
        assert_eq!(standing(&node, "scribe").1, Status::Active);
        let ended = entries(&node, kind::RUN_ENDED);
        assert_eq!(ended[0].detail["escalated"], json!([{"when": "first_error", "then": then}]));
    }
}

#[tokio::test]
async fn a_rule_that_notifies_lets_the_run_go_on() {
    let (node, olivia) = node().await;
    let packet = packet_with("scribe", "/escalation_rules", json!([{"when": "first_error", "then": "notify"}]));
    let (id, mut agent) = executing(&node, &olivia, &packet).await;
    let said = agent.call("report_problem", json!({"message": "the source is gone"})).await;
    assert_eq!((said["ok"].as_bool(), said["result"]["errors_left"].as_u64()), (Some(true), Some(7)), "{said}");
    let noted = entries(&node, kind::RUN_ERROR);
    assert_eq!(noted[0].detail["escalated"], json!([{"when": "first_error", "then": "notify"}]));
    agent.call("fs.write", report()).await;
    agent.call("finish", json!({})).await;
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
}
