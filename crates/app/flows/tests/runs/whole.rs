//! A run through all phases, and its record.

use serde_json::json;
use steward_app_flows::runs;
use steward_governor::Ending;
use steward_testkit::Known;

use crate::common::{node, packet, planned, report};

#[tokio::test]
async fn all_phases_and_everything_on_record() {
    let (node, olivia): (_, Known) = node().await;
    let run = node.start_run(&olivia, "scribe", &packet("scribe")).await.expect("it starts");
    assert_eq!(run.state.phase.as_str(), "PLAN");
    let mut agent = node.next_agent().await;
    planned(&mut agent).await;
    let said = agent.call("fs.write", report()).await;
    assert_eq!((said["ok"].as_bool(), said["result"]["status"].as_str()), (Some(true), Some("succeeded")), "{said}");
    let said = agent.call("fs.read", json!({"path": "/reports/week.md"})).await;
    assert_eq!(said["result"]["content"], report()["content"], "{said}");
    let said = agent.call("finish", json!({})).await;
    assert_eq!(said["ok"], true, "{said}");
    agent.exit(0);
    let run = node.ended(run.id()).await;
    let ended = run.state.ended.clone().expect("it ended");
    assert_eq!((ended.ending, ended.code.as_str()), (Ending::Completed, "COMPLETED"), "{}", ended.message);
    assert_eq!(run.compliant, Some(true));
    let metrics = node.context().store.read(|reader| steward_app_runs::metrics(reader, &run.state.agent));
    assert_eq!(metrics.expect("it reads"), (1, 1, 1), "all runs, compliant ones, and those in a row");

    let view = runs::run(node.context(), &node.again(&olivia), run.id(), None).await.expect("it can be read");
    let phases: Vec<&str> =
        view.events.iter().filter(|event| event.kind == "run.phase").map(|event| event.says.as_str()).collect();
    assert_eq!(
        phases,
        [
            "BOOTSTRAP → PREFLIGHT",
            "PREFLIGHT → PLAN",
            "PLAN → EXECUTE",
            "EXECUTE → VERIFY",
            "VERIFY → PACKAGE",
            "PACKAGE → REPORT"
        ]
    );
    assert_eq!(view.events.last().map(|event| event.kind.as_str()), Some("run.ended"));
    assert_eq!(view.artifacts.len(), 1);
    assert!(view.plan.is_some() && view.report.is_some());
    let evidence = runs::evidence(node.context(), &node.again(&olivia), run.id()).await.expect("it can be read");
    let kinds: Vec<&str> = evidence.documents.iter().map(|document| document.kind).collect();
    assert_eq!(kinds, ["packet", "plan", "package", "report"]);
    assert_eq!(evidence.entries.len(), view.events.len());
}
