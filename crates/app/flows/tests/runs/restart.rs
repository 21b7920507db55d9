//! A node that dies with runs under way, and what a person then finds.

use serde_json::json;
use steward_app_actions::{self as actions, Status};
use steward_app_flows::reviews;
use steward_app_node::Caller;
use steward_ledger::kind;
use steward_naming::{ActionId, RunId};
use steward_permit::{ResourceKind, Role};
use steward_seal::Digest;
use steward_store::Row;
use steward_testkit::TestNode;

use crate::common::{executing, kinds, node, over, packet, planning, report, verdict};

#[tokio::test]
async fn a_run_whose_node_dies_ends_and_another_may_begin() {
    for phase in ["PLAN", "EXECUTE"] {
        let (mut node, olivia) = node().await;
        let (id, agent) = if phase == "PLAN" {
            planning(&node, &olivia, &packet("scribe")).await
        } else {
            executing(&node, &olivia, &packet("scribe")).await
        };
        node.kill();
        node.revive().await.expect("it starts");
        assert_eq!((&node.opened().recovered.ended, node.opened().recovered.going_on.len()), (&vec![id.clone()], 0));
        agent.exit(0);
        let run = over(&node, &id, &agent).await;
        assert_eq!(verdict(&run), ("failed", "INTERRUPTED", None), "{phase}");
        assert_eq!(run.state.ended.as_ref().map(|ended| ended.phase.as_str()), Some(phase));
        node.restart().await;
        assert_eq!(node.opened().recovered.ended, [], "once");
        let (next, mut heir) = executing(&node, &olivia, &packet("scribe")).await;
        assert_eq!(node.run(&next).fence, 2, "{phase}");
        heir.call("fs.write", report()).await;
        heir.call("finish", json!({})).await;
        heir.exit(0);
        assert_eq!(verdict(&over(&node, &next, &heir).await).1, "COMPLETED", "{phase}");
    }
}

/// That a run fetches something is on record, and no more.
pub(crate) async fn fetching(node: &TestNode, run: &RunId) -> ActionId {
    let context = node.context();
    let id = ActionId::new(node.now(), node.dice());
    let caller = Caller { trace: Some(node.run(run).trace), ..Caller::node(node.namespace()) };
    let action = context.action("effect.settle", ResourceKind::Node, id.as_str()).expect("an action");
    let granted = context.permit(&caller, action, None).await.expect("the node may");
    let row = Row::put("effect")
        .text("namespace", node.namespace().as_str())
        .text("id", id.as_str())
        .text("agent", "scribe.acme.internal")
        .text("run", run.as_str())
        .text("trace", node.run(run).trace.as_str())
        .text("action", "http.get")
        .text("resource", "api.example.org/orders")
        .text("arguments", Digest::of(b"").to_string())
        .text("status", "publishing")
        .text("intended_at", node.now().to_string());
    let change = context.change(&caller, granted, kind::ACTION_INTENDED, id.as_str()).row(row);
    context.commit(change).await.expect("it commits");
    id
}

#[tokio::test]
async fn what_was_being_fetched_waits_for_a_person() {
    let (mut node, olivia) = node().await;
    let rita = node.person("rita", &[Role::Reviewer]).await;
    let (id, agent) = executing(&node, &olivia, &packet("scribe")).await;
    let (first, second) = (fetching(&node, &id).await, fetching(&node, &id).await);
    node.kill();
    node.revive().await.expect("it starts");
    agent.exit(0);
    let run = over(&node, &id, &agent).await;
    assert_eq!(verdict(&run), ("failed", "INTERRUPTED", None), "it does not go on");

    let unknown = async |node: &TestNode| {
        let caller = node.again(&olivia);
        let found = actions::effects(node.context(), &caller, Some(Status::Unknown), None).await.expect("allowed");
        found.into_iter().map(|effect| effect.id).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(unknown(&node).await, [first.clone(), second.clone()].into());
    let of_run = actions::effects(node.context(), &node.again(&rita), None, Some(&id)).await.expect("allowed");
    assert!(of_run.iter().all(|effect| effect.error.as_ref().is_some_and(|e| e.0 == "OUTCOME_UNKNOWN")), "{of_run:?}");
    node.restart().await;
    assert_eq!(unknown(&node).await.len(), 2, "a restart does not make it known");

    let theirs = reviews::resolve(node.context(), &node.again(&olivia), &first, true, "I believe so").await;
    assert_eq!(theirs.expect_err("refused").code, "NOT_PERMITTED", "an operator does not judge their own doing");
    let silent = reviews::resolve(node.context(), &node.again(&rita), &first, true, " ").await;
    assert_eq!(silent.expect_err("how does she know?").code, "INVALID_REQUEST");
    for (effect, happened, status) in [(&first, true, Status::Succeeded), (&second, false, Status::Failed)] {
        let rita = node.again(&rita);
        let row =
            reviews::resolve(node.context(), &rita, effect, happened, "their log says so").await.expect("allowed");
        assert_eq!(row.status, status);
        let twice = reviews::resolve(node.context(), &rita, effect, happened, "their log says so").await;
        assert_eq!(twice.expect_err("it is known").code, "INVALID_REQUEST");
    }
    assert_eq!(unknown(&node).await, [].into());
    assert!(kinds(&node, &id).contains(&kind::ACTION_SETTLED.to_owned()));
}
