//! What the stories begin with.

use serde_json::{Value, json};
use steward_app_flows::runs::{Asking, Said};
use steward_app_models::NewModel;
use steward_app_node::Error;
use steward_app_secrets::{self as secrets, LeaseFilter, LeaseRow, Value as Holds};
use steward_app_tools::NewServer;
use steward_ledger::Body;
use steward_naming::RunId;
use steward_permit::{Role, Tier};
use steward_seal::secret::Secret;
use steward_testkit::{Known, Played, TestNode};

use crate::{provider::Provider, server::Server};

/// What the secret `wiki` holds.
pub(crate) const KEY: &str = "sk-verysecret-0123456789";

/// The tool of the server, as agents see it.
pub(crate) const READ: &str = "wiki__read_page";

/// A minute, in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;

/// A node with an operator, the agents `reader` and `other` of tier 1, and the secret `wiki` in its keystore.
pub(crate) async fn node() -> (TestNode, Known) {
    let node = TestNode::new().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("reader", Tier::T1).await;
    node.agent("other", Tier::T1).await;
    put(&node, "wiki", KEY).await;
    (node, olivia)
}

/// Puts a secret.
pub(crate) async fn put(node: &TestNode, name: &str, text: &str) {
    node.clock().advance_ms(1);
    let admin = node.admin().await;
    node.runner().put_secret(&admin, name, &Holds::Given(Secret::new(text))).await.expect("put");
}

/// Gives it another value.
pub(crate) async fn rotate(node: &TestNode, name: &str, text: &str) {
    node.clock().advance_ms(1);
    let admin = node.admin().await;
    node.runner().rotate_secret(&admin, name, &Holds::Given(Secret::new(text))).await.expect("rotated");
}

/// Puts a server behind the node that is given `wiki`, with its tool allowed from T1 on.
pub(crate) async fn wiki(node: &TestNode, server: &Server) {
    let admin = node.admin().await;
    let new = NewServer {
        name: "wiki".to_owned(),
        url: Some(server.url.clone()),
        secrets: [("authorization".to_owned(), "wiki".to_owned())].into(),
        ..NewServer::default()
    };
    let view = node.runner().gateway.add(&admin, &new).await.expect("added");
    assert_eq!(view.trouble, None);
    node.runner().gateway.allow(&admin, "wiki", Some("read_page"), Some(Tier::T1), false).await.expect("allowed");
}

/// Puts a model behind the node whose key is `wiki`.
pub(crate) async fn model(node: &TestNode, provider: &Provider) {
    model_with(node, provider, "wiki").await;
}

/// The same with another key.
pub(crate) async fn model_with(node: &TestNode, provider: &Provider, secret: &str) {
    let new = NewModel {
        name: "fast".to_owned(),
        wire: "openai".to_owned(),
        url: provider.url.clone(),
        secret: Some(secret.to_owned()),
        ..NewModel::default()
    };
    steward_app_models::add(node.context(), &node.admin().await, &new).await.expect("added");
}

/// A run in EXECUTE that may do everything here.
pub(crate) async fn run(node: &TestNode, who: &Known, agent: &str) -> (RunId, Played) {
    let (id, mut played) = planning(node, who, agent).await;
    planned(&mut played).await;
    (id, played)
}

/// The same in PLAN.
pub(crate) async fn planning(node: &TestNode, who: &Known, agent: &str) -> (RunId, Played) {
    node.clock().advance_ms(1_000);
    let packet = json!({
        "agent_id": agent, "task_id": "look", "created_for": "olivia", "objective": "Look it up.", "deliverables": [],
        "constraints": {"scope": ["tool.call:**", "model.call:*", "fs.write:/**"]}, "success_criteria": [],
        "created_at": "2026-11-20T09:00:00.000Z",
        "error_budget": {"max_total_errors": 50, "max_same_error_repeats": 50, "max_procedure_violations": 2},
    });
    let run = node.start_run(who, agent, &packet).await.expect("it starts");
    let mut played = node.next_agent().await;
    played.begin().await;
    (run.id().clone(), played)
}

/// From PLAN to EXECUTE.
pub(crate) async fn planned(played: &mut Played) {
    let said = played.call("submit_plan", json!({"summary": "Look.", "steps": [{"step": "look"}]})).await;
    assert_eq!(said["phase"], "EXECUTE", "{said}");
}

/// Ends a run whose agent leaves.
pub(crate) async fn end(node: &TestNode, id: &RunId, agent: &Played) {
    agent.exit(0);
    node.ended(id).await;
}

/// Reads a page.
pub(crate) async fn read(agent: &mut Played) {
    let said = agent.call(READ, json!({"id": "a"})).await;
    assert_eq!(said["result"]["status"], "succeeded", "{said}");
}

/// Asks the model in a run.
pub(crate) async fn ask(node: &TestNode, run: &RunId) -> Result<Value, Error> {
    let question = json!({"model": "fast", "messages": [{"role": "user", "content": "hi"}]});
    match node.runner().chat(Asking::Run(run.clone(), None), question).await? {
        Said::Whole(body) => Ok(body),
        Said::Pieces(_) => panic!("a whole answer was asked for"),
    }
}

/// The leases of a run, oldest first.
pub(crate) fn leases(node: &TestNode, run: &RunId) -> Vec<LeaseRow> {
    let filter = LeaseFilter { run: Some(run.to_string()), all: true, limit: 100, ..LeaseFilter::default() };
    let mut found = node.context().store.read(|reader| secrets::leases(reader, &filter)).expect("it reads");
    found.reverse();
    found
}

/// Why each of a run's leases is over, oldest first.
pub(crate) fn ends(node: &TestNode, run: &RunId) -> Vec<Option<&'static str>> {
    leases(node, run).iter().map(|lease| lease.over.map(|(_, why)| why.as_str())).collect()
}

/// The entries of one kind, in order.
pub(crate) fn entries(node: &TestNode, kind: &str) -> Vec<Body> {
    let found = node.context().store.read(|reader| reader.entries("WHERE kind = ?1 ORDER BY seq", &[&kind]));
    found.expect("it reads").iter().map(|e| e.read_body().expect("a body").expect("it is there")).collect()
}

/// What was refused last, and how: action, resource, code.
pub(crate) fn refused(node: &TestNode) -> [String; 3] {
    let body = entries(node, steward_ledger::kind::ACTION_REFUSED).pop().expect("something was refused");
    let decision = body.decision.expect("a refusal is a decision");
    [decision.action, decision.resource.id, decision.code.expect("with a code").as_str().to_owned()]
}

/// A reviewer says of every effect of which nobody knows that it did not happen.
pub(crate) async fn settle(node: &TestNode) {
    use steward_app_actions::{self as actions, Status};
    let found =
        actions::effects(node.context(), &node.admin().await, Some(Status::Unknown), None).await.expect("allowed");
    let reviewer = node.person("rita", &[Role::Reviewer]).await;
    for effect in found {
        steward_app_flows::reviews::resolve(
            node.context(),
            &node.again(&reviewer),
            &effect.id,
            false,
            "its log says so",
        )
        .await
        .expect("done");
    }
}
