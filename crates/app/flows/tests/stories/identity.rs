//! Tokens of issuers: people who log in by one, and services that come with one.

use serde_json::{Value, json};
use steward_app_node::{Caller, Error, Kind};
use steward_app_people::{Holder, LinkRow, NewKey, NewLink, create_key, link, unlink};
use steward_ledger::kind;
use steward_permit::{Role, Scope, Tier};
use steward_testkit::{Lie, Provider, SignsWith, TestNode};

use crate::{code, entries, size};

/// A node with an issuer, an operator who is linked for logging in, and a service that is linked.
async fn house() -> (TestNode, Provider) {
    let start = TestNode::new().await;
    let provider = Provider::start(start.now().unix_ms() / 1000, "4711").await;
    drop(start);
    let node = TestNode::builder().issuer(provider.settings()).start().await;
    node.person("otto", &[Role::Operator]).await;
    node.person("ci", &[Role::Operator]).await;
    node.agent("scribe", Tier::T1).await;
    linked(&node, &provider, "otto", "4711", false).await.expect("linked");
    linked(&node, &provider, "ci", "robot", true).await.expect("linked");
    (node, provider)
}

async fn linked(
    node: &TestNode,
    provider: &Provider,
    person: &str,
    subject: &str,
    is_service: bool,
) -> Result<LinkRow, Error> {
    let new = NewLink { issuer: provider.url().to_owned(), subject: subject.to_owned(), is_service };
    link(node.context(), &node.admin().await, &person.parse().expect("a label"), new).await
}

async fn unlinked(node: &TestNode, provider: &Provider, person: &str, subject: &str) {
    let (admin, person) = (node.admin().await, person.parse().expect("a label"));
    unlink(node.context(), &admin, &person, provider.url(), subject).await.expect("unlinked");
}

async fn writes(node: &TestNode, caller: Caller, path: &str) -> Result<(), Error> {
    node.act_as(caller, "scribe", "fs.write", path, b"x").await.map(|_| ())
}

fn detail(node: &TestNode, kind: &str) -> Value {
    let last = entries(node, kind).pop().expect("one");
    let body = last.read_body().expect("it reads").expect("it is there");
    serde_json::to_value(&body).expect("JSON")
}

#[tokio::test]
async fn a_person_logs_in_by_an_issuer_and_a_service_comes_with_its_token() {
    let (node, provider) = house().await;
    let key = node.log_in_with(&provider.id_token("4711", json!({})), None).await.expect("logged in");
    let otto = node.authenticate(&key).expect("the key is good");
    assert_eq!(otto.actor.full_name(), "otto@acme.internal");
    writes(&node, otto, "/reports/a.md").await.expect("allowed");
    let told = detail(&node, kind::ACTION_INTENDED).to_string();
    assert!(told.contains(provider.url()) && told.contains("\"by_subject\":\"4711\""), "{told}");
    assert!(detail(&node, kind::KEY_EXCHANGED).to_string().contains("4711"));

    for with in [SignsWith::Es256, SignsWith::Rs256, SignsWith::Ps256, SignsWith::EdDsa] {
        provider.signs_with(with);
        provider.rotates();
        node.clock().advance_ms(61_000);
        provider.stands_at(node.now().unix_ms() / 1000);
        let ci = node.come_with(&provider.service_token("robot", json!({}))).await.expect("it is good");
        assert_eq!(ci.actor.full_name(), "ci@acme.internal");
        writes(&node, ci, "/reports/b.md").await.expect("allowed");
    }
    let told = detail(&node, kind::ACTION_INTENDED).to_string();
    assert!(told.contains("\"by_subject\":\"robot\""), "{told}");
    // What it asked of the issuer is on record, before it was asked.
    assert_eq!(entries(&node, kind::ISSUER_ASKED).len(), 5);
    // Twelve hours, and no longer.
    node.clock().advance_ms(12 * 3600 * 1000);
    assert_eq!(code(node.authenticate(&key)), "KEY_EXPIRED");
}

