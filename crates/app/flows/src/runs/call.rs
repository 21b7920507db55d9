//! One call of an agent: is it its turn, does its packet allow it, does policy permit it; then it is done, and what it cost is
//! charged to the run.
//!
//! The order: the run (over, lock, credential), the packet and the phase, then policy, then the effect under the guards of agent,
//! lock and credential. A credential changes with every transition and is revoked with every ending, so that nothing that was
//! decided in one phase is done in the next.
//!
//! Deliberately absent: the process that calls (drive.rs), and what a step does (governor).

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use steward_app_actions::{Asked, OfServer, Status, rows::effects_of_run};
use steward_app_agents::rows as agents;
use steward_app_node::{Caller, Case, Error, Kind, code, without_note};
use steward_app_runs::{Joined, NOT_THE_AGENTS, RunRow};
use steward_clock::mishap;
use steward_governor::{Command, Phase, Plan, Refusal};
use steward_naming::RunId;
use steward_permit::{Action, ActionName, Actor, DenialCode, ResourceKind, ReviewKind, RunUse};
use steward_policy::Question;
use steward_state::Rate;
use steward_store::Guard;

use super::{
    follow::artifacts,
    leases::Leases,
    protocol::{self, Call},
    runner::{Live, Runner},
    waiting,
};
use crate::gateway::{ByLease, NotReady, Ready};

/// How often an agent may call: what a program in a loop reaches, and a node bears from every run at once.
pub(crate) const CALLS: Rate = Rate { per_s: 100, burst: 200 };

/// The longest summary that is kept of an agent that finished, in characters.
const MAX_SUMMARY: usize = 1000;

/// How long an agent counts as alive after a call, in milliseconds: a model may think for minutes.
pub(crate) const HEARTBEAT_MS: u64 = 10 * 60 * 1000;

/// The most actions of a run: three entries each, so that its evidence can be read whole.
pub(crate) const MAX_ACTIONS: u64 = 3_000;

/// The most bytes that a run writes, as they are sent: what a disk of modest size bears from every run at once.
pub(crate) const MAX_WRITTEN_BYTES: u64 = 256 << 20;

/// The longest that an agent which calls too often is made to wait for its answer, in milliseconds: meanwhile fewer of its lines are read.
const MAX_WAIT_MS: u64 = 1_000;

/// How many tools are named to an agent that asked for another.
const MAX_NAMED: usize = 12;

/// How often a call is tried again because something changed under it.
const ATTEMPTS: u32 = 3;

/// What a call came to.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The phase in which the run is now.
    pub phase: Phase,
    /// What it gave, or why not.
    pub outcome: Result<Value, Error>,
}

/// Answers a call. Tells whether the agent is finished.
pub(crate) async fn answer(
    runner: &Runner,
    id: &RunId,
    live: &Live,
    call: &Call,
    by: Option<&Caller>,
) -> (Answered, bool) {
    let answered = match slow_down(runner, id) {
        Some(wait_ms) => {
            tokio::time::sleep(Duration::from_millis(wait_ms.min(MAX_WAIT_MS))).await;
            let message = format!("too many calls; at most {} a second; wait {wait_ms} ms", CALLS.per_s);
            Err(Error::new(Kind::Unavailable, code::RATE_LIMITED, message))
        }
        // That something went wrong can be said while people look at what went wrong before.
        None if call.tool == "report_problem" => report(runner, id, call, by).await,
        None if let Err(error) = Box::pin(waiting::while_held(runner, id, live)).await => Err(error),
        None => match call.tool.as_str() {
            "submit_plan" => submit(runner, id, live, call, by).await,
            "finish" => finish(runner, id, call, by).await,
            _ => match too_many(live, call) {
                Some(error) => Err(error),
                None => act(runner, id, live, call, by).await,
            },
        },
    };
    let phase = phase(runner, id);
    let finished = answered.is_ok() && call.tool == "finish";
    (Answered { phase, outcome: answered }, finished)
}

