//! Servers of tools that stand behind the node: connections to them, and whether what they say of their tools is what was pinned.
//!
//! ```text
//! gateway.add(&caller, new).await?;                          // on record, then asked for its tools, which are pinned
//! gateway.ready(&server, &tool).await?                       // a connection, if the tool is as it was pinned
//! ```
//!
//! A server of the stdio transport is a process in a sandbox of its own, without a network; it may write its own folder and nothing
//! else. Each is connected when it is first needed, and again when it ended. What it says of its tools is read again every half minute at
//! most, and whenever it says that it changed. One that does not list them is begun anew, but not under calls that are under way.
//!
//! A server whose secret is made for each lease is connected once for each lease that it is called by, and once for the node, which reads what it says
//! of its tools.
//!
//! Deliberately absent: what an agent may call (policy), and repeating a call.

mod changed;
mod hidden;
mod lines;
mod made;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hidden::without_secrets;
use lines::{bridge, tell_end};
pub(crate) use made::ByLease;
use made::{Given, Place, with_leases};
use serde_json::{Map, Value, json};
use steward_app_node::{Caller, Context, Error, Kind, code};
use steward_app_secrets::{Generators, Made};
use steward_app_tools::{NewServer, ServerRow, ToolRow, Transport, rows};
use steward_clock::Timestamp;
use steward_gateway::{Finding, Listed, exposed_name};
use steward_keeper::{Keeper, KeeperError};
use steward_ledger::kind;
use steward_naming::{Label, LeaseId};
use steward_permit::{DenialCode, ResourceKind, Tier};
use steward_seal::{
    Digest,
    secret::{Secret, Secrets},
};
use steward_upstream::{Timeouts, Upstream, UpstreamError, secrets_of};
use steward_worker::{EffectError, Grade, Killer, Limits, Mount, Session, Spec, Worker};
use tokio::time::timeout;

/// How long it is trusted that a server's tools are as they were listed, in milliseconds: each listing is a round trip.
const LISTED_FOR_MS: u64 = 30_000;

/// How long a server that runs may take to list its tools again: a call waits for it.
const LIST_AGAIN_WITHIN: Duration = Duration::from_secs(10);

/// How long ending all servers may take: their processes are killed at once, and whoever connects is not waited for longer.
const END_WITHIN: Duration = Duration::from_secs(2);

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
    /// Who makes the values of secrets that have none of their own.
    pub generators: Arc<Generators>,
}

/// The servers of a node.
pub struct Gateway {
    parts: GatewayParts,
    slots: Mutex<BTreeMap<Place, Arc<Slot>>>,
    /// Whoever records a change, or asks about one, holds it.
    told: tokio::sync::Mutex<Told>,
    started: Started,
}

/// A server that was just connected.
struct Connected {
    upstream: Upstream,
    leash: Option<Leash>,
    given: BTreeMap<String, u64>,
    leases: Vec<LeaseId>,
    own: Vec<Made>,
}

/// What was told of tools that changed, since the node started.
#[derive(Default)]
struct Told {
    /// On record already: server, tool, digest.
    changes: BTreeSet<(Label, String, String)>,
    /// Whether something may be asked about a server now; of one that is not there, it is not known since the start.
    open: BTreeMap<Label, bool>,
    /// When people were asked about a server last.
    asked_at: BTreeMap<Label, Timestamp>,
}

/// A server's place; whoever connects holds it.
type Slot = tokio::sync::Mutex<Option<Arc<Connection>>>;

/// A connection to a server.
struct Connection {
    /// Whoever calls holds it, too.
    upstream: Arc<Upstream>,
    _leash: Option<Leash>,
    /// The row that it was made from.
    of: u64,
    /// The secrets that it was given, and the versions of their values.
    given: BTreeMap<String, u64>,
    /// The leases that values were made for which it was given.
    leases: Vec<LeaseId>,
    /// What was made for the node's own use, which ends with it.
    _own: Vec<Made>,
    seen: Mutex<Seen>,
    /// Held by whoever lists; why the last list did not come, if it did not.
    listing: tokio::sync::Mutex<Option<String>>,
    /// How many lists did not come.
    failed: AtomicU64,
}

/// What a server said of its tools, and when.
#[derive(Clone)]
struct Seen {
    at: Timestamp,
    listed: Arc<Listed>,
}

/// The processes that are there, for whoever ends them all without waiting for who connects.
type Started = Arc<Mutex<Processes>>;