#[tokio::test]
async fn nobody_comes_in_who_is_not_linked_for_that() {
    let (node, provider) = house().await;
    for token in [
        provider.service_token("4711", json!({})),
        provider.service_token("nobody", json!({})),
        provider.service_token("Robot", json!({})),
        provider.service_token("robot ", json!({})),
    ] {
        assert_eq!(code(node.come_with(&token).await), "NOT_LINKED");
    }
    assert_eq!(code(node.log_in_with(&provider.id_token("robot", json!({})), None).await), "NOT_LINKED");
    // The right subject of somebody else.
    let other = Provider::start(node.now().unix_ms() / 1000, "4711").await;
    assert_eq!(code(node.log_in_with(&other.id_token("4711", json!({})), None).await), "TOKEN_REFUSED");
    assert_eq!(other.keys_asked(), 0, "nobody asks whom nobody configured");
    let forged = other.id_token("4711", json!({"iss": provider.url()}));
    assert_eq!(code(node.log_in_with(&forged, None).await), "TOKEN_REFUSED");
    // Links are an administrator's, of people who are there, to issuers that are there, once.
    let otto = node.person("olga", &[Role::Operator]).await;
    let new = |issuer: &str| NewLink { issuer: issuer.to_owned(), subject: "1".to_owned(), is_service: false };
    let olga = "olga".parse().expect("a label");
    let own = link(node.context(), &otto.caller, &olga, new(provider.url())).await;
    assert_eq!(code(own), "NOT_PERMITTED");
    let admin = node.admin().await;
    assert_eq!(code(link(node.context(), &admin, &olga, new(other.url())).await), "INVALID_REQUEST");
    assert_eq!(code(linked(&node, &provider, "olga", "4711", false).await), "NAME_TAKEN");
    assert_eq!(code(linked(&node, &provider, "nobody", "1", false).await), "NOT_FOUND");
    for subject in ["", "a\u{202e}b", &"s".repeat(256)] {
        assert_eq!(code(linked(&node, &provider, "olga", subject, false).await), "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn an_id_token_is_good_for_one_exchange() {
    let (node, provider) = house().await;
    let before = entries(&node, kind::KEY_EXCHANGED).len();
    let token = provider.id_token("4711", json!({}));
    node.log_in_with(&token, None).await.expect("logged in");
    assert_eq!(code(node.log_in_with(&token, None).await), "TOKEN_USED");
    // Two at once: one wins, and the other finds it used when it looks again.
    let token = provider.id_token("4711", json!({}));
    let (one, other) = tokio::join!(node.log_in_with(&token, None), node.log_in_with(&token, None));
    let refused = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused.len(), 1, "one is enough");
    assert!(refused[0].kind == Kind::Stale || refused[0].code == "TOKEN_USED");
    assert_eq!(code(node.log_in_with(&token, None).await), "TOKEN_USED");
    // Without what its nonce was made from nobody exchanges it, and it is not spent by trying.
    let nonce = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let bound = provider.id_token("4711", json!({ "nonce": nonce }));
    assert_eq!(code(node.log_in_with(&bound, Some("secret")).await), "TOKEN_REFUSED");
    assert_eq!(entries(&node, kind::KEY_EXCHANGED).len() - before, 2);
}

#[tokio::test]
async fn what_is_taken_away_ends_at_once_also_in_between() {
    let (node, provider) = house().await;
    let key = node.log_in_with(&provider.id_token("4711", json!({})), None).await.expect("logged in");
    let (token, late) = (provider.service_token("robot", json!({})), provider.service_token("robot", json!({})));
    // A key that they make with it ends with it, too.
    let new = NewKey {
        holder: Holder::Person("otto".parse().expect("a label")),
        holder_guard: None,
        label: "longer".to_owned(),
        scopes: vec![Scope::All],
        lifetime_s: 30 * 24 * 3600,
        single_use: false,
    };
    let made = create_key(node.context(), &node.authenticate(&key).expect("good"), new).await.expect("made");
    let longer = made.secret.reveal();
    node.authenticate(&longer).expect("it is good");
    let otto = node.authenticate(&key).expect("good");
    let ci = node.come_with(&token).await.expect("good");
    unlinked(&node, &provider, "otto", "4711").await;
    unlinked(&node, &provider, "ci", "robot").await;
    for caller in [otto, ci.clone()] {
        let late = writes(&node, caller, "/reports/a.md").await;
        assert_eq!(late.expect_err("it is stale").kind, Kind::Stale, "loaded before, written after");
    }
    assert_eq!(entries(&node, kind::ACTION_INTENDED), []);
    // It is the guards that do it: a caller without them would have gone through.
    writes(&node, Caller { guards: Vec::new(), ..ci }, "/reports/a.md").await.expect("nothing stops it");
    for key in [&key, &longer] {
        assert_eq!(code(node.authenticate(key)), "NOT_LINKED");
    }
    assert_eq!(code(node.come_with(&late).await), "NOT_LINKED");

    // Linked anew with the same person, or for a service: what ended stays so.
    for is_service in [false, true] {
        linked(&node, &provider, "otto", "4711", is_service).await.expect("linked");
        for key in [&key, &longer] {
            assert_eq!(code(node.authenticate(key)), "NOT_LINKED");
        }
        unlinked(&node, &provider, "otto", "4711").await;
    }
    // Linked anew with somebody else, an old key does not become theirs.
    linked(&node, &provider, "ci", "4711", false).await.expect("linked");
    assert_eq!(code(node.authenticate(&key)), "NOT_LINKED");
    // The person is disabled.
    linked(&node, &provider, "ci", "robot", true).await.expect("linked");
    let ci = node.come_with(&late).await.expect("good again");
    let admin = node.admin().await;
    steward_app_people::disable(node.context(), &admin, &"ci".parse().expect("a label")).await.expect("disabled");
    assert_eq!(writes(&node, ci, "/reports/c.md").await.expect_err("stale").kind, Kind::Stale);
    assert_eq!(code(node.come_with(&late).await), "HOLDER_DISABLED");
}

#[tokio::test]
async fn a_service_does_what_its_issuer_is_given_and_no_more() {
    let (node, provider) = house().await;
    let admin = node.admin().await;
    node.person("root2", &[Role::Admin, Role::Operator]).await;
    linked(&node, &provider, "root2", "deploy", true).await.expect("linked");
    let deploy = node.come_with(&provider.service_token("deploy", json!({}))).await.expect("good");
    writes(&node, deploy.clone(), "/reports/a.md").await.expect("it acts");
    let more =
        steward_app_people::add(node.context(), &deploy, "eve".parse().expect("a label"), vec![Role::Admin]).await;
    assert_eq!(code(more), "FORBIDDEN", "people are not among its scopes");
    let told = detail(&node, kind::ACTION_REFUSED).to_string();
    assert!(told.contains("\"by_subject\":\"deploy\""), "{told}");
    let key = NewKey {
        holder: Holder::of(&deploy).expect("a person"),
        holder_guard: None,
        label: "for ever".to_owned(),
        scopes: vec![Scope::Read],
        lifetime_s: 3600,
        single_use: false,
    };
    assert_eq!(code(create_key(node.context(), &deploy, key).await), "FORBIDDEN", "a token makes no key");
    drop(admin);
}

#[tokio::test]
async fn keys_come_and_go_and_a_stranger_makes_nobody_ask() {
    let (mut node, provider) = house().await;
    let tick = |node: &TestNode, seconds: i64| {
        node.clock().advance_ms(seconds * 1000);
        provider.stands_at(node.now().unix_ms() / 1000);
    };
    node.come_with(&provider.service_token("robot", json!({}))).await.expect("good");
    assert_eq!(provider.keys_asked(), 1);
    // Names of keys that nobody has; tokens that are none; tokens of others: a thousand of them, and nobody is asked.
    let before = size(&node);
    let claims = json!({
        "iss": provider.url(), "sub": "robot", "aud": "https://steward.example.org",
        "iat": node.now().unix_ms() / 1000, "exp": node.now().unix_ms() / 1000 + 60,
    });
    for n in 0..1000 {
        let forged = SignsWith::EdDsa.sign(&format!("made-up-{n}"), 200, &claims);
        assert_eq!(code(node.come_with(&forged).await), "TOKEN_REFUSED");
    }
    assert_eq!((provider.keys_asked(), size(&node)), (1, before), "neither asked nor recorded");
    // A key is replaced: after a minute the new one is known, and the old one is good no more.
    let old = provider.service_token("robot", json!({}));
    provider.rotates();
    assert_eq!(code(node.come_with(&provider.service_token("robot", json!({}))).await), "TOKEN_REFUSED");
    tick(&node, 60);
    node.come_with(&provider.service_token("robot", json!({}))).await.expect("asked again");
    assert_eq!((provider.keys_asked(), code(node.come_with(&old).await)), (2, "TOKEN_REFUSED"));
    // A key is taken back without another in its name: within a quarter of an hour.
    provider.rotates();
    tick(&node, 15 * 60);
    assert_eq!(code(node.come_with(&old).await), "TOKEN_REFUSED");
    node.come_with(&provider.service_token("robot", json!({}))).await.expect("good");
    // The provider is down: what was good goes on for a day.
    provider.lies(Some(Lie::Down));
    tick(&node, 23 * 3600);
    node.come_with(&provider.service_token("robot", json!({}))).await.expect("good");
    tick(&node, 3600);
    assert_eq!(code(node.come_with(&provider.service_token("robot", json!({}))).await), "ISSUER_UNAVAILABLE");
    provider.lies(None);
    assert_eq!(
        code(node.come_with(&provider.service_token("robot", json!({}))).await),
        "ISSUER_UNAVAILABLE",
        "not at once"
    );
    tick(&node, 60);
    node.come_with(&provider.service_token("robot", json!({}))).await.expect("good");
    // Whatever it answers that is not its keys is not taken for them.
    for lie in [Lie::OtherIssuer, Lie::KeysInClear, Lie::EndlessKeys, Lie::Redirects, Lie::Garbage, Lie::Down] {
        node.restart().await;
        provider.lies(Some(lie));
        let refused = node.come_with(&provider.service_token("robot", json!({}))).await;
        assert_eq!(code(refused), "ISSUER_UNAVAILABLE", "{lie:?}");
        provider.lies(None);
        tick(&node, 60);
        node.come_with(&provider.service_token("robot", json!({}))).await.expect("good");
    }
}
