//! What is refused in each phase, and what it costs.

use serde_json::{Value, json};
use steward_ledger::kind;
use steward_naming::RunId;
use steward_testkit::{Played, TestNode};

use crate::common::{
    entries, executing, file, kind_of_problem, message, node, over, packet, packet_with, plan, planning, problem,
    report, verdict,
};

/// A run in PLAN, whose agent makes one call that is refused with `code` and ends the run as `ends`.
async fn in_plan(tool: &str, arguments: Value, code: &str, ends: &str) {
    let (node, olivia) = node().await;
    let (id, mut agent) = planning(&node, &olivia, &packet("scribe")).await;
    assert_eq!(agent.refused(tool, arguments).await, code, "{tool}");
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("revoked", ends, Some(false)), "{tool}: {}", message(&run));
    assert_eq!(run.state.ended.as_ref().map(|ended| ended.phase.as_str()), Some("PLAN"));
    let refused = entries(&node, kind::ACTION_REFUSED);
    let decision = refused.last().and_then(|body| body.decision.as_ref()).expect("the refusal is on record");
    assert_eq!(decision.code.map(|code| code.as_str()), Some(code));
    assert_eq!(node.file("scribe", "/reports/week.md"), None);
    assert_eq!(node.worker().ran(), 0);
}

#[tokio::test]
async fn nothing_is_done_in_plan() {
    in_plan("fs.write", report(), "WRONG_PHASE", "PROCEDURE_VIOLATION").await;
    in_plan("exec", json!({"argv": ["grep", "x"]}), "WRONG_PHASE", "PROCEDURE_VIOLATION").await;
    in_plan("finish", json!({}), "WRONG_PHASE", "PROCEDURE_VIOLATION").await;
}

#[tokio::test]
async fn what_is_forbidden_is_that_before_it_is_out_of_turn() {
    in_plan("fs.write", file("/reports/secret/a.md"), "FORBIDDEN_ACTION", "FORBIDDEN_ACTION").await;
}

#[tokio::test]
async fn an_agent_may_look_around_in_plan() {
    let (node, olivia) = node().await;
    node.act(&olivia, "scribe", "fs.write", "/reports/last.md", b"last week").await.expect("allowed");
    let (id, mut agent) = planning(&node, &olivia, &packet("scribe")).await;
    let said = agent.call("fs.read", json!({"path": "/reports/last.md"})).await;
    assert_eq!((said["phase"].as_str(), said["result"]["content"].as_str()), (Some("PLAN"), Some("last week")));
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
    over(&node, &id, &agent).await;
}

#[tokio::test]
async fn nothing_is_done_after_finish() {
    let (node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    agent.call("fs.write", report()).await;
    assert_eq!(agent.call("finish", json!({})).await["ok"], true);
    let late = agent.ask("fs.write", file("/reports/late.md")).await;
    agent.exit(0);
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("completed", "COMPLETED", Some(true)));
    assert_eq!(agent.answer(late).await, None, "nobody listens any more");
    assert_eq!(node.file("scribe", "/reports/late.md"), None);
    let again = node.runner().stop(&node.again(&olivia), &id, "late").await.expect_err("it is over");
    assert_eq!(again.code, "RUN_OVER");
}

/// A run in EXECUTE with this packet.
async fn at_work(packet: &Value) -> (TestNode, RunId, Played) {
    let (node, olivia) = node().await;
    let (id, agent) = executing(&node, &olivia, packet).await;
    (node, id, agent)
}

fn spent(node: &TestNode, id: &RunId) -> (u32, u32) {
    let spent = node.run(id).state.spent;
    (spent.total, spent.violations)
}

/// The agent is well and completes.
async fn completes(node: &TestNode, id: &RunId, mut agent: Played) {
    assert_eq!(agent.call("fs.write", report()).await["ok"], true);
    assert_eq!(agent.call("finish", json!({})).await["ok"], true);
    agent.exit(0);
    assert_eq!(verdict(&over(node, id, &agent).await).1, "COMPLETED");
}

#[tokio::test]
async fn what_is_out_of_scope_is_refused_and_counted() {
    // Its tier may write plans, its packet does not.
    let (node, id, mut agent) = at_work(&packet("scribe")).await;
    assert_eq!(agent.refused("fs.write", file("/plans/a.md")).await, "OUT_OF_SCOPE");
    assert_eq!(spent(&node, &id), (1, 0));
    assert_eq!(agent.refused("exec", json!({"argv": ["rm", "-r", "/"]})).await, "OUT_OF_SCOPE");
    assert_eq!(spent(&node, &id), (2, 0));
    // Another file is the same error.
    assert_eq!(agent.refused("fs.write", file("/plans/b.md")).await, "OUT_OF_SCOPE");
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "REPEATED_ERROR");
    assert_eq!((node.file("scribe", "/plans/a.md"), node.worker().ran()), (None, 0));
    assert_eq!(entries(&node, kind::RUN_ERROR).len(), 2, "each but the last, which is the end");
}

