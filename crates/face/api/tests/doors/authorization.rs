//! Who may come in where. Every route of the description has a row here; a route without one fails.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};
use steward_permit::Tier;

use crate::{
    House, ISSUER,
    description::described,
    runs::{packet, revoked_run},
};

/// A route, a request of it that is well formed, and what becomes of it: for a viewer with all scopes, and for an agent with a
/// key of its own.
pub(crate) struct Row {
    pub(crate) method: Method,
    /// As it stands in the description.
    pub(crate) route: &'static str,
    /// `{action}`, `{key}`, `{run}` and `{review}` stand for ids that exist; there are a server `files`, a model `fast`
    /// and a secret `wiki`.
    pub(crate) path: &'static str,
    pub(crate) body: Option<Value>,
    /// Whether it needs no key.
    is_open: bool,
    viewer: u16,
    agent: u16,
}

pub(crate) fn rows() -> Vec<Row> {
    let open =
        |route, path| Row { method: Method::GET, route, path, body: None, is_open: true, viewer: 200, agent: 200 };
    let get = |route, path, viewer, agent| Row {
        method: Method::GET,
        route,
        path,
        body: None,
        is_open: false,
        viewer,
        agent,
    };
    let post = |route, path, body: Value, viewer, agent| Row {
        method: Method::POST,
        route,
        path,
        body: Some(body),
        is_open: false,
        viewer,
        agent,
    };
    let write = json!({"action": "fs.write", "resource": "/reports/a.md", "content": "eA=="});
    let decide = json!({"agent": "scribe", "action": "fs.write", "kind": "file", "resource": "/reports/a.md"});
    let ask = json!({"actor": "agent:scribe", "action": "fs.write", "kind": "file", "resource": "/reports/a.md"});
    let manifest = json!({"name": "clerk", "version": "1.0.0", "tier": "T1"});
    let why = json!({"reason": "to see who may"});
    let link = json!({"issuer": ISSUER, "subject": "4711"});
    let resolve = json!({"happened": true, "reason": "looked"});
    vec![
        open("/healthz", "/healthz"),
        open("/readyz", "/readyz"),
        open("/v1/openapi.json", "/v1/openapi.json"),
        open("/v1/ledger/head", "/v1/ledger/head"),
        open("/v1/ledger/vkey", "/v1/ledger/vkey"),
        open("/v1/ledger/consistency", "/v1/ledger/consistency?from=1&to=3"),
        open("/v1/node/identity", "/v1/node/identity"),
        open("/ledger/checkpoint", "/ledger/checkpoint"),
        open("/ledger/tile/{path}", "/ledger/tile/0/000.p/1"),
        post("/v1/login", "/v1/login", json!({"label": "x"}), 403, 403),
        open("/v1/login/issuers", "/v1/login/issuers"),
        // What lets in is in the body.
        post("/v1/login/token", "/v1/login/token", json!({"id_token": "a.b.c", "label": "x"}), 401, 401),
        get("/v1/links", "/v1/links", 200, 403),
        post("/v1/people/{name}/link", "/v1/people/olivia/link", link.clone(), 403, 403),
        post("/v1/people/{name}/unlink", "/v1/people/olivia/unlink", link, 403, 403),
        get("/v1/people", "/v1/people", 200, 403),
        post("/v1/people", "/v1/people", json!({"name": "paul", "roles": ["admin"]}), 403, 403),
        post("/v1/people/{name}/disable", "/v1/people/olivia/disable", json!({}), 403, 403),
        get("/v1/keys", "/v1/keys", 200, 403),
        // A viewer may make keys of their own.
        post("/v1/keys", "/v1/keys", json!({"person": "olivia", "label": "x", "scopes": ["all"]}), 403, 403),
        post("/v1/keys/{id}/revoke", "/v1/keys/{key}/revoke", json!({}), 403, 403),
        get("/v1/agents", "/v1/agents", 200, 403),
        post("/v1/agents", "/v1/agents", manifest, 403, 403),
        get("/v1/agents/{name}", "/v1/agents/scribe", 200, 403),
        post("/v1/agents/{name}/actions", "/v1/agents/scribe/actions", write, 403, 200),
        post("/v1/agents/{name}/revoke", "/v1/agents/scribe/revoke", why.clone(), 403, 403),
        post("/v1/agents/{name}/reinstate", "/v1/agents/scribe/reinstate", why.clone(), 403, 403),
        get("/v1/runs", "/v1/runs", 200, 403),
        post("/v1/runs", "/v1/runs", json!({"agent": "scribe", "packet": packet("scribe").to_string()}), 403, 403),
        get("/v1/runs/{id}", "/v1/runs/{run}", 200, 403),
        post("/v1/runs/{id}/stop", "/v1/runs/{run}/stop", why.clone(), 403, 403),
        get("/v1/runs/{id}/evidence", "/v1/runs/{run}/evidence", 403, 403),
        get("/v1/runs/{id}/replay", "/v1/runs/{run}/replay", 403, 403),
        get("/v1/agents/{name}/history", "/v1/agents/scribe/history", 200, 403),
        get("/v1/tasks/{task}/handoff", "/v1/tasks/weekly/handoff", 200, 403),
        get("/v1/effects", "/v1/effects?status=unknown", 200, 403),
        post("/v1/effects/{id}/resolve", "/v1/effects/{action}/resolve", resolve, 403, 403),
        get("/v1/reviews", "/v1/reviews?status=pending", 403, 403),
        get("/v1/reviews/{id}", "/v1/reviews/{review}", 403, 403),
        post("/v1/reviews/{id}/approve", "/v1/reviews/{review}/approve", why.clone(), 403, 403),
        post("/v1/reviews/{id}/reject", "/v1/reviews/{review}/reject", why.clone(), 403, 403),
        post("/v1/agents/{name}/promote", "/v1/agents/executor/promote", why.clone(), 403, 403),
        post("/v1/agents/{name}/appeal", "/v1/agents/demoted/appeal", why.clone(), 403, 403),
        post("/v1/agents/{name}/demote", "/v1/agents/demoted/demote", why.clone(), 403, 403),
        get("/v1/state", "/v1/state?match=*", 200, 403),
        get("/v1/tools", "/v1/tools", 200, 403),
        post("/v1/tools", "/v1/tools", json!({"name": "more", "url": NOBODY}), 403, 403),
        get("/v1/tools/{name}", "/v1/tools/files", 200, 403),
        post("/v1/tools/{name}/pin", "/v1/tools/files/pin", json!({}), 403, 403),
        post("/v1/tools/{name}/allow", "/v1/tools/files/allow", json!({"tier": "T1"}), 403, 403),
        post("/v1/tools/{name}/remove", "/v1/tools/files/remove", json!({}), 403, 403),
        get("/v1/models", "/v1/models", 200, 403),
        post("/v1/models", "/v1/models", json!({"name": "slow", "url": NOBODY}), 403, 403),
        post("/v1/models/{name}/test", "/v1/models/fast/test", json!({}), 403, 403),
        post("/v1/models/{name}/remove", "/v1/models/fast/remove", json!({}), 403, 403),
        get("/v1/budgets", "/v1/budgets", 200, 403),
        post("/v1/budgets", "/v1/budgets", json!({"per": "day", "calls": 9}), 403, 403),
        get("/v1/usage", "/v1/usage?per=month", 200, 403),
        get("/v1/secrets", "/v1/secrets", 200, 403),
        post("/v1/secrets", "/v1/secrets", json!({"name": "more", "generate": 32}), 403, 403),
        post("/v1/secrets/{name}/rotate", "/v1/secrets/wiki/rotate", json!({"value": "another one"}), 403, 403),
        post("/v1/secrets/{name}/grant", "/v1/secrets/wiki/grant", json!({"to": "scribe"}), 403, 403),
        post("/v1/secrets/{name}/revoke", "/v1/secrets/wiki/revoke", why.clone(), 403, 403),
        get("/v1/leases", "/v1/leases?all=true", 200, 403),
        post("/v1/leases/{id}/revoke", "/v1/leases/lse_01KAHW5V8NQ4Z0M7C2R9T3XBYD/revoke", why.clone(), 403, 403),
        post("/v1/decisions", "/v1/decisions", decide, 403, 200),
        get("/v1/actions", "/v1/actions", 200, 403),
        get("/v1/actions/{id}", "/v1/actions/{action}", 200, 403),
        get("/v1/actions/{id}/explanation", "/v1/actions/{action}/explanation", 200, 403),
        get("/v1/policy", "/v1/policy", 200, 403),
        post("/v1/policy/explain", "/v1/policy/explain", ask, 200, 403),
        post("/v1/policy/diff", "/v1/policy/diff", json!({"policies": [], "last": 10}), 200, 403),
        get("/v1/ledger/entries", "/v1/ledger/entries", 200, 403),
        get("/v1/ledger/entries/{seq}", "/v1/ledger/entries/0", 200, 403),
        get("/v1/ledger/entries/{seq}/proof", "/v1/ledger/entries/0/proof", 200, 403),
        post("/v1/ledger/entries/{seq}/redact", "/v1/ledger/entries/2/redact", why.clone(), 403, 403),
        get("/v1/ledger/retention", "/v1/ledger/retention", 200, 403),
        get("/v1/ledger/export", "/v1/ledger/export?format=jsonl", 403, 403),
        get("/v1/node/status", "/v1/node/status", 200, 403),
        get("/v1/node/doctor", "/v1/node/doctor", 200, 403),
        get("/v1/alerts", "/v1/alerts", 200, 403),
        get("/v1/hooks", "/v1/hooks", 200, 403),
        get("/v1/traces", "/v1/traces", 200, 403),
        post("/v1/hooks/{name}/test", "/v1/hooks/chat/test", json!({}), 403, 403),
        get("/metrics", "/metrics", 200, 403),
        post("/v1/node/halt", "/v1/node/halt", why.clone(), 403, 403),
        post("/v1/node/resume", "/v1/node/resume", why, 403, 403),
    ]
}

