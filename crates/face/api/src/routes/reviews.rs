//! The inbox: what waits for people's decisions.

use axum::Json;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use steward_app_flows::{reviews as flows, standing};
use steward_app_node::{Error, ReviewRow, rows::ReviewFilter};
use steward_app_reviews::{self as verbs, Documents};
use steward_naming::ReviewId;
use steward_permit::ReviewKind;
use steward_seal::Digest;
use steward_wire::{
    Problem, Reason, ReviewDecision, ReviewDetail, ReviewDocument, ReviewList, ReviewRecord, TierChange,
};
use utoipa::IntoParams;

use crate::{
    answer::Refused,
    door::{Asked, Body, Part, Visit},
};

/// Which reviews.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// `pending`, `approved`, `rejected`, `expired`, `voided` or `used`.
    status: Option<String>,
    /// `plan`, `action`, `criterion`, `escalation`, `promotion`, `appeal`, `reinstatement`, `outcome` or `tool`.
    kind: Option<String>,
    /// About this agent: a full name.
    agent: Option<String>,
    /// That this run waits for.
    run: Option<String>,
    /// Newer than this one.
    after: Option<String>,
    /// At most so many; 1000 if nothing is said.
    limit: Option<u32>,
}

fn record(row: ReviewRow) -> ReviewRecord {
    let answer = row.review.answer();
    let review = row.review;
    ReviewRecord {
        id: review.id.to_string(),
        kind: review.kind.as_str().to_owned(),
        status: review.status.as_str().to_owned(),
        asker: review.asker,
        chain: review.chain.into_iter().collect(),
        action: review.asked.action,
        resource: review.asked.resource,
        digest: review.asked.digest.to_string(),
        policy: review.policy.to_string(),
        tier: review.tier.as_str().to_owned(),
        agent: review.agent,
        run: review.run.map(|run| run.to_string()),
        why: review.why,
        opened_at: review.opened_at.to_string(),
        expires_at: review.expires_at.to_string(),
        decisions: review
            .decisions
            .into_iter()
            .map(|said| ReviewDecision {
                by: said.by,
                approves: said.approves,
                reason: said.reason,
                own: said.own,
                at: said.at.to_string(),
            })
            .collect(),
        answer,
        used_by: review.used_by.map(|id| id.to_string()),
        entry: row.entry_seq,
    }
}

fn document(bytes: Vec<u8>) -> ReviewDocument {
    let (digest, size) = (Digest::of(&bytes).to_string(), bytes.len() as u64);
    match String::from_utf8(bytes) {
        Ok(text) => ReviewDocument { digest, bytes: size, text: Some(text), base64: None },
        Err(error) => {
            ReviewDocument { digest, bytes: size, text: None, base64: Some(STANDARD.encode(error.as_bytes())) }
        }
    }
}

/// What follows from a decision, by what kind it is.
const fn consequences(kind: ReviewKind) -> (&'static str, &'static str) {
    match kind {
        ReviewKind::Plan => (
            "the run goes on to EXECUTE; each action of it is still decided by itself",
            "the run ends, refused; the agent keeps its standing",
        ),
        ReviewKind::Action => (
            "exactly this is done, once, if it is asked for before the review ends",
            "it is not done; a rejection counts as an error of the agent, no answer does not",
        ),
        ReviewKind::Criterion => (
            "the criterion holds, and the run goes on to PACKAGE if the others hold, too",
            "the criterion does not hold, and the run ends, failed",
        ),
        ReviewKind::Escalation => ("the run goes on", "the run is stopped; the agent keeps its standing"),
        ReviewKind::Promotion => ("the agent gets the tier, at once", "the agent stays what it is"),
        ReviewKind::Appeal => ("the agent gets the tier back, at once", "the agent stays what it is"),
        ReviewKind::Outcome => (
            "the effect is on record as done; nothing is done again",
            "a rejection puts it on record as not done; without an answer it stays unknown",
        ),
        ReviewKind::Reinstatement => {
            ("the agent may work again, one tier lower, at once", "the agent stays revoked, and may do nothing")
        }
        ReviewKind::Tool => (
            "what the server says of its tools now is pinned, and they can be used again; one in which something is suspicious must be allowed anew",
            "the tools stay refused",
        ),
    }
}

fn detail(row: ReviewRow, documents: Documents) -> ReviewDetail {
    let (if_approved, if_not) = consequences(row.review.kind);
    ReviewDetail {
        review: record(row),
        document: documents.document.map(document),
        before: documents.before.map(document),
        if_approved: if_approved.to_owned(),
        if_not: if_not.to_owned(),
    }
}

fn id_of(visit: &Visit, id: &str) -> Result<ReviewId, Refused> {
    id.parse().map_err(|e: steward_naming::IdError| visit.refused(e.into()))
}

