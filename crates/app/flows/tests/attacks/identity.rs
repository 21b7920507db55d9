//! ASI03: keys that are another's, too narrow, used up, or revoked.

use steward_app_node::{Caller, Kind};
use steward_app_people::{Holder, NewKey};
use steward_ledger::kind;
use steward_naming::Name;
use steward_permit::{Scope, Tier};
use steward_testkit::TestNode;

use crate::{
    common::{READ, call, end, entries, node, of_reader, page, reading, refusals, run, wiki},
    server::Server,
};

/// Who comes with a key of an agent's for this.
async fn with_key(node: &TestNode, agent: &str, scopes: &[Scope], single_use: bool) -> Caller {
    let name = Name::resolve(agent, node.namespace()).expect("a name");
    let (_, guard) = steward_app_agents::actor(node.context(), &name).expect("it reads").expect("it is there");
    let new = NewKey {
        holder: Holder::Agent(name),
        holder_guard: Some(guard),
        label: "an attack".to_owned(),
        scopes: scopes.to_vec(),
        lifetime_s: 3600,
        single_use,
    };
    let created = steward_app_people::create_key(node.context(), &node.admin().await, new).await.expect("made");
    node.authenticate(&created.secret.reveal()).expect("it is good")
}

#[tokio::test]
async fn asi03_a_key_speaks_in_a_run_that_is_not_its_agents() {
    let (node, olivia) = node().await;
    node.agent("other", Tier::T1).await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, agent) = reading(&node, &olivia).await;
    let (second, other) = run(&node, &olivia, "other", &["fs.read:/**"]).await;
    // The attack: an agent and a person, each with a good key of their own.
    for by in [with_key(&node, "other", &[Scope::Act], false).await, node.again(&olivia)] {
        let who = by.actor.full_name();
        let error = call(&node, &id, Some(by), READ, page("a")).await.expect_err("refused");
        assert_eq!(error.code, "OUT_OF_SCOPE", "{who}");
        let last = refusals(&node).pop().expect("on record");
        assert_eq!(last, [who.as_str(), "run.step", "reader.acme.internal", "OUT_OF_SCOPE"].map(str::to_owned));
    }
    assert_eq!(node.run(&id).state.spent.total, 0, "it costs whose run it is nothing");
    assert_eq!(server.calls(), []);
    // The twin: its own, which is on record.
    let own = with_key(&node, "reader", &[Scope::Act], false).await;
    let key = own.key.as_ref().map(|key| key.id.clone());
    call(&node, &id, Some(own), READ, page("a")).await.expect("allowed");
    let intended = entries(&node, kind::ACTION_INTENDED).pop().expect("on record");
    assert_eq!((intended.actor.name.as_str(), intended.key), ("reader.acme.internal", key));
    end(&node, &id, &agent).await;
    end(&node, &second, &other).await;
}

#[tokio::test]
async fn asi03_a_key_for_reading_acts() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, agent) = reading(&node, &olivia).await;
    let narrow = with_key(&node, "reader", &[Scope::Read], false).await;
    let error = call(&node, &id, Some(narrow), READ, page("a")).await.expect_err("refused");
    assert_eq!(error.code, "FORBIDDEN");
    assert!(error.message.contains("keys/act"), "{}", error.message);
    assert_eq!(refusals(&node), [of_reader("run.attend", "reader.acme.internal", "FORBIDDEN")]);
    assert_eq!(server.calls(), []);
    let own = with_key(&node, "reader", &[Scope::Act], false).await;
    call(&node, &id, Some(own), READ, page("a")).await.expect("the twin");
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn asi03_a_key_that_was_revoked_goes_on() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, agent) = reading(&node, &olivia).await;
    let key = node.agent_key("reader").await;
    let by = node.again(&key);
    call(&node, &id, Some(by.clone()), READ, page("a")).await.expect("it is good");
    node.revoke(&key).await.expect("revoked");
    // Who was let in before it was revoked, and who comes anew.
    let error = call(&node, &id, Some(by), READ, page("a")).await.expect_err("refused");
    assert_eq!(error.kind, Kind::Stale, "{error:?}");
    assert_eq!(node.authenticate(&key.token).expect_err("refused").kind, Kind::Unauthenticated);
    assert_eq!(server.calls().len(), 1);
    assert_eq!(entries(&node, kind::ACTION_INTENDED).len(), 1);
    assert_eq!(entries(&node, kind::KEY_REVOKED)[0].subject, key.key.as_str());
    let other = with_key(&node, "reader", &[Scope::Act], false).await;
    call(&node, &id, Some(other), READ, page("a")).await.expect("the twin: another key of the same agent");
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn asi03_a_key_for_one_request_makes_many() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, agent) = reading(&node, &olivia).await;
    let once = with_key(&node, "reader", &[Scope::Act], true).await;
    for _ in 0..2 {
        let error = call(&node, &id, Some(once.clone()), READ, page("a")).await.expect_err("refused");
        assert_eq!(error.code, "KEY_SINGLE_USE");
    }
    assert_eq!(server.calls(), []);
    assert_eq!(entries(&node, kind::ACTION_INTENDED).len(), 0);
    let own = with_key(&node, "reader", &[Scope::Act], false).await;
    call(&node, &id, Some(own), READ, page("a")).await.expect("the twin");
    end(&node, &id, &agent).await;
}
