//! Against a server that speaks HTTP by hand, and wrongly.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use steward_seal::secret::Secret;
use tokio::net::TcpListener;

use super::{LONG, call};
use crate::{Upstream, UpstreamError};

const KEY: &str = "sk-1234567890";

/// What was asked, each with the method of MCP and the key that came with it.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// One that greets in the older way, and answers calls so. It tells what was asked.
async fn server(answer: impl Fn(&Value) -> Response + Clone + Send + Sync + 'static) -> (String, Asked) {
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let key = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        told.lock().unwrap().push((method.clone(), key));
        let id = &message["id"];
        let info = json!({"name": "hand", "version": "1"});
        let response = match &*method {
            "server/discover" => {
                json_body(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "what?"}}))
            }
            "initialize" => with_session(&json!({"jsonrpc": "2.0", "id": id, "result": {
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info
            }})),
            "tools/call" => answer(&message),
            "" => StatusCode::METHOD_NOT_ALLOWED.into_response(),
            _ => StatusCode::ACCEPTED.into_response(),
        };
        std::future::ready(response)
    });
    (format!("http://{}/mcp", serve(router).await), asked)
}

/// With a session, which the client then names.
fn with_session(value: &Value) -> Response {
    ([("mcp-session-id", "s1")], json_body(value)).into_response()
}

fn json_body(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

async fn connect(url: &str) -> Result<Upstream, UpstreamError> {
    let headers = vec![("Authorization".to_owned(), Secret::new(&format!("Bearer {KEY}")))];
    Upstream::over_http("hand", url, headers, LONG).await
}

async fn called(answer: impl Fn(&Value) -> Response + Clone + Send + Sync + 'static) -> (UpstreamError, usize) {
    let (url, asked) = server(answer).await;
    let error = call(&connect(&url).await.unwrap(), "a", json!({})).await.unwrap_err();
    let calls = asked.lock().unwrap().iter().filter(|(method, _)| method == "tools/call").count();
    assert!(asked.lock().unwrap().iter().all(|(_, key)| key.as_deref() == Some("Bearer sk-1234567890")));
    (error, calls)
}

/// A body that breaks off.
fn broken(kind: &'static str, begun: &'static str) -> Response {
    let pieces = [Ok(Bytes::from_static(begun.as_bytes())), Err(std::io::Error::other("it dies"))];
    ([("content-type", kind)], Body::from_stream(tokio_stream::iter(pieces))).into_response()
}

#[tokio::test]
async fn what_a_server_says_wrongly_is_told_and_not_asked_again() {
    type Answer = fn(&Value) -> Response;
    let cases: [(Answer, &str, bool, &str); 12] = [
        (|_| "<html>".into_response(), "TOOL_GARBAGE", true, "sent what is not MCP"),
        (
            |_| ([("content-type", "application/json")], "{").into_response(),
            "TOOL_GARBAGE",
            true,
            "sent what is not MCP",
        ),
        (|_| json_body(&json!({"a": 1})), "TOOL_GARBAGE", true, "sent what is not MCP"),
        (
            |m| {
                json_body(
                    &json!({"jsonrpc": "2.0", "id": m["id"], "result": {"content": [{"type": "text", "text": "x".repeat(10 * 1024 * 1024)}]}}),
                )
            },
            "TOOL_GARBAGE",
            true,
            "sent more than 4 MiB",
        ),
        (|_| broken("application/json", "{\"jsonrpc\""), "TOOL_SERVER_UNAVAILABLE", true, "gave no whole answer"),
        (
            |_| ([("content-type", "text/event-stream")], "data: hello\n\n").into_response(),
            "TOOL_SERVER_UNAVAILABLE",
            true,
            "ended the connection",
        ),
        (|_| broken("text/event-stream", "data: "), "TOOL_SERVER_UNAVAILABLE", true, "gave no whole answer"),
        (
            |_| StatusCode::SERVICE_UNAVAILABLE.into_response(),
            "TOOL_SERVER_UNAVAILABLE",
            true,
            "answered with HTTP 503",
        ),
        // The library would greet again, and call again.
        (|_| StatusCode::NOT_FOUND.into_response(), "TOOL_SERVER_UNAVAILABLE", false, "has forgotten the session"),
        (
            |_| (StatusCode::FORBIDDEN, format!("the key {KEY} is\n bad {}", "so ".repeat(1000))).into_response(),
            "TOOL_PROTOCOL",
            false,
            "answered with HTTP 403 Forbidden: the key [secret] is bad so",
        ),
        (
            |_| (StatusCode::UNAUTHORIZED, [("www-authenticate", format!("Bearer realm=\"{KEY}\""))]).into_response(),
            "TOOL_PROTOCOL",
            false,
            "answered with HTTP 401: its operator adds a header",
        ),
        (
            |m| {
                json_body(
                    &json!({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32000, "message": format!("no: Bearer {KEY}")}}),
                )
            },
            "TOOL_ERROR",
            false,
            "refused: no: [secret]; correct",
        ),
    ];
    for (answer, code, is_unknown, message) in cases {
        let (error, calls) = called(answer).await;
        assert_eq!((error.code(), error.is_unknown(), calls), (code, is_unknown, 1), "{message}: {error}");
        let text = error.to_string();
        assert!(text.contains(message), "{message}: {text}");
        assert!(!format!("{error:?}").contains(KEY) && text.len() < 600, "{text}");
    }
}

#[tokio::test]
async fn nothing_is_followed() {
    let trap = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let elsewhere = format!("http://{}/mcp", trap.local_addr().unwrap());
    let (error, _) =
        called(move |_| (StatusCode::TEMPORARY_REDIRECT, [("location", elsewhere.clone())]).into_response()).await;
    assert_eq!((error.code(), error.is_unknown()), ("TOOL_PROTOCOL", true), "{error}");
    // A connection to loopback is in the queue when connecting returns.
    let trap = trap.into_std().unwrap();
    assert!(trap.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn who_is_not_there_was_not_asked() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/mcp", gone.local_addr().unwrap());
    drop(gone);
    let error = connect(&url).await.unwrap_err();
    assert_eq!((error.code(), error.is_unknown()), ("TOOL_SERVER_UNAVAILABLE", false), "{error}");
    for (url, message) in [("example.org", "is no URL"), ("ftp://example.org/", "is none of HTTP")] {
        let error = connect(url).await.unwrap_err();
        assert_eq!(error.code(), "TOOL_SERVER_UNAVAILABLE");
        assert!(error.to_string().contains(message), "{error}");
    }
}