/// See [`Started`].
#[derive(Default)]
struct Processes {
    /// Nothing is connected any more.
    is_closed: bool,
    /// The number of the next.
    next: u64,
    /// With the row that each was started from.
    killers: BTreeMap<u64, (u64, Killer)>,
}

/// A server's process, from its very start: dropped, it is killed, wherever whoever waited for it was.
struct Leash {
    killer: Killer,
    number: u64,
    started: Started,
}

impl Leash {
    fn new(killer: Killer, of: u64, started: &Started) -> Self {
        let mut processes = started.lock().expect("no holder of this lock panics");
        processes.next += 1;
        let number = processes.next;
        processes.killers.insert(number, (of, killer.clone()));
        Self { killer, number, started: Arc::clone(started) }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.killer.kill();
        self.started.lock().expect("no holder of this lock panics").killers.remove(&self.number);
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
        Self { parts, slots: Mutex::default(), told: tokio::sync::Mutex::default(), started: Started::default() }
    }

    /// Adds a server, asks it for its tools, and pins them. If it cannot be asked, it is added all the same: pinning tries again.
    ///
    /// # Errors
    /// It is not allowed, or what is asked for is wrong.
    pub async fn add(&self, caller: &Caller, new: &NewServer) -> Result<ServerView, Error> {
        if let Ok(name) = new.name.parse::<Label>() {
            // Nobody who may not add one learns which secrets there are.
            let action = self.parts.context.action("tool.add", ResourceKind::Tool, name.as_str())?;
            self.parts.context.allow(caller, action, None).await?;
        }
        for secret in new.secrets.values() {
            self.parts.keeper.look_for(secret).map_err(no_secret)?;
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
        let server = steward_app_tools::find(&self.parts.context, caller, "tool.pin", server).await?;
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
        // Its processes are killed, and its place is nobody's: whoever connects just now finds out that it is gone, and is not waited for.
        let killers: Vec<_> =
            self.started.lock().expect("no holder of this lock panics").killers.values().cloned().collect();
        killers.iter().filter(|(of, _)| *of == removed.entry_seq).for_each(|(_, killer)| killer.kill());
        for slot in self.take_away(&removed.name) {
            if let Ok(mut held) = slot.try_lock() {
                held.take();
            }
        }
        // One of that name that comes later is another, and what changes in it is told anew.
        let mut told = self.told.lock().await;
        told.changes.retain(|(server, ..)| *server != removed.name);
        told.open.remove(&removed.name);
        told.asked_at.remove(&removed.name);
        drop(told);
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
        let server = steward_app_tools::find(&self.parts.context, caller, "tool.read", server).await?;
        let action = self.parts.context.action("tool.read", ResourceKind::Tool, server.name.as_str())?;
        self.parts.context.allow(caller, action, None).await?;
        let trouble = self.listed(&server, true).await.err().map(|error| error.message);
        self.view_of(server, trouble)
    }

    /// Ends every server, for good.
    pub async fn close(&self) {
        self.started.lock().expect("no holder of this lock panics").is_closed = true;
        self.end_all().await;
    }

    /// Ends every server; who asks for one later starts it anew, where that is still allowed. Whoever connects meanwhile finds out
    /// that it is not.
    pub(crate) async fn end_all(&self) {
        let killers: Vec<_> =
            self.started.lock().expect("no holder of this lock panics").killers.values().cloned().collect();
        killers.iter().for_each(|(_, killer)| killer.kill());
        let slots: Vec<_> =
            self.slots.lock().expect("no holder of this lock panics").values().map(Arc::clone).collect();
        let ended = async {
            for slot in slots {
                slot.lock().await.take();
            }
        };
        if timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!("a server of tools was still being connected; that ends by itself");
        }
    }

    /// Whether servers may be connected.
    ///
    /// # Errors
    /// The node stops, or is halted.
    fn may_connect(&self) -> Result<(), Error> {
        if self.started.lock().expect("no holder of this lock panics").is_closed {
            return Err(Error::new(
                Kind::Unavailable,
                code::TOOL_SERVER_UNAVAILABLE,
                "the node stops; try again later",
            ));
        }
        let halt = self.parts.context.halt();
        if halt.is_halted {
            return Err(Error::new(Kind::Refused, DenialCode::Halted.as_str(), halt.to_string()));
        }
        Ok(())
    }

    /// What may not be shown of what a server says: every secret that is known, and those that it has itself.
    fn known_secrets(&self, own: &Secrets) -> Result<Secrets, Error> {
        Ok(self.parts.keeper.all().map_err(Error::broken)?.with(&own.however_written()))
    }

