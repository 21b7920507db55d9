//! A run that is lived again from its record, and what the record says of an agent.

use axum::Json;
use steward_app_flows::runs::{self as verbs, Replayed, ReplayedEvent};
use steward_app_policies::Difference;
use steward_app_runs::{Found, Turn};
use steward_ledger::BodyActor;
use steward_naming::{IdError, RunId};
use steward_wire::{AgentHistory, AgentTurn, NotAsked, Problem, ReplayEvent, RunReplay};

use super::policy_diff::difference;
use crate::{
    answer::Refused,
    door::{Part, Visit},
};

fn event(of: &ReplayedEvent) -> ReplayEvent {
    let (found, why) = match of.step.as_ref().map(|step| &step.found) {
        None => (None, None),
        Some(Found::Same) => (Some("same"), None),
        Some(Found::Differs(why)) => (Some("differs"), Some(why.clone())),
        Some(Found::NotReplayed(why)) => (Some("not_replayed"), Some(why.clone())),
    };
    ReplayEvent {
        entry: of.event.seq,
        time: of.event.time.to_string(),
        kind: of.event.kind.clone(),
        says: of.event.says.clone(),
        command: of.step.as_ref().map(|step| step.command.clone()),
        phase: of.step.as_ref().and_then(|step| step.phase).map(str::to_owned),
        found: found.map(str::to_owned),
        why,
    }
}

fn told(replayed: Replayed) -> RunReplay {
    let (same, differ, not_replayed) = replayed.counts();
    let state = &replayed.run.state;
    let events = replayed.events.iter().map(event).collect();
    let otherwise = replayed.events.iter().filter_map(|of| {
        let (was, would_be) = of.otherwise.clone()?;
        let actor: BodyActor = of.actor.clone()?;
        Some(difference(Difference { seq: of.event.seq, time: of.event.time, actor, was, would_be }))
    });
    let not_asked = replayed.not_asked.iter();
    RunReplay {
        run: state.id.to_string(),
        agent: state.agent.to_string(),
        task: state.task.to_string(),
        status: state.ended.as_ref().map_or_else(|| "running".to_owned(), |ended| ended.ending.to_string()),
        agrees: replayed.agrees,
        same,
        differ,
        not_replayed,
        troubles: replayed.troubles.clone(),
        policy_version: replayed.policy_version.to_string(),
        decisions_same: replayed.same,
        decisions_not_asked: not_asked
            .map(|(why, (count, entry))| NotAsked { why: why.to_string(), count: *count, entry: *entry })
            .collect(),
        decisions_otherwise: otherwise.collect(),
        events,
    }
}

/// A run, lived again from its record: each step made again by the machine and held against what was recorded, and each decision asked
/// again of the policy in force. Nothing is done again; that it was read is recorded.
#[utoipa::path(get, path = "/v1/runs/{id}/replay", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = RunReplay), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn replay(visit: Visit, Part(id): Part<String>) -> Result<Json<RunReplay>, Refused> {
    let id: RunId = id.parse().map_err(|e: IdError| visit.refused(e.into()))?;
    let replayed = visit
        .change(|context, caller| {
            let id = id.clone();
            async move { verbs::replayed(&context, &caller, &id).await }
        })
        .await?;
    Ok(Json(told(replayed)))
}

fn turn(turn: Turn) -> AgentTurn {
    let Turn { seq, time, kind, by, says, tier, run, task, ending, code, compliant } = turn;
    AgentTurn { entry: seq, time: time.to_string(), kind, by, says, tier, run, task, ending, code, compliant }
}

/// What the record says of an agent: registered, tiers, runs and how they ended, revocations and reinstatements.
#[utoipa::path(get, path = "/v1/agents/{name}/history", tag = "agents", params(("name" = String, Path)), responses((status = 200, body = AgentHistory), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn history(visit: Visit, Part(name): Part<String>) -> Result<Json<AgentHistory>, Refused> {
    let (agent, history) = visit
        .read(|context, caller| {
            let name = name.clone();
            async move { verbs::history(&context, &caller, &name).await }
        })
        .await?;
    Ok(Json(AgentHistory {
        agent: agent.to_string(),
        turns: history.turns.into_iter().map(turn).collect(),
        cut: history.is_cut,
    }))
}