/// Answers what is no call: an error of the agent.
pub(crate) async fn garbled(runner: &Runner, id: &RunId, why: String) -> Answered {
    let error = Error::new(Kind::Invalid, code::PROTOCOL, why);
    let error = charged(runner, id, error).await;
    Answered { phase: phase(runner, id), outcome: Err(error) }
}

fn phase(runner: &Runner, id: &RunId) -> Phase {
    steward_app_runs::find(&runner.context, id).map_or(Phase::Exit, |run| run.state.phase)
}

/// How long an agent that calls too often has to wait, in milliseconds.
fn slow_down(runner: &Runner, id: &RunId) -> Option<u64> {
    let now = runner.context.now();
    runner.soft.beat(id.as_str(), now, HEARTBEAT_MS);
    runner.soft.take(id.as_str(), CALLS, now).err().map(|wait| wait.ms)
}

/// Not charged, and not recorded: it is what keeps the record and the disk small.
fn too_many(live: &Live, call: &Call) -> Option<Error> {
    let content = ["content", "content_base64"].iter().filter_map(|name| call.arguments.get(*name)?.as_str());
    let bytes = content.map(str::len).sum::<usize>() as u64;
    if bytes > 0 && live.written.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WRITTEN_BYTES {
        let message = format!("a run writes at most {} MiB; finish, and go on in another run", MAX_WRITTEN_BYTES >> 20);
        return Some(Error::new(Kind::Unavailable, code::RATE_LIMITED, message));
    }
    (live.asked.fetch_add(1, Ordering::Relaxed) >= MAX_ACTIONS).then(|| {
        let message = format!("a run does at most {MAX_ACTIONS} actions; finish, and go on in another run");
        Error::new(Kind::Unavailable, code::RATE_LIMITED, message)
    })
}

/// Whether a key may speak in a run: it is the run's agent's own, and good for more than one request. That another's was tried is on
/// record, and costs the run nothing.
///
/// # Errors
/// It may not.
pub(crate) async fn own_key(runner: &Runner, id: &RunId, by: &Caller) -> Result<(), Error> {
    let context = &runner.context;
    let agent = steward_app_runs::find(context, id)?.state.agent;
    if !matches!(&by.actor, Actor::Agent { name, .. } if *name == agent) {
        let action = context.action("run.step", ResourceKind::Agent, agent.to_string())?;
        let why = format!("only `{agent}` speaks in its run, with a key of its own");
        return Err(context.refuse_for(by, action, DenialCode::OutOfScope, why).await?);
    }
    if by.spend.is_some() {
        let message = "a key that is good for one request is too little for a run";
        return Err(Error::new(Kind::Refused, code::KEY_SINGLE_USE, message));
    }
    // A key that does not cover acting says nothing in a run: finishing, and erring, are acts.
    let action = context.action("run.attend", ResourceKind::Agent, agent.to_string())?;
    context.allow(by, action, Some(agent.to_string())).await
}

/// The run and the agent as the caller of its actions, if it still holds what it needs.
pub(crate) struct Standing {
    pub(crate) run: RunRow,
    pub(crate) caller: Caller,
}

pub(crate) fn standing(runner: &Runner, id: &RunId, by: Option<&Caller>) -> Result<Standing, Error> {
    let context = &runner.context;
    let (run, lock, credential, agent) = context.store.read(|reader| {
        let run = steward_app_runs::run(reader, &context.namespace, id)?;
        let run = run.ok_or_else(|| Error::not_found(format!("run `{id}`")))?;
        let lock = steward_app_runs::lock(reader, &run.state.agent)?;
        let credential = match &run.credential {
            None => None,
            Some(credential) => steward_app_runs::credential(reader, &context.namespace, credential)?,
        };
        let agent = agents::agent(reader, &run.state.agent)?;
        Ok::<_, Error>((run, lock, credential, agent))
    })?;
    if let Some(ended) = &run.state.ended {
        let message = format!("the run ended ({}, {}): {}", ended.ending, ended.code, ended.message);
        return Err(Error::new(Kind::Refused, code::RUN_OVER, message));
    }
    let now = context.now();
    let good = credential.filter(|credential| credential.is_good(now));
    let (true, Some(credential)) = (lock.is_held_by(id, run.fence) && lock.is_held(now), good) else {
        let message = "the run lost its lock: another has it, or it gave no sign of life for too long";
        return Err(Error::new(Kind::Refused, code::LOCK_LOST, message));
    };
    let agent = agent.ok_or_else(|| Error::broken("a run's agent is there"))?;
    let (actor, guard) = steward_app_agents::as_actor(&agent)?;
    let chain = context.store.read(|reader| waiting::chain(reader, &run))?;
    let mut guards = vec![guard, lock.guard(), credential.guard()];
    guards.extend(by.into_iter().flat_map(|by| by.guards.iter().cloned()));
    let caller = Caller {
        actor,
        key: by.and_then(|by| by.key.clone()),
        run: Some(RunUse {
            id: id.clone(),
            task: run.state.task.clone(),
            phase: run.state.phase.as_str(),
            fence: run.fence,
        }),
        trace: Some(run.trace.clone()),
        chain,
        guards,
        ..Caller::node(&context.namespace)
    };
    Ok(Standing { run, caller })
}

