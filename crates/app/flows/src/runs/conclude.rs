//! VERIFY, PACKAGE and REPORT: what the node does by itself once an agent is finished, or once it starts again after it died
//! in one of them (GOV-3). Each can be done twice without harm: a check keeps nothing, and documents are named by their content.
//!
//! A criterion that asks a person waits for them, over restarts of the node too.
//!
//! Deliberately absent: what a person sees and says (`app/reviews`).

use std::sync::Arc;

use steward_app_actions::{Status, rows::effects_of_run};
use steward_app_node::Error;
use steward_app_runs::{Joined, RunRow, events};
use steward_governor::offline::{OFFLINE, OFFLINE_AGENT};
use steward_governor::{
    ActionCounts, Command, Criterion, DecisionRef, Ending, EvidencePackage, OutputRef, Phase, PhaseTime, Report,
};
use steward_ledger::{Body, kind};
use steward_naming::RunId;
use steward_worker::GrantPath;

use super::{
    blocking::blocking,
    call::HEARTBEAT_MS,
    follow::artifacts,
    runner::{Live, Runner},
    waiting,
};

/// The most decisions that an evidence package lists; the ledger has all.
const MAX_DECISIONS: usize = 5_000;

/// Takes a run from VERIFY, PACKAGE or REPORT to its end.
///
/// # Errors
/// It cannot be recorded, or its checks cannot be made.
pub(crate) async fn conclude(runner: &Runner, id: &RunId, live: &Live) -> Result<(), Error> {
    loop {
        // By a person, a halt, or the node that stops: what is left of it is done by the next start, or not at all.
        if live.is_over() {
            return Ok(());
        }
        runner.soft.beat(id.as_str(), runner.context.now(), HEARTBEAT_MS);
        match Box::pin(waiting::while_held(runner, id, live)).await {
            Err(error) if error.code == steward_app_node::code::RUN_OVER => return Ok(()),
            held => held?,
        }
        let run = steward_app_runs::find(&runner.context, id)?;
        let stepped = match run.state.phase {
            Phase::Verify => {
                // Ended while it was verified: nothing is known of its criteria, and nothing is claimed.
                let Some(failed) = verify(runner, &run, live).await? else { return Ok(()) };
                let looked_at: Vec<String> =
                    run.state.packet.success_criteria.iter().map(ToString::to_string).collect();
                let used = waiting::criteria_used(&runner.context, id)?.rows;
                let more = || Joined {
                    detail: vec![("criteria", looked_at.clone().into())],
                    rows: used.clone(),
                    ..Joined::default()
                };
                runner.step_with(id, Command::Verified { failed }, None, more).await
            }
            Phase::Package => {
                let missing = missing(runner, &run).await?;
                let package = package(runner, &run)?;
                let more = || Joined {
                    package: Some(package.digest()),
                    blobs: vec![package.canonical()],
                    detail: vec![("package", package.digest().to_string().into())],
                    ..Joined::default()
                };
                runner.step_with(id, Command::Packaged { missing }, None, more).await
            }
            Phase::Report => {
                let report = report(runner, &run)?;
                let more = || Joined {
                    report: Some(report.digest()),
                    blobs: vec![report.canonical()],
                    detail: vec![("report", report.digest().to_string().into())],
                    ..Joined::default()
                };
                runner.step_with(id, Command::Reported, None, more).await
            }
            Phase::Bootstrap | Phase::Preflight | Phase::Plan | Phase::Execute | Phase::Exit => return Ok(()),
        };
        match stepped {
            Ok(_) => {}
            // Somebody stopped it meanwhile.
            Err(error) if error.code == steward_app_node::code::RUN_OVER => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The criteria that do not hold, in words; none if the run was ended before all were looked at.
async fn verify(runner: &Runner, run: &RunRow, live: &Live) -> Result<Option<Vec<String>>, Error> {
    let mut failed = Vec::new();
    for criterion in &run.state.packet.success_criteria {
        runner.soft.beat(run.id().as_str(), runner.context.now(), HEARTBEAT_MS);
        let why = match criterion {
            Criterion::Artifact { path, contains } => artifact(runner, run, path, contains.as_deref()).await?,
            Criterion::Command { argv } => {
                let tools = runner.tools(run, live)?;
                let agent = &run.state.agent;
                steward_app_actions::verify(&runner.context, &tools, agent, run.id(), &run.trace, argv.clone()).await?
            }
            Criterion::Review { question } => match Box::pin(waiting::criterion(runner, run, live, question)).await {
                Err(error) if error.code == steward_app_node::code::RUN_OVER => return Ok(None),
                answered => answered?,
            },
        };
        if let Some(why) = why {
            failed.push(format!("not so: {criterion} ({why})"));
        }
        // What was cut off says nothing about the agent.
        if live.is_over() {
            return Ok(None);
        }
    }
    Ok(Some(failed))
}

async fn artifact(runner: &Runner, run: &RunRow, path: &str, contains: Option<&str>) -> Result<Option<String>, Error> {
    let Ok(path) = GrantPath::parse(path) else { return Ok(Some("no file can have that path".to_owned())) };
    let (folders, agent) = (Arc::clone(&runner.context.folders), run.state.agent.clone());
    let bytes = blocking(move || folders.contents(&agent, &path)).await?.map_err(Error::broken)?;
    Ok(match (bytes, contains) {
        (None, _) => Some("there is no such file".to_owned()),
        (Some(_), None) => None,
        (Some(bytes), Some(text)) if holds(&bytes, text.as_bytes()) => None,
        (Some(_), Some(_)) => Some("the file does not hold that text".to_owned()),
    })
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}

/// The deliverables that PACKAGE does not find, or finds otherwise than the run wrote them.
async fn missing(runner: &Runner, run: &RunRow) -> Result<Vec<String>, Error> {
    let (folders, agent) = (Arc::clone(&runner.context.folders), run.state.agent.clone());
    let paths = run.state.packet.deliverables.clone();
    let wrote = artifacts(&runner.context.store.read(|reader| effects_of_run(reader, run.id()))?);
    blocking(move || {
        let found = |path: &String| {
            let path = GrantPath::parse(path).ok()?;
            folders.published(&agent, &path).ok().flatten()
        };
        let wrong = |path: &String| match (found(path), wrote.iter().find(|artifact| artifact.path == *path)) {
            (None, _) => Some(format!("the deliverable `{path}` is not there")),
            (Some(there), Some(written)) if there.digest != written.digest => {
                Some(format!("the deliverable `{path}` is not what the run wrote: it was changed since"))
            }
            _ => None,
        };
        paths.iter().filter_map(wrong).collect()
    })
    .await
}

/// What the run leaves, by its record.
fn package(runner: &Runner, run: &RunRow) -> Result<EvidencePackage, Error> {
    runner.context.store.read(|reader| {
        let effects = effects_of_run(reader, run.id())?;
        let mut decisions = Vec::new();
        for entry in events(reader, &run.trace, None)? {
            let Some(Body { decision: Some(decision), .. }) = entry.read_body()? else { continue };
            if !matches!(entry.kind.as_str(), kind::ACTION_INTENDED | kind::ACTION_DECIDED | kind::ACTION_REFUSED) {
                continue;
            }
            if decisions.len() < MAX_DECISIONS {
                decisions.push(DecisionRef {
                    seq: entry.seq.to_string(),
                    action: decision.action,
                    resource: decision.resource.id,
                    verdict: decision.outcome.as_str().to_owned(),
                    policies: decision.policies.into_iter().map(|policy| policy.id).collect(),
                });
            }
        }
        let outputs = effects.iter().filter(|effect| effect.action != "fs.write").map(|effect| OutputRef {
            action: effect.id.clone(),
            tool: effect.action.clone(),
            status: effect.status.as_str().to_owned(),
            digest: effect.written.map(|(digest, _)| digest),
        });
        Ok(EvidencePackage {
            run: run.id().clone(),
            task: run.state.task.clone(),
            agent: run.state.agent.clone(),
            packet: run.state.packet.digest(),
            plan: run.state.plan.as_ref().map(steward_governor::Plan::digest),
            artifacts: artifacts(&effects),
            outputs: outputs.collect(),
            decisions,
        })
    })
}

/// What happened, by the record: nothing in it is typed in.
fn report(runner: &Runner, run: &RunRow) -> Result<Report, Error> {
    runner.context.store.read(|reader| {
        let effects = effects_of_run(reader, run.id())?;
        let count = |status| effects.iter().filter(|effect| effect.status == status).count() as u64;
        let mut phases = vec![PhaseTime { phase: Phase::Bootstrap, at: run.state.started_at }];
        let mut denied = 0;
        let mut planner = None;
        for entry in events(reader, &run.trace, None)? {
            if entry.kind == kind::ACTION_REFUSED {
                denied += 1;
            }
            let Some(body) = entry.read_body()? else { continue };
            // What its process was started as: nobody has to say it.
            let argv = body.detail.get("argv").and_then(|argv| argv.as_array());
            if entry.kind == kind::RUN_AGENT_STARTED
                && argv.is_some_and(|argv| argv.iter().skip(1).any(|a| a == OFFLINE_AGENT))
            {
                planner = Some(OFFLINE.to_owned());
            }
            let to = body.detail.get("to").and_then(|to| to.as_str()).and_then(|to| to.parse().ok());
            if let (kind::RUN_PHASE, Some(phase)) = (entry.kind.as_str(), to) {
                phases.push(PhaseTime { phase, at: entry.time });
            }
        }
        Ok(Report {
            run: run.id().clone(),
            task: run.state.task.clone(),
            agent: run.state.agent.clone(),
            tier: run.state.tier,
            packet: run.state.packet.digest(),
            evidence: run.package,
            ending: Ending::Completed,
            code: "COMPLETED".to_owned(),
            message: "every criterion holds, and every deliverable is there".to_owned(),
            phases,
            actions: ActionCounts {
                succeeded: count(Status::Succeeded),
                failed: count(Status::Failed),
                unknown: count(Status::Unknown),
                denied,
            },
            errors: run.state.spent.clone(),
            artifacts: artifacts(&effects),
            planner,
            note: None,
        })
    })
}
