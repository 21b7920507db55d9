//! However a run ends, its leases end with it.

use serde_json::json;
use steward_app_node::Caller;
use steward_app_secrets as secrets;
use steward_ledger::kind;
use steward_naming::{LeaseId, RunId};
use steward_permit::ResourceKind;
use steward_store::Row;
use steward_testkit::{Known, Played, TestNode};

use crate::{
    common::{end, ends, entries, leases, node, read, run, wiki},
    server::Server,
};

/// A run that has a lease.
async fn leased(node: &TestNode, olivia: &Known) -> (RunId, Played) {
    let (id, mut agent) = run(node, olivia, "reader").await;
    read(&mut agent).await;
    assert_eq!(ends(node, &id), [None]);
    (id, agent)
}

#[tokio::test]
async fn of_a_run_that_completes_fails_is_stopped_or_revoked() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    for ending in ["completed", "failed", "stopped", "revoked"] {
        let (id, mut agent) = leased(&node, &olivia).await;
        match ending {
            "completed" => _ = agent.call("finish", json!({})).await,
            "failed" => agent.exit(1),
            "stopped" => _ = node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped"),
            _ => _ = node.runner().revoke(&node.admin().await, "reader", "it strays").await.expect("revoked"),
        }
        agent.exit(0);
        let run = node.ended(&id).await;
        assert_eq!(run.state.ended.expect("it ended").ending.as_str(), ending);
        assert_eq!(ends(&node, &id), [Some("run")], "{ending}");
    }
}

#[tokio::test]
async fn of_runs_that_a_halt_ends() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, _agent) = leased(&node, &olivia).await;
    node.runner().halt(&node.again(&olivia), "smoke").await.expect("halted");
    node.ended(&id).await;
    assert_eq!(ends(&node, &id), [Some("run")]);
}

#[tokio::test]
async fn of_runs_whose_node_dies() {
    let (mut node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, agent) = leased(&node, &olivia).await;
    node.kill();
    node.revive().await.expect("it starts");
    agent.exit(0);
    node.ended(&id).await;
    assert_eq!(ends(&node, &id), [Some("run")]);
    // What was put is still there.
    let (next, mut agent) = run(&node, &olivia, "reader").await;
    read(&mut agent).await;
    end(&node, &next, &agent).await;
}

/// Writes a lease of a run that is over, as nothing does.
async fn forgotten(node: &TestNode, run: &RunId) {
    let context = node.context();
    let node_itself = Caller::node(node.namespace());
    let action = context.action("secret.lease", ResourceKind::Secret, "wiki").expect("an action");
    let granted = context.permit(&node_itself, action, None).await.expect("the node may");
    let id = LeaseId::new(node.now(), node.dice());
    let row = Row::put("secret_lease")
        .text("namespace", node.namespace().as_str())
        .text("id", id.as_str())
        .text("secret", "wiki")
        .integer("version", 1)
        .text("run", run.as_str())
        .text("agent", "reader.acme.internal")
        .text("issued_at", node.now().to_string())
        .text("expires_at", node.now().plus_ms(1_000).to_string());
    context
        .commit(context.change(&node_itself, granted, kind::SECRET_LEASED, id.as_str()).row(row))
        .await
        .expect("written");
}

#[tokio::test]
async fn one_that_was_forgotten_is_found_and_ended_by_the_background_and_by_the_next_start() {
    let (mut node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, agent) = leased(&node, &olivia).await;
    let left = |node: &TestNode| node.context().store.read(secrets::left_over).expect("it reads").len();
    node.runner().look_after().await.expect("looked after");
    assert_eq!((left(&node), ends(&node, &id)), (0, vec![None]), "one of a live run is none of them");
    end(&node, &id, &agent).await;
    forgotten(&node, &id).await;
    assert_eq!(left(&node), 1);
    let asserted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| node.assert_in_order()));
    let message = *asserted.expect_err("a test node would not let it pass").downcast::<String>().expect("words");
    assert!(message.contains("have leases of secrets"), "{message}");
    node.runner().look_after().await.expect("looked after");
    assert_eq!(left(&node), 0);
    forgotten(&node, &id).await;
    node.restart().await;
    assert_eq!(left(&node), 0);
    assert_eq!(leases(&node, &id).len(), 3);
    assert_eq!(entries(&node, kind::SECRET_LEASE_ENDED).len(), 2);
}
