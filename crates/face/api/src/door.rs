//! The door: who may come in, as whom, with what.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use steward_app_flows::{authenticate, runs::Runner};
use steward_app_node::{Caller, Context, Error, Kind, code};
use steward_app_people::{caller_of, identify};
use steward_identity::{Proven, Purpose, looks_like_token};
use steward_naming::TraceId;
use steward_seal::json::{self, JsonError, Limits};
use steward_state::Rate;

use crate::{
    MAX_BODY_BYTES, REQUEST_TIMEOUT_S,
    answer::Refused,
    node::Node,
    operations::{Peer, TAKING_AWAY, client, counted_as},
    served::ELSEWHERE,
};

/// How often a verb is tried again because something changed under it.
const ATTEMPTS: u32 = 3;

/// How long a body may take to arrive, in seconds.
const BODY_WITHIN_S: u64 = 15;

/// The deepest that a request's JSON nests.
const MAX_DEPTH: usize = 32;

/// How long something that takes leave away waits for its place, in seconds.
const TAKING_AWAY_WITHIN_S: u64 = 20;

/// For a year, browsers come by TLS only (RFC 6797).
const ONLY_TLS: &str = "max-age=31536000";

/// Where agents come in.
const AGENTS: [&str; 2] = ["/mcp", "/openai/"];

/// What takes leave away: it has places and a rate of its own, so that nobody is kept from it by what others ask for.
fn takes_away(method: &Method, path: &str) -> bool {
    let ends = |before: &str, after: &str| path.strip_prefix(before).is_some_and(|rest| rest.ends_with(after));
    *method == Method::POST
        && (path == "/v1/node/halt"
            || ends("/v1/runs/", "/stop")
            || ends("/v1/agents/", "/revoke")
            || ends("/v1/keys/", "/revoke"))
}

/// How a request is counted: whose address it is from, and whether it takes leave away.
#[derive(Debug, Clone)]
struct Counted {
    address: Option<String>,
    takes_away: bool,
}

/// Lets in what is asked of this node by a name that it has, as far as there is room, and counts how it was answered.
pub(crate) async fn admit(State(node): State<Arc<Node>>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let peer = request.extensions().get::<Peer>().copied();
    let address = peer.map(|Peer(peer)| client(peer, request.headers(), &node.operations.proxies));
    let counted = Counted { address: address.map(counted_as), takes_away: takes_away(&method, request.uri().path()) };
    request.extensions_mut().insert(counted.clone());
    let of_agent = is_of_agent(request.uri().path());
    let limited = limit_address(&node, &counted, request.uri().path());
    let limited =
        limited.and_then(|()| if of_agent { limit_agent(&node, &counted, request.headers()) } else { Ok(()) });
    let mut answer = match limited {
        Ok(()) => let_in(&node, &counted, request, next).await,
        Err(refused) => refused.into_response(),
    };
    if answer.status() == StatusCode::UNAUTHORIZED {
        if of_agent {
            node.count_unauthenticated();
        }
        if let Err(refused) = limit_stranger(&node, &counted) {
            answer = refused.into_response();
        }
    }
    if node.operations.certificate.is_some() {
        answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(ONLY_TLS));
    }
    match route {
        Some(route) => node.served.note(method.as_str(), &route, answer.status().as_u16()),
        // Methods may be anything here.
        None => node.served.note(ELSEWHERE, ELSEWHERE, answer.status().as_u16()),
    }
    answer
}

/// What everybody from one address asks together.
fn limit_address(node: &Node, counted: &Counted, path: &str) -> Result<(), Refused> {
    let (Some(address), Some(rate)) = (&counted.address, node.operations.limits.address) else { return Ok(()) };
    if counted.takes_away || path == "/healthz" {
        return Ok(());
    }
    limit(node, &format!("address/{address}"), rate, None)
}

