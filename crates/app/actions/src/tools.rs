//! The tools of a run, and what they give back.
//!
//! Reading is decided, recorded and done: it changes nothing. Running a program is journalled before it starts and after it
//! ended; it runs in a sandbox that keeps nothing and reaches nothing, so that one which died with the node did not happen. Fetching
//! is journalled as happening now: if the node dies, nobody knows whether the other side heard of it (OUTCOME_UNKNOWN).
//!
//! Deliberately absent: what a tool may be given beside the agent's own folder, read-only.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use steward_app_node::{Caller, Context, Error, Granted, code};
use steward_clock::mishap;
use steward_fetch::{Fetched, Fetcher};
use steward_gateway::{CallResult, bound};
use steward_ledger::kind;
use steward_naming::{ActionId, Name, RunId, TraceId};
use steward_permit::{Action, ResourceKind, Tier, Warrant};
use steward_seal::{Digest, secret::Secrets};
use steward_store::Guard;
use steward_upstream::Upstream;
use steward_worker::{EndedBy, Grade, Killer, Limits, Mount, Output, Spec, Worker};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::{
    asked::{Asked, argv, digest},
    rows::{EffectRow, Status},
    settle::{Beside, blocking, settle, settle_beside, settled},
};

/// Where an agent's own folder is in a sandbox.
pub const WORK: &str = "/files";

/// What the agents of a run can have done for them.
pub struct Tools {
    /// Runs programs.
    pub worker: Arc<dyn Worker>,
    /// Fetches.
    pub fetcher: Arc<Fetcher>,
    /// What a sandbox shows beside the agent's own folder: programs, and what a predecessor left.
    pub mounts: Vec<Mount>,
    /// The agent's own folder, read-only in the sandbox.
    pub work: PathBuf,
    /// The agent's tier, which says how strong its sandbox must be.
    pub tier: Tier,
    /// Ends the tools that are running, when the run ends.
    pub running: Running,
    /// The tool of another MCP server that is to be called, if one is.
    pub of_server: Option<OfServer>,
}

/// A tool of another MCP server, whose pin was compared.
pub struct OfServer {
    /// The connection to its server.
    pub upstream: Arc<Upstream>,
    /// Its name, as the server has it.
    pub tool: String,
    /// What it is called with.
    pub arguments: Value,
    /// From which tier on a person allowed it; none belongs to nobody.
    pub tier: Option<Tier>,
    /// That it is pinned and allowed as it was looked at.
    pub guard: Guard,
    /// What is never given to an agent.
    pub secrets: Secrets,
}

/// The tools of a run that are running.
#[derive(Clone)]
pub struct Running(Arc<RunningState>);

struct RunningState {
    is_over: watch::Sender<bool>,
    killers: Mutex<Vec<Killer>>,
    /// How many programs run at once for one agent: each has memory of its own, and its output is held in the node's.
    places: Semaphore,
    /// How many tools of other servers are called at once for one agent: a slow one must not keep others from its server.
    calls: Semaphore,
}

/// The most programs that run at once for one agent.
const MAX_PROGRAMS: usize = 4;

/// The most tools of other servers that are called at once for one agent: of 64 runs half of what goes to one server at once.
const MAX_CALLS: usize = 8;

impl Default for Running {
    fn default() -> Self {
        Self(Arc::new(RunningState {
            is_over: watch::Sender::new(false),
            killers: Mutex::default(),
            places: Semaphore::new(MAX_PROGRAMS),
            calls: Semaphore::new(MAX_CALLS),
        }))
    }
}

impl Running {
    /// Ends all, and whatever is started later.
    pub fn end(&self) {
        let mut killers = self.0.killers.lock().expect("no holder of this lock panics");
        self.0.is_over.send_replace(true);
        killers.drain(..).for_each(|killer| killer.kill());
    }

    /// A place to call a tool of another server; none if the run ends before there is one.
    pub async fn place_to_call(&self) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = self.over() => None,
            place = self.0.calls.acquire() => place.ok(),
        }
    }

    /// Waits until the run is over.
    async fn over(&self) {
        // The sender is in `self`, so that it cannot be gone.
        let _ = self.0.is_over.subscribe().wait_for(|over| *over).await;
    }

    /// Ends with the run.
    fn add(&self, killer: Killer) {
        let mut killers = self.0.killers.lock().expect("no holder of this lock panics");
        if *self.0.is_over.borrow() {
            killer.kill();
        } else {
            killers.push(killer);
        }
    }
}

