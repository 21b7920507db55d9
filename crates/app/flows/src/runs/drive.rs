//! Driving a run while its agent's process is there: lines in, answers out, until the run is over or the agent says that it is
//! finished. Then the node concludes it by itself (conclude.rs).
//!
//! Deliberately absent: deciding (call.rs).

use std::sync::Arc;

use serde_json::json;
use steward_app_node::{Caller, Error, code};
use steward_clock::mishap;
use steward_governor::{Command, Phase};
use steward_ledger::kind;
use steward_naming::{Name, RunId};
use steward_permit::ResourceKind;
use steward_worker::{EndedBy, Exit, Line, Session};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    attach::Incoming,
    call, conclude, protocol,
    runner::{Live, Runner},
};

/// The most calls of one agent that are under way at once; beyond, its lines wait.
const MAX_CALLS: usize = 32;

/// How long an agent that said it is finished has to end by itself, in milliseconds.
const LEAVE_WITHIN_MS: u64 = 1_000;

/// What its agent asks: a line of its process, or a call that came another way.
enum Asks {
    Line(Line),
    Call(Incoming),
}

/// Drives a run in the background.
pub(crate) fn spawn(runner: Arc<Runner>, id: RunId, live: Arc<Live>, session: Session, way: Way) {
    // Open before anybody can call.
    let calls = live.calls.open();
    tokio::spawn(async move {
        let driven = drive(&runner, &id, &live, session, way, calls).await;
        live.calls.close();
        if let Err(error) = driven {
            tracing::error!(run.id = id.as_str(), %error, context = error.context(), "a run could not be driven to its end");
            let (code, message) = (error.code.to_owned(), error.message);
            if let Err(error) = runner.step(&id, Command::Fail { code, message }).await {
                tracing::error!(run.id = id.as_str(), %error, "its end could not be recorded; the background tries again");
            }
        }
        runner.leave(&id);
    });
}

/// How a run's agent is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// In lines, over its standard streams.
    Lines,
    /// By calls; what it writes to its standard output is its own.
    Calls,
    /// By calls; it has no process here.
    Elsewhere,
}

async fn drive(
    runner: &Arc<Runner>,
    id: &RunId,
    live: &Arc<Live>,
    session: Session,
    way: Way,
    mut others: mpsc::Receiver<Incoming>,
) -> Result<(), Error> {
    let Session { to_agent, mut from_agent, killer, mut exit, .. } = session;
    let agent = steward_app_runs::find(&runner.context, id)?.state.agent;
    // An agent that speaks otherwise finds its standard input at its end.
    let to_agent = (way == Way::Lines).then_some(to_agent);
    let mut calls = JoinSet::new();
    let mut finished = false;
    let mut exited = None;
    // What takes the run to its next phase waits for what was asked before it, and what is asked after it waits for that.
    let mut turn: Option<Asks> = None;
    let mut alone = false;
    // It closed its output: no more lines will come, but it may still call.
    let mut closed = false;
    let answering = |asks: Asks| {
        let (runner, id, live, to_agent) = (Arc::clone(runner), id.clone(), Arc::clone(live), to_agent.clone());
        async move { answer(&runner, &id, &live, asks, to_agent).await }
    };
    while exited.is_none() && !finished {
        if calls.is_empty() {
            alone = turn.is_some();
            turn.take().map(&answering).into_iter().for_each(|call| _ = calls.spawn(call));
        }
        tokio::select! {
            biased;
            () = live.over() => break,
            Some(done) = calls.join_next(), if !calls.is_empty() => finished = done.map_err(Error::broken)?,
            line = from_agent.recv(), if !closed && turn.is_none() && !alone && calls.len() < MAX_CALLS => match line {
                Some(line) if way != Way::Lines => tell(id, &agent, &line),
                Some(line) if moves_on(&line) => turn = Some(Asks::Line(line)),
                Some(line) => _ = calls.spawn(answering(Asks::Line(line))),
                None => closed = true,
            },
            Some(call) = others.recv(), if turn.is_none() && !alone && calls.len() < MAX_CALLS => {
                if ADVANCE.contains(&call.call.tool.as_str()) {
                    turn = Some(Asks::Call(call));
                } else {
                    calls.spawn(answering(Asks::Call(call)));
                }
            }
            ended = &mut exit, if closed => exited = Some(ended),
        }
    }
    // What is under way is finished, and told to whoever still listens.
    while let Some(done) = calls.join_next().await {
        finished |= done.map_err(Error::broken)?;
    }
    drop(to_agent);
    if finished && !live.is_over() && exited.is_none() {
        let wait = std::time::Duration::from_millis(LEAVE_WITHIN_MS);
        if let Ok(ended) = tokio::time::timeout(wait, &mut exit).await {
            exited = Some(ended);
        }
    }
    killer.kill();
    let exit = match exited {
        Some(exit) => exit,
        None => exit.await,
    };
    match exit {
        Ok(exit) => {
            ended(runner, id, &exit).await?;
            if !finished && !live.is_over() {
                gone(runner, id, &exit).await?;
            }
        }
        Err(_) if way == Way::Elsewhere => {}
        Err(_) => return Err(Error::broken("the worker went away without a word")),
    }
    if finished { conclude::conclude(runner, id, live).await } else { Ok(()) }
}