/// Reviews, newest first.
#[utoipa::path(get, path = "/v1/reviews", tag = "reviews", operation_id = "list_reviews", params(Which), responses((status = 200, body = ReviewList), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit, Asked(which): Asked<Which>) -> Result<Json<ReviewList>, Refused> {
    let status =
        which.status.map(|word| word.parse().map_err(Error::invalid)).transpose().map_err(|e| visit.refused(e))?;
    let kind: Option<ReviewKind> = which
        .kind
        .map(|word| word.parse())
        .transpose()
        .map_err(|e: steward_permit::UnknownWord| visit.refused(e.into()))?;
    let filter = ReviewFilter {
        status,
        kind: kind.map(|kind| kind.as_str().to_owned()),
        agent: which.agent,
        run: which.run,
        after: which.after,
        limit: which.limit.unwrap_or_default(),
    };
    let rows = visit
        .read(|context, caller| {
            let filter = filter.clone();
            async move { verbs::list(&context, &caller, &filter).await }
        })
        .await?;
    Ok(Json(ReviewList { reviews: rows.into_iter().map(record).collect() }))
}

/// One review, with all that a person needs to decide it. That it was read is on record.
#[utoipa::path(get, path = "/v1/reviews/{id}", tag = "reviews", operation_id = "show_review", params(("id" = String, Path)), responses((status = 200, body = ReviewDetail), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn show(visit: Visit, Part(id): Part<String>) -> Result<Json<ReviewDetail>, Refused> {
    let id = id_of(&visit, &id)?;
    let (row, documents) = visit
        .read(|context, caller| {
            let id = id.clone();
            async move { verbs::show(&context, &caller, &id).await }
        })
        .await?;
    Ok(Json(detail(row, documents)))
}

/// Says yes. Nobody approves what they asked for.
#[utoipa::path(post, path = "/v1/reviews/{id}/approve", tag = "reviews", operation_id = "approve_review", params(("id" = String, Path)), request_body = Reason, responses((status = 200, body = ReviewRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn approve(
    visit: Visit,
    Part(id): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<ReviewRecord>, Refused> {
    let id = id_of(&visit, &id)?;
    let row = visit
        .change(|_, caller| {
            let (runner, id, why) = (visit.runner(), id.clone(), why.reason.clone());
            async move { flows::approve(&runner, &caller, &id, &why).await }
        })
        .await?;
    Ok(Json(record(row)))
}

/// Says no.
#[utoipa::path(post, path = "/v1/reviews/{id}/reject", tag = "reviews", operation_id = "reject_review", params(("id" = String, Path)), request_body = Reason, responses((status = 200, body = ReviewRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn reject(
    visit: Visit,
    Part(id): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<ReviewRecord>, Refused> {
    let id = id_of(&visit, &id)?;
    let row = visit
        .change(|_, caller| {
            let (runner, id, why) = (visit.runner(), id.clone(), why.reason.clone());
            async move { flows::reject(&runner, &caller, &id, &why).await }
        })
        .await?;
    Ok(Json(record(row)))
}

/// Asks that an agent gets a tier more: by its record, and where policy says so with a person's approval.
#[utoipa::path(post, path = "/v1/agents/{name}/promote", tag = "agents", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = TierChange), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn promote(
    visit: Visit,
    Part(name): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<TierChange>, Refused> {
    let change = visit.change(|context, caller| {
        let (name, why) = (name.clone(), why.reason.clone());
        async move { changed(&context, &name, standing::promote(&context, &caller, &name, &why).await?) }
    });
    Ok(Json(change.await?))
}

/// Asks that an agent gets the tier back that was taken from it.
#[utoipa::path(post, path = "/v1/agents/{name}/appeal", tag = "agents", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = TierChange), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn appeal(
    visit: Visit,
    Part(name): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<TierChange>, Refused> {
    let change = visit.change(|context, caller| {
        let (name, why) = (name.clone(), why.reason.clone());
        async move { changed(&context, &name, standing::appeal(&context, &caller, &name, &why).await?) }
    });
    Ok(Json(change.await?))
}

/// Takes a tier from an agent, at once.
#[utoipa::path(post, path = "/v1/agents/{name}/demote", tag = "agents", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = TierChange), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn demote(
    visit: Visit,
    Part(name): Part<String>,
    Body(why): Body<Reason>,
) -> Result<Json<TierChange>, Refused> {
    let row = visit
        .change(|context, caller| {
            let (name, why) = (name.clone(), why.reason.clone());
            async move { standing::demote(&context, &caller, &name, &why).await }
        })
        .await?;
    Ok(Json(TierChange {
        agent: row.name.to_string(),
        tier: row.tier.as_str().to_owned(),
        changed: true,
        review: None,
    }))
}

fn changed(context: &steward_app_node::Context, name: &str, promoted: standing::Promoted) -> Result<TierChange, Error> {
    match promoted {
        standing::Promoted::Done(row) => Ok(TierChange {
            agent: row.name.to_string(),
            tier: row.tier.as_str().to_owned(),
            changed: true,
            review: None,
        }),
        standing::Promoted::Waits(review) => {
            let row = standing::find(context, name)?;
            Ok(TierChange {
                agent: row.name.to_string(),
                tier: row.tier.as_str().to_owned(),
                changed: false,
                review: Some(review.to_string()),
            })
        }
    }
}
