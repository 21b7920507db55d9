//! What the stories begin with.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use serde_json::{Value, json};
use steward_app_flows::runs::{Asking, Said};
use steward_app_models::{NewBudget, NewModel, rows::Limits};
use steward_app_node::Error;
use steward_ledger::Body;
use steward_model::Timeouts;
use steward_naming::RunId;
use steward_permit::{Role, Tier};
use steward_testkit::{Known, Played, TestNode};

use crate::provider::Provider;

/// The provider's key.
pub(crate) const KEY: &str = "sk-verysecret-0123456789";

/// A node whose models may take half a second, with an operator, and the agent `thinker`.
pub(crate) async fn node() -> (TestNode, Known) {
    let half = Duration::from_millis(500);
    let timeouts = Timeouts { connect: half, first_byte: half, quiet: half, whole: Duration::from_secs(20) };
    let node = TestNode::builder().model_timeouts(timeouts).start().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("thinker", Tier::T1).await;
    let secrets = node.home().secrets();
    std::fs::create_dir_all(&secrets).expect("made");
    std::fs::write(secrets.join("provider"), KEY).expect("written");
    std::fs::set_permissions(secrets.join("provider"), std::fs::Permissions::from_mode(0o600)).expect("set");
    (node, olivia)
}

/// Adds a model.
pub(crate) async fn model(node: &TestNode, name: &str, provider: &Provider, change: impl FnOnce(&mut NewModel)) {
    let mut new = NewModel {
        name: name.to_owned(),
        wire: "openai".to_owned(),
        url: provider.url.clone(),
        upstream: Some("upstream-model".to_owned()),
        secret: Some("provider".to_owned()),
        input_micros: Some(1_000_000),
        output_micros: Some(2_000_000),
        max_output: Some(50),
        ..NewModel::default()
    };
    change(&mut new);
    steward_app_models::add(node.context(), &node.admin().await, &new).await.expect("added");
}

/// Sets a budget.
pub(crate) async fn budget(node: &TestNode, agent: Option<&str>, per: &str, limits: Limits) {
    let new = NewBudget { agent: agent.map(str::to_owned), per: per.to_owned(), limits };
    steward_app_models::set_budget(node.context(), &node.admin().await, &new).await.expect("set");
}

/// A packet that allows models.
pub(crate) fn packet(scope: &[&str]) -> Value {
    json!({
        "agent_id": "thinker", "task_id": "think", "created_for": "olivia", "objective": "Think.", "deliverables": [],
        "constraints": {"scope": scope}, "success_criteria": [], "created_at": "2026-11-20T09:00:00.000Z",
    })
}

/// A run of `thinker` in PLAN.
pub(crate) async fn run(node: &TestNode, olivia: &Known, scope: &[&str]) -> (RunId, Played) {
    let started = node.start_run(olivia, "thinker", &packet(scope)).await.expect("it starts");
    let mut agent = node.next_agent().await;
    agent.begin().await;
    (started.id().clone(), agent)
}

/// A question, which takes few tokens.
pub(crate) fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// The same, to be answered as a stream.
pub(crate) fn streamed(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "hi"}]})
}

/// Asks in a run.
pub(crate) async fn ask(node: &TestNode, run: &RunId, body: Value) -> Result<Value, Error> {
    match node.runner().chat(Asking::Run(run.clone(), None), body).await? {
        Said::Whole(body) => Ok(body),
        Said::Pieces(_) => panic!("a whole answer was asked for"),
    }
}

/// Asks for a stream, and reads it to its end: what came, and why no more.
pub(crate) async fn listen(node: &TestNode, run: &RunId, body: Value) -> (String, Option<Error>) {
    let said = node.runner().chat(Asking::Run(run.clone(), None), body).await;
    let mut pieces = match said {
        Ok(Said::Pieces(pieces)) => pieces,
        Ok(Said::Whole(body)) => panic!("a stream was asked for: {body}"),
        Err(error) => return (String::new(), Some(error)),
    };
    let mut text = String::new();
    while let Some(piece) = pieces.recv().await {
        match piece {
            Ok(chunk) => text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default()),
            Err(error) => return (text, Some(error)),
        }
    }
    (text, None)
}

/// The calls of a node: status, tokens, micros, error.
pub(crate) fn calls(node: &TestNode) -> Vec<(String, u64, u64, Option<String>)> {
    let read = |reader: &steward_store::Reader<'_>| {
        let mut statement =
            reader.sql().prepare("SELECT status, tokens, micros, error_code FROM model_call ORDER BY id").expect("SQL");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        Ok::<_, steward_store::StoreError>(rows.expect("rows").collect::<Result<Vec<_>, _>>().expect("rows"))
    };
    node.context().store.read(read).expect("it reads")
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

/// Ends a run whose agent leaves.
pub(crate) async fn end(node: &TestNode, id: &RunId, agent: &Played) {
    agent.exit(0);
    node.ended(id).await;
    settled(node).await;
}

/// Waits until no call is under way.
pub(crate) async fn settled(node: &TestNode) {
    for _ in 0..1_000_000 {
        if calls(node).iter().all(|call| call.0 != "reserved") {
            node.context().under_way.none().await;
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("a call does not end");
}

/// The entries of one kind, in order.
pub(crate) fn entries(node: &TestNode, kind: &str) -> Vec<Body> {
    let found = node.context().store.read(|reader| reader.entries("WHERE kind = ?1 ORDER BY seq", &[&kind]));
    found.expect("it reads").iter().map(|e| e.read_body().expect("a body").expect("it is there")).collect()
}
