//! Agents.

use axum::{Json, http::StatusCode};
use steward_app_agents::{self as verbs, AgentRow, Manifest};
use steward_wire::{AddAgent, AgentList, AgentRecord, Problem};

use crate::{
    answer::Refused,
    door::{Body, Part, Visit},
};

fn agent(row: AgentRow) -> AgentRecord {
    AgentRecord {
        name: row.name.to_string(),
        namespace: row.name.namespace().to_string(),
        version: row.version,
        tier: row.tier.to_string(),
        description: row.description,
        capabilities: row.capabilities,
        manifest: row.manifest.to_string(),
        status: row.status,
        added_at: row.added_at.to_string(),
        allowed: row.allowed,
        refused: row.refused,
        entry: row.entry_seq,
    }
}

/// Every agent of this node.
#[utoipa::path(get, path = "/v1/agents", tag = "agents", responses((status = 200, body = AgentList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<AgentList>, Refused> {
    let rows = visit.read(|context, caller| async move { verbs::agents(&context, &caller).await }).await?;
    Ok(Json(AgentList { agents: rows.into_iter().map(agent).collect() }))
}

/// Registers an agent.
#[utoipa::path(post, path = "/v1/agents", tag = "agents", request_body = AddAgent, responses((status = 201, body = AgentRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn add(visit: Visit, Body(asked): Body<AddAgent>) -> Result<(StatusCode, Json<AgentRecord>), Refused> {
    let manifest = Manifest {
        name: asked.name,
        version: asked.version,
        tier: asked.tier,
        description: asked.description,
        capabilities: asked.capabilities,
    };
    let row = visit
        .change(|context, caller| {
            let manifest = manifest.clone();
            async move { verbs::add(&context, &caller, &manifest).await }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(agent(row))))
}

/// One agent.
#[utoipa::path(get, path = "/v1/agents/{name}", tag = "agents", params(("name" = String, Path)), responses((status = 200, body = AgentRecord), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn show(visit: Visit, Part(name): Part<String>) -> Result<Json<AgentRecord>, Refused> {
    let row = visit
        .read(|context, caller| {
            let name = name.clone();
            async move { verbs::find(&context, &caller, &name).await }
        })
        .await?;
    Ok(Json(agent(row)))
}
