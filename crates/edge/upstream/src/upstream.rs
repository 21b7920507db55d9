//! A server of MCP, as the node speaks to it.
//!
//! ```text
//! let server = Upstream::over_lines("tools", to_process, from_process, secrets, Timeouts::default()).await?;
//! if server.tools_changed() { let listed = server.list_tools().await?; }
//! let result = server.call(warrant, &action, "read_page", arguments).await?;
//! ```
//!
//! Dropping the future of a call tells the server that it is no longer wanted; what became of it is not known then.
//!
//! Deliberately absent: whether the tool is still the one that was pinned. That is asked before there is a warrant.

use std::{sync::atomic::Ordering, time::Duration};

use rmcp::{
    RoleClient,
    model::{
        CallToolRequestParams, CallToolResponse, ClientRequest, ListToolsRequest, PaginatedRequestParams,
        RequestMetaObject, ServerResult,
    },
    service::{ClientInitializeError, ClientServiceExt, RunningService, ServiceError},
    transport::Transport,
};
use serde_json::Value;
use steward_gateway::{Listed, MAX_TOOLS};
use steward_naming::visible;
use steward_permit::{Action, Warrant};
use steward_seal::{
    Digest,
    json::canonical,
    secret::{Secret, Secrets},
};
use tokio::{sync::mpsc, task::AbortHandle, time::timeout};

use crate::{
    client::{Changed, Client, lifecycle, listen},
    error::{Failure, Kind, UpstreamError},
    http,
    lines::{BadLine, Lines},
};

/// The most pages of a list of tools: as many tools as are read, in the small pages of some servers.
pub const MAX_PAGES: usize = 20;

/// How long closing may take before it goes on behind the caller's back.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The action that this crate carries out.
const CALL: &str = "tool.call";

/// Tells the server, should the same call reach it twice after all, that it is the same.
const EFFECT: &str = "steward/effect";

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until both sides have agreed on a revision of the protocol. A server that does not answer to the newest is asked again after
    /// ten seconds, in the older way: less than that, and those are not reached.
    pub connect: Duration,
    /// For a whole list of tools.
    pub list: Duration,
    /// For a call.
    pub call: Duration,
}

impl Default for Timeouts {
    /// 30 seconds, a minute, five minutes.
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), list: Duration::from_secs(60), call: Duration::from_secs(300) }
    }
}

/// A connection to a server. Dropped, it ends.
#[derive(Debug)]
pub struct Upstream {
    name: String,
    running: RunningService<RoleClient, Client>,
    /// Hears of changed tools, where that is asked for.
    listener: Option<AbortHandle>,
    changed: Changed,
    bad_line: BadLine,
    secrets: Secrets,
    timeouts: Timeouts,
}

impl Upstream {
    /// Speaks to a process over its lines, each without its end. `secrets` are those that the process was given.
    ///
    /// # Errors
    /// `TOOL_SERVER_UNAVAILABLE`, `TOOL_TIMEOUT`, `TOOL_GARBAGE`, `TOOL_PROTOCOL`, `TOOL_ERROR`.
    pub async fn over_lines(
        name: &str,
        to: mpsc::Sender<String>,
        from: mpsc::Receiver<String>,
        secrets: Vec<Secret>,
        timeouts: Timeouts,
    ) -> Result<Self, UpstreamError> {
        let (lines, bad_line) = Lines::new(to, from);
        Self::over(name, lines, bad_line, http::secrets_of(secrets), timeouts).await
    }

    /// Speaks to a server over HTTP. The headers go with every request.
    ///
    /// # Errors
    /// As [`Upstream::over_lines`]; `TOOL_SERVER_UNAVAILABLE` also for an address or a header that cannot be.
    pub async fn over_http(
        name: &str,
        url: &str,
        headers: Vec<(String, Secret)>,
        timeouts: Timeouts,
    ) -> Result<Self, UpstreamError> {
        let prepared = http::Address::parse(url).and_then(|address| {
            let (headers, secrets) = http::headers(headers)?;
            Ok((http::transport(&address, headers)?, secrets))
        });
        let (transport, secrets) = prepared.map_err(|failure| failure.of(name, false, &Secrets::default()))?;
        Self::over(name, transport, BadLine::default(), secrets, timeouts).await
    }

