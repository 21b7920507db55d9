//! Leases: when they are issued, how long they hold, and what takes them away.

use serde_json::json;
use steward_app_flows::runs::Asking;
use steward_app_secrets as secrets;
use steward_ledger::kind;

use crate::{
    common::{
        KEY, MINUTE, READ, ask, end, ends, entries, leases, model, node, planned, planning, put, read, refused, rotate,
        run, wiki,
    },
    provider::Provider,
    server::Server,
};

#[tokio::test]
async fn a_run_has_a_secret_from_when_it_needs_it_until_it_ends() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    assert_eq!(leases(&node, &id), [], "it needed none yet");
    read(&mut agent).await;
    read(&mut agent).await;
    let lease = leases(&node, &id).pop().expect("one");
    assert_eq!(
        (lease.secret.as_str(), lease.version, lease.agent.to_string().as_str()),
        ("wiki", 1, "reader.acme.internal")
    );
    assert_eq!(lease.expires_at, node.now().plus_ms(30 * MINUTE as u64), "as long as tier 1's credentials");
    let leased = entries(&node, kind::SECRET_LEASED);
    assert_eq!(leased.len(), 1, "one entry for two calls");
    assert_eq!(
        (leased[0].detail["secret"].as_str(), leased[0].detail["for"].as_str()),
        (Some("wiki"), Some("tool.call:wiki/read_page"))
    );
    assert_eq!(leased[0].trace.as_ref(), Some(&node.run(&id).trace), "it is found with the run");
    end(&node, &id, &agent).await;
    let over = leases(&node, &id).pop().expect("one");
    assert_eq!(ends(&node, &id), [Some("run")]);
    assert_eq!(over.entry_seq, node.run(&id).entry_seq, "in the commit of the run's end");
    assert_eq!(server.keys(), [KEY]);
}

#[tokio::test]
async fn a_lease_is_renewed_with_each_phase_and_issued_anew_when_it_lapsed() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let provider = Provider::saying("hello").await;
    model(&node, &provider).await;
    let (id, mut agent) = planning(&node, &olivia, "reader").await;
    ask(&node, &id).await.expect("an answer");
    let issued = leases(&node, &id)[0].clone();
    node.clock().advance_ms(5 * MINUTE);
    planned(&mut agent).await;
    let renewed = leases(&node, &id)[0].clone();
    assert_eq!((&renewed.id, renewed.expires_at.since_ms(issued.expires_at)), (&issued.id, 5 * MINUTE as u64));
    // The run lives on, and its lock is renewed, without a phase.
    for _ in 0..4 {
        node.clock().advance_ms(8 * MINUTE);
        node.runner().look_after().await.expect("looked after");
        let wrote = agent.call("fs.write", json!({"path": "/reports/a.md", "content": "alive"})).await;
        assert_eq!(wrote["ok"], true, "{wrote}");
    }
    assert!(node.now() > renewed.expires_at);
    read(&mut agent).await;
    assert_eq!(ends(&node, &id), [Some("lapsed"), None]);
    assert_eq!(entries(&node, kind::SECRET_LEASED).len(), 2);
    end(&node, &id, &agent).await;
    assert_eq!(ends(&node, &id), [Some("lapsed"), Some("run")]);
}

#[tokio::test]
async fn a_lease_that_a_person_revoked_is_not_issued_again() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let provider = Provider::saying("hello").await;
    model(&node, &provider).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    read(&mut agent).await;
    let lease = leases(&node, &id).pop().expect("one");
    let by_operator = secrets::revoke_lease(node.context(), &node.again(&olivia), &lease.id, "why not").await;
    assert_eq!(by_operator.expect_err("refused").code, "NOT_PERMITTED");
    secrets::revoke_lease(node.context(), &node.admin().await, &lease.id, "enough").await.expect("revoked");
    let again = secrets::revoke_lease(node.context(), &node.admin().await, &lease.id, "enough").await;
    assert_eq!(again.expect_err("it is over").code, "INVALID_REQUEST");
    assert_eq!(agent.refused(READ, json!({"id": "a"})).await, "LEASE_REVOKED");
    assert_eq!(refused(&node), ["tool.call", "wiki/read_page", "LEASE_REVOKED"]);
    assert_eq!(ask(&node, &id).await.expect_err("refused").code, "LEASE_REVOKED", "whatever it is needed for");
    assert_eq!((server.calls().len(), provider.count()), (1, 0));
    assert_eq!(node.run(&id).state.spent, Default::default(), "it is not the agent's doing");
    end(&node, &id, &agent).await;
    assert_eq!(ends(&node, &id), [Some("person")]);
    let (next, mut agent) = run(&node, &olivia, "reader").await;
    read(&mut agent).await;
    end(&node, &next, &agent).await;
}

