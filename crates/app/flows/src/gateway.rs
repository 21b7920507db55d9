//! Servers of tools that stand behind the node: connections to them, and whether what they say of their tools is what was pinned.
//!
//! ```text
//! gateway.add(&caller, new).await?;                          // on record, then asked for its tools, which are pinned
//! gateway.ready(&server, &tool).await?                       // a connection, if the tool is as it was pinned
//! ```
//!
//! A server of the stdio transport is a process in a sandbox of its own, without a network; it may write its own folder and nothing
//! else. Each is connected when it is first needed, and again when it ended. What it says of its tools is read again every half minute at
//! most, and whenever it says that it changed.
//!
//! Deliberately absent: what an agent may call (policy), and repeating a call.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Kind, code};
use steward_app_tools::{NewServer, ServerRow, ToolRow, Transport, rows};
use steward_clock::Timestamp;
use steward_gateway::{Change as Changed, Finding, Listed, PinnedTool, compare, exposed_name};
use steward_keeper::Keeper;
use steward_ledger::kind;
use steward_naming::Label;
use steward_permit::{ResourceKind, Tier};
use steward_seal::{
    Digest,
    secret::{Secret, Secrets},
};
use steward_upstream::{Timeouts, Upstream, UpstreamError};
use steward_worker::{Grade, Killer, Limits, Line, Mount, Spec, Worker};
use tokio::sync::mpsc;

/// How long it is trusted that a server's tools are as they were listed, in milliseconds: each listing is a round trip.
const LISTED_FOR_MS: u64 = 30_000;

/// How many lines of a server wait to be read.
const LINES_WAITING: usize = 32;

/// Where a server's own folder is in its sandbox.
const DATA: &str = "/data";

/// Where programs that an operator put there are in a sandbox.
const PROGRAMS: &str = "/programs";

/// What a gateway is made of.
pub struct GatewayParts {
    /// What every verb is given.
    pub context: Arc<Context>,
    /// Starts processes; none where this system cannot keep any in.
    pub worker: Option<Arc<dyn Worker>>,
    /// Programs that every sandbox shows, read-only.
    pub programs: PathBuf,
    /// Where each server has a folder of its own.
    pub data: PathBuf,
    /// Secrets that servers are given.
    pub keeper: Keeper,
}

/// The servers of a node.
pub struct Gateway {
    parts: GatewayParts,
    slots: Mutex<BTreeMap<Label, Arc<Slot>>>,
    /// Changes that were told already: server, tool, digest.
    told: Mutex<BTreeSet<(Label, String, String)>>,
}

/// A server's place; whoever connects holds it.
type Slot = tokio::sync::Mutex<Option<Arc<Connection>>>;

/// A connection to a server.
struct Connection {
    upstream: Arc<Upstream>,
    killer: Option<Killer>,
    /// The row that it was made from.
    of: u64,
    seen: Mutex<Seen>,
}

/// What a server said of its tools, and when.
#[derive(Clone)]
struct Seen {
    at: Timestamp,
    listed: Arc<Listed>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(killer) = &self.killer {
            killer.kill();
        }
    }
}

/// A tool, as it is shown to people: what was pinned, and how it stands now.
#[derive(Debug, Clone)]
pub struct ToolView {
    /// The tool as it was pinned.
    pub row: ToolRow,
    /// The name under which agents see it.
    pub exposed: String,
    /// What it says it does.
    pub description: String,
    /// The schema of its arguments.
    pub input_schema: serde_json::Value,
    /// What is suspicious in it.
    pub findings: Vec<Finding>,
    /// `same`, `changed` or `gone`, as its server says; `unseen` if it was not asked.
    pub now: &'static str,
}

/// A server, as it is shown to people.
#[derive(Debug, Clone)]
pub struct ServerView {
    /// The server.
    pub row: ServerRow,
    /// Whether there is a connection now.
    pub connected: bool,
    /// Why it could not be asked, if it was to be.
    pub trouble: Option<String>,
    /// Its tools.
    pub tools: Vec<ToolView>,
    /// Tools that it has and that are not pinned.
    pub new: Vec<String>,
    /// What of its list cannot be used, and why.
    pub problems: Vec<String>,
}

