//! Runs, what they leave to a successor, and what they leave to a stranger.

use axum::{Json, http::StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use steward_app_flows::runs::{self as flows, Evidence, NewRun, RunView};
use steward_app_node::{Context, Error};
use steward_app_runs::{RunFilter, RunRow};
use steward_naming::{IdError, Label, RunId};
use steward_wire::{
    ArtifactRecord, EVIDENCE_FORMAT, EvidenceDocument, EvidenceEntry, EvidenceFile, HandoffRecord, Problem, Reason,
    RunDetail, RunEvent, RunList, RunRecord, StartRun,
};
use utoipa::IntoParams;

use crate::{
    answer::Refused,
    door::{Asked, Body, Part, Visit},
};

/// Runs in one answer if nobody says how many.
const DEFAULT_LIMIT: u32 = 50;

/// Runs in one answer at most.
const MAX_LIMIT: u32 = 500;

fn record(row: &RunRow) -> RunRecord {
    let state = &row.state;
    let ended = state.ended.as_ref();
    RunRecord {
        id: state.id.to_string(),
        task: state.task.to_string(),
        agent: state.agent.to_string(),
        agent_version: row.agent_version.clone(),
        tier: state.tier.to_string(),
        phase: state.phase.to_string(),
        status: ended.map_or("live", |ended| ended.ending.as_str()).to_owned(),
        code: ended.map(|ended| ended.code.clone()),
        message: ended.map(|ended| ended.message.clone()),
        ended_in: ended.map(|ended| ended.phase.to_string()),
        started_by: row.started_by.clone(),
        started_at: state.started_at.to_string(),
        ended_at: ended.map(|ended| ended.at.to_string()),
        parent: state.parent.as_ref().map(ToString::to_string),
        objective: state.packet.objective.clone(),
        errors: state.spent.total,
        max_errors: state.packet.error_budget.max_total_errors,
        fence: row.fence,
        sandbox: row.sandbox.clone(),
        trace: row.trace.to_string(),
        entry: row.entry_seq,
    }
}

fn id(visit: &Visit, text: &str) -> Result<RunId, Refused> {
    text.parse().map_err(|e: IdError| visit.refused(e.into()))
}

/// Starts a run, and drives it from then on. The answer is the run as it stands once its agent's process runs, or once it was
/// refused: look at `status`.
#[utoipa::path(post, path = "/v1/runs", tag = "runs", request_body = StartRun, responses((status = 201, body = RunRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn start(visit: Visit, Body(asked): Body<StartRun>) -> Result<(StatusCode, Json<RunRecord>), Refused> {
    let parent = asked.parent.as_deref().map(|parent| id(&visit, parent)).transpose()?;
    let new = NewRun { agent: asked.agent, packet: asked.packet, task: asked.task, objective: asked.objective, parent };
    let row = visit
        .change(|_, caller| {
            let (runner, new) = (visit.runner(), new.clone());
            async move { runner.start(&caller, new).await }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(record(&row))))
}

/// Which runs.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Whose: the agent's short or full name.
    agent: Option<String>,
    /// On which task.
    task: Option<String>,
    /// Only those that are not over.
    live: Option<bool>,
    /// At most so many; 50 if not said, 500 at most.
    limit: Option<u32>,
}

/// Runs, newest first.
#[utoipa::path(get, path = "/v1/runs", tag = "runs", params(Which), responses((status = 200, body = RunList), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit, Asked(which): Asked<Which>) -> Result<Json<RunList>, Refused> {
    let filter = RunFilter {
        agent: which.agent,
        task: which.task,
        live: which.live.unwrap_or(false),
        limit: which.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT),
    };
    let rows = visit
        .read(|context, caller| {
            let filter = filter.clone();
            async move { flows::runs(&context, &caller, &filter).await }
        })
        .await?;
    Ok(Json(RunList { runs: rows.iter().map(record).collect() }))
}

/// What happened since.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// Of what happened, only the entries after this one.
    after: Option<u64>,
}