    /// Whether a server is there as it was when somebody began to connect to it.
    ///
    /// # Errors
    /// It was taken away meanwhile.
    fn is_still_there(&self, server: &ServerRow) -> Result<(), Error> {
        let now = self.known(server.name.as_str())?;
        if now.entry_seq == server.entry_seq {
            return Ok(());
        }
        let message = format!("`{}` is another server now; try again", server.name);
        Err(Error::new(Kind::Unavailable, code::TOOL_SERVER_UNAVAILABLE, message))
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
        let findings = steward_app_tools::findings(context, &server.name, &[])?;
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

    fn slot(&self, server: &Label, leases: &ByLease) -> Arc<Slot> {
        let mut slots = self.slots.lock().expect("no holder of this lock panics");
        Arc::clone(slots.entry((server.clone(), leases.clone())).or_default())
    }

    /// The connection to a server, if there is one now and nobody is making another.
    fn connected(&self, server: &ServerRow) -> Option<Arc<Connection>> {
        let slot = self.slot(&server.name, &ByLease::new());
        let held = slot.try_lock().ok()?;
        held.clone().filter(|connection| self.is_current(connection, server))
    }

    /// Whether a connection was made from what is known now: the row, and its secrets.
    fn is_current(&self, connection: &Connection, server: &ServerRow) -> bool {
        let has_now = |(name, version): (&String, &u64)| self.parts.keeper.version(name) == Some(*version);
        connection.is_of(server) && connection.given.iter().all(has_now) && self.has_all(connection)
    }

    /// Ends the servers that were given a secret: it has another value, or none. Who calls one later starts it anew, with what is there then.
    pub(crate) async fn end_those_with(&self, secret: &str) {
        let slots: Vec<_> =
            self.slots.lock().expect("no holder of this lock panics").values().map(Arc::clone).collect();
        let ended = async {
            for slot in slots {
                let mut held = slot.lock().await;
                if held.as_ref().is_some_and(|connection| connection.given.contains_key(secret)) {
                    held.take();
                }
            }
        };
        if timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!("a server of tools was still being connected; it finds out by itself");
        }
    }

    /// What a server says of its tools, for a person; asked anew if it is to be fresh, or was asked too long ago. A person is told how it ended,
    /// too, if it did; no agent is: nobody looked at what it says there.
    async fn listed(&self, server: &ServerRow, fresh: bool) -> Result<Arc<Listed>, Error> {
        let own = ByLease::new();
        let connection = self.connection(server, &own, fresh).await.map_err(|error| match error.context() {
            Some(how) if error.code == code::TOOL_SERVER_UNAVAILABLE => {
                let message = format!("{}; {how}", error.message);
                error.saying(message)
            }
            _ => error,
        });
        Ok(connection?.seen.lock().expect("no holder of this lock panics").listed.clone())
    }