/// A tool that may be called, as far as its server is concerned.
pub(crate) struct Ready {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) row: ToolRow,
    pub(crate) secrets: Secrets,
}

/// Why a tool is not.
pub(crate) enum NotReady {
    /// There is none of that name, pinned.
    Unknown,
    /// Its server says something else of it than was pinned.
    Changed(String),
    /// Its server cannot be asked.
    Trouble(Error),
}

impl Gateway {
    /// A node's gateway.
    pub fn new(parts: GatewayParts) -> Self {
        Self { parts, slots: Mutex::default(), told: Mutex::default() }
    }

    /// Adds a server, asks it for its tools, and pins them. If it cannot be asked, it is added all the same: pinning tries again.
    ///
    /// # Errors
    /// It is not allowed, or what is asked for is wrong.
    pub async fn add(&self, caller: &Caller, new: &NewServer) -> Result<ServerView, Error> {
        for secret in new.secrets.values() {
            self.parts.keeper.secret(secret).map_err(no_secret)?;
        }
        let server = steward_app_tools::add(&self.parts.context, caller, new).await?;
        let listed = match self.listed(&server, true).await {
            Ok(listed) => listed,
            Err(error) => return self.view_of(server, Some(error.message)),
        };
        steward_app_tools::pin(&self.parts.context, caller, server.name.as_str(), &listed.tools).await?;
        self.view_of(server, None)
    }

    /// Pins what a server says of its tools now.
    ///
    /// # Errors
    /// It is not allowed, or the server cannot be asked.
    pub async fn pin(&self, caller: &Caller, server: &str) -> Result<ServerView, Error> {
        let server = self.known(server)?;
        // Before a process is started for somebody who may not.
        let action = self.parts.context.action("tool.pin", ResourceKind::Tool, server.name.as_str())?;
        self.parts.context.allow(caller, action, None).await?;
        let listed = self.listed(&server, true).await?;
        steward_app_tools::pin(&self.parts.context, caller, server.name.as_str(), &listed.tools).await?;
        self.view_of(server, None)
    }

    /// Allows tools from a tier on, or takes that back.
    ///
    /// # Errors
    /// As [`steward_app_tools::allow`].
    pub async fn allow(
        &self,
        caller: &Caller,
        server: &str,
        tool: Option<&str>,
        tier: Option<Tier>,
        despite_findings: bool,
    ) -> Result<ServerView, Error> {
        steward_app_tools::allow(&self.parts.context, caller, server, tool, tier, despite_findings).await?;
        self.view_of(self.known(server)?, None)
    }

    /// Takes a server away, and ends it. Gives it as it was.
    ///
    /// # Errors
    /// As [`steward_app_tools::remove`].
    pub async fn remove(&self, caller: &Caller, server: &str) -> Result<ServerRow, Error> {
        let removed = steward_app_tools::remove(&self.parts.context, caller, server).await?;
        let slot = self.slots.lock().expect("no holder of this lock panics").remove(&removed.name);
        if let Some(slot) = slot {
            slot.lock().await.take();
        }
        Ok(removed)
    }

