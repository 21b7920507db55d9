//! Requests that are wrong: too large, too deep, ambiguous, for another node, to nowhere.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use steward_api::MAX_DOCUMENT_BYTES;

use crate::{HOST, House};

#[tokio::test]
async fn a_body_is_strict_json_of_a_bounded_size() {
    let house = House::new().await;
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for (body, status, code, says) in [
        (String::new(), 400, "INVALID_REQUEST", ""),
        ("name".to_owned(), 400, "INVALID_REQUEST", "line 1"),
        ("[]".to_owned(), 400, "INVALID_REQUEST", ""),
        (r#"{"name":"paul"}"#.to_owned(), 400, "INVALID_REQUEST", "roles"),
        (r#"{"name":"paul","roles":["viewer"],"name":"rita"}"#.to_owned(), 400, "INVALID_REQUEST", "twice"),
        (r#"{"name":"paul","roles":["viewer"],"admin":true}"#.to_owned(), 400, "INVALID_REQUEST", "admin"),
        (r#"{"name":"paul","roles":["viewer"]} {}"#.to_owned(), 400, "INVALID_REQUEST", ""),
        (r#"{"name":"paul\u0000","roles":["viewer"]}"#.to_owned(), 400, "INVALID_REQUEST", ""),
        (r#"{"name":"\ud800","roles":["viewer"]}"#.to_owned(), 400, "INVALID_REQUEST", ""),
        (format!(r#"{{"name":"paul","roles":{deep}}}"#), 400, "INVALID_REQUEST", ""),
        (format!(r#"{{"name":"{}","roles":[]}}"#, "x".repeat(MAX_DOCUMENT_BYTES)), 413, "BODY_TOO_LARGE", "limits"),
    ] {
        let shown: String = body.chars().take(60).collect();
        let answer = house.post_bytes("/v1/people", body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{shown}");
        let detail = answer.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains(says), "{shown}: {detail}");
    }
    let not_utf8 = house.post_bytes("/v1/people", vec![b'"', 0xff, b'"']).await;
    assert_eq!((not_utf8.status.as_u16(), not_utf8.code().as_str()), (400, "INVALID_REQUEST"));
    // One byte less is read.
    let content = "A".repeat(8 << 20);
    let full = house
        .post("/v1/agents/scribe/actions", &json!({"action": "fs.write", "resource": "/reports/a", "content": content}))
        .await;
    assert_eq!(full.status, 200, "{full:?}");
    let people = house.get("/v1/people").await.json();
    assert_eq!(people["people"].as_array().map(Vec::len), Some(2), "nobody was enrolled");
}

#[tokio::test]
async fn a_body_says_that_it_is_json() {
    let house = House::new().await;
    let body = json!({"name": "paul", "roles": ["viewer"]}).to_string();
    for (kind, status) in [
        (None, 400),
        (Some("text/plain"), 400),
        (Some("application/x-www-form-urlencoded"), 400),
        (Some("application/json; charset=utf-8"), 201),
    ] {
        let mut request = Request::post("/v1/people")
            .header(header::HOST, HOST)
            .header(header::AUTHORIZATION, format!("Bearer {}", house.operator.token));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let answer = house.send(request.body(Body::from(body.clone())).expect("a request")).await;
        assert_eq!(answer.status, status, "{kind:?}: {answer:?}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_with_a_document_is_said_at_once() {
    let house = House::new().await;
    let manifest = json!({"name": "scr\u{200b}ibe", "version": "1", "tier": "T9", "capabilities": [""]});
    let answer = house.post("/v1/agents", &manifest).await;
    assert_eq!(answer.code(), "INVALID_REQUEST");
    let problems = answer.json()["problems"].clone();
    let places: Vec<&str> = problems.as_array().expect("a list").iter().filter_map(|p| p["at"].as_str()).collect();
    assert_eq!(places, ["name", "version", "tier", "capabilities"], "{problems:#}");
}

#[tokio::test]
async fn a_page_in_a_browser_cannot_reach_it_by_a_name_of_its_own() {
    let house = House::new().await;
    for (host, status) in [
        (Some(HOST), 200),
        (Some("localhost:7878"), 200),
        (Some("LOCALHOST:7878"), 200),
        (Some("evil.example:7878"), 421),
        (Some("127.0.0.1"), 421),
        (Some("127.0.0.1:1"), 421),
        (Some(""), 421),
        (None, 421),
    ] {
        let mut request = Request::get("/v1/ledger/head");
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let answer = house.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, status, "{host:?}");
        if status == 421 {
            assert_eq!(answer.code(), "INVALID_REQUEST");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_as_everything_else() {
    let house = House::new().await;
    for (method, path, status, code) in [
        (Method::GET, "/", 404, "NOT_FOUND"),
        (Method::GET, "/v1", 404, "NOT_FOUND"),
        (Method::GET, "/v1/agents/", 404, "NOT_FOUND"),
        (Method::GET, "/v2/agents", 404, "NOT_FOUND"),
        (Method::DELETE, "/v1/agents", 405, "INVALID_REQUEST"),
        (Method::PUT, "/v1/agents/scribe", 405, "INVALID_REQUEST"),
        (Method::POST, "/healthz", 405, "INVALID_REQUEST"),
    ] {
        let answer = house.ask(method.clone(), path, Some(&house.operator.token), None).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{method} {path}");
    }
}

#[tokio::test]
async fn a_part_of_a_path_is_a_name_and_nothing_else() {
    let house = House::new().await;
    for (path, status) in [
        ("/v1/agents/%2e%2e", 400),
        ("/v1/agents/..", 400),
        ("/v1/agents/..%2fpeople", 400),
        ("/v1/agents/scribe%2factions", 400),
        ("/v1/agents/scribe%00", 400),
        ("/v1/agents/%ff", 400),
        ("/v1/agents/scr%E2%80%8Bibe", 400),
        ("/v1/agents/%73cribe", 200),
        ("/v1/actions/%2e%2e", 400),
        ("/v1/ledger/entries/-1", 400),
        ("/v1/ledger/entries/1e3", 400),
        ("/v1/ledger/entries/18446744073709551616", 400),
        ("/v1/ledger/entries/18446744073709551615", 404),
        ("/ledger/tile/0/../../../etc/passwd", 400),
        ("/ledger/tile/0/%2e%2e%2f000", 400),
        ("/ledger/tile/entries/%2e%2e", 400),
        ("/ledger/tile/0/x001/234", 404),
        ("/ledger/tile/64/000", 400),
    ] {
        let answer = house.get(path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        if status != 200 {
            let said = answer.json().to_string();
            assert!(!said.contains("/etc/passwd") || said.contains("`"), "{said}");
        }
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_named() {
    let house = House::new().await;
    for path in ["/v1/runs/run_nope", "/v1/runs/run_nope/replay", "/v1/actions/run_nope"] {
        let said = house.get(path).await.json().to_string();
        assert!(said.contains("`run_nope` is not an id of this kind"), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_question_has_only_known_names_and_values() {
    let house = House::new().await;
    for path in [
        "/v1/actions?agnet=scribe",
        "/v1/actions?decision=maybe",
        "/v1/actions?limit=many",
        "/v1/actions?limit=-1",
        "/v1/ledger/entries?since=yesterday",
        "/v1/ledger/entries?kind=a&kind=b",
        "/v1/ledger/export",
        "/v1/ledger/export?format=xml",
        "/v1/ledger/export?format=csv&view=nonsense",
        "/v1/ledger/consistency?from=3&to=1",
        "/v1/ledger/consistency?from=1&to=99999",
        "/v1/ledger/consistency?from=1",
    ] {
        let answer = house.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "INVALID_REQUEST"), "{path}: {answer:?}");
    }
    let many = house.get("/v1/actions?limit=4294967295").await;
    assert_eq!(many.status, 200, "a limit beyond the most is the most");
}

#[tokio::test]
async fn the_same_refusal_again_names_the_first() {
    let house = House::new().await;
    let write = json!({"action": "fs.write", "resource": "/elsewhere.md", "content": "eA=="});
    let refused = |answer: &crate::Answer| {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "NOT_PERMITTED"));
        answer.json()
    };
    let first = refused(&house.post("/v1/agents/scribe/actions", &write).await);
    let again = refused(&house.post("/v1/agents/scribe/actions", &write).await);
    let id = first["action"].as_str().expect("it is on record");
    assert_eq!(again["action"], first["action"]);
    let detail = again["detail"].as_str().expect("text");
    assert!(detail.contains(id) && detail.contains("this was counted"), "{detail}");
    assert!(!first["detail"].as_str().expect("text").contains("counted"));
    let shown = house.get(&format!("/v1/actions/{id}/explanation")).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let asked = json!({"agent": "scribe", "action": "fs.write", "kind": "file", "resource": "/elsewhere.md"});
    let decided = house.post("/v1/decisions", &asked).await.json();
    assert_eq!((&decided["decision"], &decided["entry"]), (&json!("deny"), &Value::Null));
    assert!(decided["reason"].as_str().expect("text").contains(id), "{decided}");

    // A minute later it is recorded whole.
    house.node.clock().advance_ms(60_000);
    house.node.context().record_counted_denials(false).await.expect("they can be recorded");
    let later = refused(&house.post("/v1/agents/scribe/actions", &write).await);
    assert_ne!(later["action"], first["action"]);
}

/// Without the guard the node would wait for a body of which nothing ever comes, and hold a place for it.
#[tokio::test]
async fn nobody_sends_a_body_before_they_have_shown_a_key() {
    let house = House::new().await;
    for path in ["/v1/login", "/v1/people", "/v1/agents/scribe/actions", "/v1/decisions"] {
        let never = Body::from_stream(tokio_stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let request = Request::post(path).header(header::HOST, HOST).header(header::CONTENT_TYPE, "application/json");
        let answered = house.send(request.body(never).expect("a request"));
        let answer = tokio::time::timeout(std::time::Duration::from_secs(10), answered).await.expect("it is answered");
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "UNAUTHENTICATED"), "{path}");
    }
}

#[tokio::test]
async fn a_list_is_no_object() {
    let house = House::new().await;
    assert_eq!(house.post("/v1/secrets", &json!({"name": "wiki", "value": "one line"})).await.status, 201);
    for (path, body) in [
        ("/v1/secrets/wiki/rotate", "[null, null]"),
        ("/v1/node/halt", r#"["smoke"]"#),
        ("/v1/people", r#" ["paul", ["viewer"]]"#),
        ("/v1/budgets", "\n[null, \"day\", 5, null, null]"),
    ] {
        let answer = house.post_bytes(path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "INVALID_REQUEST"), "{path} {body}");
    }
}
