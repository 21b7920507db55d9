//! MCP in: a run as the server of its agent. Its tools, what its agent may know of it, and nothing else.
//!
//! ```text
//! POST /mcp     Streamable HTTP, without sessions; revisions 2026-07-28 and the one before
//!               over a run's door (whoever connects is in its sandbox), or with an agent's key
//! ```
//!
//! `tools/list` stays the same for as long as a run lasts; its phase is enforced at `tools/call`. What is refused is the result of a tool,
//! marked as an error, with a code and what to do: a model reads it. A call that takes long answers with a ticket, which
//! `await_result` asks for.
//!
//! Deliberately absent: deciding (flows), sessions (an agent's session is its run), and prompts, sampling and elicitation, which
//! would let a server speak to a model of its own accord.

mod server;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use serde_json::json;
use steward_app_flows::{authenticate, runs::Runner};
use steward_app_node::{Caller, Error, Kind, code};
use steward_naming::{RunId, TraceId};
use steward_permit::Actor;

use crate::server::RunServer;

/// The most bytes of a request: what a file of a megabyte takes in base 64, and what is around it.
pub const MAX_REQUEST_BYTES: usize = 2 << 20;

/// How long a message may take to arrive, in seconds.
const BODY_WITHIN_S: u64 = 30;

/// The route of a run's own door: whoever reaches it is in that run.
pub fn of_run(runner: Arc<Runner>, run: RunId) -> Router {
    let serve = move |request: Request| {
        let server = RunServer::new(Arc::clone(&runner), run.clone(), None);
        async move { answer(server, request).await }
    };
    Router::new().route("/mcp", any(serve))
}

/// The route for agents that run elsewhere, and come with a key. Names of hosts are looked at by whoever serves it.
pub fn with_key(runner: Arc<Runner>) -> Router {
    Router::new().route("/mcp", any(attached)).with_state(runner)
}

async fn attached(State(runner): State<Arc<Runner>>, request: Request) -> Response {
    let context = &runner.context;
    let trace = TraceId::new(context.now(), context.dice.as_ref());
    let caller = match authenticate(context, &bearer(request.headers()), Some(trace)).and_then(agent_only) {
        Ok(caller) => caller,
        Err(error) => return refused(&error),
    };
    let Actor::Agent { name, .. } = &caller.actor else { return refused(&Error::broken("only agents come here")) };
    let run = match runner.run_of(name) {
        Ok(run) => runner.attends(&run, &caller).await.map(|()| run),
        Err(error) => Err(error),
    };
    match run {
        Ok(run) => answer(RunServer::new(Arc::clone(&runner), run, Some(caller)), request).await,
        Err(error) => refused(&error),
    }
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> String {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, token) = value.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") { token.trim().to_owned() } else { String::new() }
}

/// An agent's own key, and one that is good for more than one request: a conversation has many.
fn agent_only(caller: Caller) -> Result<Caller, Error> {
    if !matches!(caller.actor, Actor::Agent { .. }) {
        let message = "this is for agents: make a key for one with `steward key create --agent NAME --scope act`";
        return Err(Error::new(Kind::Refused, code::NOT_AN_AGENT, message));
    }
    if caller.spend.is_some() {
        let message = "a key that is good for one request is too little for a conversation";
        return Err(Error::new(Kind::Refused, code::KEY_SINGLE_USE, message));
    }
    Ok(caller)
}

async fn answer(server: RunServer, request: Request) -> Response {
    // Whole before anything is held for it: who sends a byte a minute is not waited for.
    let (parts, body) = request.into_parts();
    let reading = to_bytes(body, MAX_REQUEST_BYTES);
    let body = match tokio::time::timeout(Duration::from_secs(BODY_WITHIN_S), reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let message = format!("the message has more than {MAX_REQUEST_BYTES} bytes, or broke off");
            return refused(&Error::new(Kind::Invalid, code::BODY_TOO_LARGE, message));
        }
        Err(_) => {
            return refused(&Error::new(
                Kind::Invalid,
                code::TIMEOUT,
                "the message did not arrive in time; send it at once",
            ));
        }
    };
    let request = Request::from_parts(parts, Body::from(body));
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_REQUEST_BYTES)
        // A page of a browser has an origin; no agent has.
        .enforce_origin_validation();
    let make = move || Ok(server.clone());
    let service = StreamableHttpService::new(make, Arc::new(NeverSessionManager::default()), config);
    service.handle(request).await.map(Body::new)
}

/// What is refused before there is a conversation: as JSON-RPC has it, with the status that tells a client whether a key would help.
fn refused(error: &Error) -> Response {
    let status = match error.kind {
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Refused => StatusCode::FORBIDDEN,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let body = json!({
        "jsonrpc": "2.0", "id": null,
        "error": {"code": -32000, "message": error.message, "data": {"code": error.code}},
    });
    let mut response = (status, axum::Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}
