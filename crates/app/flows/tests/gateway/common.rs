//! What the stories begin with.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, time::Duration};

use serde_json::{Value, json};
use steward_app_actions::{self as actions, EffectRow, Status};
use steward_app_flows::{ServerView, runs::Called};
use steward_app_node::{Caller, Error};
use steward_app_tools::NewServer;
use steward_ledger::{Body, kind};
use steward_naming::{ActionId, RunId};
use steward_permit::{Role, Tier};
use steward_testkit::{Known, Played, TestNode};

use crate::server::{Server, soon};

/// What no agent and no record ever has.
pub(crate) const KEY: &str = "sk-verysecret-0123456789";

/// The tool of most stories, as agents see it.
pub(crate) const READ: &str = "wiki__read_page";

/// As long as a list of tools is trusted, and a little more, in milliseconds.
const UNTIL_ASKED_AGAIN_MS: i64 = 31_000;

/// A node with an operator, the agent `reader` of tier 1, and a secret that servers are given.
pub(crate) async fn node() -> (TestNode, Known) {
    let node = TestNode::new().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("reader", Tier::T1).await;
    let secrets = node.home().secrets();
    std::fs::create_dir_all(&secrets).expect("made");
    std::fs::write(secrets.join("wiki"), format!("Bearer {KEY}")).expect("written");
    std::fs::set_permissions(secrets.join("wiki"), std::fs::Permissions::from_mode(0o600)).expect("set");
    (node, olivia)
}

/// Adds a server, which is asked for its tools.
pub(crate) async fn added(node: &TestNode, name: &str, server: &Server) -> ServerView {
    let new = NewServer {
        name: name.to_owned(),
        url: Some(server.url.clone()),
        secrets: BTreeMap::from([("authorization".to_owned(), "wiki".to_owned())]),
        ..NewServer::default()
    };
    let view = node.runner().gateway.add(&node.admin().await, &new).await.expect("added");
    assert_eq!(view.trouble, None);
    view
}

/// Allows a tool of `wiki` from a tier on, or takes that back.
pub(crate) async fn allow(node: &TestNode, tool: &str, tier: Option<Tier>) {
    node.runner().gateway.allow(&node.admin().await, "wiki", Some(tool), tier, false).await.expect("allowed");
}

/// The server `wiki`, with `read_page` allowed from T1 on.
pub(crate) async fn wiki(node: &TestNode, server: &Server) {
    added(node, "wiki", server).await;
    allow(node, "read_page", Some(Tier::T1)).await;
}

/// A packet that allows this.
pub(crate) fn packet(agent: &str, scope: &[&str]) -> Value {
    json!({
        "agent_id": agent, "task_id": "look", "created_for": "olivia", "objective": "Look it up.", "deliverables": [],
        "constraints": {"scope": scope}, "success_criteria": [], "created_at": "2026-11-20T09:00:00.000Z",
        "error_budget": {"max_total_errors": 20, "max_same_error_repeats": 20, "max_procedure_violations": 2},
    })
}

/// A run in PLAN.
pub(crate) async fn planning(node: &TestNode, who: &Known, agent: &str, scope: &[&str]) -> (RunId, Played) {
    node.clock().advance_ms(1_000);
    let run = node.start_run(who, agent, &packet(agent, scope)).await.expect("it starts");
    let mut played = node.next_agent().await;
    played.begin().await;
    (run.id().clone(), played)
}

/// A run in EXECUTE.
pub(crate) async fn run(node: &TestNode, who: &Known, agent: &str, scope: &[&str]) -> (RunId, Played) {
    let (id, mut played) = planning(node, who, agent, scope).await;
    let said = played.call("submit_plan", json!({"summary": "Look.", "steps": [{"step": "look"}]})).await;
    assert_eq!(said["phase"], "EXECUTE", "{said}");
    (id, played)
}

/// A run of `reader` that may call every tool.
pub(crate) async fn reading(node: &TestNode, who: &Known) -> (RunId, Played) {
    run(node, who, "reader", &["tool.call:**"]).await
}

/// Ends a run whose agent leaves.
pub(crate) async fn end(node: &TestNode, id: &RunId, agent: &Played) {
    agent.exit(0);
    node.ended(id).await;
}

