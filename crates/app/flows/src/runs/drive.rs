//! Driving a run while its agent's process is there: lines in, answers out, until the run is over or the agent says that it is
//! finished. Then the node concludes it by itself (conclude.rs).
//!
//! Deliberately absent: deciding (call.rs).

use std::sync::Arc;

use serde_json::json;
use steward_app_node::{Caller, Error, code};
use steward_clock::mishap;
use steward_governor::{Command, Packet, Phase};
use steward_ledger::kind;
use steward_naming::RunId;
use steward_permit::ResourceKind;
use steward_worker::{EndedBy, Exit, Line, Session};
use tokio::task::JoinSet;

use super::{
    call, conclude, protocol,
    runner::{Live, Runner},
};

/// The most calls of one agent that are under way at once; beyond, its lines wait.
const MAX_CALLS: usize = 32;

/// How long an agent that said it is finished has to end by itself, in milliseconds.
const LEAVE_WITHIN_MS: u64 = 1_000;

/// The tools that an agent could ever use in a run: the three of every agent, and those that its packet's scope names.
pub(crate) fn tools(packet: &Packet) -> Vec<String> {
    let mut tools: Vec<String> = protocol::OWN_TOOLS.iter().map(|tool| (*tool).to_owned()).collect();
    for tool in ["fs.read", "fs.write", "exec", "shell", "http.get"] {
        let named =
            |scope: &str| scope == tool || scope.strip_suffix('*').is_some_and(|prefix| tool.starts_with(prefix));
        let scope = packet.constraints.scope.iter().filter_map(|p| p.as_str().split_once(':'));
        if scope.map(|(action, _)| action).any(named) {
            tools.push(tool.to_owned());
        }
    }
    tools
}

/// Drives a run in the background.
pub(crate) fn spawn(runner: Arc<Runner>, id: RunId, live: Arc<Live>, session: Session) {
    tokio::spawn(async move {
        if let Err(error) = drive(&runner, &id, &live, session).await {
            tracing::error!(run.id = id.as_str(), %error, context = error.context(), "a run could not be driven to its end");
            let (code, message) = (error.code.to_owned(), error.message);
            if let Err(error) = runner.step(&id, Command::Fail { code, message }).await {
                tracing::error!(run.id = id.as_str(), %error, "its end could not be recorded; the background tries again");
            }
        }
        runner.leave(&id);
    });
}

async fn drive(runner: &Arc<Runner>, id: &RunId, live: &Arc<Live>, session: Session) -> Result<(), Error> {
    let Session { to_agent, mut from_agent, killer, mut exit } = session;
    let mut calls = JoinSet::new();
    let mut finished = false;
    let mut exited = None;
    // What takes the run to its next phase waits for what was asked before it, and what is asked after it waits for that.
    let mut turn: Option<Line> = None;
    let mut alone = false;
    let answering = |line: Line| {
        let (runner, id, live, to_agent) = (Arc::clone(runner), id.clone(), Arc::clone(live), to_agent.clone());
        async move { answer(&runner, &id, &live, line, &to_agent).await }
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
            line = from_agent.recv(), if turn.is_none() && !alone && calls.len() < MAX_CALLS => match line {
                Some(line) if moves_on(&line) => turn = Some(line),
                Some(line) => _ = calls.spawn(answering(line)),
                // It closed its output: all that is left is to wait for its end.
                None => exited = Some((&mut exit).await),
            },
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
    let exit = exit.map_err(|_| Error::broken("the worker went away without a word"))?;
    ended(runner, id, &exit).await?;
    if finished {
        return conclude::conclude(runner, id, live).await;
    }
    if !live.is_over() {
        gone(runner, id, &exit).await?;
    }
    Ok(())
}

/// Whether a line takes the run to its next phase, if it is let.
fn moves_on(line: &Line) -> bool {
    let Line::Text(line) = line else { return false };
    protocol::read(line).is_ok_and(|call| ["submit_plan", "finish"].contains(&call.tool.as_str()))
}

/// Answers a line. Tells whether the agent is finished.
async fn answer(
    runner: &Arc<Runner>,
    id: &RunId,
    live: &Live,
    line: Line,
    to_agent: &tokio::sync::mpsc::Sender<String>,
) -> bool {
    let (said, finished) = match line {
        Line::Text(line) => match protocol::read(&line) {
            Ok(call) => call::answer(runner, id, live, &call).await,
            Err(why) => (call::garbled(runner, id, why).await, false),
        },
        Line::TooLong => {
            let why = format!("a line has more than {} bytes", steward_worker::MAX_LINE_BYTES);
            (call::garbled(runner, id, why).await, false)
        }
        Line::NotText => (call::garbled(runner, id, "a line is not UTF-8".to_owned()).await, false),
    };
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
