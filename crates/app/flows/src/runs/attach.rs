//! Calls that do not come as lines: over a run's door, or from an agent that runs elsewhere and came with its key.
//!
//! ```text
//! let run = runner.run_of(&agent)?;                                    // the run that its key may speak in
//! match runner.call(&run, None, "fs_read", json!({"path": "/a"}), WAIT).await? {
//!     Called::Done(answered) => …,
//!     Called::Pending(ticket) => runner.await_result(&run, ticket, WAIT).await?,   // later
//! }
//! ```
//!
//! Whoever drives the run answers them, in their turn among all others. A call that takes longer than its caller waits is kept, to be
//! asked for by its ticket. Its answer is kept as well once it was handed out, for whoever hung up before it arrived, until its place is
//! needed.
//!
//! Deliberately absent: deciding (call.rs), and any transport.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use steward_app_node::{Caller, Error, Kind, code};
use steward_governor::{Handoff, Packet};
use steward_naming::{Name, RunId};
use steward_worker::{Killer, Session};
use tokio::sync::{mpsc, oneshot};

use super::{
    call::{Answered, own_key},
    follow::artifacts,
    offered::Offered,
    protocol::Call,
    runner::{Live, Runner},
};

/// How many calls wait for whoever drives the run; beyond, callers wait.
const WAITING: usize = 32;

/// The most calls of a run that are kept because nobody waited for them; beyond, those that were handed out make room, or one must be asked
/// for first.
const MAX_PENDING: usize = 32;

/// A call, and where its answer goes.
pub(crate) struct Incoming {
    pub(crate) call: Call,
    /// Who came with a key: it must still be good when something is done, and covers no more than its scopes.
    pub(crate) by: Option<Box<Caller>>,
    pub(crate) answer: oneshot::Sender<Answered>,
}

/// The way of calls to whoever drives a run.
#[derive(Default)]
pub(crate) struct Calls {
    way: Mutex<Option<mpsc::Sender<Incoming>>>,
    pending: Mutex<BTreeMap<u64, Arc<Kept>>>,
    next: AtomicU64,
}

/// A call that is kept. Whoever waits for it holds it: another who comes with the same ticket waits behind, and is told the same.
type Kept = tokio::sync::Mutex<Waits>;

enum Waits {
    /// It is under way.
    For(oneshot::Receiver<Answered>),
    /// It was answered, and that was handed out.
    Done(Answered),
    /// The run ended first.
    Lost,
}

impl Waits {
    /// Its answer; none if there will be none. Who gives up waiting leaves it as it was.
    async fn answer(&mut self) -> Option<Answered> {
        if let Self::For(answered) = self {
            *self = answered.await.map_or(Self::Lost, Self::Done);
        }
        match self {
            Self::Done(answered) => Some(answered.clone()),
            Self::For(_) | Self::Lost => None,
        }
    }
}

impl Calls {
    /// Opens the way: whoever drives the run takes calls from here.
    pub(crate) fn open(&self) -> mpsc::Receiver<Incoming> {
        let (way, calls) = mpsc::channel(WAITING);
        *self.way.lock().expect("no holder of this lock panics") = Some(way);
        calls
    }

    /// Whether another call could be kept: asked before it is made, for one that was made is done.
    fn has_room(&self) -> Result<(), Error> {
        let mut pending = self.pending.lock().expect("no holder of this lock panics");
        if pending.len() >= MAX_PENDING {
            let is_over =
                |kept: &Arc<Kept>| kept.try_lock().is_ok_and(|waits| matches!(*waits, Waits::Done(_) | Waits::Lost));
            let oldest = pending.iter().find(|(_, kept)| is_over(kept)).map(|(ticket, _)| *ticket);
            oldest.and_then(|ticket| pending.remove(&ticket));
        }
        if pending.len() < MAX_PENDING {
            return Ok(());
        }
        let message = format!("{MAX_PENDING} calls of this run wait to be asked for; ask for one of them first");
        Err(Error::new(Kind::Unavailable, code::RATE_LIMITED, message))
    }

    /// Closes it: who calls from now on is told that the run is over.
    pub(crate) fn close(&self) {
        self.way.lock().expect("no holder of this lock panics").take();
    }
}

/// What became of a call within the time that its caller waits.
#[derive(Debug)]
pub enum Called {
    /// It was answered.
    Done(Answered),
    /// It is under way; its answer is kept under this number.
    Pending(u64),
}

/// What an agent may know of its run at any time.
#[derive(Debug, Clone)]
pub struct Brief {
    /// Its instructions.
    pub packet: Packet,
    /// What a revoked predecessor left.
    pub handoff: Option<Handoff>,
    /// Where the run stands, and what it did: from the record.
    pub evidence: Value,
}

impl Runner {
    /// Whether an agent may speak in a run with this key.
    ///
    /// # Errors
    /// It is not its run, or the key does not cover acting.
    pub async fn attends(&self, run: &RunId, by: &Caller) -> Result<(), Error> {
        own_key(self, run, by).await
    }

    /// The run that an agent is in, if this process drives it.
    ///
    /// # Errors
    /// It is in none.
    pub fn run_of(&self, agent: &Name) -> Result<RunId, Error> {
        let lock = self.context.store.read(|reader| steward_app_runs::lock(reader, agent))?;
        lock.run.filter(|run| self.live(run).is_some()).ok_or_else(|| {
            let message = format!(
                "`{agent}` is in no run, and acts within one only; an operator begins one: `steward run start {} --task TASK \
                 \"OBJECTIVE\"`",
                agent.label()
            );
            Error::new(Kind::Refused, code::NO_RUN, message)
        })
    }

