//! Who people are to issuers of tokens: logging in by one, and linking.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use steward_app_people::{self as verbs, LinkRow, NewLink};
use steward_wire::{
    CreatedKey, LinkList, LinkPerson, LinkRecord, LoginIssuer, LoginIssuers, LoginToken, Problem as Refusal,
    UnlinkPerson,
};

use super::people::created;
use crate::{
    answer::Refused,
    door::{Body, Part, Visit},
    node::Node,
};

fn link_record(row: LinkRow) -> LinkRecord {
    LinkRecord {
        id: row.id.to_string(),
        person: row.person.to_string(),
        purpose: row.purpose().to_owned(),
        issuer: row.issuer,
        subject: row.subject,
        linked_by: row.linked_by,
        linked_at: row.linked_at.to_string(),
        entry: row.entry_seq,
    }
}

/// By whom people can log in.
#[utoipa::path(get, path = "/v1/login/issuers", tag = "people", responses((status = 200, body = LoginIssuers)), security(()))]
pub(crate) async fn issuers(State(node): State<Arc<Node>>) -> Json<LoginIssuers> {
    let issuers =
        node.context.issuers.iter().filter_map(|issuer| {
            Some(LoginIssuer { url: issuer.url().to_owned(), client: issuer.client()?.to_owned() })
        });
    Json(LoginIssuers { issuers: issuers.collect() })
}

/// Exchanges an ID token of an issuer for a key of one's own, once.
#[utoipa::path(post, path = "/v1/login/token", tag = "people", request_body = LoginToken, responses((status = 201, body = CreatedKey), (status = 401, body = Refusal), (status = 503, body = Refusal)), security(()))]
pub(crate) async fn login(
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    Body(asked): Body<LoginToken>,
) -> Result<(StatusCode, Json<CreatedKey>), Refused> {
    let (visit, proven) = Visit::logging_in(&node, &headers, &asked.id_token, asked.proof.as_deref()).await?;
    let made = visit
        .change(|context, caller| {
            let (label, proven) = (asked.label.clone(), proven.clone());
            async move { Ok(created(&context, verbs::exchange_token(&context, &caller, &proven, label).await?)) }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Who people are to issuers.
#[utoipa::path(get, path = "/v1/links", tag = "people", responses((status = 200, body = LinkList), (status = 403, body = Refusal)))]
pub(crate) async fn links(visit: Visit) -> Result<Json<LinkList>, Refused> {
    let links = visit.read(|context, caller| async move { verbs::links(&context, &caller).await }).await?;
    Ok(Json(LinkList { links: links.into_iter().map(link_record).collect() }))
}

/// Links a person with somebody of an issuer, who comes in as them from then on.
#[utoipa::path(post, path = "/v1/people/{name}/link", tag = "people", params(("name" = String, Path)), request_body = LinkPerson, responses((status = 201, body = LinkRecord), (status = 400, body = Refusal), (status = 403, body = Refusal), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(crate) async fn link(
    visit: Visit,
    Part(name): Part<String>,
    Body(asked): Body<LinkPerson>,
) -> Result<(StatusCode, Json<LinkRecord>), Refused> {
    let row = visit
        .change(|context, caller| {
            let (name, asked) = (name.clone(), asked.clone());
            async move {
                let new = NewLink { issuer: asked.issuer, subject: asked.subject, is_service: asked.service };
                verbs::link(&context, &caller, &name.parse()?, new).await
            }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(link_record(row))))
}

/// Takes a link away: no key and no token that stood on it is good any more.
#[utoipa::path(post, path = "/v1/people/{name}/unlink", tag = "people", params(("name" = String, Path)), request_body = UnlinkPerson, responses((status = 200, body = LinkRecord), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
pub(crate) async fn unlink(
    visit: Visit,
    Part(name): Part<String>,
    Body(asked): Body<UnlinkPerson>,
) -> Result<Json<LinkRecord>, Refused> {
    let row = visit
        .change(|context, caller| {
            let (name, asked) = (name.clone(), asked.clone());
            async move { verbs::unlink(&context, &caller, &name.parse()?, &asked.issuer, &asked.subject).await }
        })
        .await?;
    Ok(Json(link_record(row)))
}
