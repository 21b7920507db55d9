//! Servers of tools that stand behind the node.

use axum::{Json, http::StatusCode};
use steward_app_flows::{ServerView, ToolView};
use steward_app_node::Error;
use steward_app_tools::{NewServer, Transport};
use steward_permit::{Tier, UnknownWord};
use steward_wire::{AddTool, AllowTool, Problem, ToolFinding, ToolRecord, ToolServerList, ToolServerRecord};

use crate::{
    answer::Refused,
    door::{Body, Part, Visit},
};

fn tool(view: ToolView) -> ToolRecord {
    ToolRecord {
        name: view.row.name,
        exposed: view.exposed,
        description: view.description,
        tier: view.row.tier.map(|tier| tier.to_string()),
        allowed_by: view.row.allowed_by,
        pin: view.row.pin.to_string(),
        pinned_at: view.row.pinned_at.to_string(),
        pinned_by: view.row.pinned_by,
        now: view.now.to_owned(),
        findings: view
            .findings
            .into_iter()
            .map(|found| ToolFinding { code: found.code.to_string(), message: found.message })
            .collect(),
        input_schema: view.input_schema,
    }
}

fn record(view: ServerView) -> ToolServerRecord {
    let row = view.row;
    let (transport, command, url) = match row.transport {
        Transport::Stdio(argv) => ("stdio", Some(argv), None),
        Transport::Http(url) => ("http", None, Some(url)),
    };
    ToolServerRecord {
        name: row.name.to_string(),
        transport: transport.to_owned(),
        command,
        url,
        secrets: row.secrets,
        connected: view.connected,
        trouble: view.trouble,
        added_by: row.added_by,
        added_at: row.added_at.to_string(),
        tools: view.tools.into_iter().map(tool).collect(),
        new: view.new,
        problems: view.problems,
        entry: row.entry_seq,
    }
}

/// Every server of tools, as far as it is known without asking any.
#[utoipa::path(get, path = "/v1/tools", tag = "tools", responses((status = 200, body = ToolServerList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<ToolServerList>, Refused> {
    let views = visit
        .read(|_, caller| {
            let runner = visit.runner();
            async move { runner.gateway.list(&caller).await }
        })
        .await?;
    Ok(Json(ToolServerList { servers: views.into_iter().map(record).collect() }))
}

/// Puts an MCP server behind the node, asks it for its tools, and pins them. None of them is allowed yet. A server that cannot be
/// asked is added all the same: `trouble` says why, and pinning it tries again.
#[utoipa::path(post, path = "/v1/tools", tag = "tools", request_body = AddTool, responses((status = 201, body = ToolServerRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn add(
    visit: Visit,
    Body(asked): Body<AddTool>,
) -> Result<(StatusCode, Json<ToolServerRecord>), Refused> {
    let new = NewServer { name: asked.name, command: asked.command, url: asked.url, secrets: asked.secrets };
    let view = visit
        .change(|_, caller| {
            let (runner, new) = (visit.runner(), new.clone());
            async move { runner.gateway.add(&caller, &new).await }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(record(view))))
}

/// One server, which is asked for its tools: what was pinned of each, and how that stands now.
#[utoipa::path(get, path = "/v1/tools/{name}", tag = "tools", params(("name" = String, Path)), responses((status = 200, body = ToolServerRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn show(visit: Visit, Part(name): Part<String>) -> Result<Json<ToolServerRecord>, Refused> {
    let view = visit
        .read(|_, caller| {
            let (runner, name) = (visit.runner(), name.clone());
            async move { runner.gateway.show(&caller, &name).await }
        })
        .await?;
    Ok(Json(record(view)))
}

/// Pins what a server says of its tools now. What is new, or another than before, is not allowed any more until somebody allows it.
#[utoipa::path(post, path = "/v1/tools/{name}/pin", tag = "tools", params(("name" = String, Path)), responses((status = 200, body = ToolServerRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn pin(visit: Visit, Part(name): Part<String>) -> Result<Json<ToolServerRecord>, Refused> {
    let view = visit
        .change(|_, caller| {
            let (runner, name) = (visit.runner(), name.clone());
            async move { runner.gateway.pin(&caller, &name).await }
        })
        .await?;
    Ok(Json(record(view)))
}

/// Allows tools of a server from a tier on, or takes that back. What is suspicious has to be seen first.
#[utoipa::path(post, path = "/v1/tools/{name}/allow", tag = "tools", params(("name" = String, Path)), request_body = AllowTool, responses((status = 200, body = ToolServerRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn allow(
    visit: Visit,
    Part(name): Part<String>,
    Body(asked): Body<AllowTool>,
) -> Result<Json<ToolServerRecord>, Refused> {
    let tier: Option<Tier> =
        asked.tier.as_deref().map(str::parse).transpose().map_err(|e: UnknownWord| visit.refused(Error::invalid(e)))?;
    let view = visit
        .change(|_, caller| {
            let (runner, name, tool) = (visit.runner(), name.clone(), asked.tool.clone());
            async move { runner.gateway.allow(&caller, &name, tool.as_deref(), tier, asked.despite_findings).await }
        })
        .await?;
    Ok(Json(record(view)))
}

/// Takes a server away, and ends it, with all that was pinned and allowed of it. The answer is what it was.
#[utoipa::path(post, path = "/v1/tools/{name}/remove", tag = "tools", params(("name" = String, Path)), responses((status = 200, body = ToolServerRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn remove(visit: Visit, Part(name): Part<String>) -> Result<Json<ToolServerRecord>, Refused> {
    let row = visit
        .change(|_, caller| {
            let (runner, name) = (visit.runner(), name.clone());
            async move { runner.gateway.remove(&caller, &name).await }
        })
        .await?;
    let gone =
        ServerView { row, connected: false, trouble: None, tools: Vec::new(), new: Vec::new(), problems: Vec::new() };
    Ok(Json(record(gone)))
}
