//! What could be claimed wrongly in a race: a run completed that nobody verified, the wrong run revoked, a file that is not the
//! run's, an action around the packet.

use serde_json::json;
use steward_app_runs::NewRun;
use steward_governor::Packet;
use steward_permit::{ResourceKind, Tier};
use steward_testkit::Known;

use crate::common::{entries, executing, file, message, node, over, packet, packet_with, report, revocation, verdict};

/// Without the looks whether the run is over, a halt in VERIFY would have left no criterion that failed: completed. There are several, so
/// that some are ended before the halt has come as far as their record.
#[tokio::test]
async fn a_halt_before_or_in_verify_completes_nothing() {
    let (node, olivia) = node().await;
    let mut agents = Vec::new();
    for n in 0..12 {
        let name = format!("clerk{n}");
        node.agent(&name, Tier::T1).await;
        let criteria = json!([{"kind": "artifact", "path": "/reports/never.md"}]);
        let (id, mut agent) = executing(&node, &olivia, &packet_with(&name, "/success_criteria", criteria)).await;
        agent.call("fs.write", report()).await;
        agents.push((id, agent));
    }
    // All at the end: who is finished is verified a second later, on its own.
    for (_, agent) in &mut agents {
        agent.call("finish", json!({})).await;
    }
    let (_, mut stopped) = node.runner().halt(&node.again(&olivia), "a fire drill").await.expect("halted");
    for (id, agent) in &agents {
        let run = over(&node, id, agent).await;
        assert_eq!(verdict(&run), ("stopped", "STOPPED", None), "{}", message(&run));
        assert!(run.report.is_none() && run.package.is_none(), "nothing is claimed of it");
    }
    stopped.sort();
    assert_eq!(stopped, agents.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), "what is said to be stopped was");
}

#[tokio::test]
async fn a_revocation_finds_the_run_that_works_beside_one_that_begins() {
    let (node, olivia) = node().await;
    let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
    node.clock().advance_ms(1_000);
    // Somebody else's start has come as far as BOOTSTRAP.
    let context = node.context();
    let caller = node.again(&olivia);
    let action = context.action("run.start", ResourceKind::Agent, "scribe.acme.internal").expect("an action");
    let granted = context.permit(&caller, action, None).await.expect("an operator may");
    let new = NewRun {
        packet: Packet::read(packet("scribe").to_string().as_bytes(), node.namespace()).expect("a packet"),
        tier: Tier::T1,
        agent_version: "1.0.0".to_owned(),
        handoff: None,
        parent: None,
    };
    let halt = context.halt().guard(node.namespace());
    let begins = steward_app_runs::begin(context, &caller, granted, new, halt).await.expect("it is on record");
    node.runner().revoke(&node.again(&olivia), "scribe", "seen elsewhere").await.expect("revoked");
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run).0, "revoked");
    assert_eq!(revocation(&node, "scribe").expect("it stands").run, Some(id), "of the run that worked");
    assert_eq!(verdict(&node.run(begins.id())).0, "stopped", "and nothing of it goes on");
}

#[tokio::test]
async fn an_agent_in_a_run_does_nothing_around_it() {
    let (node, olivia): (_, Known) = node().await;
    let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
    let refused = node.act(&olivia, "scribe", "fs.write", "/reports/secret/x.md", b"x").await.expect_err("refused");
    assert_eq!(refused.code, "OUT_OF_SCOPE");
    assert!(node.file("scribe", "/reports/secret/x.md").is_none());
    assert_eq!(entries(&node, "action.refused").len(), 1, "and it is on record");
    node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("it stops");
    over(&node, &id, &agent).await;
    node.act(&olivia, "scribe", "fs.write", "/reports/x.md", b"x").await.expect("afterwards its tier decides");
}

#[tokio::test]
async fn a_deliverable_is_what_the_run_wrote() {
    let (node, olivia) = node().await;
    let packet = packet_with("scribe", "/success_criteria", json!([]));
    let (id, mut agent) = executing(&node, &olivia, &packet).await;
    agent.call("fs.write", report()).await;
    agent.call("fs.write", file("/reports/more.md")).await;
    let folder = node.home().agents().join("acme.internal/scribe/files");
    std::fs::write(folder.join("reports/week.md"), "somebody was here").expect("written behind its back");
    agent.call("finish", json!({})).await;
    agent.exit(0);
    let run = over(&node, &id, &agent).await;
    assert_eq!((verdict(&run).0, verdict(&run).1), ("failed", "MISSING_DELIVERABLE"));
    assert!(message(&run).contains("is not what the run wrote"), "{}", message(&run));
}