/// What a tool gave.
#[derive(Debug, Clone)]
pub enum Product {
    /// What a file holds.
    Read(Vec<u8>),
    /// What a program said, and how it ended.
    Ran(Box<Output>),
    /// What a host answered.
    Fetched(Box<Fetched>),
    /// What a tool of another server gave: the result of MCP's `tools/call`, bounded.
    Called(Box<Value>),
}

/// An action that was allowed, and done or tried.
#[derive(Debug)]
pub struct Done {
    /// The action's id.
    pub id: ActionId,
    /// How it ended, if it is an effect: reading is none.
    pub effect: Option<EffectRow>,
    /// What it gave.
    pub product: Option<Product>,
}

/// How an action is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Read,
    Write,
    Run,
    Fetch,
    Call,
}

impl Tool {
    /// The tool of an action, if this node has one; some are had within a run only.
    pub(crate) fn of(action: &str, in_run: bool) -> Option<Self> {
        match action {
            "fs.write" => Some(Self::Write),
            "fs.read" if in_run => Some(Self::Read),
            "exec" | "shell" if in_run => Some(Self::Run),
            "http.get" if in_run => Some(Self::Fetch),
            "tool.call" if in_run => Some(Self::Call),
            _ => None,
        }
    }

    /// How its effect begins: fetching, and calling, cannot be taken back from the moment that it is on record.
    pub(crate) const fn first_status(self) -> Status {
        match self {
            Self::Fetch | Self::Call => Status::Publishing,
            Self::Read | Self::Write | Self::Run => Status::Intended,
        }
    }
}

/// Whom the resource belongs to: an agent's file to the agent, a host that is allowed to the node.
pub(crate) fn owner(context: &Context, tools: Option<&Tools>, action: &Action, agent: &Name) -> String {
    match tools {
        Some(tools) if action.resource().kind() == ResourceKind::Host => {
            if tools.fetcher.allow_list().covers(action.resource().id()) {
                context.namespace.to_string()
            } else {
                "nobody".to_owned()
            }
        }
        Some(Tools { of_server: Some(tool), .. }) if action.resource().kind() == ResourceKind::Tool => {
            tool.tier.map_or_else(|| "nobody".to_owned(), |_| context.namespace.to_string())
        }
        _ if action.resource().kind() == ResourceKind::Tool => "nobody".to_owned(),
        _ => agent.to_string(),
    }
}

/// Calls a tool of another server. It is on record as happening before it is sent, because nobody can take it back.
pub(crate) async fn call(
    context: &Context,
    tools: &Tools,
    warrant: Warrant,
    action: Action,
    effect: EffectRow,
) -> Result<(EffectRow, Option<Product>), Error> {
    let of_server = tools.of_server.as_ref().ok_or_else(|| Error::broken("a tool of a server was decided upon"))?;
    mishap::at("tool.call.before").map_err(Error::broken)?;
    let called = tokio::select! {
        biased;
        () = tools.running.over() => {
            let why = "the run ended while the tool worked; what it did is not known: a person must look, and say so with `steward \
                       effect resolve`";
            let error = Some((code::OUTCOME_UNKNOWN.to_owned(), why.to_owned()));
            return Ok((settled(context, effect, Status::Unknown, error, None).await?, None));
        }
        called = of_server.upstream.call(warrant, &action, &of_server.tool, of_server.arguments.clone()) => called,
    };
    mishap::at("tool.call.after").map_err(Error::broken)?;
    let given = match called {
        Ok(given) => given,
        Err(error) => {
            let status = if error.is_unknown() { Status::Unknown } else { Status::Failed };
            let why = of_server.secrets.scrub(&error.to_string()).into_owned();
            let error = Some((error.code().to_owned(), why));
            return Ok((settled(context, effect, status, error, None).await?, None));
        }
    };
    let bounded = match CallResult::read(&given) {
        Ok(result) => bound(result, &of_server.secrets),
        Err(problem) => {
            // It was done, whatever its server says of it.
            let error = Some(("TOOL_GARBAGE".to_owned(), format!("the tool's result cannot be read: {problem}")));
            return Ok((settled(context, effect, Status::Unknown, error, None).await?, None));
        }
    };
    let given = bounded.to_value();
    let bytes = serde_json::to_vec(&given).map_err(Error::broken)?;
    let mut beside = Beside::default();
    if !bounded.findings.is_empty() {
        let findings: Vec<String> = bounded.findings.iter().map(ToString::to_string).collect();
        tracing::warn!(
            action.id = effect.id.as_str(),
            tool = effect.resource,
            ?findings,
            "a tool's result is suspicious"
        );
        beside.detail.push(("findings", findings.into()));
    }
    if bounded.truncated {
        beside.detail.push(("truncated", true.into()));
    }
    if bounded.is_error {
        beside.detail.push(("tool_error", true.into()));
    }
    let written = Some((Digest::of(&bytes), bytes.len() as u64));
    let effect = settle_beside(context, effect, Status::Succeeded, None, written, &beside).await?;
    Ok((effect, Some(Product::Called(Box::new(given)))))
}

