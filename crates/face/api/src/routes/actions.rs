//! Actions.

use axum::Json;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use steward_app_actions::{self as verbs, Asked as AskedAction, EffectRow, Explained, rows::Filter};
use steward_app_entries as ledger;
use steward_app_node::Error;
use steward_ledger::Body as EntryBody;
use steward_naming::{ActionId, Name};
use steward_permit::Actor;
use steward_wire::{
    Act, ActionList, ActionRecord, ActionResult, Decide, DecisionRecord, EffectRecord, Explanation, MatchedPolicy,
    Problem, Proof,
};
use utoipa::IntoParams;

use crate::{
    answer::Refused,
    door::{Asked, Body, Part, Visit},
};

/// Actions in one answer if nobody says how many.
const DEFAULT_LIMIT: u32 = 50;

/// Actions in one answer at most.
const MAX_LIMIT: u32 = 500;

pub(crate) fn matched(policies: &[steward_permit::Matched]) -> Vec<MatchedPolicy> {
    let one = |p: &steward_permit::Matched| MatchedPolicy {
        id: p.id.clone(),
        file: p.file.clone(),
        description: p.description.clone(),
    };
    policies.iter().map(one).collect()
}

fn effect(row: &EffectRow) -> EffectRecord {
    let (error_code, error_message) = row.error.clone().unzip();
    let (digest, bytes) = row.written.unzip();
    EffectRecord {
        status: row.status.as_str().to_owned(),
        error_code,
        error_message,
        digest: digest.map(|d| d.to_string()),
        bytes,
    }
}

/// What became of an action that was decided, and has no row: a permitted one that this node has no tool for.
fn outcome(body: &EntryBody) -> Option<EffectRecord> {
    let failed = body.outcome.as_ref().filter(|outcome| !outcome.success)?;
    Some(EffectRecord {
        status: "failed".to_owned(),
        error_code: failed.error_type.clone(),
        error_message: failed.error_message.clone(),
        digest: None,
        bytes: None,
    })
}

fn action(found: &Explained) -> ActionRecord {
    let entry = &found.entry;
    let body = found.body.as_ref();
    let decision = body.and_then(|b| b.decision.as_ref());
    let erased = || "(erased)".to_owned();
    ActionRecord {
        id: entry.decision_id.clone().unwrap_or_else(|| entry.subject.clone()),
        time: entry.time.to_string(),
        actor: body.map_or_else(|| entry.actor.clone(), |b| format!("{} {}", b.actor.kind.as_str(), b.actor.name)),
        via: body.and_then(|b| b.via.clone()),
        tier: body.and_then(|b| b.actor.tier).map(|t| t.to_string()),
        action: entry.action.clone().unwrap_or_default(),
        kind: decision.map_or_else(erased, |d| d.resource.kind.to_string()),
        resource: decision.map_or_else(erased, |d| d.resource.id.clone()),
        decision: DecisionRecord {
            id: entry.decision_id.clone().unwrap_or_default(),
            decision: entry.decision.clone().unwrap_or_default(),
            code: decision.and_then(|d| d.code).map(|c| c.to_string()),
            reason: found.sentences().into_iter().nth(1),
            policies: decision.map(|d| matched(&d.policies)).unwrap_or_default(),
            policy_version: decision.map_or_else(erased, |d| d.policy_version.to_string()),
            entry: Some(entry.seq),
        },
        effect: found.effect.as_ref().map(effect).or_else(|| body.and_then(outcome)),
        entries: found.entries.clone(),
        trace: entry.trace.clone(),
    }
}

/// Asks for one action as an agent and, if it is allowed, has it done.
#[utoipa::path(post, path = "/v1/agents/{name}/actions", tag = "actions", params(("name" = String, Path)), request_body = Act, responses((status = 200, body = ActionResult), (status = 400, body = Problem), (status = 403, description = "refused; the refusal is on record", body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn act(
    visit: Visit,
    Part(name): Part<String>,
    Body(asked): Body<Act>,
) -> Result<Json<ActionResult>, Refused> {
    let content = asked.content.as_deref().map(|text| STANDARD.decode(text)).transpose();
    let content =
        content.map_err(|_| visit.refused(Error::invalid("`content` is not base 64 (RFC 4648, with padding)")))?;
    check_confidence(&visit, asked.confidence_bp)?;
    let asked = AskedAction {
        action: asked.action,
        resource: asked.resource,
        content,
        confidence_bp: asked.confidence_bp,
        ..AskedAction::default()
    };
    let found = visit
        .change(|context, caller| {
            let (name, asked) = (name.clone(), asked.clone());
            async move {
                let agent = steward_app_agents::drive(&context, caller, &name).await?;
                let id = steward_app_flows::act(&context, agent, asked).await?;
                verbs::own(&context, &id)
            }
        })
        .await?;
    Ok(Json(ActionResult { action: action(&found) }))
}

