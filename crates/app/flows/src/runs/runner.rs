//! What runs need beside the context: who starts processes, who fetches, soft state, and the runs that this process drives.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, atomic::AtomicU64},
};

use steward_app_actions::{Running, Tools};
use steward_app_hooks::Hooks;
use steward_app_node::{Context, Error};
use steward_app_runs::RunRow;
use steward_app_secrets::Generators;
use steward_app_traces::Traces;
use steward_fetch::{AllowList, Fetcher};
use steward_keeper::Keeper;
use steward_naming::RunId;
use steward_state::Soft;
use steward_worker::{Killer, Mount, Worker};
use tokio::sync::{Semaphore, watch};

use super::{attach::Calls, offered::Offered};
use crate::gateway::Gateway;

/// The most runs with an agent's process at once: each is a process tree with its own limits.
pub const MAX_LIVE_RUNS: usize = 64;

/// The most models that one run asks at once: what an agent's helpers ask side by side.
const MAX_ASKING_OF_RUN: usize = 32;

/// The most models that are asked at once: each holds a connection, and the answer as it comes.
const MAX_ASKING: usize = 256;

/// Where programs that an operator put there are in a sandbox.
const PROGRAMS: &str = "/programs";

/// Where a predecessor's artifacts are in a sandbox.
const HANDOFF: &str = "/handoff";

/// What a runner is made of.
pub struct RunnerParts {
    /// What every verb is given.
    pub context: Arc<Context>,
    /// Starts processes; none where this system cannot keep any in.
    pub worker: Option<Arc<dyn Worker>>,
    /// Why there is none.
    pub no_worker: String,
    /// Servers of tools that stand behind the node.
    pub gateway: Gateway,
    /// Calls language models.
    pub models: steward_model::Caller,
    /// Secrets of providers.
    pub keeper: Keeper,
    /// The hosts that agents may fetch from.
    pub allow: AllowList,
    /// How long what entries of the ledger say is kept.
    pub retention: steward_app_entries::Retention,
    /// Who is told what waits for people.
    pub hooks: Hooks,
    /// Who is sent what agents did, as spans.
    pub traces: Traces,
    /// Who makes the values of secrets that have none of their own.
    pub generators: Arc<Generators>,
    /// Programs that every sandbox shows, read-only.
    pub programs: PathBuf,
    /// What runs are given for their time: copies of what a predecessor left.
    pub scratch: PathBuf,
}

/// Drives runs. One for each node.
pub struct Runner {
    /// What every verb is given.
    pub context: Arc<Context>,
    /// What may be lost: heartbeats, and how often who asked.
    pub soft: Soft,
    /// Servers of tools that stand behind the node.
    pub gateway: Gateway,
    /// How long what entries of the ledger say is kept.
    pub retention: steward_app_entries::Retention,
    /// Who is told what waits for people.
    pub hooks: Hooks,
    /// Who is sent what agents did, as spans.
    pub traces: Traces,
    /// Who makes the values of secrets that have none of their own.
    pub generators: Arc<Generators>,
    pub(crate) models: steward_model::Caller,
    pub(crate) keeper: Keeper,
    /// Held while a call of a model is reserved and recorded, so that no two read the same budgets.
    pub(crate) model_turn: tokio::sync::Mutex<()>,
    /// Held while a run's question to people is looked for and put, so that it is put once.
    pub(crate) opening: tokio::sync::Mutex<()>,
    /// How many models are asked at once.
    pub(crate) asking: Arc<Semaphore>,
    pub(crate) worker: Option<Arc<dyn Worker>>,
    pub(crate) no_worker: String,
    pub(crate) scratch: PathBuf,
    fetcher: Arc<Fetcher>,
    programs: PathBuf,
    live: Mutex<BTreeMap<RunId, Arc<Live>>>,
    serve_door: OnceLock<Box<ServeDoor>>,
}

/// Serves what connects to a run's door, until the run is over. The face that speaks to agents gives it.
pub type ServeDoor = dyn Fn(Arc<Runner>, RunId, TcpListener) + Send + Sync;

/// A run that this process drives.
pub(crate) struct Live {
    /// Held for each step, so that the steps of one run do not make each other stale.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Held while a secret is made for it, so that each is made once.
    pub(crate) making: Arc<tokio::sync::Mutex<()>>,
    /// Ends the agent's process.
    killer: Mutex<Option<Killer>>,
    /// Ends the tools that run for it.
    pub(crate) running: Running,
    /// How many actions its agent has asked for.
    pub(crate) asked: AtomicU64,
    /// How many bytes it has written.
    pub(crate) written: AtomicU64,
    /// Whether the run has ended.
    over: watch::Sender<bool>,
    /// The way of calls to whoever drives it, other than lines.
    pub(crate) calls: Calls,
    /// How many models it may ask at once.
    pub(crate) models: Arc<Semaphore>,
    /// The tools that it was begun with.
    pub(crate) offered: OnceLock<Vec<Offered>>,
    /// How many of its calls wait for a person.
    pub(crate) waiting: AtomicU64,
    /// Held while what a person said of it is done, so that it is done once.
    pub(crate) asking: tokio::sync::Mutex<()>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            making: Arc::default(),
            killer: Mutex::default(),
            running: Running::default(),
            asked: AtomicU64::default(),
            written: AtomicU64::default(),
            over: watch::Sender::default(),
            calls: Calls::default(),
            models: Arc::new(Semaphore::new(MAX_ASKING_OF_RUN)),
            offered: OnceLock::default(),
            waiting: AtomicU64::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }
}