/// Where nobody answers: the port of a protocol that is not spoken any more.
const NOBODY: &str = "http://127.0.0.1:9/v1";

/// A server of tools and a model, of which none can be asked; a secret, an executor, an agent that lost a tier, and a review, whose id it gives.
pub(crate) async fn furnish(house: &House) -> String {
    let node = &house.node;
    for (name, tier) in [("architect", Tier::T4), ("executor", Tier::T3), ("demoted", Tier::T2)] {
        node.agent(name, tier).await;
    }
    let demoted = house.post("/v1/agents/demoted/demote", &json!({"reason": "a trial"})).await;
    assert_eq!((demoted.status.as_u16(), &demoted.json()["tier"]), (200, &json!("T1")));
    let put = house.post("/v1/secrets", &json!({"name": "wiki", "value": "one line"})).await;
    assert_eq!(put.status, 201, "{put:?}");
    for (route, name) in [("/v1/tools", "files"), ("/v1/models", "fast")] {
        let added = house.post(route, &json!({"name": name, "url": NOBODY})).await;
        assert_eq!(added.status, 201, "{added:?}");
    }
    let waits = node.act(&house.operator, "architect", "fs.write", "/plans/a.md", b"x").await.expect_err("it waits");
    waits.review.expect("a review").to_string()
}

