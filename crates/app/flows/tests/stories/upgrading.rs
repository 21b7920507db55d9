//! A home of an earlier version: its tables are brought up to date, its rows still verify, and its node goes on (OPS-5).

use std::sync::Arc;

use steward_app_flows::{Look, check_upgrade, migrations};
use steward_clock::{Clock as _, Dice};
use steward_ledger::kind;
use steward_naming::ActionId;
use steward_permit::{Action, ActionName, Actor, Permit, Resource, ResourceKind, Role, Tier};
use steward_policy::{Engine, Gives, Question, Sources};
use steward_seal::Digest;
use steward_store::{Change, Migration, Options, Row, Store};
use steward_testkit::TestNode;

/// The steps that each released version knew.
const RELEASES: [&[&str]; 2] = [
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

/// Puts a store in the home's place as a version wrote it that knew only these steps: a policy, an agent, an effect.
async fn write_old(node: &TestNode, release: &[&str]) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", node.home().store().display()));
    }
    let options = Options {
        clock: Arc::new(steward_testkit::HandClock::at(node.clock().now())),
        dice: Arc::new(steward_testkit::SeededDice::new(77)) as Arc<dyn Dice>,
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

/// What is looked at before an upgrade.
fn look(node: &TestNode, name: &str) -> Result<String, String> {
    let looks: Vec<Look> = check_upgrade(node.home(), node.namespace(), node.clock(), node.dice());
    let found = looks.into_iter().find(|look| look.name == name);
    found.unwrap_or_else(|| panic!("`{name}` is looked at")).found
}

#[tokio::test]
async fn a_home_of_each_earlier_version_goes_on() {
    const TABLES: &str = "the tables can be brought up to date";
    for release in RELEASES {
        let mut node = TestNode::new().await;
        node.stop().await;
        write_old(&node, release).await;
        let report = node.audit(true);
        assert!(report.is_consistent(), "as the old version left it: {:?}", report.findings());

        // Looked at first: the steps are named, tried, and not taken.
        let found = look(&node, TABLES).expect("it can be done");
        let missing = migrations().into_iter().map(|m| m.name).filter(|name| !release.contains(name));
        for name in missing {
            assert!(found.contains(name), "{name}: {found}");
        }
        assert!(found.contains("4 entries and 3 rows verify"), "{found}");
        assert_eq!(look(&node, TABLES).as_ref(), Ok(&found), "nothing was changed");

        node.revive().await.expect("it starts");
        assert!(look(&node, TABLES).expect("it is done").contains("no step is to be taken"));
        let report = node.audit(true);
        assert!(report.is_consistent(), "after the steps: {:?}", report.findings());
        let agents = node.context().store.read(steward_app_agents::rows::agents).expect("it reads");
        assert_eq!(agents.len(), 1);
        let otto = node.person("otto", &[Role::Operator]).await;
        node.agent("clerk", Tier::T1).await;
        for agent in ["scribe", "clerk"] {
            node.act(&otto, agent, "fs.write", "/reports/new.md", b"new").await.expect("it is permitted");
        }
    }
}

#[tokio::test]
async fn what_would_keep_a_node_from_starting_is_told_before() {
    const POLICIES: &str = "the policies compile";
    let mut node = TestNode::new().await;
    assert!(look(&node, POLICIES).is_ok());
    let policy = node.home().policies().join("broken.cedar");
    std::fs::write(&policy, "permit (principal, action, resource) when { ;\n").expect("a file");
    assert!(look(&node, POLICIES).expect_err("a mistake").contains("broken.cedar:1:"));
    // It compiles, and the node could not go on under it.
    std::fs::write(&policy, "@id(\"no\")\nforbid (principal is Node, action, resource);\n").expect("a file");
    assert!(look(&node, POLICIES).expect_err("it locks the node out").contains("node.start"));
    std::fs::remove_file(policy).expect("a file");
    node.restart().await;
}
