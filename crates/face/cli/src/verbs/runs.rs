//! `steward run`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use steward_caller::RunQuery;
use steward_wire::{Reason, RunRecord, StartRun};

use crate::{
    failure::Failure,
    session::Session,
    verbs::{
        evidence,
        follow::follow,
        packets, replay,
        run_view::{advice, detail_view, list_view, run_view},
    },
};

/// What can be done about runs.
#[derive(Debug, Subcommand)]
pub enum RunVerb {
    /// Start a run of an agent, and follow it. Exit code 0 if it completes
    Start(StartArgs),
    /// List runs, newest first
    List {
        /// Of this agent only
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// On this task only
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
        /// Only those that are not over
        #[arg(long)]
        live: bool,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
    /// Show one: its phases, packet, plan, actions, errors, artifacts and report; why it ended, and what to do
    Show {
        /// Its id: run_…
        id: String,
    },
    /// Stop one and its children; the agent keeps its standing
    Stop {
        /// Its id: run_…
        id: String,
        /// Why; recorded
        #[arg(long, value_name = "TEXT", default_value = "no reason was given")]
        reason: String,
    },
    /// Live one again from its record: whether each step leads to what was recorded, and what today's policy would decide otherwise
    #[command(
        after_help = "Exit code 0: every step was made again and agrees; 1: one differs, or could not be made again."
    )]
    Replay {
        /// Its id: run_…
        id: String,
    },
    /// Take what it leaves, for whoever wants to check it without the node
    Evidence {
        /// Its id: run_…
        id: String,
        /// Where to write it, readable by you alone
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Replace the file if there is one
        #[arg(long)]
        force: bool,
    },
}

/// Starts a run.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// The agent's name
    agent: String,
    /// Its instruction packet, in JSON
    #[arg(long, value_name = "FILE", required_unless_present = "task", conflicts_with_all = ["task", "objective"])]
    packet: Option<PathBuf>,
    /// The task that it works on, where the agent's own template is filled in
    #[arg(long, value_name = "TASK", requires = "objective")]
    task: Option<String>,
    /// What it is to reach: "Design a microservices architecture"
    #[arg(requires = "task")]
    objective: Option<String>,
    /// The run that it is to be a child of
    #[arg(long, value_name = "RUN")]
    parent: Option<String>,
    /// Do not follow it
    #[arg(long)]
    detach: bool,
}

pub(crate) async fn carry_out(session: &mut Session, verb: RunVerb) -> Result<(), Failure> {
    match verb {
        RunVerb::Start(args) => start(session, args).await,
        RunVerb::List { agent, task, live, limit } => {
            let query = RunQuery { agent, task, live: live.then_some(true), limit };
            let list = session.caller()?.runs(&query).await?;
            session.show.answer(&list, list_view)
        }
        RunVerb::Show { id } => {
            let detail = session.caller()?.run(&id, None).await?;
            let advice = advice(&detail.run, &|verb| session.command(verb));
            session.show.answer(&detail, |detail, looks| detail_view(detail, &advice, looks))
        }
        RunVerb::Stop { id, reason } => {
            let run = session.caller()?.stop_run(&id, &Reason { reason }).await?;
            session.show.answer(&run, run_view)
        }
        RunVerb::Replay { id } => replay::replay(session, &id).await,
        RunVerb::Evidence { id, output, force } => evidence::take(session, &id, &output, force).await,
    }
}

/// Starts a run and follows it. `--json` prints the `RunRecord` at its end, or at its start with `--detach`.
async fn start(session: &mut Session, args: StartArgs) -> Result<(), Failure> {
    let StartArgs { agent, packet, task, objective, parent, detach } = args;
    let packet = packet.map(|file| packets::read_packet(session, &file)).transpose()?;
    let caller = session.caller()?;
    let run = caller.start_run(&StartRun { agent, packet, task, objective, parent }).await?;
    let id = run.id.clone();
    if detach {
        session.show.answer(&run, run_view)?;
        let show = session.command(&format!("run show {id}"));
        session.show.aside(&format!("It runs; see how far it is with `{show}`."));
        return Ok(());
    }
    session.show.aside(&format!("{id} of {} on `{}`:", run.agent, run.task));
    match follow(session, &caller, &id).await? {
        Some(run) => {
            session.show.answer(&run, run_view)?;
            let advice = advice(&run, &|verb| session.command(verb));
            conclusion(&run, advice)
        }
        None => {
            let (show, stop) = (session.command(&format!("run show {id}")), session.command(&format!("run stop {id}")));
            let message = format!("the run goes on, and nobody follows it; `{show}` shows it");
            Err(Failure::refused(message).hint(format!("stop it with `{stop}`")))
        }
    }
}

/// Done, if the run completed.
fn conclusion(run: &RunRecord, advice: String) -> Result<(), Failure> {
    if run.status == "completed" {
        return Ok(());
    }
    let phase = run.ended_in.as_ref().map(|phase| format!(" in {phase}")).unwrap_or_default();
    let why = run.message.as_deref().unwrap_or("it is not said why");
    let code = run.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    Err(Failure::refused(format!("the run was {}{phase}: {why}{code}", ended(&run.status))).hint(advice))
}

/// An ending after "was".
fn ended(status: &str) -> &str {
    match status {
        "failed" => "a failure",
        "live" => "left alive",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::conclusion;
    use crate::{failure::Exit, testing::story::run_record};

    #[test]
    fn a_run_that_completes_is_done_and_any_other_is_not() {
        assert!(conclusion(&run_record("completed"), String::new()).is_ok());
        for status in ["live", "refused", "failed", "stopped", "revoked", "new"] {
            let failure = conclusion(&run_record(status), "look".into()).unwrap_err();
            assert_eq!(failure.exit, Exit::Refused, "{status}");
            assert_eq!(failure.hint.as_deref(), Some("look"));
        }
        let failure = conclusion(&run_record("revoked"), String::new()).unwrap_err();
        assert_eq!(failure.message, "the run was revoked in EXECUTE: `no such host` twice (REPEATED_ERROR)");
    }
}
