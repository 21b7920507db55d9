//! What an agent calls, as anybody would serve it: an MCP server with one tool, and a provider of a model. Neither does anything.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
    routing::post,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Map, Value, json};
use tokio_stream::wrappers::ReceiverStream;

/// Chunks of a streamed answer.
pub(crate) const CHUNKS: usize = 100;

/// What each of them says.
pub(crate) const WORD: &str = "word ";

/// How long the model that takes its time waits between two chunks.
pub(crate) const THINKS: Duration = Duration::from_millis(5);

/// Serves both. Prints its address first.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
        let tools: StreamableHttpService<Echo, NeverSessionManager> =
            StreamableHttpService::new(|| Ok(Echo), Arc::new(NeverSessionManager::default()), config);
        let model = |pause: Duration| Router::new().route("/chat/completions", post(answer)).with_state(pause);
        let router = Router::new()
            .nest_service("/mcp", tools)
            .nest("/quick/v1", model(Duration::ZERO))
            .nest("/paced/v1", model(THINKS));
        axum::serve(listener, router).await.context("what is called")
    })
}

/// A server whose one tool says what it is told.
#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
        let schema: Map<String, Value> = schema.as_object().cloned().unwrap_or_default();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("echo", "Says what it is told.", Arc::new(schema))]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = request.arguments.as_ref().and_then(|arguments| arguments.get("text")?.as_str());
        let text = text.ok_or_else(|| ErrorData::invalid_params("say a text", None))?;
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// An answer in chunks: all at once, or with a pause before each.
async fn answer(State(pause): State<Duration>) -> Response {
    let (say, said) = tokio::sync::mpsc::channel(CHUNKS + 1);
    tokio::spawn(async move {
        let choice = |delta: &Value, end: &Value| json!([{"index": 0, "delta": delta, "finish_reason": end}]);
        for _ in 0..CHUNKS {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let line = chunk(&choice(&json!({"content": WORD}), &Value::Null), None);
            if say.send(Ok::<_, std::io::Error>(line)).await.is_err() {
                return;
            }
        }
        let usage = json!({"prompt_tokens": 10, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 10});
        let end =
            chunk(&choice(&json!({}), &json!("stop")), None) + &chunk(&json!([]), Some(&usage)) + "data: [DONE]\n\n";
        // Whoever hung up does not want the end.
        let _ = say.send(Ok(end)).await;
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(ReceiverStream::new(said))).into_response()
}

fn chunk(choices: &Value, usage: Option<&Value>) -> String {
    let mut chunk =
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": choices});
    if let Some(usage) = usage {
        chunk["usage"] = usage.clone();
    }
    format!("data: {chunk}\n\n")
}