/// Who comes with no key that is good, by whatever way in, is told so a few times, and then to come back later. Who comes with a good one
/// from the same address is not kept out by that.
fn limit_stranger(node: &Node, counted: &Counted) -> Result<(), Refused> {
    match (&counted.address, node.operations.limits.stranger) {
        (Some(address), Some(rate)) => limit(node, &format!("stranger/{address}"), rate, None),
        _ => Ok(()),
    }
}

/// Whoever comes with one key comes so often. What takes leave away is counted by itself.
fn limit_key(node: &Node, counted: Option<&Counted>, caller: &Caller, trace: Option<TraceId>) -> Result<(), Refused> {
    let Some(key) = &caller.key else { return Ok(()) };
    let (what, rate) = match counted {
        Some(counted) if counted.takes_away => ("away", Some(TAKING_AWAY)),
        _ => ("key", node.operations.limits.key),
    };
    rate.map_or(Ok(()), |rate| limit(node, &format!("{what}/{}", key.id), rate, trace))
}

/// The same for agents, whose ways in are others' and let in by themselves. Looked at here, so that no way in is without it; a key that
/// is not good is left to them to refuse.
fn limit_agent(node: &Node, counted: &Counted, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(token) = bearer(headers) else { return Ok(()) };
    match authenticate(&node.context, &token, None) {
        Ok(caller) => limit_key(node, Some(counted), &caller, None),
        Err(_) => Ok(()),
    }
}

/// Where a token of an issuer is exchanged for a key.
const LOGIN: &str = "/v1/login/token";

fn is_of_agent(path: &str) -> bool {
    AGENTS.iter().any(|of_agents| path.starts_with(of_agents))
}

fn limit(node: &Node, key: &str, rate: Rate, trace: Option<TraceId>) -> Result<(), Refused> {
    let context = &node.context;
    node.runner.soft.take(&format!("{}/http/{key}", context.namespace), rate, context.now()).map_err(|wait| {
        node.count_limited();
        Refused::too_often(wait, trace)
    })
}

fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

async fn let_in(node: &Node, counted: &Counted, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    if !host.is_some_and(|host| node.authorities.iter().any(|a| a.eq_ignore_ascii_case(host))) {
        let error =
            Error::invalid("this node does not go by that name; use the address that it printed when it started");
        return Refused::new(error, None).with_status(StatusCode::MISDIRECTED_REQUEST).into_response();
    }
    if is_health(request.uri().path()) {
        return next.run(request).await;
    }
    let of_agent = is_of_agent(request.uri().path());
    let place = if counted.takes_away {
        // Those wait for their turn, which comes soon: each is short.
        let waiting = node.places_of_taking_away.acquire();
        tokio::time::timeout(Duration::from_secs(TAKING_AWAY_WITHIN_S), waiting).await.ok().and_then(Result::ok)
    } else if of_agent {
        node.places_of_agents.try_acquire().ok()
    } else if request.uri().path() == LOGIN {
        // Their bodies are read before anybody is known: strangers keep nobody else out with them.
        node.places_of_logins.try_acquire().ok()
    } else {
        node.places.try_acquire().ok()
    };
    match place {
        // Models think, and tools work, for longer than a request of a person's; what is behind these bounds them itself.
        Some(_place) if of_agent => next.run(request).await,
        Some(_place) => {
            let answer = tokio::time::timeout(Duration::from_secs(REQUEST_TIMEOUT_S), next.run(request)).await;
            answer.unwrap_or_else(|_| {
                let message = "this took too long; what it began is finished all the same: look before asking again";
                let error = Error::new(Kind::Unavailable, code::TIMEOUT, message);
                Refused::new(error, None).with_status(StatusCode::REQUEST_TIMEOUT).into_response()
            })
        }
        None => {
            let error = Error::new(Kind::Unavailable, code::BUSY, "too many requests at once; come back in a second");
            Refused::new(error, None).into_response()
        }
    }
}