#[tokio::test]
async fn a_revoked_secret_is_used_no_more_until_it_is_put_anew() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let provider = Provider::saying("hello").await;
    model(&node, &provider).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    read(&mut agent).await;
    ask(&node, &id).await.expect("an answer");
    node.runner().revoke_secret(&node.admin().await, "wiki", "it leaked").await.expect("revoked");
    assert_eq!(ends(&node, &id), [Some("secret")]);
    assert_eq!(agent.refused(READ, json!({"id": "a"})).await, "SECRET_REVOKED");
    assert_eq!(refused(&node), ["tool.call", "wiki/read_page", "SECRET_REVOKED"]);
    assert_eq!(ask(&node, &id).await.expect_err("refused").code, "SECRET_REVOKED");
    let outside = node.agent_key("other").await;
    let question = json!({"model": "fast", "messages": [{"role": "user", "content": "hi"}]});
    let asked = node.runner().chat(Asking::Outside(Box::new(node.again(&outside))), question).await;
    assert_eq!(asked.expect_err("refused").code, "SECRET_REVOKED");
    let tested = node.runner().test_model(&node.admin().await, "fast").await;
    assert_eq!(tested.expect_err("refused").code, "SECRET_REVOKED");
    assert_eq!((server.calls().len(), provider.count()), (1, 1));
    assert_eq!(node.run(&id).state.spent, Default::default());
    put(&node, "wiki", "sk-another-0123456789").await;
    read(&mut agent).await;
    assert_eq!(ends(&node, &id), [Some("secret"), None]);
    assert_eq!(leases(&node, &id)[1].version, 2);
    assert_eq!(server.keys(), ["sk-another-0123456789", KEY]);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_rotated_secret_reaches_whoever_had_the_one_before() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    read(&mut agent).await;
    rotate(&node, "wiki", "sk-another-0123456789").await;
    read(&mut agent).await;
    assert_eq!(ends(&node, &id), [Some("replaced"), None]);
    assert_eq!(server.keys(), ["sk-another-0123456789", KEY]);
    let started: Vec<_> =
        entries(&node, kind::TOOL_SERVER_STARTED).iter().map(|b| b.detail["secrets"].to_string()).collect();
    assert_eq!(started, [r#"{"wiki":"1"}"#, r#"{"wiki":"2"}"#]);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_secret_with_grants_is_for_those_agents_only() {
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let provider = Provider::saying("hello").await;
    model(&node, &provider).await;
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    read(&mut agent).await;
    let grant = async |to: &str, is_granted: bool| {
        let granted = secrets::grant(node.context(), &node.admin().await, "wiki", to, is_granted).await;
        granted.map(|view| view.grants.iter().map(|grant| grant.agent.label().to_string()).collect::<Vec<_>>())
    };
    assert_eq!(grant("nobody", true).await.expect_err("no such agent").code, "NOT_FOUND");
    assert_eq!(grant("other", true).await.expect("granted"), ["other"]);
    // A lease that was issued before does not help.
    assert_eq!(agent.refused(READ, json!({"id": "a"})).await, "SECRET_NOT_GRANTED");
    assert_eq!(refused(&node), ["tool.call", "wiki/read_page", "SECRET_NOT_GRANTED"]);
    assert_eq!(ask(&node, &id).await.expect_err("refused").code, "SECRET_NOT_GRANTED");
    assert!(node.runner().usable_models(&Asking::Run(id.clone(), None)).expect("models").is_empty());
    let (theirs, mut other) = run(&node, &olivia, "other").await;
    read(&mut other).await;
    end(&node, &theirs, &other).await;
    // Nobody has it once the last grant is taken back; everybody, once somebody says so.
    assert!(grant("other", false).await.expect("withdrawn").is_empty());
    assert_eq!(agent.refused(READ, json!({"id": "a"})).await, "SECRET_NOT_GRANTED");
    grant("*", true).await.expect("granted");
    read(&mut agent).await;
    end(&node, &id, &agent).await;
    // What it could not call is not offered to it.
    grant("other", true).await.expect("granted");
    let (id, mut agent) = run(&node, &olivia, "reader").await;
    assert_ne!(agent.call(READ, json!({"id": "a"})).await["ok"], true);
    assert_eq!(leases(&node, &id), []);
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn a_secret_that_is_a_file_is_leased_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let (node, olivia) = node().await;
    let server = Server::saying("a page");
    wiki(&node, &server).await;
    let file = node.home().secrets().join("plain");
    std::fs::write(&file, "sk-of-a-file-0123456789").expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("set");
    let provider = Provider::saying("hello").await;
    model(&node, &provider).await;
    let new = steward_app_models::NewModel {
        name: "fast".to_owned(),
        wire: "openai".to_owned(),
        url: provider.url.clone(),
        secret: Some("plain".to_owned()),
        replace: true,
        ..Default::default()
    };
    steward_app_models::add(node.context(), &node.admin().await, &new).await.expect("replaced");
    let (id, agent) = run(&node, &olivia, "reader").await;
    ask(&node, &id).await.expect("an answer");
    let lease = leases(&node, &id).pop().expect("one");
    assert_eq!((lease.secret.as_str(), lease.version), ("plain", 0));
    // What is put wins, from then on.
    put(&node, "plain", "sk-of-the-keystore-01").await;
    ask(&node, &id).await.expect("an answer");
    assert_eq!(ends(&node, &id), [Some("replaced"), None]);
    end(&node, &id, &agent).await;
}
