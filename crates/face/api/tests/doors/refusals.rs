//! What every answer has, and what none has.

use axum::http::Method;
use serde_json::json;

use crate::House;

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_browsers_honest() {
    let house = House::new().await;
    for (method, path, key) in [
        (Method::GET, "/healthz", None),
        (Method::GET, "/v1/agents", Some(house.operator.token.as_str())),
        (Method::GET, "/v1/agents", None),
        (Method::GET, "/nowhere", None),
        (Method::DELETE, "/v1/agents", None),
        (Method::GET, "/ledger/tile/9/zzz", None),
        (Method::POST, "/v1/login", Some("stw_x")),
    ] {
        let answer = house.ask(method.clone(), path, key, None).await;
        for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
            let found = answer.headers.get(name).and_then(|v| v.to_str().ok());
            assert_eq!(found, Some(value), "{name} of {method} {path}");
        }
        let policy = answer.headers.get("content-security-policy").and_then(|v| v.to_str().ok()).unwrap_or_default();
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{method} {path}");
        let caching = answer.headers.get("cache-control").and_then(|v| v.to_str().ok());
        assert_eq!(caching, Some("no-store"), "{method} {path}");
        assert!(answer.headers.get("access-control-allow-origin").is_none(), "no page of another origin reads it");
        assert!(answer.headers.get("server").is_none());
    }
}

#[tokio::test]
async fn a_refusal_says_nothing_of_the_inside() {
    let house = House::new().await;
    let home = house.node.home().path().display().to_string();
    let write = json!({"action": "fs.write", "resource": "/../../x", "content": "eA=="});
    for (method, path, body) in [
        (Method::GET, "/v1/agents/nobody", None),
        (Method::GET, "/v1/actions/act_01ARZ3NDEKTSV4RRFFQ69G5FAV", None),
        (Method::POST, "/v1/agents/scribe/actions", Some(&write)),
        (Method::POST, "/v1/agents", Some(&write)),
        (Method::GET, "/v1/ledger/entries/99999", None),
    ] {
        let answer = house.ask(method, path, Some(&house.operator.token), body).await;
        answer.code();
        let said = String::from_utf8(answer.body.clone()).expect("text");
        for inside in [home.as_str(), "sqlite", "SELECT", ".rs:", "steward_", "panicked"] {
            assert!(!said.contains(inside), "{path}: {inside}: {said}");
        }
    }
}
