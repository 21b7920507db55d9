//! A model server that keeps to a script, over real HTTP, and what is needed to ask it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use serde_json::{Value, json};
use steward_clock::{Clock, Dice, Timestamp};
use steward_model::{Answer, Caller, ChatRequest, ChatStream, Limits, ModelError, Provider, Timeouts, Usage, WireKind};
use steward_naming::{ActionId, Name};
use steward_permit::{Action, ActionName, Actor, Issuer, Resource, ResourceKind, Ruling, Tier, Warrant};
use steward_seal::{
    Digest,
    secret::{Secret, Secrets},
};
use tokio_stream::StreamExt as _;

/// The node's key at every provider here.
pub(crate) const KEY: &str = "sk-live-0123456789abcdef";

/// What is done after the pieces of a body.
#[derive(Clone)]
pub(crate) enum Then {
    End,
    /// The connection goes.
    Break,
    /// Nothing more is said.
    Wait,
    /// This is said again and again.
    Repeat(String),
}

/// What a server does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Says nothing at all.
    Silence,
    Says {
        status: u16,
        headers: Vec<(&'static str, String)>,
        pieces: Vec<String>,
        then: Then,
    },
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub(crate) fn text(status: u16, kind: &str, body: &str) -> Self {
        let headers = vec![("content-type", kind.to_owned())];
        Self::Says { status, headers, pieces: vec![body.to_owned()], then: Then::End }
    }

    /// A stream of these events, each written at once.
    pub(crate) fn events(events: &[Value], then: Then) -> Self {
        Self::stream(events.iter().map(|event| format!("data: {event}\n\n")).collect(), then)
    }

    pub(crate) fn stream(pieces: Vec<String>, then: Then) -> Self {
        Self::Says { status: 200, headers: vec![("content-type", "text/event-stream".to_owned())], pieces, then }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Says { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }

    pub(crate) fn then(mut self, after: Then) -> Self {
        if let Self::Says { then, .. } = &mut self {
            *then = after;
        }
        self
    }
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
}

/// A server. The last line of its script is said again and again.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) base: String,
    script: Arc<Mutex<Script>>,
}

impl Server {
    pub(crate) async fn with(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Script { replies: replies.into_iter().collect(), asked: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("as it is written here");
        let base = format!("http://{}/v1", listener.local_addr().expect("as it is written here"));
        let router = Router::new().fallback(play).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, script }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.lock().expect("nobody panics with it").asked.clone()
    }

    pub(crate) fn times(&self) -> usize {
        self.asked().len()
    }

    pub(crate) fn provider(&self) -> Provider {
        Provider {
            name: "fast".to_owned(),
            wire: WireKind::OpenAi,
            base_url: self.base.clone(),
            key: Some(Secret::new(KEY)),
            upstream: "maker/model-7".to_owned(),
        }
    }

    pub(crate) fn anthropic(&self) -> Provider {
        Provider { wire: WireKind::Anthropic, ..self.provider() }
    }
}

async fn play(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("as it is written here");
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let reply = {
        let mut script = script.lock().expect("nobody panics with it");
        script.asked.push(Asked { path: head.uri.path().to_owned(), headers, body });
        if script.replies.len() > 1 {
            script.replies.pop_front().expect("as it is written here")
        } else {
            script.replies[0].clone()
        }
    };
    let Reply::Says { status, headers, pieces, then } = reply else { return std::future::pending().await };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let said = tokio_stream::iter(pieces.into_iter().map(Bytes::from));
    let body = match then {
        Then::End => Body::from_stream(said.map(Ok::<_, Infallible>)),
        Then::Break => {
            // What was said before goes out while this one rests.
            let broken = tokio_stream::iter([Err(io::Error::other("gone"))]).then(async |gone| {
                tokio::task::yield_now().await;
                gone
            });
            Body::from_stream(said.map(Ok).chain(broken))
        }
        Then::Wait => Body::from_stream(said.chain(tokio_stream::pending()).map(Ok::<_, Infallible>)),
        Then::Repeat(text) => {
            let again = tokio_stream::iter(std::iter::repeat(Bytes::from(text)));
            Body::from_stream(said.chain(again).map(Ok::<_, Infallible>))
        }
    };
    response.body(body).expect("as it is written here")
}