/// A request that came with a key: the node, the token, and a trace of its own.
pub(crate) struct Visit {
    node: Arc<Node>,
    token: Option<String>,
    /// Who it is of whom an issuer's token said who they are, if they came with one.
    proven: Option<Proven>,
    trace: TraceId,
    /// The caller's own trace.
    joins: Option<String>,
    /// Who came, as it was found before the body was read; for the first attempt.
    came: Mutex<Option<Caller>>,
}

impl FromRequestParts<Arc<Node>> for Visit {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Refused> {
        let mut visit = Self::begin(node, &parts.headers);
        visit.token = bearer(&parts.headers);
        if let Some(token) = visit.token.take_if(|token| looks_like_token(token)) {
            visit.proven = Some(visit.identify(&token, Purpose::Service).await?);
        }
        // Nobody sends a body before they have shown a key.
        visit.enter(parts.extensions.get::<Counted>())
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// The trace that the caller wants this to be found under too: one `traceparent` of the W3C's form (version 00). What is none is
/// passed over, as the specification asks.
fn joins(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all("traceparent").iter();
    let value = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
    let parts: Vec<&str> = value.split('-').collect();
    let is_hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    };
    let is_some = |text: &str| text.bytes().any(|b| b != b'0');
    match parts[..] {
        ["00", trace, parent, flags]
            if is_hex(trace, 32) && is_some(trace) && is_hex(parent, 16) && is_some(parent) && is_hex(flags, 2) =>
        {
            Some(value.to_owned())
        }
        _ => None,
    }
}

impl Visit {
    fn begin(node: &Arc<Node>, headers: &HeaderMap) -> Self {
        let context = &node.context;
        let trace = TraceId::new(context.now(), context.dice.as_ref());
        let (node, joins) = (Arc::clone(node), joins(headers));
        Self { node, token: None, proven: None, trace, joins, came: Mutex::new(None) }
    }

    /// A request that came with an ID token in its body, and with no key.
    pub(crate) async fn logging_in(
        node: &Arc<Node>,
        headers: &HeaderMap,
        id_token: &str,
        proof: Option<&str>,
    ) -> Result<(Self, Proven), Refused> {
        let mut visit = Self::begin(node, headers);
        let proven = visit.identify(id_token, Purpose::Login(proof)).await?;
        visit.proven = Some(proven.clone());
        Ok((visit.enter(None)?, proven))
    }

    /// To its end, whoever hangs up: that an issuer is being asked for its keys keeps others from asking it.
    async fn identify(&self, token: &str, purpose: Purpose<'_>) -> Result<Proven, Refused> {
        let (context, token) = (Arc::clone(&self.node.context), token.to_owned());
        let login = match purpose {
            Purpose::Login(proof) => Some(proof.map(str::to_owned)),
            Purpose::Service => None,
        };
        let identified = tokio::spawn(async move {
            let purpose = login.as_ref().map_or(Purpose::Service, |proof| Purpose::Login(proof.as_deref()));
            identify(&context, &token, purpose).await
        });
        identified.await.unwrap_or_else(|e| Err(Error::broken(e))).map_err(|error| self.not_admitted(error))
    }

    /// Whoever it is comes in, as often as they may.
    fn enter(self, counted: Option<&Counted>) -> Result<Self, Refused> {
        let caller = self.authenticate()?;
        limit_key(&self.node, counted, &caller, Some(self.trace.clone()))?;
        *self.came.lock().expect("no holder of this lock panics") = Some(caller);
        Ok(self)
    }

    fn not_admitted(&self, error: Error) -> Refused {
        if error.kind == Kind::Unauthenticated {
            self.node.count_unauthenticated();
        }
        self.refused(error)
    }

    /// The node.
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// What drives runs.
    pub(crate) fn runner(&self) -> Arc<Runner> {
        Arc::clone(&self.node.runner)
    }

    /// A verb that reads. A key that is good for one request is kept for something that is recorded.
    pub(crate) async fn read<T, F>(&self, verb: impl Fn(Arc<Context>, Caller) -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        self.run(false, verb).await
    }

    /// A verb that changes something. It runs to its end even if the caller hangs up.
    pub(crate) async fn change<T, F>(&self, verb: impl Fn(Arc<Context>, Caller) -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        self.run(true, verb).await
    }