/// What an agent writes to its standard output, if that is not how it calls: for whoever reads the node's log.
fn tell(id: &RunId, agent: &Name, line: &Line) {
    if let Line::Text(text) = line {
        let text = steward_naming::visible_to(text, MAX_TOLD);
        tracing::info!(run.id = id.as_str(), agent.name = %agent, text, "an agent wrote");
    }
}

/// The longest text of an agent's that is told in one line of the log, in characters.
const MAX_TOLD: usize = 2_000;

/// The tools that take a run to its next phase.
const ADVANCE: [&str; 2] = ["submit_plan", "finish"];

/// Whether a line takes the run to its next phase, if it is let.
fn moves_on(line: &Line) -> bool {
    let Line::Text(line) = line else { return false };
    protocol::read(line).is_ok_and(|call| ADVANCE.contains(&call.tool.as_str()))
}

/// Answers a line. Tells whether the agent is finished.
async fn answer(
    runner: &Arc<Runner>,
    id: &RunId,
    live: &Live,
    asks: Asks,
    to_agent: Option<mpsc::Sender<String>>,
) -> bool {
    let line = match asks {
        Asks::Line(line) => line,
        Asks::Call(Incoming { call, by, answer }) => {
            let (answered, finished) = call::answer(runner, id, live, &call, by.as_deref()).await;
            // Who hung up is not told; it is on record all the same.
            let _ = answer.send(answered);
            return finished;
        }
    };
    let mut number = None;
    let (answered, finished) = match line {
        Line::Text(line) => match protocol::read(&line) {
            Ok(call) => {
                number = Some(call.id);
                call::answer(runner, id, live, &call, None).await
            }
            Err(why) => (call::garbled(runner, id, why).await, false),
        },
        Line::TooLong => {
            let why = format!("a line has more than {} bytes", steward_worker::MAX_LINE_BYTES);
            (call::garbled(runner, id, why).await, false)
        }
        Line::NotText => (call::garbled(runner, id, "a line is not UTF-8".to_owned()).await, false),
    };
    let said = protocol::said(number, &answered);
    let Some(to_agent) = to_agent else { return finished };
    // Who does not listen is not told; who is finished is not waited for.
    if finished {
        let wait = std::time::Duration::from_millis(LEAVE_WITHIN_MS);
        let _ = tokio::time::timeout(wait, to_agent.send(said)).await;
    } else {
        let _ = to_agent.send(said).await;
    }
    finished
}

/// Records how the agent's process ended, and what it used.
async fn ended(runner: &Runner, id: &RunId, exit: &Exit) -> Result<(), Error> {
    let context = &runner.context;
    let run = steward_app_runs::find(context, id)?;
    let node = Caller { trace: Some(run.trace.clone()), ..Caller::node(&context.namespace) };
    let action = context.action("run.step", ResourceKind::Agent, run.state.agent.to_string())?;
    let granted = context.permit(&node, action, None).await?;
    let change = context
        .change(&node, granted, kind::RUN_AGENT_ENDED, id.as_str())
        .urgent()
        .detail("ended_by", exit.ended_by.as_str())
        .detail("code", json!(exit.code))
        .detail("signal", json!(exit.signal))
        .detail("wall_ms", exit.wall_ms)
        .detail("cpu_ms", json!(exit.cpu_ms))
        .detail("peak_memory_bytes", json!(exit.peak_memory_bytes))
        .detail("oom_kills", exit.oom_kills)
        .detail("refused_forks", exit.refused_forks)
        .detail("output_bytes", exit.output_bytes)
        .detail("stderr_tail", exit.stderr_tail.as_str())
        .detail("grade", exit.grade.as_str())
        .detail("limits_by", exit.limits_by.as_str());
    context.commit(change).await?;
    mishap::at("run.agent_ended").map_err(Error::broken)?;
    Ok(())
}

/// The agent's process ended before it said that it was finished.
async fn gone(runner: &Runner, id: &RunId, exit: &Exit) -> Result<(), Error> {
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("with exit code {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "without a word".to_owned(),
    };
    let tail = exit.stderr_tail.trim();
    let said =
        if tail.is_empty() { String::new() } else { format!("; the last it said on its standard error: {tail}") };
    let (code, message) = match exit.ended_by {
        EndedBy::Seccomp => {
            let details = format!("the agent's process asked the system for what no agent may, and was killed{said}");
            let stepped = runner.step(id, Command::Violation { details: details.clone() }).await?;
            if !stepped.run.is_live() {
                return Ok(());
            }
            (code::SANDBOX_LIMIT, details)
        }
        EndedBy::WallTime => (code::SANDBOX_LIMIT, "the agent ran longer than an agent may".to_owned()),
        EndedBy::Output => (code::SANDBOX_LIMIT, "the agent said more than an agent may".to_owned()),
        EndedBy::Memory => (code::SANDBOX_LIMIT, format!("the agent wanted more memory than an agent may have{said}")),
        EndedBy::Itself | EndedBy::Killed => {
            (code::AGENT_EXITED, format!("the agent's process ended {how} before it called `finish`{said}"))
        }
    };
    let run = steward_app_runs::find(&runner.context, id)?;
    if run.is_live() && run.state.phase <= Phase::Execute {
        let code = code.to_owned();
        match runner.step(id, Command::Fail { code, message }).await {
            Ok(_) => {}
            // A person was quicker.
            Err(error) if error.code == code::RUN_OVER => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
