//! OpenAI's API for agents: they ask the node for a model by its name here, and the node asks the provider.
//!
//! ```text
//! POST /openai/v1/chat/completions     also as a stream of server-sent events
//! POST /openai/v1/embeddings
//! GET  /openai/v1/models               those that this agent may use now
//! ```
//!
//! Over a run's door whoever connects is in that run; elsewhere an agent comes with its key, where clients put OpenAI's. Errors have
//! OpenAI's shape, with the node's code: `{"error": {"message", "type", "code", "action"}}`. Of those that come again, clients are
//! told not to try again: the node did.
//!
//! Deliberately absent: a provider's key, and every other route of that API: what is kept at a provider, or done by it with tools of its
//! own, is not under governance.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::{Value, json};
use steward_app_flows::{
    authenticate,
    runs::{Asking, Runner, Said},
};
use steward_app_node::{Error, Kind, code};
use steward_naming::{RunId, TraceId};
use steward_permit::Actor;
use steward_seal::json::{self as strict, Limits};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

/// The most bytes of a request: a long conversation with images in it.
pub const MAX_REQUEST_BYTES: usize = 4 << 20;

/// How long a request may take to arrive, in seconds.
const BODY_WITHIN_S: u64 = 30;

/// The deepest that a request's JSON nests: schemas of tools do.
const MAX_DEPTH: usize = 64;

/// Where the routes begin.
const BASE: &str = "/openai/v1";

/// Tells a client that asks again by itself not to.
const SHOULD_RETRY: &str = "x-should-retry";

/// The routes of a run's own door: whoever reaches them is in that run.
pub fn of_run(runner: Arc<Runner>, run: RunId) -> Router {
    let serve = move |request: Request| {
        let (runner, asking) = (Arc::clone(&runner), Asking::Run(run.clone(), None));
        async move { answer(&runner, asking, request).await.unwrap_or_else(|error| refused(&error)) }
    };
    Router::new().route(&format!("{BASE}/{{*route}}"), any(serve))
}

/// The routes for agents that come with a key: in the run that they are in, or in none.
pub fn with_key(runner: Arc<Runner>) -> Router {
    Router::new().route(&format!("{BASE}/{{*route}}"), any(attached)).with_state(runner)
}

async fn attached(State(runner): State<Arc<Runner>>, request: Request) -> Response {
    match known(&runner, request.headers()) {
        Ok(asking) => answer(&runner, asking, request).await.unwrap_or_else(|error| refused(&error)),
        Err(error) => refused(&error),
    }
}

/// Who comes with this key.
fn known(runner: &Runner, headers: &HeaderMap) -> Result<Asking, Error> {
    let context = &runner.context;
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, token) = value.split_once(' ').unwrap_or_default();
    let token = if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" };
    let trace = TraceId::new(context.now(), context.dice.as_ref());
    let caller = authenticate(context, token, Some(trace))?;
    let Actor::Agent { name, .. } = &caller.actor else {
        let message = "this is for agents: make a key for one with `steward key create --agent NAME --scope act`";
        return Err(Error::new(Kind::Refused, code::NOT_AN_AGENT, message));
    };
    if caller.spend.is_some() {
        let message = "a key that is good for one request is too little for a conversation";
        return Err(Error::new(Kind::Refused, code::KEY_SINGLE_USE, message));
    }
    // An agent that is in a run asks in that run: its packet and its budget hold.
    Ok(match runner.run_of(name) {
        Ok(run) => Asking::Run(run, Some(Box::new(caller))),
        Err(error) if error.code == code::NO_RUN => Asking::Outside(Box::new(caller)),
        Err(error) => return Err(error),
    })
}

async fn answer(runner: &Arc<Runner>, asking: Asking, request: Request) -> Result<Response, Error> {
    let route = request.uri().path().strip_prefix(BASE).unwrap_or_default().to_owned();
    match (request.method(), route.as_str()) {
        (&Method::GET, "/models") => {
            let models = runner.usable_models(&asking)?;
            let one = |name: &str, by: &str| json!({"id": name, "object": "model", "created": 0, "owned_by": by});
            let data: Vec<Value> = models.iter().map(|model| one(model.name.as_str(), "steward")).collect();
            Ok(axum::Json(json!({"object": "list", "data": data})).into_response())
        }
        (&Method::POST, "/chat/completions") => {
            let said = runner.chat(asking, body(request).await?).await?;
            Ok(told(said))
        }
        (&Method::POST, "/embeddings") => {
            let said = runner.embed(asking, body(request).await?).await?;
            Ok(told(said))
        }
        _ => Err(Error::not_found("such route here; there are chat/completions, embeddings and models")),
    }
}

async fn body(request: Request) -> Result<Value, Error> {
    let reading = to_bytes(request.into_body(), MAX_REQUEST_BYTES);
    let within = std::time::Duration::from_secs(BODY_WITHIN_S);
    let read = tokio::time::timeout(within, reading).await;
    let read =
        read.map_err(|_| Error::new(Kind::Invalid, code::TIMEOUT, "the body did not arrive in time; send it at once"))?;
    let bytes = read.map_err(|_| {
        let message = format!("the body has more than {MAX_REQUEST_BYTES} bytes, or broke off");
        Error::new(Kind::Invalid, code::BODY_TOO_LARGE, message)
    })?;
    let limits = Limits { bytes: MAX_REQUEST_BYTES, depth: MAX_DEPTH };
    strict::read(&bytes, limits).map_err(|error| Error::invalid(format!("the body is wrong: {error}")))
}

fn told(said: Said) -> Response {
    let pieces = match said {
        Said::Whole(body) => return axum::Json(body).into_response(),
        Said::Pieces(pieces) => pieces,
    };
    // Whoever reads a stream knows by its last line whether it is whole.
    let whole = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&whole);
    let lines = ReceiverStream::new(pieces).map(move |piece| match piece {
        Ok(chunk) => Ok::<_, Infallible>(format!("data: {chunk}\n\n")),
        Err(error) => {
            seen.store(false, Ordering::Relaxed);
            Ok(format!("data: {}\n\n", shape(&error)))
        }
    });
    let done = tokio_stream::once(())
        .filter_map(move |()| whole.load(Ordering::Relaxed).then(|| Ok("data: [DONE]\n\n".to_owned())));
    let mut response = Body::from_stream(lines.chain(done)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// OpenAI's shape of an error.
fn shape(error: &Error) -> Value {
    let kind = match error.kind {
        Kind::Unauthenticated => "authentication_error",
        Kind::Refused if error.code == "OVER_BUDGET" => "insufficient_quota",
        Kind::Refused => "permission_error",
        Kind::Invalid | Kind::NotFound | Kind::Taken => "invalid_request_error",
        Kind::Stale | Kind::Unavailable | Kind::Broken => "server_error",
    };
    let action = error.action.as_ref().map(ToString::to_string);
    json!({"error": {"message": error.message, "type": kind, "code": error.code, "param": null, "action": action}})
}

fn refused(error: &Error) -> Response {
    let status = match error.kind {
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Refused => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Invalid | Kind::Taken => StatusCode::BAD_REQUEST,
        Kind::Unavailable if error.code == code::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
        Kind::Stale | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Broken => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = (status, axum::Json(shape(error))).into_response();
    let headers = response.headers_mut();
    // The node has tried as often as makes sense. What is too often can be asked again later.
    let again = if status == StatusCode::TOO_MANY_REQUESTS { "true" } else { "false" };
    headers.insert(SHOULD_RETRY, HeaderValue::from_static(again));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
