//! Homes of earlier versions, for tests of an upgrade (OPS-5).
//!
//! ```text
//! node.stop().await;
//! write_old(&node, RELEASES[0]).await;      // four entries, three rows
//! node.revive().await?;
//! ```

use std::sync::Arc;

use steward_app_flows::migrations;
use steward_clock::{Clock as _, Dice};
use steward_ledger::kind;
use steward_naming::ActionId;
use steward_permit::{Action, ActionName, Actor, Permit, Resource, ResourceKind};
use steward_policy::{Engine, Gives, Question, Sources};
use steward_seal::Digest;
use steward_store::{Change, Migration, Options, Row, Store};

use crate::{
    chance::{HandClock, SeededDice},
    node::TestNode,
};

/// The steps that each released version knew.
pub const RELEASES: [&[&str]; 2] = [
    &["node-0001", "people-0001", "agents-0001", "actions-0001", "entries-0001"],
    &[
        "node-0001",
        "node-0002",
        "people-0001",
        "agents-0001",
        "agents-0002",
        "actions-0001",
        "actions-0002",
        "runs-0001",
        "entries-0001",
    ],
];

/// Those of today's steps that a release knew, in the order in which it took them.
fn known_to(release: &[&str]) -> Vec<Migration> {
    let known: Vec<Migration> = migrations().into_iter().filter(|m| release.contains(&m.name)).collect();
    assert_eq!(known.len(), release.len(), "a step that was released is never taken out: {release:?}");
    known
}

/// A permit of the node, for something that it may do.
fn permit(node: &TestNode, engine: &Engine) -> Permit {
    let question = Question {
        id: ActionId::new(node.now(), node.dice()),
        actor: Actor::Node { namespace: node.namespace().clone() },
        key: None,
        run: None,
        action: Action::new(
            node.namespace().clone(),
            ActionName::parse("node.start").expect("a name"),
            Resource::new(ResourceKind::Node, node.namespace().as_str()).expect("a resource"),
        ),
        owner: None,
        needs: None,
        approved: false,
        review: None,
        gives: Gives::default(),
    };
    engine.decide(question, node.now()).expect("the node may start")
}

/// Puts a store in the home's place as a version wrote it that knew only these steps: a policy, an agent, an effect. The node is down.
///
/// # Panics
/// The store cannot be written.
pub async fn write_old(node: &TestNode, release: &[&str]) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", node.home().store().display()));
    }
    let options = Options {
        clock: Arc::new(HandClock::at(node.clock().now())),
        dice: Arc::new(SeededDice::new(77)) as Arc<dyn Dice>,
        tree_head_key: node.signing_key(),
        new_origin: node.head_key().name().to_owned(),
        migrations: known_to(release),
        max_bytes: None,
        behind: None,
    };
    let store = Store::open(&node.home().store(), options).expect("it opens");
    let engine = Engine::compile(&Sources::shipped()).expect("it compiles");
    let namespace = node.namespace().as_str();
    let (now, sources) = (node.now().to_string(), Sources::shipped());
    let manifest = Digest::of(b"{}").to_string();
    let change = |kind, subject: &str| Change::new(permit(node, &engine), kind, subject);
    for change in [
        change(kind::LEDGER_CREATED, namespace),
        change(kind::POLICY_LOADED, namespace).blob(sources.encode()).row(
            Row::put("policy")
                .text("namespace", namespace)
                .text("version", sources.version().to_string())
                .text("blob", Digest::of(&sources.encode()).to_string())
                .text("loaded_at", now.as_str()),
        ),
        change(kind::AGENT_ADDED, "scribe").blob(b"{}".to_vec()).row(
            Row::put("agent")
                .text("namespace", namespace)
                .text("name", "scribe")
                .text("version", "1.0.0")
                .text("tier", "T1")
                .text("description", "of an earlier version")
                .text("capabilities", "[]")
                .text("manifest", manifest.as_str())
                .text("status", "active")
                .text("added_at", now.as_str()),
        ),
        change(kind::ACTION_SETTLED, "act").row(
            Row::put("effect")
                .text("namespace", namespace)
                .text("id", ActionId::new(node.now(), node.dice()).to_string())
                .text("agent", format!("scribe.{namespace}"))
                .text("action", "fs.write")
                .text("resource", "/reports/old.md")
                .text("arguments", manifest.as_str())
                .text("status", "succeeded")
                .text("intended_at", now.as_str())
                .text("settled_at", now.as_str())
                .text("digest", manifest.as_str())
                .integer("bytes", 2),
        ),
    ] {
        store.commit(change).await.expect("commits");
    }
    store.close();
}