    /// The one place where a stale verb is tried again: from the key on, so that a key that was revoked meanwhile is refused.
    async fn run<T, F>(&self, changes: bool, verb: impl Fn(Arc<Context>, Caller) -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        let mut attempt = 1;
        loop {
            let caller = self.caller(changes)?;
            let running = tokio::spawn(verb(Arc::clone(&self.node.context), caller));
            match running.await.unwrap_or_else(|e| Err(Error::broken(e))) {
                Err(error) if error.kind == Kind::Stale && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome.map_err(|e| self.refused(e)),
            }
        }
    }

    fn authenticate(&self) -> Result<Caller, Refused> {
        let (context, trace) = (&self.node.context, Some(self.trace.clone()));
        let caller = match &self.proven {
            Some(proven) => caller_of(context, proven, trace),
            None => authenticate(context, self.token.as_deref().unwrap_or_default(), trace),
        };
        let caller = caller.map(|caller| Caller { joins: self.joins.clone(), ..caller });
        caller.map_err(|error| self.not_admitted(error))
    }

    fn caller(&self, changes: bool) -> Result<Caller, Refused> {
        let came = self.came.lock().expect("no holder of this lock panics").take();
        let caller = match came {
            Some(caller) => caller,
            None => self.authenticate()?,
        };
        if caller.spend.is_some() && !changes {
            let message = "a key that is good for one request is for something that is recorded, not for reading";
            return Err(self.refused(Error::new(Kind::Refused, code::KEY_SINGLE_USE, message)));
        }
        Ok(caller)
    }

    /// A refusal with the request's trace.
    pub(crate) fn refused(&self, error: Error) -> Refused {
        Refused::new(error, Some(self.trace.clone()))
    }
}

/// Strict JSON in a request's body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let is_json = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|v| {
            v.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        });
        if !is_json {
            return Err(Refused::new(Error::invalid("send JSON, with `Content-Type: application/json`"), None));
        }
        let too_large = || {
            let message = "the body is larger than this route reads; docs/api.md names the limits";
            Refused::new(Error::new(Kind::Invalid, code::BODY_TOO_LARGE, message), None)
        };
        let reading = Bytes::from_request(request, state);
        let read = tokio::time::timeout(Duration::from_secs(BODY_WITHIN_S), reading).await.map_err(|_| {
            let error = Error::new(Kind::Invalid, code::TIMEOUT, "the body did not arrive in time; send it at once");
            Refused::new(error, None).with_status(StatusCode::REQUEST_TIMEOUT)
        })?;
        let bytes = read.map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(_) => too_large(),
            _ => Refused::new(Error::invalid("the body could not be read"), None),
        })?;
        match json::read(&bytes, Limits { bytes: MAX_BODY_BYTES, depth: MAX_DEPTH }) {
            // What derives its reading takes a list for an object, field by field; a list is not what the description says.
            Ok(_) if bytes.trim_ascii_start().starts_with(b"[") => {
                Err(Refused::new(Error::invalid("the body is wrong: it is a list; send a JSON object, `{…}`"), None))
            }
            Ok(value) => Ok(Self(value)),
            Err(JsonError::TooLarge { .. }) => Err(too_large()),
            Err(error) => Err(Refused::new(Error::invalid(format!("the body is wrong: {error}")), None)),
        }
    }
}

/// What stands behind the `?`. Unknown names are refused.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let asked = Query::<T>::from_request_parts(parts, state).await;
        asked.map(|Query(value)| Self(value)).map_err(|e| Refused::new(Error::invalid(e.body_text()), None))
    }
}

/// A part of the path: a name, an id or a number, for a verb to read.
pub(crate) struct Part<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Part<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let part = Path::<T>::from_request_parts(parts, state).await;
        part.map(|Path(value)| Self(value)).map_err(|_| Refused::new(Error::invalid("the path is not UTF-8"), None))
    }
}
