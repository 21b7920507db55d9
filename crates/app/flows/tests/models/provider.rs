//! A provider of models whose answers a test scripts, over real HTTP.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt as _;

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// This, with this status.
    Json(u16, Value),
    /// Text that is no JSON.
    Text(u16, &'static str, String),
    /// These pieces, as a stream of events, and then its end.
    Pieces(Vec<String>),
    /// These pieces, and then nothing, for ever.
    Stuck(Vec<String>),
    /// This piece again and again.
    Endless(String),
    /// Nothing, for ever.
    Silent,
}

type Script = dyn Fn(usize, &Value, &HeaderMap) -> Reply + Send + Sync;

/// The provider.
pub(crate) struct Provider {
    /// Where it is.
    pub(crate) url: String,
    /// What it was asked, in order.
    pub(crate) asked: Arc<Mutex<Vec<Value>>>,
    /// How many answers it may give before the test adds more; many, unless the test takes them away.
    pub(crate) gate: Arc<Semaphore>,
}

struct Shared {
    script: Box<Script>,
    asked: Arc<Mutex<Vec<Value>>>,
    gate: Arc<Semaphore>,
}

impl Provider {
    /// One that answers by this script: how many were asked before, what is asked, and with which headers.
    pub(crate) async fn start(script: impl Fn(usize, &Value, &HeaderMap) -> Reply + Send + Sync + 'static) -> Self {
        let (asked, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(1_000_000)));
        let shared = Shared { script: Box::new(script), asked: Arc::clone(&asked), gate: Arc::clone(&gate) };
        let router = Router::new()
            .route("/v1/chat/completions", post(answer))
            .route("/v1/embeddings", post(answer))
            .with_state(Arc::new(shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("known"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked, gate }
    }

    /// One that answers this.
    pub(crate) async fn saying(text: &str) -> Self {
        let said = said(text, 10, 5);
        Self::start(move |_, _, _| Reply::Json(200, said.clone())).await
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.asked.lock().expect("no holder of this lock panics").len()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let bytes = axum::body::to_bytes(request.into_body(), 8 << 20).await.expect("a body");
    let body: Value = serde_json::from_slice(&bytes).expect("JSON");
    let before = {
        let mut asked = shared.asked.lock().expect("no holder of this lock panics");
        asked.push(body.clone());
        asked.len() - 1
    };
    shared.gate.acquire().await.expect("never closed").forget();
    let pieces = |list: Vec<String>| tokio_stream::iter(list.into_iter().map(Ok::<_, std::io::Error>));
    let events = |body: Body| ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
    match (shared.script)(before, &body, &headers) {
        Reply::Json(status, body) => {
            (StatusCode::from_u16(status).expect("a status"), axum::Json(body)).into_response()
        }
        Reply::Text(status, kind, text) => {
            (StatusCode::from_u16(status).expect("a status"), [(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Reply::Pieces(list) => events(Body::from_stream(pieces(list))),
        Reply::Stuck(list) => events(Body::from_stream(pieces(list).chain(tokio_stream::pending()))),
        Reply::Endless(piece) => events(Body::from_stream(tokio_stream::iter(std::iter::repeat_with(move || {
            Ok::<_, std::io::Error>(piece.clone())
        })))),
        Reply::Silent => std::future::pending().await,
    }
}

/// A whole answer.
pub(crate) fn said(text: &str, prompt: u64, completion: u64) -> Value {
    json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "upstream-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    })
}

/// A piece of a streamed answer.
pub(crate) fn piece(text: &str) -> String {
    let chunk = json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "upstream-model",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    });
    format!("data: {chunk}\n\n")
}

/// The end of a streamed answer.
pub(crate) fn last(prompt: u64, completion: u64) -> String {
    let end = json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "upstream-model",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    });
    let usage = json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "upstream-model", "choices": [],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    });
    format!("data: {end}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}