    /// A connection whose list is fresh enough: that of these leases, if something is made for them; else the node's.
    async fn connection(&self, server: &ServerRow, leases: &ByLease, fresh: bool) -> Result<Arc<Connection>, Error> {
        self.may_connect()?;
        let slot = self.slot(&server.name, leases);
        // Not held while it is asked: a server that is slow keeps nobody from ending it.
        let there = slot.lock().await.clone().filter(|connection| self.is_current(connection, server));
        if let Some(connection) = there {
            match self.list_again(&connection, fresh).await {
                Ok(()) => return Ok(connection),
                // What is under way would be lost with it, and nobody would know what came of it.
                Err(error) if connection.is_busy() && self.is_current(&connection, server) => return Err(error),
                Err(_) => {}
            }
            // It is not what it was: begin anew.
            let mut held = slot.lock().await;
            if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, &connection)) {
                held.take();
            }
        }
        let mut held = slot.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| self.is_current(connection, server)) {
            // Somebody else just made it.
            return Ok(Arc::clone(connection));
        }
        held.take();
        let Connected { upstream, leash, given, leases, own } = self.connect(server, leases).await?;
        let listed = upstream.list_tools().await;
        let known = self.known_secrets(upstream.secrets())?;
        let listed = without_secrets(listed.map_err(|error| unavailable(&error, &known))?, &known);
        // It may have come while the node was halted, or the server taken away.
        self.may_connect()?;
        self.is_still_there(server)?;
        let connection = Arc::new(Connection {
            upstream: Arc::new(upstream),
            _leash: leash,
            of: server.entry_seq,
            given,
            leases,
            _own: own,
            seen: Mutex::new(Seen { at: self.parts.context.now(), listed: Arc::new(listed) }),
            listing: tokio::sync::Mutex::default(),
            failed: AtomicU64::new(0),
        });
        if !self.is_current(&connection, server) {
            let message = format!("a secret of `{}` was changed while it was connected; try again", server.name);
            return Err(Error::new(Kind::Unavailable, code::TOOL_SERVER_UNAVAILABLE, message));
        }
        *held = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Reads again what a server says of its tools, if it was read too long ago, or is to be `fresh`.
    ///
    /// # Errors
    /// It does not say.
    async fn list_again(&self, connection: &Connection, fresh: bool) -> Result<(), Error> {
        let context = &self.parts.context;
        let is_fresh = || {
            let listed_at = connection.seen.lock().expect("no holder of this lock panics").at;
            !fresh && context.now().since_ms(listed_at) <= LISTED_FOR_MS && !connection.upstream.tools_changed()
        };
        let failed_before = connection.failed.load(Ordering::Acquire);
        if is_fresh() {
            return Ok(());
        }
        let mut trouble = connection.listing.lock().await;
        if is_fresh() {
            return Ok(());
        }
        if let Some(why) = trouble.as_ref().filter(|_| connection.failed.load(Ordering::Acquire) != failed_before) {
            // Whoever was here before waited long enough for all.
            return Err(Error::new(Kind::Unavailable, code::TOOL_SERVER_UNAVAILABLE, why.as_str()));
        }
        let known = self.known_secrets(connection.upstream.secrets())?;
        let error = match timeout(LIST_AGAIN_WITHIN, connection.upstream.list_tools()).await {
            Ok(Ok(listed)) => {
                let seen = Seen { at: context.now(), listed: Arc::new(without_secrets(listed, &known)) };
                *connection.seen.lock().expect("no holder of this lock panics") = seen;
                *trouble = None;
                return Ok(());
            }
            Ok(Err(error)) => unavailable(&error, &known),
            Err(_) => {
                let (name, within) = (connection.upstream.name(), LIST_AGAIN_WITHIN.as_secs());
                let message = format!(
                    "the server `{name}` did not list its tools within {within} s; no tool was called: try again later"
                );
                Error::new(Kind::Unavailable, code::TOOL_SERVER_UNAVAILABLE, message)
            }
        };
        *trouble = Some(error.message.clone());
        connection.failed.fetch_add(1, Ordering::AcqRel);
        Err(error)
    }

    /// Connects to a server, after that is on record: by the node's own leave, since a person added it.
    async fn connect(&self, server: &ServerRow, leases: &ByLease) -> Result<Connected, Error> {
        self.may_connect()?;
        let GatewayParts { context, worker, .. } = &self.parts;
        let Given { secrets, given, leases, own: made } = self.given(server, leases).await?;
        let own: Vec<Secret> = secrets.iter().map(|(_, secret)| secret.clone()).collect();
        let known = self.known_secrets(&secrets_of(own.iter().cloned()))?;
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
                    .detail("url", url.as_str())
                    .detail("secrets", versions(&given));
                context.commit(with_leases(change, &leases)).await?;
                let upstream = Upstream::over_http(name, url, secrets, Timeouts::default()).await;
                let upstream = upstream.map_err(|error| unavailable(&error, &known))?;
                Ok(Connected { upstream, leash: None, given, leases, own: made })
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
                    .detail("argv", json!(argv))
                    .detail("secrets", versions(&given));
                let done = context.commit(with_leases(change, &leases)).await?;
                let processes = Arc::clone(&self.started);
                // On its leash there already: nobody need wait for it any more when it has started.
                let of = server.entry_seq;
                let start = move || {
                    let session = worker.start(&done.warrant, &action, &spec)?;
                    Ok::<_, EffectError>((Leash::new(session.killer.clone(), of, &processes), session))
                };
                let started = tokio::task::spawn_blocking(start).await.map_err(Error::broken)?;
                let (leash, session) = started.map_err(|error| unreachable(name, &error.to_string(), &known))?;
                // Who ended all processes meanwhile, or those of this server, did not know of this one.
                self.may_connect()?;
                self.is_still_there(server)?;
                let Session { to_agent, from_agent, exit, .. } = session;
                let ended = tell_end(name.to_owned(), exit, known.clone());
                match Upstream::over_lines(name, to_agent, bridge(from_agent), own, Timeouts::default()).await {
                    Ok(upstream) => Ok(Connected { upstream, leash: Some(leash), given, leases, own: made }),
                    Err(error) => {
                        let error = unavailable(&error, &known);
                        match timeout(END_WITHIN, ended).await {
                            Ok(Ok(Some(how))) => Err(error.noting(how)),
                            _ => Err(error),
                        }
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

    /// The secrets of the server of a tool, and from which tier on the tool was allowed; none if nobody allowed it.
    pub(crate) fn needs(&self, server: &str, tool: &str) -> Result<Option<(Tier, BTreeSet<String>)>, Error> {
        let context = &self.parts.context;
        context.store.read(|reader| {
            let Some(row) = rows::tool(reader, &context.namespace, server, tool)? else { return Ok(None) };
            let server = rows::server(reader, &context.namespace, &row.server)?;
            let secrets = server.map(|server| server.secrets.into_values().collect()).unwrap_or_default();
            Ok(row.tier.map(|tier| (tier, secrets)))
        })
    }

    /// Whether a tool may be called, as far as its server is concerned: it is there, and as it was pinned.
    pub(crate) async fn ready(&self, server: &str, tool: &str, leases: &ByLease) -> Result<Ready, NotReady> {
        let context = &self.parts.context;
        let found = context.store.read(|reader| {
            let row = rows::tool(reader, &context.namespace, server, tool)?;
            let server =
                row.as_ref().map(|row| rows::server(reader, &context.namespace, &row.server)).transpose()?.flatten();
            Ok::<_, Error>(row.zip(server))
        });
        let (row, server) = found.map_err(NotReady::Trouble)?.ok_or(NotReady::Unknown)?;
        if row.tier.is_none() || context.halt().is_halted {
            // Nobody allowed it, or nothing is: it is refused by the decision, and nothing is started for it.
            return Err(NotReady::Unknown);
        }
        let connection = self.connection(&server, leases, false).await.map_err(NotReady::Trouble)?;
        let listed = connection.seen.lock().expect("no holder of this lock panics").listed.clone();
        self.report(&server, &listed).await.map_err(NotReady::Trouble)?;
        match listed.tools.iter().find(|found| found.name() == row.name) {
            Some(found) if found.digest() == row.pin => {}
            Some(_) => {
                return Err(NotReady::Changed(format!(
                    "what `{server}` says of `{tool}` is not what a person looked at and pinned; a person looks again: \
                     `steward review list`, `steward tool show {server}`",
                    server = server.name
                )));
            }
            None => {
                return Err(NotReady::Changed(format!(
                    "`{server}` lists no tool `{tool}` any more that can be used; an administrator looks: `steward tool show {server}`",
                    server = server.name
                )));
            }
        }
        let secrets = self.known_secrets(connection.upstream.secrets()).map_err(NotReady::Trouble)?;
        Ok(Ready { upstream: Arc::clone(&connection.upstream), row, secrets })
    }
}

impl Connection {
    fn is_of(&self, server: &ServerRow) -> bool {
        self.of == server.entry_seq && !self.upstream.is_closed()
    }

    /// Whether somebody calls, or is about to.
    fn is_busy(&self) -> bool {
        Arc::strong_count(&self.upstream) > 1
    }
}

fn unavailable(error: &UpstreamError, known: &Secrets) -> Error {
    let message = known.scrub(&error.to_string()).into_owned();
    Error::new(Kind::Unavailable, code::TOOL_SERVER_UNAVAILABLE, message)
}

fn unreachable(server: &str, why: &str, known: &Secrets) -> Error {
    let why = known.scrub(why);
    Error::new(Kind::Unavailable, code::TOOL_SERVER_UNAVAILABLE, format!("`{server}` cannot be started: {why}"))
}

/// The names of secrets, and the versions of their values, as an entry has them.
fn versions(given: &BTreeMap<String, u64>) -> Value {
    given.iter().map(|(name, version)| (name.clone(), Value::from(version.to_string()))).collect::<Map<_, _>>().into()
}

pub(crate) fn no_secret(error: KeeperError) -> Error {
    let (kind, code) = match &error {
        KeeperError::Locked(_) => (Kind::Unavailable, code::KEYSTORE_LOCKED),
        KeeperError::Damaged(..) => (Kind::Unavailable, code::SECRET_DAMAGED),
        KeeperError::Revoked(_) => (Kind::Refused, DenialCode::SecretRevoked.as_str()),
        KeeperError::Made(_) => (Kind::Refused, DenialCode::SecretNeedsRun.as_str()),
        _ => (Kind::Invalid, code::NO_SECRET),
    };
    Error::new(kind, code, error.to_string())
}
