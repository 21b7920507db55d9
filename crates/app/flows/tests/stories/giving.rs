//! Who may give what: keys give what their holders have, and agents act by their tier.

use steward_app_agents::Manifest;
use steward_app_node::{Caller, Error};
use steward_app_people::{self as people, Holder, NewKey};
use steward_permit::{Role, Scope};
use steward_testkit::TestNode;

use crate::{code, desk};

async fn makes(node: &TestNode, caller: &Caller, holder: Holder, scopes: &[Scope]) -> Result<people::Created, Error> {
    let new = NewKey {
        holder,
        holder_guard: None,
        label: "made".to_owned(),
        scopes: scopes.to_vec(),
        lifetime_s: 3600,
        single_use: scopes == [Scope::Login],
    };
    people::create_key(node.context(), caller, new).await
}

#[tokio::test]
async fn a_key_makes_no_key_that_may_do_more_than_itself() {
    let node = TestNode::new().await;
    let ada = node.person("ada", &[Role::Admin]).await;
    let own = || Holder::Person("ada".parse().expect("a name"));
    let narrow = node.key(&ada, &[Scope::Keys], false).await;
    for wider in [vec![Scope::All], vec![Scope::Read], vec![Scope::Keys, Scope::Act], vec![Scope::Login]] {
        assert_eq!(code(makes(&node, &narrow.caller, own(), &wider).await), "FORBIDDEN", "{wider:?}");
    }
    makes(&node, &narrow.caller, own(), &[Scope::Keys]).await.expect("the same is no more");
    makes(&node, &ada.caller, own(), &[Scope::All]).await.expect("a key for all makes any");
}

#[tokio::test]
async fn for_another_person_nothing_but_a_login_key_is_made() {
    let node = TestNode::new().await;
    let ada = node.person("ada", &[Role::Admin]).await;
    node.person("rita", &[Role::Reviewer]).await;
    let hers = || Holder::Person("rita".parse().expect("a name"));
    for scopes in [vec![Scope::All], vec![Scope::Read], vec![Scope::Read, Scope::Act]] {
        assert_eq!(code(makes(&node, &ada.caller, hers(), &scopes).await), "FORBIDDEN", "{scopes:?}");
    }
    makes(&node, &ada.caller, hers(), &[Scope::Login]).await.expect("so that she can log in");
}

#[tokio::test]
async fn an_operator_adds_no_agent_above_the_second_tier() {
    let (node, otto) = desk().await;
    let adds = async |caller: &Caller, name: &str, tier: &str| {
        let manifest = Manifest {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            tier: tier.to_owned(),
            ..Manifest::default()
        };
        steward_app_agents::add(node.context(), caller, &manifest).await
    };
    for tier in ["T2", "T3", "T4"] {
        assert_eq!(code(adds(&otto.caller, "mine", tier).await), "NOT_PERMITTED", "{tier}");
    }
    adds(&otto.caller, "mine", "T1").await.expect("an operator's to add");
    let admin = node.admin().await;
    adds(&admin, "theirs", "T3").await.expect("an administrator's to add");
}