#[test]
fn every_route_has_a_row() {
    let rows: BTreeSet<(String, String)> =
        rows().iter().map(|row| (row.method.to_string(), row.route.to_owned())).collect();
    assert_eq!(rows, described());
}

#[tokio::test]
async fn every_door_lets_in_whom_it_should() {
    let house = House::new().await;
    let action = house
        .node
        .act(&house.operator, "scribe", "fs.write", "/reports/first.md", b"x")
        .await
        .expect("it is permitted");
    let run = revoked_run(&house).await;
    let review = furnish(&house).await;
    let mut wrong = Vec::new();
    for row in rows() {
        let path = row.path.replace("{action}", action.as_str()).replace("{key}", house.operator.key.as_str());
        let path = path.replace("{run}", &run).replace("{review}", &review);
        let refused = if row.is_open { 200 } else { 401 };
        for (who, key, expected) in [
            ("nobody", None, refused),
            ("a stranger", Some("stw_nobody"), refused),
            ("a revoked key", Some(house.revoked.token.as_str()), refused),
            ("the viewer", Some(house.viewer.token.as_str()), row.viewer),
            ("the agent", Some(house.agent.token.as_str()), row.agent),
        ] {
            let answer = house.ask(row.method.clone(), &path, key, row.body.as_ref()).await;
            if answer.status != expected {
                let said = String::from_utf8_lossy(&answer.body).into_owned();
                wrong.push(format!("{} {path} as {who}: {} and not {expected}: {said}", row.method, answer.status));
            }
            if matches!(answer.status.as_u16(), 401 | 403) {
                answer.code();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What shows the record, or what is for few to see: that it was read is on record, and whoever reads that is, too.
#[tokio::test]
async fn who_read_what_is_on_record() {
    let house = House::new().await;
    let written = house.node.act(&house.operator, "scribe", "fs.write", "/reports/first.md", b"x").await;
    let action = written.expect("it is permitted");
    let run = revoked_run(&house).await;
    let review = furnish(&house).await;
    let diff = json!({"policies": [], "last": 10});
    for (path, body, what) in [
        ("/v1/ledger/entries".to_owned(), None, "search"),
        ("/v1/ledger/entries/0".to_owned(), None, "entry"),
        ("/v1/ledger/entries/0/proof".to_owned(), None, "proof"),
        ("/v1/ledger/export?format=jsonl".to_owned(), None, "export"),
        (format!("/v1/actions/{action}/explanation"), None, "explanation"),
        (format!("/v1/runs/{run}/evidence"), None, "evidence"),
        (format!("/v1/runs/{run}/replay"), None, "replay"),
        (format!("/v1/reviews/{review}"), None, "review"),
        ("/v1/policy/diff".to_owned(), Some(&diff), "policy_diff"),
    ] {
        let store = &house.node.context().store;
        let before = store.read(|reader| reader.size()).expect("readable");
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let answer = house.ask(method, &path, Some(&house.operator.token), body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let entries = store.read(|reader| reader.entries("WHERE seq >= ?1", &[&before])).expect("readable");
        let [read] = &entries[..] else { panic!("{path}: {} entries", entries.len()) };
        let said: Value = serde_json::from_slice(read.body.as_deref().expect("a body")).expect("JSON");
        assert_eq!((read.kind.as_str(), read.actor.as_str()), ("ledger.read", "olivia@acme.internal"), "{path}");
        assert!(said["detail"][what].is_string() || said["detail"][what].is_number(), "{path} says `{what}`: {said}");
    }
    // Refused reads are on record as such.
    let refused = house.ask(Method::GET, &format!("/v1/reviews/{review}"), Some(&house.viewer.token), None).await;
    assert_eq!(refused.status, 403);
    let last =
        house.node.context().store.read(|reader| reader.entries("ORDER BY seq DESC LIMIT 1", &[])).expect("readable");
    assert_eq!((last[0].kind.as_str(), last[0].action.as_deref()), ("action.refused", Some("review.read")));
}

/// The same path, of something that there is not.
fn of_nothing(path: &str) -> String {
    let nobody = "01KAHW5V8NQ4Z0M7C2R9T3XBYE";
    let mut path = path.to_owned();
    for (there, not) in [
        ("{action}", format!("act_{nobody}")),
        ("{key}", format!("key_{nobody}")),
        ("{run}", format!("run_{nobody}")),
        ("{review}", format!("rvw_{nobody}")),
        ("/scribe", "/nobody".to_owned()),
        ("/executor", "/nobody".to_owned()),
        ("/demoted", "/nobody".to_owned()),
        ("/olivia", "/nobody".to_owned()),
        ("/tools/files", "/tools/nothing".to_owned()),
        ("/models/fast", "/models/nothing".to_owned()),
        ("/hooks/chat", "/hooks/nothing".to_owned()),
        ("/secrets/wiki", "/secrets/nothing".to_owned()),
        ("/entries/0", "/entries/99999".to_owned()),
        ("/entries/2", "/entries/99999".to_owned()),
        ("/tasks/weekly", "/tasks/nothing".to_owned()),
    ] {
        path = path.replace(there, &not);
    }
    path
}

#[tokio::test]
async fn who_may_not_learns_nothing_of_what_there_is() {
    let house = House::new().await;
    let written = house.node.act(&house.operator, "scribe", "fs.write", "/reports/first.md", b"x").await;
    let action = written.expect("it is permitted");
    let run = revoked_run(&house).await;
    let review = furnish(&house).await;
    let mut wrong = Vec::new();
    let mut compared = 0;
    for row in rows().into_iter().filter(|row| row.route.contains('{') && !row.is_open) {
        let there = row.path.replace("{action}", action.as_str()).replace("{key}", house.operator.key.as_str());
        let there = there.replace("{run}", &run).replace("{review}", &review);
        let not = of_nothing(row.path);
        assert!(there != not || row.route == "/v1/leases/{id}/revoke", "{} has something that is not there", row.route);
        for (who, key, expected) in [("the viewer", &house.viewer, row.viewer), ("the agent", &house.agent, row.agent)]
        {
            if expected != 403 {
                continue;
            }
            compared += 1;
            let mut said = Vec::new();
            for path in [&there, &not] {
                let answer = house.ask(row.method.clone(), path, Some(&key.token), row.body.as_ref()).await;
                said.push((answer.status.as_u16(), answer.code(), answer.json()["title"].clone()));
            }
            if said[0] != said[1] {
                wrong.push(format!("{} {}, {who}: {:?}, and of nothing {:?}", row.method, row.route, said[0], said[1]));
            }
        }
    }
    assert!(compared > 40, "{compared}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_operator_may_what_is_asked_of_every_route() {
    let house = House::new().await;
    let action = house
        .node
        .act(&house.operator, "scribe", "fs.write", "/reports/first.md", b"x")
        .await
        .expect("it is permitted");
    let run = revoked_run(&house).await;
    let review = furnish(&house).await;
    for row in rows() {
        // What would shut the operator out, what only a login key may, and what there must be something to do for: runs.rs
        // has those.
        let elsewhere = [
            "/v1/people/{name}/disable",
            "/v1/login",
            "/v1/login/token",
            "/v1/keys/{id}/revoke",
            "/v1/effects/{id}/resolve",
            "/v1/leases/{id}/revoke",
        ];
        // Those need somebody who answers.
        let of_others = ["/v1/tools/{name}/pin", "/v1/tools/{name}/allow", "/v1/models/{name}/test"];
        let of_runs = ["/v1/runs/{id}/stop", "/v1/agents/{name}/revoke", "/v1/agents/{name}/reinstate"];
        // A reviewer's.
        let of_reviewers = ["/v1/reviews/{id}/approve", "/v1/reviews/{id}/reject"];
        if [&elsewhere[..], &of_runs, &of_others, &of_reviewers].concat().contains(&row.route) {
            continue;
        }
        let path = row.path.replace("{action}", action.as_str()).replace("{run}", &run).replace("{review}", &review);
        let answer = house.ask(row.method.clone(), &path, Some(&house.operator.token), row.body.as_ref()).await;
        assert!(answer.status.is_success(), "{} {path}: {answer:?}", row.method);
        if row.method == Method::POST && row.route == "/v1/runs" {
            end(&house, answer.json()["id"].as_str().expect("an id")).await;
        }
    }
    let login = house.node.login_key("vera").await;
    let created = house.ask(Method::POST, "/v1/login", Some(&login), Some(&json!({"label": "desk"}))).await;
    assert_eq!(created.status, 201);
    assert!(created.json()["secret"].as_str().is_some_and(|secret| secret.starts_with("stw_")));
    let id = house.viewer.key.as_str();
    assert_eq!(house.post(&format!("/v1/keys/{id}/revoke"), &json!({})).await.status, 200);
    assert_eq!(house.post("/v1/people/vera/disable", &json!({})).await.status, 200);
}

/// Stops the run that was just started.
async fn end(house: &House, run: &str) {
    let stopped = house.post(&format!("/v1/runs/{run}/stop"), &json!({"reason": "it was a trial"})).await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    house.node.ended(&run.parse().expect("an id")).await;
}

#[tokio::test]
async fn an_unauthenticated_answer_tells_nothing_about_which_part_was_wrong() {
    let house = House::new().await;
    // The right id with another secret, an id that nobody has, no form at all, another scheme, none.
    let token = &house.operator.token;
    let mut other = token.clone();
    let last = other.pop().expect("it is long");
    other.push(if last == 'A' { 'B' } else { 'A' });
    let mut nobody = token.clone();
    nobody.replace_range(6..12, "000000");
    assert!(other != *token && nobody != *token);
    let mut answers = Vec::new();
    for key in [Some(other.as_str()), Some(nobody.as_str()), Some("stw_"), Some(""), Some("\u{e4}"), None] {
        let answer = house.ask(Method::GET, "/v1/agents", key, None).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "UNAUTHENTICATED"), "{key:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        let mut problem = answer.json();
        problem["trace"] = Value::Null;
        answers.push(problem);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let status = house.get("/v1/node/status").await.json();
    assert_eq!(status["unauthenticated"], answers.len(), "they were counted");
}