/// How strong a sandbox must be: an observer's may be the weaker one.
pub fn minimum_grade(tier: Tier) -> Grade {
    if tier == Tier::T0 { Grade::B } else { Grade::A }
}

pub(crate) async fn read(
    context: &Context,
    caller: &Caller,
    granted: Granted,
    agent: Name,
    action: Action,
    confidence_bp: Option<u16>,
) -> Result<Done, Error> {
    let id = granted.id();
    let change = context.change(caller, granted, kind::ACTION_DECIDED, id.as_str()).confidence_bp(confidence_bp);
    let done = context.commit(change).await?;
    let folders = Arc::clone(&context.folders);
    let read = blocking(move || folders.read(&done.warrant, &action, &agent)).await?;
    let bytes = read.map_err(|error| {
        let kind = steward_app_node::Kind::Invalid;
        Error::new(kind, error.code(), error.to_string()).of_action(id.clone())
    })?;
    Ok(Done { id, effect: None, product: Some(Product::Read(bytes)) })
}

pub(crate) async fn run(
    context: &Context,
    tools: &Tools,
    warrant: Warrant,
    action: Action,
    asked: &Asked,
    effect: EffectRow,
) -> Result<(EffectRow, Option<Product>), Error> {
    let argv = argv(asked).ok_or_else(|| Error::broken("a program was decided upon"))?;
    run_program(context, tools, warrant, action, argv, effect).await
}

/// The command of a success criterion, run by the node itself as an effect of its own. Tells why it does not hold.
///
/// # Errors
/// The node cannot record.
pub async fn verify(
    context: &Context,
    tools: &Tools,
    agent: &Name,
    run: &RunId,
    trace: &TraceId,
    argv: Vec<String>,
) -> Result<Option<String>, Error> {
    let program = argv.first().cloned().unwrap_or_default();
    let node = Caller { trace: Some(trace.clone()), ..Caller::node(&context.namespace) };
    let action = context.action("run.verify", ResourceKind::Command, program.as_str())?.with_arguments(digest(&argv));
    let granted = context.permit(&node, action.clone(), Some(agent.to_string())).await?;
    let effect = EffectRow {
        namespace: context.namespace.clone(),
        id: granted.id(),
        agent: agent.clone(),
        run: Some(run.clone()),
        trace: Some(trace.clone()),
        action: action.name().to_string(),
        resource: program.clone(),
        arguments: digest(&argv),
        status: Status::Intended,
        intended_at: context.now(),
        settled_at: None,
        error: None,
        written: None,
        entry_seq: 0,
    };
    let _working = context.under_way.begin(effect.id.clone());
    let change = context
        .change(&node, granted, kind::ACTION_INTENDED, effect.id.as_str())
        .detail("run", run.as_str())
        .row(effect.row());
    let done = context.commit(change).await?;
    let effect = EffectRow { entry_seq: done.recorded.seq, ..effect };
    let (effect, product) = run_program(context, tools, done.warrant, action, argv, effect).await?;
    Ok(match (effect.error, product) {
        (Some((_, why)), _) => Some(format!("`{program}` could not be run: {why}")),
        (None, Some(Product::Ran(output))) if output.exit.code == Some(0) => None,
        (None, Some(Product::Ran(output))) => {
            let how = output.exit.code.map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
            Some(format!("`{program}` ended {how}"))
        }
        _ => Some(format!("`{program}` gave nothing")),
    })
}