/// A governed action.
async fn act(runner: &Runner, id: &RunId, live: &Live, call: &Call, by: Option<&Caller>) -> Result<Value, Error> {
    let of_server = live
        .offered
        .get()
        .and_then(|offered| offered.iter().find(|tool| tool.tool == call.tool)?.of.as_ref().map(|of| (of, &**offered)));
    let asked = match of_server {
        None => protocol::asked(call),
        Some(((server, tool), offered)) => protocol::asked_of_server(call, server, tool, offered),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => return Err(charged(runner, id, error).await),
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let standing = match standing(runner, id, by) {
            Ok(standing) => standing,
            Err(error) => return Err(lost(runner, id, error).await),
        };
        match attempt_act(runner, live, &standing, &asked).await {
            Err(error) if error.kind == Kind::Stale && attempt < ATTEMPTS => {}
            // A person must approve it, or the run came to be held after this call was let in: whoever asked waits with it, and
            // then it is asked again, from the packet on.
            Err(Error { code: code::NEEDS_REVIEW, review, .. }) => {
                let decided = Box::pin(waiting::until_decided(runner, id, live, review.as_deref())).await;
                if let Err(error) = decided {
                    return Err(charged(runner, id, error).await);
                }
                attempt = 0;
            }
            Err(error) => return Err(charged(runner, id, error).await),
            Ok(done) => return told(runner, id, done).await,
        }
    }
}

async fn attempt_act(
    runner: &Runner,
    live: &Live,
    standing: &Standing,
    asked: &Asked,
) -> Result<steward_app_actions::Done, Error> {
    let context = &runner.context;
    // What is malformed is refused, and recorded, where actions are read.
    if let (Ok(action), Ok(name)) = (asked.action(context), ActionName::parse(&asked.action)) {
        within_packet(runner, standing, &name, &action).await?;
    }
    let mut tools = runner.tools(&standing.run, live)?;
    let mut caller = standing.caller.clone();
    // Before it is decided: what was allowed a while ago may not be now.
    let mut place = None;
    // By the name that it is offered under: who asks for the bare action names a tool that is nobody's.
    if asked.action == TOOL_CALL && asked.content.is_some() {
        place = live.running.place_to_call().await;
        if place.is_none() {
            return Err(Error::new(Kind::Refused, code::RUN_OVER, "the run ended before the tool was called"));
        }
        let leases = leased(runner, standing, asked).await?;
        caller.guards.extend(leases.needs);
        tools.of_server = of_server(runner, live, standing, asked, &leases.made).await?;
    }
    let done = steward_app_actions::perform(context, caller, asked.clone(), Some(&tools)).await;
    drop(place);
    done
}

