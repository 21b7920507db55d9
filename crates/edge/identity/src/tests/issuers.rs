//! What can be configured, and when an issuer is asked.

use std::sync::Arc;

use expect_test::expect;
use steward_clock::Timestamp;

use super::{issuer, issuers, jwk, keys, now, settings, signer};
use crate::{ASK_AGAIN_S, IssuerSettings, Issuers, KEYS_KEPT_S, KEYS_LIVE_S, Known};

#[test]
fn what_cannot_be_meant_is_said() {
    let mut lines = Vec::new();
    let mut tell = |change: fn(&mut IssuerSettings)| {
        let mut one = settings();
        change(&mut one);
        match Issuers::parse(&[one]) {
            Ok(_) => lines.push("fine".to_owned()),
            Err(problems) => lines.push(problems.join("; ")),
        }
    };
    tell(|_| {});
    tell(|one| one.url = "http://127.0.0.1:9".to_owned());
    tell(|one| one.url = "http://[::1]:9/realms/a".to_owned());
    tell(|one| one.keys = "file:/etc/keys.json".to_owned());
    tell(|one| one.url = String::new());
    tell(|one| one.url = "http://id.example.org".to_owned());
    tell(|one| one.url = "http://127.0.0.1.example.org".to_owned());
    tell(|one| one.url = "https://a:b@id.example.org".to_owned());
    tell(|one| one.url = "https://id.example.org?x".to_owned());
    tell(|one| one.keys = "http://id.example.org/keys".to_owned());
    tell(|one| one.keys = "file:".to_owned());
    tell(|one| (one.client, one.audience) = Default::default());
    tell(|one| one.client.clone_from(&one.audience));
    tell(|one| one.algorithms = vec!["HS256".to_owned()]);
    tell(|one| one.algorithms = vec!["none".to_owned()]);
    tell(|one| one.algorithms.clear());
    tell(|one| one.scopes = vec!["all".to_owned()]);
    tell(|one| one.scopes = vec!["read".to_owned(), "keys".to_owned()]);
    tell(|one| one.scopes = vec!["write".to_owned()]);
    tell(|one| one.scopes.clear());
    tell(|one| one.max_lifetime_s = 86_401);
    tell(|one| one.login_lifetime_s = 0);
    expect![[r#"
        fine
        fine
        fine
        fine
        ``: `url` is no address
        `http://id.example.org`: `url` is to begin with https://; http:// is for this machine alone
        `http://127.0.0.1.example.org`: `url` is to begin with https://; http:// is for this machine alone
        `https://a:b@id.example.org`: `url` is too long, or has a user or a fragment
        `https://id.example.org?x`: `url` has a `?`
        `https://id.example.org`: `keys` is to begin with https://; http:// is for this machine alone
        `https://id.example.org`: `keys` is to begin with https://; http:// is for this machine alone
        `https://id.example.org`: it has neither a `client`, for people, nor an `audience`, for services
        `https://id.example.org`: `client` and `audience` are the same, so that a log-in would pass for a service's token
        `https://id.example.org`: `HS256` is no algorithm; EdDSA, ES256, RS256 and PS256 are
        `https://id.example.org`: `none` is no algorithm; EdDSA, ES256, RS256 and PS256 are
        `https://id.example.org`: `algorithms` is empty
        `https://id.example.org`: tokens have no scope `all`; read, act, agents, people and policy can be given
        `https://id.example.org`: tokens have no scope `keys`; read, act, agents, people and policy can be given
        `https://id.example.org`: `write` is not a scope; they are all, read, act, agents, people, keys, policy and login
        `https://id.example.org`: `scopes` is empty, so that services could do nothing
        `https://id.example.org`: `max_lifetime_s` is 1 to 86400
        `https://id.example.org`: `login_lifetime_s` is 60 to 2592000"#]].assert_eq(&lines.join("\n"));
    assert_eq!(Issuers::parse(&[settings(), settings()]).err().map(|p| p.len()), Some(1), "twice");
    assert!(Issuers::parse(&vec![settings(); 17]).is_err());
}

fn what(known: &Known<'_>) -> &'static str {
    match known {
        Known::Keys(_) => "keys",
        Known::Ask(_) => "ask",
        Known::NoSuchKey => "no such key",
        Known::Unreachable => "unreachable",
    }
}

#[tokio::test]
async fn an_issuer_is_asked_as_often_as_needed_and_no_more() {
    let all = issuers();
    let one = issuer(&all);
    let at = |seconds: u64| now().plus_ms(seconds * 1000);
    let known = async |kid: &str, seconds: u64| what(&one.keys(Some(kid), at(seconds)).await);
    let asked = |at: Timestamp, good: bool| {
        let mut remembered = one.remembered();
        remembered.tried_at = Some(at);
        if good {
            remembered.keys = Some((Arc::new(keys(&[jwk("one", &signer(1))])), at));
        }
    };
    assert_eq!(known("one", 0).await, "ask", "nothing is known");
    asked(at(0), false);
    assert_eq!(known("one", ASK_AGAIN_S - 1).await, "unreachable", "it was asked just now");
    assert_eq!(known("one", ASK_AGAIN_S).await, "ask");
    asked(at(100), true);
    assert_eq!(known("one", 100).await, "keys");
    // A stranger makes up names.
    for seconds in 100..100 + ASK_AGAIN_S {
        assert_eq!(known("made-up", seconds).await, "no such key");
    }
    assert_eq!(known("made-up", 100 + ASK_AGAIN_S).await, "ask", "it may be new");
    assert_eq!(known("one", 100 + KEYS_LIVE_S - 1).await, "keys");
    assert_eq!(known("one", 100 + KEYS_LIVE_S).await, "ask", "it may have been taken back");
    // It is down.
    asked(at(100 + KEYS_LIVE_S), false);
    assert_eq!(known("one", 100 + KEYS_LIVE_S + 1).await, "keys", "what was good goes on");
    asked(at(100 + KEYS_KEPT_S), false);
    assert_eq!(known("one", 100 + KEYS_KEPT_S).await, "unreachable", "and not for ever");
}

#[tokio::test]
async fn one_asks_and_nobody_waits_who_need_not() {
    let all = issuers();
    let one = issuer(&all);
    let first = one.keys(Some("one"), now()).await;
    assert_eq!(what(&first), "ask");
    {
        let mut remembered = one.remembered();
        remembered.keys = Some((Arc::new(keys(&[jwk("one", &signer(1))])), now()));
    }
    let later = now().plus_ms(KEYS_LIVE_S * 1000);
    assert_eq!(what(&one.keys(Some("one"), later).await), "keys", "somebody asks already");
    assert_eq!(what(&one.keys(Some("made-up"), later).await), "no such key", "nobody waits for a name");
    drop(first);
    assert_eq!(what(&one.keys(Some("one"), later).await), "ask");
}
