//! Effects: what was done, and what nobody knows of.

use axum::Json;
use serde::Deserialize;
use steward_app_actions::{self as verbs, EffectRow, Status};
use steward_app_flows::reviews;
use steward_app_node::Error;
use steward_naming::{ActionId, RunId};
use steward_wire::{EffectList, EffectSummary, Problem, ResolveEffect};
use utoipa::IntoParams;

use crate::{
    answer::Refused,
    door::{Asked, Body, Part, Visit},
};

/// Which effects.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// `intended`, `publishing`, `succeeded`, `failed` or `unknown`.
    status: Option<String>,
    /// The run that they belong to.
    run: Option<String>,
}

fn record(row: EffectRow) -> EffectSummary {
    let (error_code, error_message) = row.error.unzip();
    EffectSummary {
        id: row.id.to_string(),
        agent: row.agent.to_string(),
        run: row.run.map(|run| run.to_string()),
        action: row.action,
        resource: row.resource,
        status: row.status.as_str().to_owned(),
        intended_at: row.intended_at.to_string(),
        settled_at: row.settled_at.map(|at| at.to_string()),
        error_code,
        error_message,
    }
}

/// Effects, newest first; of a run, in order.
#[utoipa::path(get, path = "/v1/effects", tag = "runs", params(Which), responses((status = 200, body = EffectList), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit, Asked(which): Asked<Which>) -> Result<Json<EffectList>, Refused> {
    let status: Option<Status> =
        which.status.map(|word| word.parse().map_err(Error::invalid)).transpose().map_err(|e| visit.refused(e))?;
    let run: Option<RunId> =
        which.run.map(|id| id.parse()).transpose().map_err(|e: steward_naming::IdError| visit.refused(e.into()))?;
    let rows = visit
        .read(|context, caller| {
            let run = run.clone();
            async move { verbs::effects(&context, &caller, status, run.as_ref()).await }
        })
        .await?;
    Ok(Json(EffectList { effects: rows.into_iter().map(record).collect() }))
}

/// Says what became of an effect of which the node does not know. Nothing is done again.
#[utoipa::path(post, path = "/v1/effects/{id}/resolve", tag = "runs", params(("id" = String, Path)), request_body = ResolveEffect, responses((status = 200, body = EffectSummary), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn resolve(
    visit: Visit,
    Part(id): Part<String>,
    Body(asked): Body<ResolveEffect>,
) -> Result<Json<EffectSummary>, Refused> {
    let id: ActionId = id.parse().map_err(|e: steward_naming::IdError| visit.refused(e.into()))?;
    let row = visit
        .change(|context, caller| {
            let (id, asked) = (id.clone(), asked.clone());
            async move { reviews::resolve(&context, &caller, &id, asked.happened, &asked.reason).await }
        })
        .await?;
    Ok(Json(record(row)))
}
