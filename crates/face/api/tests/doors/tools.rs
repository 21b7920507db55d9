//! Servers of tools and models through the door: what is pinned is looked at, allowed, and taken back; what is used is held to a budget.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::House;

/// What a server says of its tools, which a test may change.
type Said = Arc<Mutex<Value>>;

fn tool(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description, "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}}})
}

fn answered(id: &Value, result: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
        .into_response()
}

/// A server that says so, and its address.
async fn server(tools: Value) -> (String, Said) {
    let said: Said = Arc::new(Mutex::new(tools));
    let now = Arc::clone(&said);
    let router = Router::new().fallback(move |body: Bytes| {
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let id = &message["id"];
        let response = match message["method"].as_str().unwrap_or_default() {
            "initialize" => answered(
                id,
                &json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}),
            ),
            "tools/list" => answered(id, &json!({"tools": *now.lock().expect("nobody panics")})),
            "server/discover" => (
                [(CONTENT_TYPE, "application/json")],
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "what?"}}).to_string(),
            )
                .into_response(),
            "" => StatusCode::METHOD_NOT_ALLOWED.into_response(),
            _ => StatusCode::ACCEPTED.into_response(),
        };
        std::future::ready(response)
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/mcp"), said)
}

/// Of each tool: its name, from which tier on it is allowed, and how it stands.
fn tools(server: &Value) -> Vec<(&str, Option<&str>, &str)> {
    let tools = server["tools"].as_array().expect("tools");
    tools
        .iter()
        .map(|t| (t["name"].as_str().expect("a name"), t["tier"].as_str(), t["now"].as_str().expect("now")))
        .collect()
}

#[tokio::test]
async fn a_tool_is_pinned_looked_at_and_allowed_until_it_changes() {
    let house = House::new().await;
    let (url, said) = server(json!([tool("read", "Reads a file."), tool("write", "Writes a file.")])).await;
    let added = house.post("/v1/tools", &json!({"name": "files", "url": url})).await;
    assert_eq!(added.status, 201, "{added:?}");
    let added = added.json();
    assert_eq!(tools(&added), [("read", None, "same"), ("write", None, "same")], "{added}");
    assert_eq!((&added["transport"], &added["url"], &added["connected"]), (&json!("http"), &json!(url), &json!(true)));
    assert_eq!(added["tools"][0]["description"], "Reads a file.");
    assert_eq!(added["tools"][0]["input_schema"]["properties"]["path"]["type"], "string");

    let again = house.post("/v1/tools", &json!({"name": "files", "url": url})).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "NAME_TAKEN"));
    let nobodys = house.post("/v1/tools/files/allow", &json!({"tool": "delete", "tier": "T1"})).await;
    assert_eq!((nobodys.status.as_u16(), nobodys.code().as_str()), (404, "NOT_FOUND"));
    let no_tier = house.post("/v1/tools/files/allow", &json!({"tool": "read", "tier": "T9"})).await;
    assert_eq!((no_tier.status.as_u16(), no_tier.code().as_str()), (400, "INVALID_REQUEST"));

    let allowed = house.post("/v1/tools/files/allow", &json!({"tool": "read", "tier": "T1"})).await.json();
    assert_eq!(tools(&allowed), [("read", Some("T1"), "same"), ("write", None, "same")]);
    assert_eq!(allowed["tools"][0]["allowed_by"], "olivia@acme.internal");

    *said.lock().expect("nobody panics") =
        json!([tool("read", "Reads a file, and more."), tool("move", "Moves a file.")]);
    let shown = house.get("/v1/tools/files").await.json();
    assert_eq!(tools(&shown), [("read", Some("T1"), "changed"), ("write", None, "gone")], "{shown}");
    assert_eq!(shown["new"], json!(["move"]));
    let pinned = house.post("/v1/tools/files/pin", &json!({})).await.json();
    assert_eq!(
        tools(&pinned),
        [("move", None, "same"), ("read", None, "same")],
        "what changed is allowed anew, by a person"
    );

    let all = house.post("/v1/tools/files/allow", &json!({"tier": "T2"})).await.json();
    assert_eq!(tools(&all), [("move", Some("T2"), "same"), ("read", Some("T2"), "same")]);
    let none = house.post("/v1/tools/files/allow", &json!({})).await.json();
    assert_eq!(tools(&none), [("move", None, "same"), ("read", None, "same")]);

    let removed = house.post("/v1/tools/files/remove", &json!({})).await;
    assert_eq!((removed.status.as_u16(), &removed.json()["name"]), (200, &json!("files")));
    assert_eq!(house.get("/v1/tools").await.json(), json!({"servers": []}));
    assert_eq!(house.get("/v1/tools/files").await.code(), "NOT_FOUND");
}