fn check_confidence(visit: &Visit, confidence_bp: Option<u16>) -> Result<(), Refused> {
    match confidence_bp {
        Some(bp) if bp > 10_000 => {
            Err(visit.refused(Error::invalid("`confidence_bp` is in basis points: 0 to 10000, which is certain")))
        }
        _ => Ok(()),
    }
}

/// Asks whether an agent may do something that is enforced elsewhere. The decision is on record.
#[utoipa::path(post, path = "/v1/decisions", tag = "actions", request_body = Decide, responses((status = 200, description = "allow or deny", body = DecisionRecord), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn decide(visit: Visit, Body(asked): Body<Decide>) -> Result<Json<DecisionRecord>, Refused> {
    check_confidence(&visit, asked.confidence_bp)?;
    let answer = visit
        .change(|context, caller| {
            let asked = asked.clone();
            async move {
                let kind = asked.kind.parse()?;
                let agent = match (&asked.agent, &caller.actor) {
                    (Some(name), _) => name.clone(),
                    (None, Actor::Agent { name, .. }) => name.to_string(),
                    (None, _) => return Err(Error::invalid("`agent` is missing: name the agent that asks")),
                };
                let agent = steward_app_agents::drive(&context, caller, &agent).await?;
                let question = AskedAction {
                    action: asked.action,
                    kind: Some(kind),
                    resource: asked.resource,
                    confidence_bp: asked.confidence_bp,
                    ..AskedAction::default()
                };
                verbs::decide(&context, &agent, question).await
            }
        })
        .await?;
    Ok(Json(DecisionRecord {
        id: answer.id.to_string(),
        decision: if answer.denied.is_none() { "allow" } else { "deny" }.to_owned(),
        code: answer.denied.as_ref().map(|e| e.code.to_owned()),
        reason: answer.denied.as_ref().map(|e| e.message.clone()),
        policies: matched(&answer.policies),
        policy_version: answer.policy_version.to_string(),
        entry: answer.recorded.map(|r| r.seq),
    }))
}

/// Which actions.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Whose: the agent's short or full name.
    agent: Option<String>,
    /// `allow` or `deny`.
    decision: Option<String>,
    /// Entries before this one only.
    before: Option<u64>,
    /// At most so many; 50 if not said, 500 at most.
    limit: Option<u32>,
}

/// Actions, newest first.
#[utoipa::path(get, path = "/v1/actions", tag = "actions", params(Which), responses((status = 200, body = ActionList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit, Asked(which): Asked<Which>) -> Result<Json<ActionList>, Refused> {
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let found = visit
        .read(|context, caller| {
            let which = which.clone();
            async move {
                if !matches!(which.decision.as_deref(), None | Some("allow" | "deny")) {
                    return Err(Error::invalid("`decision` is `allow` or `deny`"));
                }
                let agent = which.agent.map(|name| Name::resolve(&name, &context.namespace)).transpose()?;
                let filter = Filter {
                    agent: agent.map(|a| a.to_string()),
                    decision: which.decision,
                    before: which.before,
                    limit,
                };
                verbs::actions(&context, &caller, &filter).await
            }
        })
        .await?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|last| last.entry.seq);
    Ok(Json(ActionList { actions: found.iter().map(action).collect(), next }))
}

fn parse(id: &str) -> Result<ActionId, Error> {
    id.parse().map_err(Error::invalid)
}

/// One action.
#[utoipa::path(get, path = "/v1/actions/{id}", tag = "actions", params(("id" = String, Path)), responses((status = 200, body = ActionRecord), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn show(visit: Visit, Part(id): Part<String>) -> Result<Json<ActionRecord>, Refused> {
    let found = visit
        .read(|context, caller| {
            let id = id.clone();
            async move { verbs::action(&context, &caller, &parse(&id)?).await }
        })
        .await?;
    Ok(Json(action(&found)))
}

/// Why an action was allowed or refused, with the proof that it is in the ledger. That it was read is on record.
#[utoipa::path(get, path = "/v1/actions/{id}/explanation", tag = "actions", params(("id" = String, Path)), responses((status = 200, body = Explanation), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn explain(visit: Visit, Part(id): Part<String>) -> Result<Json<Explanation>, Refused> {
    let (found, proof) = visit
        .read(|context, caller| {
            let id = id.clone();
            async move {
                let found = verbs::explain(&context, &caller, &parse(&id)?).await?;
                let proof = ledger::proof_of(&context, found.entry.seq)?;
                Ok((found, proof))
            }
        })
        .await?;
    let body = found.entry.body.as_deref().map(serde_json::from_slice).transpose();
    let body = body.map_err(|e| visit.refused(Error::broken(e)))?;
    let proof =
        Proof { entry: found.entry.seq, proof: proof.text, vkey: visit.node().context.store.head_key().to_string() };
    Ok(Json(Explanation { action: action(&found), sentences: found.sentences(), body, proof: Some(proof) }))
}