/// Whether the packet and the phase allow an action.
///
/// # Errors
/// They do not, which is on record.
pub(crate) async fn within_packet(
    runner: &Runner,
    standing: &Standing,
    name: &ActionName,
    action: &Action,
) -> Result<(), Error> {
    let Err(refusal) = standing.run.state.may(name, action.resource().id()) else { return Ok(()) };
    let code = match refusal {
        // Nothing is refused: a person looks first. Whoever acts waits for them, and it costs nothing.
        Refusal::Held { .. } => return Err(Error::new(Kind::Refused, code::NEEDS_REVIEW, refusal.to_string())),
        Refusal::Forbidden { .. } => DenialCode::ForbiddenAction,
        Refusal::NotInPhase { .. } => DenialCode::WrongPhase,
        Refusal::Over { .. } => DenialCode::RunOver,
        _ => DenialCode::OutOfScope,
    };
    let why = if code == DenialCode::OutOfScope && action.resource().id() == protocol::NOTHING {
        no_tool(runner, standing, name)
    } else {
        refusal.to_string()
    };
    Err(runner.context.refuse_for(&standing.caller, action.clone(), code, why).await?)
}

/// That an agent asked for what is no tool of its run; with the names of those that are.
fn no_tool(runner: &Runner, standing: &Standing, name: &ActionName) -> String {
    let live = runner.live(standing.run.id());
    let offered = live.as_ref().and_then(|live| live.offered.get()).map_or(&[][..], Vec::as_slice);
    let shown: Vec<String> = offered.iter().take(MAX_NAMED).map(|tool| format!("`{}`", tool.tool)).collect();
    let more = match offered.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("`{name}` is no tool of this run; it has {}{more}", shown.join(", "))
}

/// Whether an agent may ask a model now: it is a sign of life, as any call, and not too often.
///
/// # Errors
/// It asks too often.
pub(crate) fn may_ask(runner: &Runner, id: &RunId) -> Result<(), Error> {
    if runner.live(id).is_some_and(|live| live.asked.fetch_add(1, Ordering::Relaxed) >= MAX_ACTIONS) {
        let message = format!("a run does at most {MAX_ACTIONS} actions; finish, and go on in another run");
        return Err(Error::new(Kind::Unavailable, code::RATE_LIMITED, message));
    }
    match slow_down(runner, id) {
        None => Ok(()),
        Some(wait_ms) => {
            let message = format!("too many calls; at most {} a second; wait {wait_ms} ms", CALLS.per_s);
            Err(Error::new(Kind::Unavailable, code::RATE_LIMITED, message))
        }
    }
}

/// The action that calls a tool of another server.
const TOOL_CALL: &str = "tool.call";

/// Leases of the secrets that a tool's server is given, if policy lets the tool be called, or would once a person approved the call.
async fn leased(runner: &Runner, standing: &Standing, asked: &Asked) -> Result<Leases, Error> {
    let context = &runner.context;
    let Some((server, tool)) = asked.resource.split_once('/') else { return Ok(Leases::default()) };
    let Some((tier, secrets)) = runner.gateway.needs(server, tool)? else { return Ok(Leases::default()) };
    let action = asked.action(context)?;
    let owner = Some(context.namespace.to_string());
    let question = Question { needs: Some(tier), ..context.question(&standing.caller, action.clone(), owner) };
    if secrets.is_empty() || context.halt().is_halted || !context.policy().engine.weigh(&question).could_be_allowed() {
        // It is refused where it is decided, and nothing is leased for it.
        return Ok(Leases::default());
    }
    runner.leased(standing, &action, secrets.iter().map(String::as_str)).await
}

/// The tool of another server that is asked for, if it is as it was pinned. One that nobody pinned belongs to nobody.
async fn of_server(
    runner: &Runner,
    live: &Live,
    standing: &Standing,
    asked: &Asked,
    leases: &ByLease,
) -> Result<Option<OfServer>, Error> {
    let Some((server, tool)) = asked.resource.split_once('/') else { return Ok(None) };
    let ready = tokio::select! {
        biased;
        // A server that is slow to come does not keep a run that is over.
        () = live.over() => return Err(Error::new(Kind::Refused, code::RUN_OVER, "the run ended while its server was asked")),
        ready = runner.gateway.ready(server, tool, leases) => ready,
    };
    match ready {
        Ok(Ready { upstream, row, secrets }) => {
            let arguments = asked.content.as_deref().unwrap_or(b"{}");
            let arguments = serde_json::from_slice(arguments).map_err(Error::broken)?;
            let guard = row.guard();
            Ok(Some(OfServer { upstream, tool: row.name, arguments, tier: row.tier, guard, secrets }))
        }
        Err(NotReady::Unknown) => Ok(None),
        Err(NotReady::Trouble(error)) => Err(error),
        Err(NotReady::Changed(why)) => {
            let context = &runner.context;
            let action = asked.action(context)?;
            Err(context.refuse_for(&standing.caller, action, DenialCode::ToolChanged, why).await?)
        }
    }
}