#[tokio::test]
async fn what_is_suspicious_is_allowed_only_by_who_saw_it() {
    let house = House::new().await;
    let (url, _said) = server(json!([tool("read", "Reads a\u{200b} file."), tool("write", "Writes a file.")])).await;
    let added = house.post("/v1/tools", &json!({"name": "files", "url": url})).await.json();
    assert_eq!(added["tools"][0]["findings"][0]["code"], "HIDDEN_CHARACTERS", "{added}");
    let refused = house.post("/v1/tools/files/allow", &json!({"tier": "T1"})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "TOOL_SUSPICIOUS"));
    assert_eq!(refused.json()["problems"][0]["at"], "read");
    assert_eq!(house.post("/v1/tools/files/allow", &json!({"tool": "write", "tier": "T1"})).await.status, 200);
    let meant = json!({"tool": "read", "tier": "T1", "despite_findings": true});
    assert_eq!(house.post("/v1/tools/files/allow", &meant).await.status, 200);
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_is_there_and_says_why() {
    let house = House::new().await;
    let url = "http://127.0.0.1:9/mcp";
    let added = house.post("/v1/tools", &json!({"name": "files", "url": url})).await;
    assert_eq!(added.status, 201, "{added:?}");
    assert!(added.json()["trouble"].as_str().is_some_and(|why| !why.is_empty()), "{added:?}");
    let pinned = house.post("/v1/tools/files/pin", &json!({})).await;
    assert_eq!((pinned.status.as_u16(), pinned.code().as_str()), (503, "TOOL_SERVER_UNAVAILABLE"));
    let secret = json!({"name": "other", "url": url, "secrets": {"Authorization": "none"}});
    let refused = house.post("/v1/tools", &secret).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "NO_SECRET"));
    for wrong in
        [json!({"name": "a"}), json!({"name": "A b", "url": "x"}), json!({"name": "a", "url": url, "command": ["x"]})]
    {
        assert_eq!(house.post("/v1/tools", &wrong).await.code(), "INVALID_REQUEST", "{wrong}");
    }
}

#[tokio::test]
async fn a_model_has_a_price_a_budget_and_a_sum() {
    let house = House::new().await;
    let fast =
        json!({"name": "fast", "url": "http://127.0.0.1:9/v1/", "input_price_micros": 150_000, "max_output": 100});
    let added = house.post("/v1/models", &fast).await;
    assert_eq!(added.status, 201, "{added:?}");
    let added = added.json();
    assert_eq!((&added["wire"], &added["tier"], &added["upstream"]), (&json!("openai"), &json!("T0"), &json!("fast")));
    assert_eq!((&added["breaker"], &added["input_price_micros"]), (&json!("closed"), &json!(150_000)));
    assert!(added.get("output_price_micros").is_none() && added.get("secret").is_none(), "{added}");
    let lost =
        house.post("/v1/models", &json!({"name": "slow", "url": "http://127.0.0.1:9/v1", "fallback": "none"})).await;
    assert_eq!((lost.status.as_u16(), lost.code().as_str()), (400, "NO_MODEL"));
    assert_eq!(house.post("/v1/models/none/test", &json!({})).await.code(), "NO_MODEL");

    // What is there already is replaced only if that is asked for, and a key has to be there.
    let again = json!({"name": "fast", "url": "http://127.0.0.1:9/v2", "tier": "T2"});
    let taken = house.post("/v1/models", &again).await;
    assert_eq!((taken.status.as_u16(), taken.code().as_str()), (409, "NAME_TAKEN"));
    assert!(taken.json()["detail"].to_string().contains("--replace"), "{taken:?}");
    assert_eq!(house.get("/v1/models").await.json()["models"][0]["url"], added["url"]);
    let keyed = json!({"name": "fast", "url": "http://127.0.0.1:9/v2", "replace": true, "secret": "provider"});
    let lost = house.post("/v1/models", &keyed).await;
    assert_eq!((lost.status.as_u16(), lost.code().as_str()), (400, "NO_SECRET"));
    assert!(lost.json()["detail"].to_string().contains("secrets/provider"), "{lost:?}");
    let replaced = json!({"name": "fast", "url": "http://127.0.0.1:9/v2", "tier": "T2", "replace": true});
    let replaced = house.post("/v1/models", &replaced).await;
    assert_eq!(replaced.status, 201, "{replaced:?}");
    let replaced = replaced.json();
    assert_eq!((&replaced["url"], &replaced["tier"]), (&json!("http://127.0.0.1:9/v2"), &json!("T2")));

    let set =
        house.post("/v1/budgets", &json!({"agent": "scribe", "per": "day", "calls": 5, "micros": 2_500_000})).await;
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(set.json()["limits"], json!({"calls": 5, "micros": 2_500_000}));
    assert_eq!(house.post("/v1/budgets", &json!({"per": "year", "calls": 5})).await.code(), "INVALID_REQUEST");
    let listed = house.get("/v1/budgets").await.json();
    assert_eq!(listed["budgets"][0]["agent"], "scribe.acme.internal");
    assert_eq!(listed["budgets"][0]["used"], json!({"calls": 0, "tokens": 0, "micros": 0}));

    let usage = house.get("/v1/usage").await.json();
    assert_eq!(
        (&usage["by"], usage["since"].as_str().map(str::len)),
        (&json!([]), Some("2026-11-20".len())),
        "{usage}"
    );
    assert_eq!(house.get("/v1/usage?per=ever").await.json()["since"], "");
    for wrong in ["run", "year"] {
        assert_eq!(house.get(&format!("/v1/usage?per={wrong}")).await.code(), "INVALID_REQUEST");
    }

    let gone = house.post("/v1/budgets", &json!({"agent": "scribe", "per": "day"})).await.json();
    assert_eq!((&gone["limits"], &gone["agent"]), (&json!({}), &json!("scribe.acme.internal")));
    assert_eq!(house.get("/v1/budgets").await.json(), json!({"budgets": []}));
    assert_eq!(house.post("/v1/budgets", &json!({"agent": "scribe", "per": "day"})).await.code(), "NOT_FOUND");
    assert_eq!(house.post("/v1/models/fast/remove", &json!({})).await.json()["name"], "fast");
    assert_eq!(house.get("/v1/models").await.json(), json!({"models": []}));
}