fn detail(view: RunView) -> Result<RunDetail, Error> {
    Ok(RunDetail {
        run: record(&view.run),
        packet: serde_json::to_value(&view.run.state.packet).map_err(Error::broken)?,
        plan: view.plan,
        handoff: view.handoff,
        report: view.report,
        artifacts: view
            .artifacts
            .into_iter()
            .map(|a| ArtifactRecord { path: a.path, digest: a.digest.to_string(), bytes: a.bytes })
            .collect(),
        children: view.run.state.children.iter().map(ToString::to_string).collect(),
        waits_for: view.waits_for.iter().map(ToString::to_string).collect(),
        events: view
            .events
            .into_iter()
            .map(|e| RunEvent { entry: e.seq, time: e.time.to_string(), kind: e.kind, says: e.says })
            .collect(),
    })
}

/// One run with everything about it. Who follows a run asks again with `after` set to the last entry that they saw.
#[utoipa::path(get, path = "/v1/runs/{id}", tag = "runs", params(("id" = String, Path), Since), responses((status = 200, body = RunDetail), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn show(
    visit: Visit,
    Part(run): Part<String>,
    Asked(since): Asked<Since>,
) -> Result<Json<RunDetail>, Refused> {
    let run = id(&visit, &run)?;
    let found = visit
        .read(|context, caller| {
            let run = run.clone();
            async move { detail(flows::run(&context, &caller, &run, since.after).await?) }
        })
        .await?;
    Ok(Json(found))
}

/// Stops a run and its children. The agent keeps its standing.
#[utoipa::path(post, path = "/v1/runs/{id}/stop", tag = "runs", params(("id" = String, Path)), request_body = Reason, responses((status = 200, body = RunRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn stop(
    visit: Visit,
    Part(run): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<RunRecord>, Refused> {
    let run = id(&visit, &run)?;
    let row = visit
        .change(|_, caller| {
            let (runner, run, why) = (visit.runner(), run.clone(), why.reason.clone());
            async move { runner.stop(&caller, &run, &why).await }
        })
        .await?;
    Ok(Json(record(&row)))
}

fn file(context: &Context, evidence: Evidence) -> Result<EvidenceFile, Error> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(Error::broken);
    let documents = evidence.documents.into_iter().map(|document| EvidenceDocument {
        kind: document.kind.to_owned(),
        digest: document.digest.to_string(),
        bytes: STANDARD.encode(&document.bytes),
    });
    let entries = evidence.entries.into_iter().map(|proved| {
        Ok(EvidenceEntry {
            seq: proved.entry.seq,
            leaf: text(proved.entry.leaf)?,
            body: proved.entry.body.map(text).transpose()?,
            salt: proved.entry.salt.map(|salt| salt.iter().map(|b| format!("{b:02x}")).collect()),
            proof: proved.proof,
        })
    });
    Ok(EvidenceFile {
        format: EVIDENCE_FORMAT.to_owned(),
        run: record(&evidence.run),
        vkey: context.store.head_key().to_string(),
        identity: serde_json::to_value(context.identity()).map_err(Error::broken)?,
        documents: documents.collect(),
        entries: entries.collect::<Result<_, Error>>()?,
    })
}

/// What a run leaves, for a stranger: packet, plan, package, report, and every entry with its proof. That it was read is on record.
#[utoipa::path(get, path = "/v1/runs/{id}/evidence", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = EvidenceFile), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn evidence(visit: Visit, Part(run): Part<String>) -> Result<Json<EvidenceFile>, Refused> {
    let run = id(&visit, &run)?;
    let found = visit
        .read(|context, caller| {
            let run = run.clone();
            async move { file(&context, flows::evidence(&context, &caller, &run).await?) }
        })
        .await?;
    Ok(Json(found))
}

/// The newest handoff of a task: what a revoked agent leaves to its successor.
#[utoipa::path(get, path = "/v1/tasks/{task}/handoff", tag = "runs", params(("task" = String, Path)), responses((status = 200, body = HandoffRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn handoff(visit: Visit, Part(task): Part<String>) -> Result<Json<HandoffRecord>, Refused> {
    let task: Label = task.parse().map_err(|e: steward_naming::NameError| visit.refused(e.into()))?;
    let (row, handoff) = visit
        .read(|context, caller| {
            let task = task.clone();
            async move { flows::handoff(&context, &caller, &task).await }
        })
        .await?;
    Ok(Json(HandoffRecord {
        id: row.id.to_string(),
        handoff,
        acknowledged_by: row.acknowledged_by.map(|run| run.to_string()),
        entry: row.entry_seq,
    }))
}