impl Live {
    /// Ends everything that runs for it, now.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
        self.running.end();
        if let Some(killer) = self.killer.lock().expect("no holder of this lock panics").as_ref() {
            killer.kill();
        }
    }

    /// The agent's process, which ends with the run.
    pub(crate) fn holds(&self, killer: Killer) {
        *self.killer.lock().expect("no holder of this lock panics") = Some(killer.clone());
        if *self.over.borrow() {
            killer.kill();
        }
    }

    /// Waits until the run has ended.
    pub(crate) async fn over(&self) {
        // The sender is in `self`, so that it cannot be gone.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Whether the run has ended.
    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }
}

impl Runner {
    /// A node's runner.
    pub fn new(parts: RunnerParts) -> Self {
        Self {
            context: parts.context,
            soft: Soft::new(),
            gateway: parts.gateway,
            retention: parts.retention,
            hooks: parts.hooks,
            traces: parts.traces,
            generators: parts.generators,
            models: parts.models,
            keeper: parts.keeper,
            model_turn: tokio::sync::Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            asking: Arc::new(Semaphore::new(MAX_ASKING)),
            worker: parts.worker,
            no_worker: parts.no_worker,
            scratch: parts.scratch,
            fetcher: Arc::new(Fetcher::new(parts.allow)),
            programs: parts.programs,
            live: Mutex::new(BTreeMap::new()),
            serve_door: OnceLock::new(),
        }
    }

    /// From now on `serve` serves the doors of runs.
    pub fn serve_doors(&self, serve: Box<ServeDoor>) {
        // Set once, when a node is put together.
        let _ = self.serve_door.set(serve);
    }

    /// Has a run's door served. Without anybody who could, it closes.
    pub(crate) fn open_door(self: &Arc<Self>, id: &RunId, door: TcpListener) {
        if let Some(serve) = self.serve_door.get() {
            serve(Arc::clone(self), id.clone(), door);
        }
    }

    /// Waits until a run is over, or at once if this process does not drive it.
    pub async fn over(&self, id: &RunId) {
        if let Some(live) = self.live(id) {
            live.over().await;
        }
    }

    /// How agents are kept in: the grade and what holds the limits, in words.
    pub fn sandbox(&self) -> String {
        match &self.worker {
            Some(worker) => format!("grade {}, limits by {}", worker.grade().as_str(), worker.limits_by().as_str()),
            None => self.no_worker.clone(),
        }
    }

    /// Whether agents can be started here: how they are kept in, or why not.
    ///
    /// # Errors
    /// They cannot, and why.
    pub fn can_start(&self) -> Result<String, String> {
        if self.worker.is_some() { Ok(self.sandbox()) } else { Err(self.no_worker.clone()) }
    }

    /// Whether this process drives a run.
    pub fn is_driven(&self, id: &RunId) -> bool {
        self.all().contains_key(id)
    }

    /// How many runs this process drives.
    pub fn driven(&self) -> usize {
        self.all().len()
    }

    /// How many processes of agents and tools there are.
    pub fn processes(&self) -> usize {
        self.worker.as_ref().map_or(0, |worker| worker.alive())
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<RunId, Arc<Live>>> {
        self.live.lock().expect("no holder of this lock panics")
    }

    /// A run that this process drives.
    pub(crate) fn live(&self, id: &RunId) -> Option<Arc<Live>> {
        self.all().get(id).map(Arc::clone)
    }

    /// Begins to drive a run; `None` if it drives as many as it may.
    pub(crate) fn drive(&self, id: &RunId) -> Option<Arc<Live>> {
        let mut all = self.all();
        if all.len() >= MAX_LIVE_RUNS {
            return None;
        }
        Some(Arc::clone(all.entry(id.clone()).or_default()))
    }

    /// The run is over, and nothing of it is left.
    pub(crate) fn leave(&self, id: &RunId) {
        if let Some(live) = self.all().remove(id) {
            live.end();
        }
        self.soft.forget(id.as_str());
        let _ = std::fs::remove_dir_all(self.scratch.join(id.as_str()));
    }

    /// Every run that this process drives.
    pub(crate) fn drives(&self) -> Vec<RunId> {
        self.all().keys().cloned().collect()
    }

    /// Whoever starts processes.
    ///
    /// # Errors
    /// There is nobody who could.
    pub(crate) fn worker(&self) -> Result<Arc<dyn Worker>, Error> {
        self.worker.as_ref().map(Arc::clone).ok_or_else(|| {
            Error::new(steward_app_node::Kind::Unavailable, "SANDBOX_UNAVAILABLE", self.no_worker.clone())
        })
    }

    /// What the sandbox of a run shows beside the agent's own folder.
    pub(crate) fn mounts(&self, run: &RunId) -> Vec<Mount> {
        let mut mounts = Vec::new();
        if self.programs.is_dir() {
            mounts.push(Mount {
                from: self.programs.clone(),
                at: PROGRAMS.to_owned(),
                executable: true,
                writable: false,
            });
        }
        let handed = self.handed(run);
        if handed.is_dir() {
            mounts.push(Mount { from: handed, at: HANDOFF.to_owned(), executable: false, writable: false });
        }
        mounts
    }

    /// Where a run's copies of what a predecessor left are.
    pub(crate) fn handed(&self, run: &RunId) -> PathBuf {
        self.scratch.join(run.as_str()).join("handoff")
    }

    /// The tools of a run.
    ///
    /// # Errors
    /// There is nobody who could run them.
    pub(crate) fn tools(&self, run: &RunRow, live: &Live) -> Result<Tools, Error> {
        Ok(Tools {
            worker: self.worker()?,
            fetcher: Arc::clone(&self.fetcher),
            mounts: self.mounts(run.id()),
            work: self.context.folders.path_of(&run.state.agent),
            tier: run.state.tier,
            running: live.running.clone(),
            of_server: None,
        })
    }
}