    async fn over<T: Transport<RoleClient> + 'static>(
        name: &str,
        transport: T,
        bad_line: BadLine,
        secrets: Secrets,
        timeouts: Timeouts,
    ) -> Result<Self, UpstreamError> {
        let changed = Changed::default();
        let start = Client::new(Changed::clone(&changed)).serve_with_lifecycle(transport, lifecycle());
        let running = match timeout(timeouts.connect, start).await {
            Ok(Ok(running)) => running,
            Ok(Err(error)) => return Err(not_begun(&error, &bad_line).of(name, false, &secrets)),
            Err(_) => return Err(too_long(name, timeouts.connect, false)),
        };
        let asks = running.peer_info().is_some_and(|info| {
            let tools = info.capabilities.tools.as_ref();
            !info.protocol_version.has_initialize() && tools.is_some_and(|tools| tools.list_changed == Some(true))
        });
        let listener =
            asks.then(|| tokio::spawn(listen(running.peer().clone(), Changed::clone(&changed))).abort_handle());
        Ok(Self { name: name.to_owned(), running, listener, changed, bad_line, secrets, timeouts })
    }

    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The revision of the protocol that both sides agreed on, such as `2026-07-28`.
    pub fn revision(&self) -> String {
        self.running.peer_info().map(|info| visible(info.protocol_version.as_str())).unwrap_or_default()
    }

    /// What is sent to it and nobody else may see: to be taken out of its results.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Whether it said that its tools have changed since they were last listed.
    pub fn tools_changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.running.is_closed() || self.running.is_transport_closed()
    }

    /// Its tools: those that are within the limits, and why others are not.
    ///
    /// # Errors
    /// As [`Upstream::over_lines`].
    pub async fn list_tools(&self) -> Result<Listed, UpstreamError> {
        // What changes while they are listed is heard.
        self.changed.store(false, Ordering::Release);
        let unheard = Unheard(Some(&self.changed));
        match timeout(self.timeouts.list, self.items()).await {
            Ok(Ok(items)) => {
                unheard.heard();
                Ok(Listed::read(&items))
            }
            Ok(Err(failure)) => Err(failure.of(&self.name, false, &self.secrets)),
            Err(_) => Err(too_long(&self.name, self.timeouts.list, false)),
        }
    }

    /// The items of all pages, up to one more than are taken.
    async fn items(&self) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let params = cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
            let request = ListToolsRequest { params, ..ListToolsRequest::default() };
            let answer = self.running.send_request(ClientRequest::ListToolsRequest(request)).await;
            let (page, next) = page(answer.map_err(|error| self.failure(&error))?)?;
            items.extend(page.into_iter().take(MAX_TOOLS + 1 - items.len()));
            cursor = next;
            if cursor.is_none() || items.len() > MAX_TOOLS {
                return Ok(items);
            }
        }
        Err(Failure::new(Kind::Protocol, "lists its tools on more than 20 pages"))
    }

    /// Calls a tool, once. Gives the result of `tools/call` as it came: `steward_gateway::bound` makes of it what an agent may have.
    ///
    /// # Errors
    /// `WARRANT_MISMATCH` unless `warrant` is for exactly `action`, and that is `tool.call` on `<server>/<tool>` with the digest of
    /// the canonical JSON of `arguments`. `TOOL_ERROR`: the server refused. Others: ask [`UpstreamError::is_unknown`].
    pub async fn call(
        &self,
        warrant: Warrant,
        action: &Action,
        tool: &str,
        arguments: Value,
    ) -> Result<Value, UpstreamError> {
        self.check(&warrant, action, tool, &arguments)?;
        let Value::Object(arguments) = arguments else {
            return Err(UpstreamError::WarrantMismatch("the arguments are no object"));
        };
        if self.is_closed() {
            return Err(self.ended(true).of(&self.name, true, &self.secrets));
        }
        let mut meta = RequestMetaObject::default();
        meta.insert(EFFECT.to_owned(), warrant.action().as_str().into());
        let mut params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        params.meta = Some(meta);
        // Dropping it, here or by the caller, sends a cancellation.
        let answer = match timeout(self.timeouts.call, self.running.call_tool_once(params)).await {
            Ok(answer) => answer,
            Err(_) => return Err(too_long(&self.name, self.timeouts.call, true)),
        };
        let result = match answer {
            Ok(CallToolResponse::Complete(result)) => serde_json::to_value(result)
                .map_err(|_| Failure::new(Kind::Garbage, "answered with what cannot be written")),
            Ok(CallToolResponse::InputRequired(_)) => {
                Err(Failure::unsent(Kind::Protocol, "asks for more before it goes on, which this node does not give"))
            }
            Ok(_) => Err(Failure::new(Kind::Protocol, "goes on by itself, as a task, which this node does not follow")),
            Err(error) => Err(self.failure(&error)),
        };
        result.map_err(|failure| failure.of(&self.name, true, &self.secrets))
    }

    fn check(&self, warrant: &Warrant, action: &Action, tool: &str, arguments: &Value) -> Result<(), UpstreamError> {
        let mismatch = |what| Err(UpstreamError::WarrantMismatch(what));
        if *warrant.digest() != action.digest() {
            return mismatch("the warrant is for another action");
        }
        if action.name().as_str() != CALL {
            return mismatch("the action is not `tool.call`");
        }
        if action.resource().id() != format!("{}/{tool}", self.name) {
            return mismatch("the action is on another tool");
        }
        let digest = canonical(arguments).map(|bytes| Digest::of(&bytes));
        if !digest.is_ok_and(|digest| action.arguments() == Some(&digest)) {
            return mismatch("the action has other arguments");
        }
        Ok(())
    }

    /// Ends the connection, and tells the server where the protocol has a way.
    pub async fn close(mut self) {
        // How it ended is nobody's business any more.
        let _ = self.running.close_with_timeout(CLOSE_TIMEOUT).await;
    }

    fn failure(&self, error: &ServiceError) -> Failure {
        match error {
            ServiceError::McpError(error) => Failure::new(Kind::Refused, error.message.clone()),
            ServiceError::TransportSend(error) => http::failure(error.error.as_ref()),
            ServiceError::UnexpectedResponse => {
                Failure::new(Kind::Garbage, "answered with something else than was asked")
            }
            _ => self.ended(false),
        }
    }

    /// That there is no connection any more.
    fn ended(&self, is_unsent: bool) -> Failure {
        Failure { is_unsent, ..closed(&self.bad_line) }
    }
}