async fn run_program(
    context: &Context,
    tools: &Tools,
    warrant: Warrant,
    action: Action,
    argv: Vec<String>,
    effect: EffectRow,
) -> Result<(EffectRow, Option<Product>), Error> {
    let mut mounts = tools.mounts.clone();
    mounts.push(Mount { from: tools.work.clone(), at: WORK.to_owned(), executable: true, writable: false });
    let spec =
        Spec { argv, env: Vec::new(), mounts, limits: Limits::TOOL, minimum: minimum_grade(tools.tier), door: false };
    let (worker, running) = (Arc::clone(&tools.worker), tools.running.clone());
    let _place = tools.running.0.places.acquire().await.expect("the places are never closed");
    if *tools.running.0.is_over.borrow() {
        let error = Some((code::INTERRUPTED.to_owned(), "the run ended before it was started".to_owned()));
        return Ok((settled(context, effect, Status::Failed, error, None).await?, None));
    }
    mishap::at("tool.run.before").map_err(Error::broken)?;
    let ran = blocking(move || worker.run_until(&warrant, &action, &spec, b"", &|killer| running.add(killer))).await?;
    mishap::at("tool.run.after").map_err(Error::broken)?;
    let output = match ran {
        Err(error) => return Ok((settle(context, effect, Err(&error)).await?, None)),
        Ok(output) => output,
    };
    let why = match output.exit.ended_by {
        EndedBy::Itself => None,
        EndedBy::Killed => Some((code::INTERRUPTED, "the run ended while it was running")),
        EndedBy::WallTime => Some((code::SANDBOX_LIMIT, "it ran longer than a tool may")),
        EndedBy::Output => Some((code::SANDBOX_LIMIT, "it said more than a tool may")),
        EndedBy::Memory => Some((code::SANDBOX_LIMIT, "it wanted more memory than a tool may have")),
        EndedBy::Seccomp => Some((code::SANDBOX_LIMIT, "it asked the system for what no tool may")),
    };
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let written = Some((Digest::of(&said), said.len() as u64));
    let effect = match why {
        None => settled(context, effect, Status::Succeeded, None, written).await?,
        Some((code, why)) => {
            let error = Some((code.to_owned(), why.to_owned()));
            settled(context, effect, Status::Failed, error, None).await?
        }
    };
    Ok((effect, Some(Product::Ran(Box::new(output)))))
}

pub(crate) async fn fetch(
    context: &Context,
    tools: &Tools,
    warrant: Warrant,
    action: Action,
    effect: EffectRow,
) -> Result<(EffectRow, Option<Product>), Error> {
    mishap::at("tool.fetch.before").map_err(Error::broken)?;
    let fetched = tokio::select! {
        biased;
        // Dropping it ends it: nothing is sent for a run that is over. What was sent before, nobody can take back.
        () = tools.running.over() => {
            let why = "the run ended while the host was asked; whether it heard of it is not known: a person must look, and say so \
                       with `steward effect resolve`";
            let error = Some((code::OUTCOME_UNKNOWN.to_owned(), why.to_owned()));
            return Ok((settled(context, effect, Status::Unknown, error, None).await?, None));
        }
        fetched = tools.fetcher.get(warrant, &action) => fetched,
    };
    mishap::at("tool.fetch.after").map_err(Error::broken)?;
    match fetched {
        Ok(fetched) => {
            let written = Some((Digest::of(&fetched.body), fetched.body.len() as u64));
            let effect = settled(context, effect, Status::Succeeded, None, written).await?;
            Ok((effect, Some(Product::Fetched(Box::new(fetched)))))
        }
        Err(error) => {
            let status = if error.is_unknown() { Status::Unknown } else { Status::Failed };
            let why = Some((error.code().to_owned(), error.to_string()));
            Ok((settled(context, effect, status, why, None).await?, None))
        }
    }
}