    /// Every server, as far as it is known without asking any.
    ///
    /// # Errors
    /// It is not allowed.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<ServerView>, Error> {
        let servers = steward_app_tools::servers(&self.parts.context, caller).await?;
        servers.into_iter().map(|(server, _)| self.view_of(server, None)).collect()
    }

    /// A server, which is asked for its tools.
    ///
    /// # Errors
    /// It is not allowed, or there is none.
    pub async fn show(&self, caller: &Caller, server: &str) -> Result<ServerView, Error> {
        let server = self.known(server)?;
        let action = self.parts.context.action("tool.read", ResourceKind::Tool, server.name.as_str())?;
        self.parts.context.allow(caller, action, None).await?;
        let trouble = self.listed(&server, true).await.err().map(|error| error.message);
        self.view_of(server, trouble)
    }

    /// Ends every server.
    pub async fn close(&self) {
        let slots: Vec<_> =
            std::mem::take(&mut *self.slots.lock().expect("no holder of this lock panics")).into_values().collect();
        for slot in slots {
            slot.lock().await.take();
        }
    }

    fn known(&self, name: &str) -> Result<ServerRow, Error> {
        let context = &self.parts.context;
        let label: Label = name.parse()?;
        let found = context.store.read(|reader| rows::server(reader, &context.namespace, &label))?;
        found.ok_or_else(|| Error::not_found(format!("server of tools `{label}`; `steward tool list` shows them")))
    }

    fn view_of(&self, server: ServerRow, trouble: Option<String>) -> Result<ServerView, Error> {
        let context = &self.parts.context;
        let seen = self
            .connected(&server)
            .map(|connection| connection.seen.lock().expect("no holder of this lock panics").clone());
        let findings = steward_app_tools::findings(context, &server.name)?;
        let tools = context.store.read(|reader| {
            let pinned = rows::tools_of(reader, &context.namespace, &server.name)?;
            let view = |row: ToolRow| {
                let definition = steward_app_tools::definition(reader, &row)?;
                let found = seen.as_ref().map(|seen| seen.listed.tools.iter().find(|tool| tool.name() == row.name));
                let now = match found {
                    None => "unseen",
                    Some(None) => "gone",
                    Some(Some(tool)) if tool.digest() == row.pin => "same",
                    Some(Some(_)) => "changed",
                };
                let of_tool = findings.iter().filter(|(name, _)| *name == row.name);
                Ok::<_, Error>(ToolView {
                    exposed: exposed_name(row.server.as_str(), &row.name),
                    description: definition.description().to_owned(),
                    input_schema: definition.input_schema().clone(),
                    findings: of_tool.map(|(_, finding)| finding.clone()).collect(),
                    now,
                    row,
                })
            };
            pinned.into_iter().map(view).collect::<Result<Vec<_>, _>>()
        })?;
        let listed = seen.as_ref().map(|seen| Arc::clone(&seen.listed));
        let new = listed
            .iter()
            .flat_map(|listed| &listed.tools)
            .filter(|tool| tools.iter().all(|t| t.row.name != tool.name()));
        let new = new.map(|tool| tool.name().to_owned()).collect();
        let problems = listed.iter().flat_map(|listed| &listed.problems).map(ToString::to_string).collect();
        Ok(ServerView { row: server, connected: seen.is_some(), trouble, tools, new, problems })
    }

    fn slot(&self, server: &Label) -> Arc<Slot> {
        let mut slots = self.slots.lock().expect("no holder of this lock panics");
        Arc::clone(slots.entry(server.clone()).or_default())
    }

    /// The connection to a server, if there is one now and nobody is making another.
    fn connected(&self, server: &ServerRow) -> Option<Arc<Connection>> {
        let slot = self.slot(&server.name);
        let held = slot.try_lock().ok()?;
        held.clone().filter(|connection| connection.is_of(server))
    }

    /// What a server says of its tools; asked anew if it is to be fresh, or was asked too long ago.
    async fn listed(&self, server: &ServerRow, fresh: bool) -> Result<Arc<Listed>, Error> {
        Ok(self.connection(server, fresh).await?.seen.lock().expect("no holder of this lock panics").listed.clone())
    }

    /// A connection whose list is fresh enough.
    async fn connection(&self, server: &ServerRow, fresh: bool) -> Result<Arc<Connection>, Error> {
        let slot = self.slot(&server.name);
        let mut held = slot.lock().await;
        let context = &self.parts.context;
        if let Some(connection) = held.as_ref().filter(|connection| connection.is_of(server)) {
            let listed_at = connection.seen.lock().expect("no holder of this lock panics").at;
            let is_old = context.now().since_ms(listed_at) > LISTED_FOR_MS;
            if !fresh && !is_old && !connection.upstream.tools_changed() {
                return Ok(Arc::clone(connection));
            }
            if let Ok(listed) = connection.upstream.list_tools().await {
                let seen = Seen { at: context.now(), listed: Arc::new(listed) };
                *connection.seen.lock().expect("no holder of this lock panics") = seen;
                return Ok(Arc::clone(connection));
            }
            // It is not what it was: begin anew.
        }
        held.take();
        let (upstream, killer) = self.connect(server).await?;
        let listed = upstream.list_tools().await.map_err(unavailable);
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                if let Some(killer) = killer {
                    killer.kill();
                }
                return Err(error);
            }
        };
        let seen = Seen { at: context.now(), listed: Arc::new(listed) };
        let connection =
            Arc::new(Connection { upstream: Arc::new(upstream), killer, of: server.entry_seq, seen: Mutex::new(seen) });
        *held = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Connects to a server, after that is on record: by the node's own leave, since a person added it.
    async fn connect(&self, server: &ServerRow) -> Result<(Upstream, Option<Killer>), Error> {
        let GatewayParts { context, worker, keeper, .. } = &self.parts;
        let secret = |(holder, name): (&String, &String)| {
            keeper.secret(name).map(|secret| (holder.clone(), secret)).map_err(no_secret)
        };
        let secrets: Vec<(String, Secret)> = server.secrets.iter().map(secret).collect::<Result<_, _>>()?;
        let node = Caller::node(&context.namespace);
        let action = context.action("tool.start", ResourceKind::Tool, server.name.as_str())?;
        let name = server.name.as_str();
        match &server.transport {
            Transport::Http(url) => {
                let action = action.with_arguments(Digest::of(url.as_bytes()));
                let granted = context.permit(&node, action, None).await?;
                let change = context
                    .change(&node, granted, kind::TOOL_SERVER_STARTED, name)
                    .guard(server.guard())
                    .detail("url", url.as_str());
                context.commit(change).await?;
                let upstream = Upstream::over_http(name, url, secrets, Timeouts::default()).await;
                Ok((upstream.map_err(unavailable)?, None))
            }
            Transport::Stdio(argv) => {
                let worker = worker.clone().ok_or_else(|| {
                    let message =
                        "this system cannot keep a process in, so that no server of tools can be started here";
                    Error::new(Kind::Unavailable, "SANDBOX_UNAVAILABLE", message)
                })?;
                let env = secrets.iter().map(|(name, secret)| (name.clone(), secret.reveal().to_owned())).collect();
                let spec = Spec {
                    argv: argv.clone(),
                    env,
                    mounts: self.mounts(server)?,
                    limits: Limits::SERVER,
                    minimum: Grade::A,
                    door: false,
                };
                let action = action.with_arguments(spec.digest());
                let granted = context.permit(&node, action.clone(), None).await?;
                let change = context
                    .change(&node, granted, kind::TOOL_SERVER_STARTED, name)
                    .guard(server.guard())
                    .detail("argv", json!(argv));
                let done = context.commit(change).await?;
                let started = tokio::task::spawn_blocking(move || worker.start(&done.warrant, &action, &spec)).await;
                let session = started.map_err(Error::broken)?.map_err(|error| unreachable(name, &error.to_string()))?;
                let killer = session.killer.clone();
                let lines = bridge(session.from_agent);
                tell_end(name.to_owned(), session.exit);
                match Upstream::over_lines(name, session.to_agent, lines, Timeouts::default()).await {
                    Ok(upstream) => Ok((upstream, Some(killer))),
                    Err(error) => {
                        killer.kill();
                        Err(unavailable(error))
                    }
                }
            }
        }
    }

    fn mounts(&self, server: &ServerRow) -> Result<Vec<Mount>, Error> {
        let data = self.parts.data.join(server.name.as_str());
        std::fs::create_dir_all(&data).map_err(Error::broken)?;
        let mut mounts = vec![Mount { from: data, at: DATA.to_owned(), executable: false, writable: true }];
        if self.parts.programs.is_dir() {
            mounts.push(Mount {
                from: self.parts.programs.clone(),
                at: PROGRAMS.to_owned(),
                executable: true,
                writable: false,
            });
        }
        Ok(mounts)
    }

    /// Whether a tool may be called, as far as its server is concerned: it is there, and as it was pinned.
    pub(crate) async fn ready(&self, server: &str, tool: &str) -> Result<Ready, NotReady> {
        let context = &self.parts.context;
        let found = context.store.read(|reader| {
            let row = rows::tool(reader, &context.namespace, server, tool)?;
            let server =
                row.as_ref().map(|row| rows::server(reader, &context.namespace, &row.server)).transpose()?.flatten();
            Ok::<_, Error>(row.zip(server))
        });
        let (row, server) = found.map_err(NotReady::Trouble)?.ok_or(NotReady::Unknown)?;
        let connection = self.connection(&server, false).await.map_err(NotReady::Trouble)?;
        let listed = connection.seen.lock().expect("no holder of this lock panics").listed.clone();
        self.report(&server, &listed).await.map_err(NotReady::Trouble)?;
        match listed.tools.iter().find(|found| found.name() == row.name) {
            Some(found) if found.digest() == row.pin => {}
            Some(_) => {
                return Err(NotReady::Changed(format!(
                    "what `{server}` says of `{tool}` is not what a person looked at and pinned; an administrator looks again: \
                     `steward tool show {server}`, `steward tool pin {server}`",
                    server = server.name
                )));
            }
            None => return Err(NotReady::Changed(format!("`{}` has no tool `{tool}` any more", server.name))),
        }
        let known = self.parts.keeper.all().map_err(|error| NotReady::Trouble(Error::broken(error)))?;
        let secrets = known.with(connection.upstream.secrets());
        Ok(Ready { upstream: Arc::clone(&connection.upstream), row, secrets })
    }

    /// Records that what a server says is not what was pinned: once for each thing that it says.
    async fn report(&self, server: &ServerRow, listed: &Listed) -> Result<(), Error> {
        let context = &self.parts.context;
        let pinned = context.store.read(|reader| rows::tools_of(reader, &context.namespace, &server.name))?;
        let pinned: Vec<PinnedTool> =
            pinned.into_iter().map(|row| PinnedTool { name: row.name, digest: row.pin }).collect();
        let changes: Vec<Changed> = compare(&pinned, &listed.tools)
            .into_iter()
            .filter(|change| !matches!(change, Changed::Added { .. }))
            .collect();
        let is_new = |change: &Changed| {
            let (name, digest) = match change {
                Changed::Changed { name, after, .. } => (name.clone(), after.to_string()),
                Changed::Added { name, .. } | Changed::Removed { name } => (name.clone(), String::new()),
            };
            self.told.lock().expect("no holder of this lock panics").insert((server.name.clone(), name, digest))
        };
        let new: Vec<&Changed> = changes.iter().filter(|change| is_new(change)).collect();
        if new.is_empty() {
            return Ok(());
        }
        tracing::warn!(server = server.name.as_str(), changes = ?new, "a server says something else of its tools than was pinned");
        let node = Caller::node(&context.namespace);
        let action = context.action("tool.check", ResourceKind::Tool, server.name.as_str())?;
        let granted = context.permit(&node, action, None).await?;
        let change =
            context.change(&node, granted, kind::TOOL_CHANGED, server.name.as_str()).detail("changes", json!(new));
        context.commit(change).await.map(|_| ())
    }
}