#[tokio::test]
async fn what_the_policy_denies_is_counted_too() {
    let mut wide = packet("scribe");
    wide["constraints"]["scope"] = json!(["fs.write:/**", "staging.deploy:**"]);
    let (node, id, mut agent) = at_work(&wide).await;
    assert_eq!(agent.refused("fs.write", file("/etc/passwd")).await, "NOT_PERMITTED");
    assert_eq!(spent(&node, &id), (1, 0));
    assert_eq!(agent.refused("staging.deploy", json!({"resource": "/db"})).await, "NOT_PERMITTED");
    assert_eq!(spent(&node, &id), (2, 0));
    completes(&node, &id, agent).await;
}

#[tokio::test]
async fn what_is_no_call_is_an_error() {
    let (node, id, mut agent) = at_work(&packet("scribe")).await;
    agent.say("what shall I do?").await;
    let said = agent.hear().await.expect("it is told");
    assert_eq!((said["id"].as_u64(), said["error"]["code"].as_str()), (None, Some("PROTOCOL")), "{said}");
    assert_eq!(agent.refused("fs.write", json!({"path": "/reports/a.md"})).await, "INVALID_REQUEST");
    assert_eq!(agent.refused("fs.read", json!({"path": "/reports/none.md"})).await, "FILE_NOT_FOUND");
    assert_eq!(agent.refused("no such tool", json!({})).await, "MALFORMED_ACTION");
    assert_eq!(spent(&node, &id), (4, 0));
    completes(&node, &id, agent).await;
}

#[tokio::test]
async fn eight_different_errors_are_enough_and_seven_are_not() {
    let (node, id, mut agent) = at_work(&packet("scribe")).await;
    for n in 0..7_u64 {
        let kind = kind_of_problem(usize::try_from(n).expect("small"));
        let said = agent.call("report_problem", problem(&kind)).await;
        assert_eq!(said["result"]["errors_left"].as_u64(), Some(7 - n), "{said}");
    }
    assert_eq!((spent(&node, &id), node.run(&id).is_live()), ((7, 0), true));
    completes(&node, &id, agent).await;
}

#[tokio::test]
async fn a_packet_sets_its_own_limits() {
    // Tighter.
    let (node, id, mut agent) = at_work(&packet_with("scribe", "/error_budget", json!({"max_total_errors": 2}))).await;
    agent.call("report_problem", problem("ONE")).await;
    assert!(node.run(&id).is_live());
    agent.call("report_problem", problem("TWO")).await;
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "ERROR_BUDGET_EXCEEDED");

    // Wider: three of the same, two violations.
    let budget = json!({"max_same_error_repeats": 3, "max_procedure_violations": 2});
    let (node, id, mut agent) = at_work(&packet_with("scribe", "/error_budget", budget)).await;
    for _ in 0..2 {
        agent.call("report_problem", problem("SAME")).await;
    }
    assert_eq!(agent.refused("submit_plan", plan()).await, "WRONG_PHASE");
    assert_eq!((spent(&node, &id), node.run(&id).is_live()), ((2, 1), true));
    agent.call("report_problem", problem("SAME")).await;
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "REPEATED_ERROR");
}

#[tokio::test]
async fn a_plan_outside_the_packet_is_refused_and_another_may_come() {
    let (node, olivia) = node().await;
    let (id, mut agent) = planning(&node, &olivia, &packet("scribe")).await;
    let outside =
        json!({"summary": "Write elsewhere.", "steps": [{"step": "write", "action": "fs.write:/plans/a.md"}]});
    assert_eq!(agent.refused("submit_plan", outside).await, "PLAN_OUTSIDE_PACKET");
    assert_eq!((node.run(&id).state.phase.as_str(), spent(&node, &id)), ("PLAN", (1, 0)));
    let empty = agent.refused("submit_plan", json!({})).await;
    assert_eq!((empty.as_str(), spent(&node, &id)), ("INVALID_REQUEST", (2, 0)));
    assert_eq!(agent.call("submit_plan", plan()).await["ok"], true);
    completes(&node, &id, agent).await;
}

#[tokio::test]
async fn who_asks_too_often_waits_and_pays_nothing() {
    let (node, id, mut agent) = at_work(&packet("scribe")).await;
    agent.call("fs.write", report()).await;
    let mut waits = 0;
    for _ in 0..11 {
        let mut asked = Vec::new();
        for _ in 0..20 {
            asked.push(agent.ask("fs.read", json!({"path": "/reports/week.md"})).await);
        }
        for id in asked {
            let said = agent.answer(id).await.expect("it is told");
            if said["ok"] == false {
                assert_eq!(said["error"]["code"], "RATE_LIMITED", "{said}");
                waits += 1;
            }
        }
    }
    // Two calls were before: a plan and a write.
    assert_eq!(waits, 220 - 198, "the clock stands, so that nothing flows in");
    assert_eq!(
        (spent(&node, &id), node.run(&id).is_live()),
        ((0, 0), true),
        "the node's limits cost the agent nothing"
    );
    node.clock().advance_ms(1_000);
    assert_eq!(agent.call("finish", json!({})).await["ok"], true);
    agent.exit(0);
    assert_eq!(verdict(&over(&node, &id, &agent).await).1, "COMPLETED");
}
