//! Caller of a run's MCP endpoint: messages as they are, there and back.
//!
//! ```no_run
//! # async fn example() -> Result<(), steward_caller::CallError> {
//! use steward_caller::Mcp;
//! let node = Mcp::new("http://127.0.0.1:7373/mcp", None)?;
//! let answer = node.request("tools/list", serde_json::json!({})).await?;
//! let answers = node.pass_on(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await?;
//! # Ok(()) }
//! ```
//!
//! Of a message only that is read which HTTP wants to see in headers: its revision, method and name.
//!
//! Deliberately absent: sessions, since the node has none, and what a message means.

use std::{sync::Mutex, time::Duration};

use reqwest::{
    Client, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
    redirect::Policy,
};
use serde_json::{Value, json};

use crate::{
    call::{CONNECT_TIMEOUT_MS, MAX_RESPONSE_BYTES},
    error::CallError,
    secret::Secret,
};

/// How long an answer may take: longer than the node waits before it answers with a ticket.
const ANSWER_TIMEOUT_MS: u64 = 120_000;

/// The revision that is spoken where a client says none.
const REVISION: &str = "2025-11-25";

/// Where a request says its revision, since 2026-07-28.
const REVISION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// A run's MCP endpoint.
#[derive(Debug)]
pub struct Mcp {
    client: Client,
    url: Url,
    key: Option<Secret>,
    /// What a client that began with `initialize` agreed on.
    agreed: Mutex<Option<String>>,
}

impl Mcp {
    /// The endpoint at `url`: the door of a sandbox, or a node's `/mcp` with an agent's key.
    ///
    /// # Errors
    /// [`CallError::Malformed`]: it is no plain HTTP address.
    pub fn new(url: &str, key: Option<Secret>) -> Result<Self, CallError> {
        let wrong =
            || CallError::malformed(url, "the address of an endpoint; one looks like `http://127.0.0.1:7373/mcp`");
        let address = Url::parse(url.trim()).map_err(|_| wrong())?;
        if address.scheme() != "http" || !address.has_host() {
            return Err(wrong());
        }
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(Policy::none())
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .timeout(Duration::from_millis(ANSWER_TIMEOUT_MS))
            .user_agent(concat!("steward/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| CallError::Unreachable { address: url.to_owned(), reason: e.to_string() })?;
        Ok(Self { client, url: address, key, agreed: Mutex::new(None) })
    }

    /// Asks for something, and gives its result.
    ///
    /// # Errors
    /// The node cannot be reached, or answers with an error, which is told in words.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answers = self.pass_on(&message.to_string()).await?;
        let answer = answers.iter().find(|answer| answer.get("id") == Some(&json!(1)));
        let answer = answer.or_else(|| answers.first());
        let answer = answer.ok_or_else(|| CallError::Unreadable("it is empty".to_owned()))?;
        match (answer.get("result"), answer.get("error")) {
            (Some(result), _) => Ok(result.clone()),
            (None, Some(error)) => {
                let message = error.get("message").and_then(Value::as_str).unwrap_or("no reason was given");
                Err(CallError::Declined(message.to_owned()))
            }
            (None, None) => Err(CallError::Unreadable("it is no answer".to_owned())),
        }
    }

    /// Passes a message on, and gives what was answered: one message, several, or none to a notification.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer cannot be read.
    pub async fn pass_on(&self, message: &str) -> Result<Vec<Value>, CallError> {
        let read: Value = serde_json::from_str(message).map_err(|e| CallError::Unreadable(e.to_string()))?;
        let params = read.get("params");
        let method = read.get("method").and_then(Value::as_str);
        let said = params.and_then(|params| params.get("_meta")?.get(REVISION_KEY)?.as_str());
        let agreed = self.agreed.lock().expect("no holder of this lock panics").clone();
        let mut request = self.client.post(self.url.clone()).body(message.to_owned());
        request =
            request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "application/json, text/event-stream");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        if method != Some("initialize") {
            request = request.header("MCP-Protocol-Version", said.or(agreed.as_deref()).unwrap_or(REVISION));
        }
        if let (Some(_), Some(method)) = (said, method) {
            request = request.header("Mcp-Method", method);
            let name = params.and_then(|params| params.get("name").or_else(|| params.get("uri"))?.as_str());
            if let Some(name) = name {
                request = request.header("Mcp-Name", name);
            }
        }
        let unreachable = |e: reqwest::Error| {
            let address = self.url.to_string();
            CallError::Unreachable { address, reason: e.without_url().to_string() }
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let is_stream =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(CallError::Unreadable(format!("it has more than {MAX_RESPONSE_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let answers = messages(&body, is_stream)
            .ok_or_else(|| CallError::Unreadable(format!("status {} and no JSON", response.status())))?;
        if method == Some("initialize") {
            let revision = answers.first().and_then(|a| a.get("result")?.get("protocolVersion")?.as_str());
            *self.agreed.lock().expect("no holder of this lock panics") = revision.map(str::to_owned);
        }
        Ok(answers)
    }
}

/// The messages of a body; none if it cannot be read.
fn messages(body: &[u8], is_stream: bool) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(body).ok()?;
    if is_stream {
        let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).filter(|d| !d.is_empty());
        return data.map(|data| serde_json::from_str(data).ok()).collect();
    }
    if text.trim().is_empty() { Some(Vec::new()) } else { Some(vec![serde_json::from_str(text).ok()?]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::messages;

    #[test]
    fn answers_come_alone_in_a_stream_or_not_at_all() {
        assert_eq!(messages(b"", false), Some(vec![]));
        assert_eq!(messages(b"{\"a\":1}", false), Some(vec![json!({"a": 1})]));
        assert_eq!(
            messages(b": hi\nid: 0\ndata:\n\ndata: {\"a\":1}\n\ndata: {\"b\":2}\n\n", true),
            Some(vec![json!({"a": 1}), json!({"b": 2})])
        );
        assert_eq!(messages(b"<html>", false), None);
        assert_eq!(messages(b"data: {", true), None);
    }
}