impl Connection {
    fn is_of(&self, server: &ServerRow) -> bool {
        self.of == server.entry_seq && !self.upstream.is_closed()
    }
}

/// What a process writes, as lines. One that is none ends the connection: what follows it could be anything.
fn bridge(mut from: mpsc::Receiver<Line>) -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(LINES_WAITING);
    tokio::spawn(async move {
        while let Some(line) = from.recv().await {
            let line = match line {
                Line::Text(text) => text,
                Line::TooLong => "(a line that is too long)".to_owned(),
                Line::NotText => "(a line that is not UTF-8)".to_owned(),
            };
            if to.send(line).await.is_err() {
                return;
            }
        }
    });
    lines
}

/// Tells the log how a server ended.
fn tell_end(server: String, exit: tokio::sync::oneshot::Receiver<steward_worker::Exit>) {
    tokio::spawn(async move {
        if let Ok(exit) = exit.await {
            let (ended_by, code, tail) = (exit.ended_by.as_str(), exit.code, exit.stderr_tail.trim().to_owned());
            tracing::info!(server, ended_by, code, tail, "a server of tools ended");
        }
    });
}

fn unavailable(error: UpstreamError) -> Error {
    Error::new(Kind::Unavailable, code::TOOL_SERVER_UNAVAILABLE, error.to_string())
}

fn unreachable(server: &str, why: &str) -> Error {
    Error::new(Kind::Unavailable, code::TOOL_SERVER_UNAVAILABLE, format!("`{server}` cannot be started: {why}"))
}

pub(crate) fn no_secret(error: steward_keeper::KeeperError) -> Error {
    Error::new(Kind::Invalid, code::NO_SECRET, error.to_string())
}