/// What an action gave; that its effect failed, or that nobody knows, is charged.
async fn told(runner: &Runner, id: &RunId, done: steward_app_actions::Done) -> Result<Value, Error> {
    let mut said = json!({"action": done.id.as_str()});
    if let Some(effect) = &done.effect {
        said["status"] = effect.status.as_str().into();
        if effect.status == Status::Unknown {
            stepped(runner, id, Command::UnknownOutcome { action: done.id.clone() }).await;
        }
        if let Some((code, message)) = &effect.error {
            if effect.status == Status::Failed && !NOT_THE_AGENTS.contains(&code.as_str()) {
                let (kind, message) = (code.clone(), message.clone());
                stepped(runner, id, Command::Error { kind, message }).await;
            }
            said["error"] = json!({"code": code, "message": message});
        }
        if let Some((digest, bytes)) = &effect.written {
            said["digest"] = digest.to_string().into();
            said["bytes"] = (*bytes).into();
        }
    }
    if let (Some(product), Value::Object(said)) = (&done.product, &mut said)
        && let Value::Object(product) = protocol::product(product)
    {
        said.extend(product);
    }
    Ok(said)
}

/// Charges a refusal to the run, if it is the agent's: what is broken or full here is not.
pub(crate) async fn charged(runner: &Runner, id: &RunId, error: Error) -> Error {
    // A denial that was only counted is the same error as the one like it that was recorded.
    let (code, message) = (error.code.to_owned(), without_note(&error.message).to_owned());
    let command = match (error.kind, error.code) {
        // Whose doing it is not, or what keeps a budget: neither is an error of the agent.
        (_, code::RUN_OVER | code::LOCK_LOST | code::NEEDS_REVIEW | code::TOOL_CHANGED | "HALTED" | "OVER_BUDGET") => {
            return error;
        }
        (_, "SECRET_REVOKED" | "SECRET_NOT_GRANTED" | "LEASE_REVOKED" | "SECRET_NEEDS_RUN") => return error,
        (_, "FORBIDDEN_ACTION") => Command::Forbidden { details: message },
        (_, "WRONG_PHASE") => Command::Violation { details: message },
        (Kind::Refused, _) => Command::Denied { code, message },
        (Kind::Invalid | Kind::NotFound | Kind::Taken, _) => Command::Error { kind: code, message },
        (Kind::Unauthenticated | Kind::Stale | Kind::Unavailable | Kind::Broken, _) => return error,
    };
    stepped(runner, id, command).await;
    error
}

/// A step that nobody waits for: if the run ended meanwhile, that is as well.
async fn stepped(runner: &Runner, id: &RunId, command: Command) {
    match runner.step(id, command).await {
        Ok(_) => {}
        Err(error) if error.code == code::RUN_OVER => {}
        Err(error) => {
            tracing::error!(run.id = id.as_str(), %error, context = error.context(), "what a call cost could not be recorded");
        }
    }
}

/// A run that lost its lock or its agent ends.
async fn lost(runner: &Runner, id: &RunId, error: Error) -> Error {
    if error.code == code::LOCK_LOST || error.code == code::AGENT_REVOKED {
        let (code, message) = (error.code.to_owned(), error.message.clone());
        stepped(runner, id, Command::Fail { code, message }).await;
    }
    error
}

