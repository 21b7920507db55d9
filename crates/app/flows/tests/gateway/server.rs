//! An MCP server whose tools and answers a test scripts: the library's, over real HTTP, on a runtime of its own, so that it can die.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService, streamable_http_server::session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
};

/// What a call is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// This.
    Text(String),
    /// The tool says that it failed.
    Failed(String),
    /// The server refuses, with an error of the protocol.
    Refused(String),
    /// This, when the test opens the gate.
    Held(String),
    /// These bytes in place of what the library would answer.
    Raw(String),
    /// A body that has no end.
    Endless,
}

type Script = dyn Fn(&str, &Value, &str) -> Reply + Send + Sync;

/// The server.
pub(crate) struct Server {
    /// Where it is.
    pub(crate) url: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    tools: Mutex<Vec<(String, String, Value)>>,
    script: Box<Script>,
    keys: Mutex<Vec<String>>,
    calls: watch::Sender<Vec<(String, Value)>>,
    ended: watch::Sender<usize>,
    gate: Semaphore,
}

impl Server {
    /// One with the tool `read_page`, that answers calls by this script: the tool, its arguments, and the key that came with it.
    pub(crate) fn start(script: impl Fn(&str, &Value, &str) -> Reply + Send + Sync + 'static) -> Self {
        let tools = Mutex::new(vec![read_page("Reads a page.")]);
        let shared = Arc::new(Shared {
            tools,
            script: Box::new(script),
            keys: Mutex::default(),
            calls: watch::Sender::default(),
            ended: watch::Sender::default(),
            gate: Semaphore::new(0),
        });
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("set");
        let url = format!("http://{}/mcp", listener.local_addr().expect("known"));
        let stub = Stub(Arc::clone(&shared));
        let service: StreamableHttpService<Stub, LocalSessionManager> =
            StreamableHttpService::new(move || Ok(stub.clone()), Arc::default(), StreamableHttpServerConfig::default());
        let router = Router::new()
            .nest_service("/mcp", service)
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), front));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, router).await
        });
        Self { url, shared, runtime: Some(runtime) }
    }

    /// One whose calls are answered with this.
    pub(crate) fn saying(text: &str) -> Self {
        let text = text.to_owned();
        Self::start(move |_, _, _| Reply::Text(text.clone()))
    }

    /// From now on its tools are these: name, description, schema.
    pub(crate) fn lists(&self, tools: Vec<(String, String, Value)>) {
        *self.shared.tools.lock().expect("no holder of this lock panics") = tools;
    }

    /// What was called, in order.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.shared.calls.borrow().clone()
    }

    /// Waits until so many calls were begun.
    pub(crate) async fn called(&self, times: usize) {
        let mut calls = self.shared.calls.subscribe();
        soon("a call", calls.wait_for(|calls| calls.len() >= times)).await.expect("the sender is here");
    }

    /// Waits until so many calls that were held were given up by who made them.
    pub(crate) async fn given_up(&self, times: usize) {
        let mut ended = self.shared.ended.subscribe();
        soon("an end", ended.wait_for(|ended| *ended >= times)).await.expect("the sender is here");
    }

    /// Lets calls that are held be answered.
    pub(crate) fn open(&self, calls: usize) {
        self.shared.gate.add_permits(calls);
    }

    /// The keys that came with its requests, each once.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = self.shared.keys.lock().expect("no holder of this lock panics").clone();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Ends it, with whatever is under way.
    pub(crate) fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.die();
    }
}

/// Waits for what is known to come. A test that waits in vain fails, and does not hang.
pub(crate) async fn soon<T>(what: &str, comes: impl Future<Output = T>) -> T {
    let within = Duration::from_secs(30);
    tokio::time::timeout(within, comes).await.unwrap_or_else(|_| panic!("{what} does not come"))
}

/// A tool that takes an `id`.
pub(crate) fn tool(name: &str, description: &str) -> (String, String, Value) {
    let schema = json!({
        "type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"], "additionalProperties": false,
    });
    (name.to_owned(), description.to_owned(), schema)
}

/// The tool that every server begins with.
pub(crate) fn read_page(description: &str) -> (String, String, Value) {
    tool("read_page", description)
}

/// Notes who asks for what, and answers by itself what the library would not.
async fn front(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let key = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    shared.keys.lock().expect("no holder of this lock panics").push(key.clone());
    let bytes = axum::body::to_bytes(body, 8 << 20).await.unwrap_or_default();
    let message: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut request = Request::from_parts(parts, Body::from(bytes));
    if message["method"] == "tools/call" {
        let tool = message["params"]["name"].as_str().unwrap_or_default().to_owned();
        let arguments = message["params"]["arguments"].clone();
        let reply = (shared.script)(&tool, &arguments, &key);
        shared.calls.send_modify(|calls| calls.push((tool, arguments)));
        let json = [(header::CONTENT_TYPE, "application/json")];
        match reply {
            Reply::Raw(body) => return (json, body.replace("$ID", &message["id"].to_string())).into_response(),
            Reply::Endless => {
                let piece = Bytes::from_static(&[b'['; 64 << 10]);
                let pieces = std::iter::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
                return (json, Body::from_stream(tokio_stream::iter(pieces))).into_response();
            }
            reply => _ = request.extensions_mut().insert(reply),
        }
    }
    next.run(request).await
}

/// The library's side of it.
#[derive(Clone)]
struct Stub(Arc<Shared>);

impl ServerHandler for Stub {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.0.tools.lock().expect("no holder of this lock panics").clone();
        let tool = |(name, description, schema): (String, String, Value)| {
            Tool::new(name, description, Arc::new(schema.as_object().expect("a schema").clone()))
        };
        Ok(ListToolsResult::with_all_items(tools.into_iter().map(tool).collect()))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<axum::http::request::Parts>().expect("it came over HTTP");
        let text = match parts.extensions.get::<Reply>().expect("it was scripted").clone() {
            Reply::Text(text) => text,
            Reply::Failed(text) => return Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into()),
            Reply::Refused(text) => return Err(ErrorData::invalid_params(text, None)),
            Reply::Held(text) => tokio::select! {
                () = context.ct.cancelled() => {
                    self.0.ended.send_modify(|ended| *ended += 1);
                    return Err(ErrorData::internal_error("nobody reads this", None));
                }
                place = self.0.gate.acquire() => {
                    place.expect("never closed").forget();
                    text
                }
            },
            Reply::Raw(_) | Reply::Endless => unreachable!("answered in front"),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