/// Arguments for a tool.
pub(crate) fn page(id: &str) -> Value {
    json!({"id": id})
}

/// Calls as an agent that does not speak in lines; with a key, or over its own door.
pub(crate) async fn call(
    node: &TestNode,
    id: &RunId,
    by: Option<Caller>,
    tool: &str,
    arguments: Value,
) -> Result<Value, Error> {
    match soon("an answer", node.runner().call(id, by, tool, arguments, Duration::from_secs(60))).await? {
        Called::Done(answered) => answered.outcome,
        Called::Pending(_) => panic!("it was waited for long enough"),
    }
}

/// Reads a page, and is told what it says.
pub(crate) async fn read(agent: &mut Played) -> String {
    let said = agent.call(READ, page("a")).await;
    assert_eq!(said["result"]["status"], "succeeded", "{said}");
    said["result"]["tool_result"]["content"][0]["text"].as_str().expect("a text").to_owned()
}

/// Lets so much time go by that what a server lists is not trusted any more.
pub(crate) fn wait(node: &TestNode) {
    node.clock().advance_ms(UNTIL_ASKED_AGAIN_MS);
}

/// The entries of one kind, in order.
pub(crate) fn entries(node: &TestNode, kind: &str) -> Vec<Body> {
    let found = node.context().store.read(|reader| reader.entries("WHERE kind = ?1 ORDER BY seq", &[&kind]));
    found.expect("it reads").iter().map(|e| e.read_body().expect("a body").expect("it is there")).collect()
}

/// What was refused, in order: who asked, for what, on what, and why not.
pub(crate) fn refusals(node: &TestNode) -> Vec<[String; 4]> {
    let of = |body: Body| {
        let decision = body.decision.expect("a refusal is a decision");
        let code = decision.code.expect("with a code").as_str().to_owned();
        [body.actor.name, decision.action, decision.resource.id, code]
    };
    entries(node, kind::ACTION_REFUSED).into_iter().map(of).collect()
}

/// The newest refusal: who asked, for what, on what, and why not.
pub(crate) fn refused(node: &TestNode) -> [String; 4] {
    refusals(node).pop().expect("something was refused")
}

/// A refusal of `reader` as it is to stand in the ledger.
pub(crate) fn of_reader(action: &str, resource: &str, code: &str) -> [String; 4] {
    ["reader.acme.internal", action, resource, code].map(str::to_owned)
}

/// The effects of a run.
pub(crate) fn effects(node: &TestNode, id: &RunId) -> Vec<EffectRow> {
    node.context().store.read(|reader| actions::rows::effects_of_run(reader, id)).expect("it reads")
}

/// The effects of which nobody knows what became of them, as a person lists them; a reviewer then says that they did not happen.
pub(crate) async fn unknown(node: &TestNode) -> Vec<(ActionId, String)> {
    let admin = node.admin().await;
    let reviewer = format!("reviewer-{}", entries(node, kind::PERSON_ADDED).len());
    let reviewer = node.person(&reviewer, &[Role::Reviewer]).await;
    let found = actions::effects(node.context(), &admin, Some(Status::Unknown), None).await.expect("allowed");
    let mut told = Vec::new();
    for effect in found {
        let why = effect.error.map(|(code, _)| code).unwrap_or_default();
        steward_app_flows::reviews::resolve(
            node.context(),
            &node.again(&reviewer),
            &effect.id,
            false,
            "its log says so",
        )
        .await
        .expect("done");
        told.push((effect.id, why));
    }
    told
}

/// How a run ended: ending and code.
pub(crate) fn verdict(node: &TestNode, id: &RunId) -> (String, String) {
    let ended = node.run(id).state.ended.expect("it ended");
    (ended.ending.as_str().to_owned(), ended.code)
}

/// Everything that a node wrote: bodies of entries, rows and blobs, as bytes of its database.
pub(crate) fn everything(node: &TestNode) -> Vec<u8> {
    let home = node.home().path();
    let mut all = Vec::new();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        all.extend(std::fs::read(home.join(name)).unwrap_or_default());
    }
    all
}

/// Whether the node wrote a text anywhere.
pub(crate) fn wrote(node: &TestNode, text: &str) -> bool {
    everything(node).windows(text.len()).any(|window| window == text.as_bytes())
}
