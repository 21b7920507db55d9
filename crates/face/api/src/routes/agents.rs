//! Agents.

use axum::{Json, http::StatusCode};
use steward_app_agents::{self as verbs, AgentRow, Manifest, rows::Status};
use steward_app_node::{Context, Error};
use steward_app_runs::{RevocationRow, open_revocation};
use steward_wire::{AddAgent, AgentList, AgentRecord, Problem, Reason, RevocationRecord};

use crate::{
    answer::Refused,
    door::{Body, Part, Visit},
};

/// An agent, and why it is revoked, while it is.
fn agent(context: &Context, row: AgentRow) -> Result<AgentRecord, Error> {
    let revoked = match row.status {
        Status::Active => None,
        Status::Revoked => context.store.read(|reader| open_revocation(reader, &row.name))?,
    };
    Ok(AgentRecord {
        name: row.name.to_string(),
        namespace: row.name.namespace().to_string(),
        version: row.version,
        tier: row.tier.to_string(),
        description: row.description,
        capabilities: row.capabilities,
        manifest: row.manifest.to_string(),
        status: row.status.as_str().to_owned(),
        command: row.command,
        packet: row.packet.map(|digest| digest.to_string()),
        protocol: row.protocol.as_str().to_owned(),
        revoked: revoked.map(|revocation| format!("{}: {}", revocation.reason, revocation.details)),
        added_at: row.added_at.to_string(),
        allowed: row.allowed,
        refused: row.refused,
        entry: row.entry_seq,
    })
}

fn revocation(row: RevocationRow) -> RevocationRecord {
    let (reinstated_by, reinstated_tier) = row.reinstated.map(|r| (r.by, r.tier.to_string())).unzip();
    RevocationRecord {
        id: row.id.to_string(),
        agent: row.agent.to_string(),
        reason: row.reason.to_string(),
        details: row.details,
        run: row.run.map(|run| run.to_string()),
        by: row.by,
        at: row.at.to_string(),
        reinstated_by,
        reinstated_tier,
        entry: row.entry_seq,
    }
}

/// Every agent of this node.
#[utoipa::path(get, path = "/v1/agents", tag = "agents", responses((status = 200, body = AgentList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<AgentList>, Refused> {
    let agents = visit
        .read(|context, caller| async move {
            let rows = verbs::agents(&context, &caller).await?;
            rows.into_iter().map(|row| agent(&context, row)).collect()
        })
        .await?;
    Ok(Json(AgentList { agents }))
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
        command: asked.command,
        packet: asked.packet,
        protocol: asked.protocol,
    };
    let added = visit
        .change(|context, caller| {
            let manifest = manifest.clone();
            async move { agent(&context, verbs::add(&context, &caller, &manifest).await?) }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Revokes an agent: its run ends, its process is killed, and it may do nothing until a person reinstates it.
#[utoipa::path(post, path = "/v1/agents/{name}/revoke", tag = "agents", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = RevocationRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn revoke(
    visit: Visit,
    Part(name): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<RevocationRecord>, Refused> {
    let row = visit
        .change(|_, caller| {
            let (runner, name, why) = (visit.runner(), name.clone(), why.reason.clone());
            async move { runner.revoke(&caller, &name, &why).await }
        })
        .await?;
    Ok(Json(revocation(row)))
}

/// Reinstates a revoked agent, one tier lower.
#[utoipa::path(post, path = "/v1/agents/{name}/reinstate", tag = "agents", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = RevocationRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn reinstate(
    visit: Visit,
    Part(name): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<RevocationRecord>, Refused> {
    let row = visit
        .change(|_, caller| {
            let (runner, name, why) = (visit.runner(), name.clone(), why.reason.clone());
            async move { runner.reinstate(&caller, &name, &why).await }
        })
        .await?;
    Ok(Json(revocation(row)))
}

/// One agent.
#[utoipa::path(get, path = "/v1/agents/{name}", tag = "agents", params(("name" = String, Path)), responses((status = 200, body = AgentRecord), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn show(visit: Visit, Part(name): Part<String>) -> Result<Json<AgentRecord>, Refused> {
    let found = visit
        .read(|context, caller| {
            let name = name.clone();
            async move { agent(&context, verbs::find(&context, &caller, &name).await?) }
        })
        .await?;
    Ok(Json(found))
}
