//! People, names and namespaces.

use std::sync::Arc;

use steward_app_agents::Manifest;
use steward_app_flows::{OpenError, Settings, Workers, open};
use steward_app_node::Kind;
use steward_app_people::{add, disable};
use steward_clock::{Clock, Dice};
use steward_ledger::kind;
use steward_naming::Label;
use steward_permit::{Role, Tier};
use steward_testkit::{HandClock, SeededDice, TestNode};

use crate::{at_once, code, entries};

fn label(name: &str) -> Label {
    name.parse().expect("a label")
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let node = TestNode::new().await;
    let ada = node.person("ada", &[Role::Admin]).await;
    node.person("otto", &[Role::Operator]).await;
    let refused = disable(node.context(), &node.again(&ada), &label("ada")).await;
    assert_eq!(code(refused), "LAST_ADMIN");
    node.person("bob", &[Role::Admin, Role::Viewer]).await;
    disable(node.context(), &node.again(&ada), &label("bob")).await.expect("ada is still there");
    assert_eq!(code(disable(node.context(), &node.again(&ada), &label("ada")).await), "LAST_ADMIN");
    assert_eq!(entries(&node, kind::PERSON_DISABLED).len(), 1);
}

#[tokio::test]
async fn nor_do_two_disable_each_other_at_once() {
    let node = TestNode::new().await;
    let ada = node.person("ada", &[Role::Admin]).await;
    let bob = node.person("bob", &[Role::Admin]).await;
    let (by_ada, by_bob) = (node.again(&ada), node.again(&bob));
    let (bobs, adas) = (label("bob"), label("ada"));
    let one = disable(node.context(), &by_ada, &bobs);
    let other = disable(node.context(), &by_bob, &adas);
    let (one, other) = at_once(&node, one, other).await;
    one.expect("the first who writes");
    assert_eq!(other.expect_err("the second is stale").kind, Kind::Stale);
    assert_eq!(code(node.authenticate(&bob.token)), "HOLDER_DISABLED");
    assert_eq!(entries(&node, kind::PERSON_DISABLED).len(), 1);

    // Nor each themselves.
    node.person("cleo", &[Role::Admin]).await;
    let by_ada = node.again(&ada);
    let cleo = label("cleo");
    let (herself, another) = (disable(node.context(), &by_ada, &adas), disable(node.context(), &by_ada, &cleo));
    let (one, other) = at_once(&node, herself, another).await;
    assert_eq!((one.is_ok(), other.expect_err("nobody would be left").kind), (true, Kind::Stale));
}

#[tokio::test]
async fn a_name_is_given_once() {
    let node = TestNode::new().await;
    let admin = node.admin().await;
    let (context, rita) = (node.context(), label("rita"));
    let tries = (add(context, &admin, rita.clone(), vec![Role::Viewer]), add(context, &admin, rita, vec![Role::Admin]));
    let (one, other) = at_once(&node, tries.0, tries.1).await;
    assert_eq!((one.is_ok(), other.expect_err("one is enough").kind), (true, Kind::Stale));
    assert_eq!(code(add(context, &admin, label("rita"), vec![Role::Viewer]).await), "NAME_TAKEN");
    assert_eq!(code(add(context, &admin, label("root"), vec![]).await), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_node_is_the_authority_for_its_own_namespace() {
    let mut node = TestNode::builder().namespace("lab.example").start().await;
    node.agent("scribe", Tier::T1).await;
    let otto = node.person("otto", &[Role::Operator]).await;
    node.act(&otto, "scribe.lab.example", "fs.write", "/reports/a.md", b"x").await.expect("by its full name too");
    let foreign = Manifest {
        name: "scribe.acme.internal".to_owned(),
        version: "1.0".to_owned(),
        tier: "T9".to_owned(),
        ..Manifest::default()
    };
    let refused = steward_app_agents::add(node.context(), &node.admin().await, &foreign).await;
    let problems: Vec<String> = refused.expect_err("refused").problems.into_iter().map(|p| p.at).collect();
    assert_eq!(problems, ["name", "version", "tier"], "all that is wrong is said at once");
    assert!(node.head_key().name().starts_with("lab.example/ledger/"));

    // Its home does not open under another name, nor for two at once.
    let other = |namespace: &str| Settings {
        home: node.home().clone(),
        namespace: namespace.parse().expect("valid"),
        max_store_bytes: None,
        http_allow: Vec::new(),
        issuers: Vec::new(),
        retention: Default::default(),
        model_timeouts: steward_model::Timeouts::default(),
        hooks: Vec::new(),
        traces: None,
        generators: Vec::new(),
        keeper: Default::default(),
        worker: Workers::Sandboxed("/nowhere".into()),
    };
    let (clock, dice) = (Arc::new(HandClock::at(node.now())), Arc::new(SeededDice::new(9)));
    let parts = || (Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&dice) as Arc<dyn Dice>);
    let twice = open(&other("lab.example"), parts().0, parts().1).await;
    assert!(matches!(twice.err(), Some(OpenError::Home(_))), "it runs already");
    let settings = other("acme.internal");
    node.stop().await;
    let renamed = open(&settings, parts().0, parts().1).await;
    assert!(matches!(renamed.err(), Some(OpenError::Namespace { found, .. }) if found == "lab.example"));
}