/// A clock that is moved by hand.
#[derive(Default)]
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) fn forward_s(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::Relaxed))
    }
}

/// Dice that fall on nothing, so that nobody waits between attempts.
pub(crate) struct Zero;

impl Dice for Zero {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// Dice that never fall the same way twice.
struct Counting;

impl Dice for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in bytes.iter_mut().rev().zip(next.iter().rev()) {
            *to = *from;
        }
    }
}

pub(crate) fn caller() -> Caller {
    patient(Timeouts::default())
}

pub(crate) fn patient(timeouts: Timeouts) -> Caller {
    Caller::new(Arc::new(Hand::default()), Arc::new(Zero), timeouts)
}

/// For what is known not to come.
pub(crate) fn soon() -> Duration {
    Duration::from_millis(150)
}

pub(crate) fn request(more: Value) -> ChatRequest {
    let mut asked = json!({"model": "fast", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 64});
    for (name, value) in more.as_object().expect("as it is written here") {
        asked[name] = value.clone();
    }
    ChatRequest::read(asked, Limits::default()).expect("as it is written here")
}

pub(crate) fn action(name: &str, arguments: Digest) -> Action {
    let resource = Resource::new(ResourceKind::Host, "fast").expect("as it is written here");
    Action::new(scribe().namespace().clone(), ActionName::parse(name).expect("as it is written here"), resource)
        .with_arguments(arguments)
}

fn scribe() -> Name {
    "scribe.acme.internal".parse().expect("as it is written here")
}

/// The warrant that the store would give for it.
pub(crate) fn warrant(action: &Action) -> Warrant {
    let ruling = Ruling {
        id: ActionId::new(Timestamp::from_unix_ms(0), &Counting),
        actor: Actor::Agent { name: scribe(), version: "1.0.0".to_owned(), tier: Tier::T2, via: None },
        key: None,
        action: action.clone(),
        circumstances: None,
        policies: Vec::new(),
        policy_version: Digest::of(b"policy"),
        at: Timestamp::from_unix_ms(0),
    };
    Issuer::for_policy_engine().permit(ruling).spend(1)
}

/// A secret that the node knows, besides its key.
pub(crate) fn known() -> Secrets {
    Secrets::of([Secret::new("ghp_other_secret")])
}

pub(crate) async fn ask(caller: &Caller, provider: &Provider, request: &ChatRequest) -> Result<Answer, ModelError> {
    let action = action("model.call", request.digest());
    caller.chat(warrant(&action), &action, provider, request, &known()).await
}

pub(crate) async fn whole(
    caller: &Caller,
    provider: &Provider,
    request: &ChatRequest,
) -> Result<(Value, Usage), ModelError> {
    match ask(caller, provider, request).await? {
        Answer::Whole { body, usage } => Ok((body, usage)),
        Answer::Stream(_) => panic!("it is a stream"),
    }
}

pub(crate) async fn stream(
    caller: &Caller,
    provider: &Provider,
    request: &ChatRequest,
) -> Result<ChatStream, ModelError> {
    match ask(caller, provider, request).await? {
        Answer::Stream(stream) => Ok(*stream),
        Answer::Whole { .. } => panic!("it is whole"),
    }
}

/// All pieces, and the error that ended them.
pub(crate) async fn drain(stream: &mut ChatStream) -> (Vec<Value>, Option<ModelError>) {
    let mut chunks = Vec::new();
    while let Some(next) = stream.next().await {
        match next {
            Ok(chunk) => chunks.push(chunk),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error is the last");
                return (chunks, Some(error));
            }
        }
    }
    (chunks, None)
}

/// What a server answers in full.
pub(crate) fn completion(content: &str) -> Value {
    json!({
        "id": "c-1", "object": "chat.completion", "created": 7, "model": "maker/model-7",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    })
}

/// A piece of what it answers.
pub(crate) fn piece(delta: Value, reason: Option<&str>) -> Value {
    json!({
        "id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "maker/model-7",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}],
    })
}

/// The texts at this path below the deltas, joined.
pub(crate) fn texts(chunks: &[Value], path: &str) -> String {
    let all = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().expect("as it is written here"));
    all.filter_map(|choice| choice["delta"].pointer(path)?.as_str()).collect()
}