/// What the machine refuses an agent, recorded and charged.
async fn refused(runner: &Runner, id: &RunId, caller: &Caller, action: &'static str, error: Error) -> Error {
    let code = match error.code {
        "WRONG_PHASE" => Some(DenialCode::WrongPhase),
        "RUN_OVER" => Some(DenialCode::RunOver),
        _ => None,
    };
    if let Some(code) = code {
        let recorded = match runner.context.action(action, ResourceKind::Plan, id.as_str()) {
            Ok(action) => runner.context.refuse_for(caller, action, code, error.message.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            tracing::error!(run.id = id.as_str(), %error, "a refusal could not be recorded");
        }
    }
    charged(runner, id, error).await
}

/// PLAN: the agent submits a plan; policy says whether it may be carried out.
async fn submit(runner: &Runner, id: &RunId, live: &Live, call: &Call, by: Option<&Caller>) -> Result<Value, Error> {
    let (plan, acknowledges) = match read_plan(call) {
        Ok(read) => read,
        Err(error) => return Err(charged(runner, id, error).await),
    };
    let context = &runner.context;
    for attempt in 1_u32.. {
        let standing = match standing(runner, id, by) {
            Ok(standing) => standing,
            Err(error) => return Err(lost(runner, id, error).await),
        };
        let Standing { run, caller } = &standing;
        let owner = Some(run.state.agent.to_string());
        let about = |name| context.action(name, ResourceKind::Plan, id.as_str());
        // Out of turn is said first: a plan in EXECUTE is a violation, whatever policy says of plans.
        let command = Command::Submit { plan: plan.clone(), acknowledges: acknowledges.clone() };
        if let Err(refusal) = run.state.step(command.clone(), context.now()) {
            let error = Error::new(Kind::Refused, refusal.code(), refusal.to_string());
            return Err(refused(runner, id, caller, "plan.write", error).await);
        }
        let action = about("plan.write")?.with_arguments(plan.digest());
        let granted = match context.permit(caller, action, owner.clone()).await {
            Ok(granted) => granted,
            Err(error) if error.kind == Kind::Refused => {
                return refuse_plan(runner, id, error).await;
            }
            Err(error) => return Err(error),
        };
        let bytes = plan.canonical();
        let leave = Some((caller.clone(), granted));
        let more = || Joined { blobs: vec![bytes.clone()], ..Joined::default() };
        match runner.step_with(id, command, leave, more).await {
            Err(error) if error.kind == Kind::Stale && attempt < ATTEMPTS => continue,
            Err(error) => return Err(charged(runner, id, error).await),
            Ok(_) => mishap::at("run.planned").map_err(Error::broken)?,
        }
        return Box::pin(approve(runner, id, live, &plan, by)).await;
    }
    Err(Error::broken("attempts are counted"))
}

/// May the plan be carried out? By policy, or by a person; the agent waits for them.
async fn approve(runner: &Runner, id: &RunId, live: &Live, plan: &Plan, by: Option<&Caller>) -> Result<Value, Error> {
    let context = &runner.context;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let Standing { run, caller } = match standing(runner, id, by) {
            Ok(standing) => standing,
            Err(error) => return Err(lost(runner, id, error).await),
        };
        let action = context.action("plan.execute", ResourceKind::Plan, id.as_str())?.with_arguments(plan.digest());
        let question = context.question(&caller, action, Some(run.state.agent.to_string()));
        let case = Case {
            kind: Some(ReviewKind::Plan),
            why: format!("the plan of `{}` for the task `{}`: {}", run.state.agent, run.state.task, plan.summary),
            document: Some(plan.canonical()),
            ..Case::default()
        };
        let case = std::future::ready(Ok(case));
        let decided = context.decide_case(&caller, question, &steward_store::Refusal::default(), case).await?;
        let refused = match decided {
            Ok(granted) => {
                let by = Some((caller.clone(), granted));
                match runner.step_with(id, Command::Approve, by, Joined::default).await {
                    // The lock was renewed meanwhile, say: nothing was approved yet.
                    Err(error) if error.kind == Kind::Stale && attempt < ATTEMPTS => continue,
                    Err(error) => return Err(error),
                    Ok(_) => return Ok(json!({"approved": true, "plan": plan.digest().to_string()})),
                }
            }
            Err((denial, noted)) => noted.tell(Error::from(&denial)),
        };
        let refused = match &refused.review {
            None => refused,
            Some(review) => {
                let row = Box::pin(waiting::decided(runner, id, live, review)).await?;
                match waiting::refusal(&row) {
                    None => {
                        attempt = 0;
                        continue;
                    }
                    Some(error) => error,
                }
            }
        };
        return refuse_plan(runner, id, refused).await;
    }
}