    /// The tools that a run was begun with: they stay the same until it is over.
    ///
    /// # Errors
    /// The run is over.
    pub fn offered(&self, run: &RunId) -> Result<Vec<Offered>, Error> {
        let live = self.live(run).ok_or_else(|| over(run))?;
        Ok(live.offered.get().cloned().unwrap_or_default())
    }

    /// Has a tool called by the name that it is offered under, and waits for its answer for a while.
    ///
    /// # Errors
    /// The run is over, or the key is not its agent's. That the call was refused is no error here: it stands in the answer.
    pub async fn call(
        &self,
        run: &RunId,
        by: Option<Caller>,
        name: &str,
        arguments: Value,
        wait: Duration,
    ) -> Result<Called, Error> {
        let live = self.live(run).ok_or_else(|| over(run))?;
        if let Some(by) = &by {
            own_key(self, run, by).await?;
        }
        live.calls.has_room()?;
        // A name that is not offered goes on as it is: that it was asked for is to be on record.
        let known = live.offered.get().and_then(|offered| offered.iter().find(|tool| tool.name == name));
        let tool = known.map_or(name, |tool| tool.tool.as_str()).to_owned();
        let way = live.calls.way.lock().expect("no holder of this lock panics").clone();
        let (answer, answered) = oneshot::channel();
        let by = by.map(Box::new);
        let incoming = Incoming { call: Call { id: 0, tool, arguments }, by, answer };
        let way = way.ok_or_else(|| over(run))?;
        way.send(incoming).await.map_err(|_| over(run))?;
        wait_for(&live, run, answered, wait).await
    }

    /// Waits again for a call that took longer. Who asks again, as after a connection that was lost, is told the same again.
    ///
    /// # Errors
    /// There is no such call, or the run is over.
    pub async fn await_result(&self, run: &RunId, ticket: u64, wait: Duration) -> Result<Called, Error> {
        let live = self.live(run).ok_or_else(|| over(run))?;
        let kept = live.calls.pending.lock().expect("no holder of this lock panics").get(&ticket).cloned();
        let kept = kept.ok_or_else(|| Error::not_found(format!("call with the ticket {ticket} in this run")))?;
        let answered = tokio::time::timeout(wait, async { kept.lock().await.answer().await }).await;
        match answered {
            Ok(Some(answered)) => Ok(Called::Done(answered)),
            Ok(None) => Err(over(run)),
            Err(_) => Ok(Called::Pending(ticket)),
        }
    }

    /// What an agent may know of its run.
    ///
    /// # Errors
    /// There is no such run, or the store cannot be read.
    pub fn brief(&self, run: &RunId) -> Result<Brief, Error> {
        let row = steward_app_runs::find(&self.context, run)?;
        let (handoff, effects) = self.context.store.read(|reader| {
            let handoff = match &row.state.handoff {
                None => None,
                Some(id) => {
                    let left = steward_app_runs::handoff(reader, id)?;
                    let bytes = left.map(|left| reader.blob(&left.document)).transpose()?.flatten();
                    let bytes = bytes.ok_or_else(|| Error::broken("a handoff is kept"))?;
                    Some(serde_json::from_slice(&bytes).map_err(Error::broken)?)
                }
            };
            Ok::<_, Error>((handoff, steward_app_actions::rows::effects_of_run(reader, run)?))
        })?;
        let left = row.state.left();
        let artifacts = artifacts(&effects);
        let actions = effects.iter().map(|effect| {
            json!({"action": effect.id, "tool": effect.action, "resource": effect.resource, "status": effect.status.as_str()})
        });
        let evidence = json!({
            "run": run, "task": row.state.task, "phase": row.state.phase.as_str(),
            "errors_left": left.max_total_errors,
            "artifacts": artifacts,
            "effects": actions.collect::<Vec<_>>(),
        });
        Ok(Brief { packet: row.state.packet.clone(), handoff, evidence })
    }
}

/// Waits for an answer; one that does not come in time is kept.
async fn wait_for(
    live: &Live,
    run: &RunId,
    mut answered: oneshot::Receiver<Answered>,
    wait: Duration,
) -> Result<Called, Error> {
    match tokio::time::timeout(wait, &mut answered).await {
        Ok(Ok(answered)) => Ok(Called::Done(answered)),
        Ok(Err(_)) => Err(over(run)),
        Err(_) => {
            // It is under way, so that it is kept whether there is room or not: what it gave must not be lost.
            let mut pending = live.calls.pending.lock().expect("no holder of this lock panics");
            let ticket = live.calls.next.fetch_add(1, Ordering::Relaxed) + 1;
            pending.insert(ticket, Arc::new(Kept::new(Waits::For(answered))));
            Ok(Called::Pending(ticket))
        }
    }
}

fn over(run: &RunId) -> Error {
    Error::new(Kind::Refused, code::RUN_OVER, format!("the run `{run}` is over, or this node does not drive it"))
}

/// What takes the place of a process for an agent that runs elsewhere: it says nothing in lines, and ends when it is told to.
pub(crate) fn elsewhere() -> Session {
    let (to_agent, _) = mpsc::channel(1);
    let (lines, from_agent) = mpsc::channel(1);
    let (ended, exit) = oneshot::channel();
    let held = Mutex::new(Some((lines, ended)));
    // Nothing can be said of how it ended: whoever waits is told that, by the sender's end.
    let killer = Killer::new(move || drop(held.lock().expect("no holder of this lock panics").take()));
    Session::from_parts(to_agent, from_agent, killer, exit)
}
