//! One story for each of GOV-4's reasons to revoke an agent.

use serde_json::{Value, json};
use steward_app_agents::rows::Status;
use steward_governor::Reason;
use steward_ledger::kind;
use steward_permit::Tier;

use crate::common::{
    executing, file, kind_of_problem, kinds, message, node, over, packet, plan, problem, report, revocation, standing,
    verdict,
};

/// An agent makes these calls in EXECUTE, the last of which is refused with `answered`, and is revoked for `reason`.
async fn revoked(calls: &[(&str, Value)], answered: Option<&str>, reason: Reason, says: &str) {
    let (node, olivia) = node().await;
    let (id, mut agent) = executing(&node, &olivia, &packet("scribe")).await;
    let mut last = Value::Null;
    for (n, (tool, arguments)) in calls.iter().enumerate() {
        assert!(node.run(&id).is_live(), "it lives until the last call, and ended before call {n}");
        last = agent.call(tool, arguments.clone()).await;
    }
    if let Some(code) = answered {
        assert_eq!(last["error"]["code"], code, "{last}");
    }
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("revoked", reason.as_str(), Some(false)));
    assert!(message(&run).contains(says), "{}", message(&run));
    assert_eq!(standing(&node, "scribe"), (Tier::T1, Status::Revoked));
    let revocation = revocation(&node, "scribe").expect("it is on record");
    assert_eq!((revocation.reason, revocation.run.as_ref()), (reason, Some(&id)));
    assert_eq!(revocation.by, "acme.internal", "the node did it");
    let left = node.context().store.read(|reader| steward_app_runs::handoff_of(reader, &id)).expect("it reads");
    assert_eq!(left.expect("it leaves a handoff").previous_agent, run.state.agent);
    let recorded = kinds(&node, &id);
    assert_eq!(recorded[recorded.len() - 2..], [kind::RUN_ENDED, kind::RUN_AGENT_ENDED], "first it is on record");
}

#[tokio::test]
async fn error_budget_exceeded() {
    let problems: Vec<_> = (0..8).map(|n| ("report_problem", problem(&kind_of_problem(n)))).collect();
    revoked(&problems, None, Reason::ErrorBudgetExceeded, "KIND_H").await;
}

#[tokio::test]
async fn repeated_error() {
    // The same but for what changes from one time to the next.
    let said = |ms: u32| ("report_problem", json!({"message": format!("no answer after {ms} ms")}));
    revoked(&[said(31), ("report_problem", problem("OTHER")), said(207)], None, Reason::RepeatedError, "no answer")
        .await;
    let read = || ("fs.read", json!({"path": "/reports/none.md"}));
    revoked(&[read(), read()], Some("FILE_NOT_FOUND"), Reason::RepeatedError, "FILE_NOT_FOUND").await;
}

#[tokio::test]
async fn procedure_violation() {
    revoked(&[("submit_plan", plan())], Some("WRONG_PHASE"), Reason::ProcedureViolation, "submit a plan").await;
}

#[tokio::test]
async fn missing_artifact() {
    let calls = [("fs.write", file("/reports/other.md")), ("finish", json!({}))];
    revoked(&calls, Some("RUN_OVER"), Reason::MissingArtifact, "/reports/week.md").await;
}

#[tokio::test]
async fn forbidden_action() {
    let calls = [("fs.write", report()), ("fs.write", file("/reports/secret/a.md"))];
    revoked(&calls, Some("FORBIDDEN_ACTION"), Reason::ForbiddenAction, "/reports/secret").await;
}

#[tokio::test]
async fn by_a_person() {
    let (node, olivia) = node().await;
    let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
    let row = node.runner().revoke(&node.again(&olivia), "scribe", "it was seen elsewhere").await.expect("revoked");
    assert_eq!((row.reason, row.run.as_ref(), row.by.as_str()), (Reason::ByPerson, Some(&id), "olivia@acme.internal"));
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("revoked", "BY_PERSON", Some(false)));
    assert_eq!(message(&run), "it was seen elsewhere");
    assert_eq!(standing(&node, "scribe").1, Status::Revoked);
    let left = node.context().store.read(|reader| steward_app_runs::handoff_of(reader, &id)).expect("it reads");
    assert!(left.is_some(), "there is a handoff");
}