fn read_plan(call: &Call) -> Result<(Plan, Option<steward_naming::HandoffId>), Error> {
    let mut arguments = call.arguments.clone();
    let acknowledges = match arguments.as_object_mut().and_then(|object| object.remove("acknowledges")) {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id.parse()?),
        Some(_) => return Err(Error::invalid("`acknowledges` is the id of the handoff: hnd_…")),
    };
    let plan = Plan::read(&arguments).map_err(|mistakes| {
        let problem =
            |m: &steward_governor::Mistake| steward_app_node::Problem { at: m.at.clone(), message: m.message.clone() };
        Error::problems(mistakes.iter().map(problem).collect())
    })?;
    Ok((plan, acknowledges))
}

/// A plan that policy, or a person, does not let be carried out ends the run.
async fn refuse_plan(runner: &Runner, id: &RunId, error: Error) -> Result<Value, Error> {
    let run = steward_app_runs::find(&runner.context, id)?;
    let (code, message) = (error.code.to_owned(), error.message.clone());
    let command = if run.state.plan.is_some() {
        Command::RefusePlan { code, message }
    } else {
        Command::Refuse { code, message }
    };
    stepped(runner, id, command).await;
    Err(error)
}

/// What must still hold of a key that somebody came with.
fn guards_of(by: Option<&Caller>) -> Vec<Guard> {
    by.map(|by| by.guards.clone()).unwrap_or_default()
}

/// The agent reports a problem: an error, charged.
async fn report(runner: &Runner, id: &RunId, call: &Call, by: Option<&Caller>) -> Result<Value, Error> {
    let read = || {
        protocol::only(&call.arguments, &["message", "kind"], "report_problem")?;
        let kind = call.arguments.get("kind").and_then(Value::as_str).unwrap_or(code::REPORTED);
        Ok::<_, Error>((kind.to_owned(), protocol::text(&call.arguments, "message")?.to_owned()))
    };
    match read() {
        Err(error) => Err(charged(runner, id, error).await),
        Ok((kind, message)) => {
            let more = || Joined { holds: guards_of(by), ..Joined::default() };
            let stepped = runner.step_with(id, Command::Error { kind, message }, None, more).await?;
            let left = stepped.run.state.left();
            Ok(json!({"errors_left": left.max_total_errors}))
        }
    }
}

/// A text of an agent's as it may stand in the record: on one line, and not too long.
fn visible(text: &str, max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect()
}

/// The agent says that it is done: EXECUTE ends, and with it what the agent may do.
async fn finish(runner: &Runner, id: &RunId, call: &Call, by: Option<&Caller>) -> Result<Value, Error> {
    if let Err(error) = protocol::only(&call.arguments, &["summary"], "finish") {
        return Err(charged(runner, id, error).await);
    }
    let standing = match standing(runner, id, by) {
        Ok(standing) => standing,
        Err(error) => return Err(lost(runner, id, error).await),
    };
    let written = artifacts(&runner.context.store.read(|reader| effects_of_run(reader, id))?);
    let summary = call.arguments.get("summary").and_then(Value::as_str).map(|text| visible(text, MAX_SUMMARY));
    let more = || Joined {
        detail: summary.iter().map(|summary| ("summary", summary.as_str().into())).collect(),
        holds: guards_of(by),
        ..Joined::default()
    };
    match runner.step_with(id, Command::Finish { artifacts: written }, None, more).await {
        Ok(stepped) => match &stepped.run.state.ended {
            None => Ok(json!({"finished": true})),
            Some(ended) => Err(Error::new(Kind::Refused, code::RUN_OVER, ended.message.clone())),
        },
        Err(error) => Err(refused(runner, id, &standing.caller, "plan.write", error).await),
    }
}