/// That tools changed, said again when a list of them did not come: it failed, or nobody waited for it.
struct Unheard<'a>(Option<&'a Changed>);

impl Unheard<'_> {
    fn heard(mut self) {
        self.0 = None;
    }
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(changed) = self.0 {
            changed.store(true, Ordering::Release);
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

fn too_long(server: &str, after: Duration, asked: bool) -> UpstreamError {
    let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    UpstreamError::Timeout { server: visible(server), after_ms, asked }
}

fn closed(bad_line: &BadLine) -> Failure {
    match bad_line.get() {
        Some(why) => Failure::new(Kind::Garbage, *why),
        None => Failure::new(Kind::Unavailable, "ended the connection"),
    }
}

/// What it means that no connection came about.
fn not_begun(error: &ClientInitializeError, bad_line: &BadLine) -> Failure {
    match error {
        ClientInitializeError::ConnectionClosed(_) => closed(bad_line),
        ClientInitializeError::TransportError { error, .. } => http::failure(error.error.as_ref()),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => not_begun(fallback, bad_line),
        ClientInitializeError::JsonRpcError(error) => Failure::new(Kind::Refused, error.message.clone()),
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            Failure::new(Kind::Protocol, "speaks no revision of MCP that this node speaks")
        }
        _ => Failure::new(Kind::Garbage, "did not greet as MCP has it"),
    }
}

/// A page of the list: its items as they came, and where the next is.
fn page(answer: ServerResult) -> Result<(Vec<Value>, Option<String>), Failure> {
    let odd = || Failure::new(Kind::Garbage, "answered with something else than a list of tools");
    match answer {
        ServerResult::ListToolsResult(list) => {
            let item = |tool| serde_json::to_value(tool).map_err(|_| odd());
            Ok((list.tools.into_iter().map(item).collect::<Result<_, _>>()?, list.next_cursor))
        }
        // A tool among them is malformed: the others are taken all the same.
        ServerResult::CustomResult(mut list) => {
            let Some(Value::Array(items)) = list.0.get_mut("tools").map(Value::take) else { return Err(odd()) };
            Ok((items, list.0.get("nextCursor").and_then(Value::as_str).map(str::to_owned)))
        }
        _ => Err(odd()),
    }
}
