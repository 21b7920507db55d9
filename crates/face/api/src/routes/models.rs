//! Language models, budgets, and what was used.

use axum::{Json, http::StatusCode};
use serde::Deserialize;
use steward_app_models::{self as verbs, BudgetRow, Limits, ModelRow, NewBudget, NewModel, Per, Spent, Used};
use steward_app_node::Error;
use steward_naming::Name;
use steward_wire::{
    AddModel, BudgetLimits, BudgetList, BudgetRecord, BudgetUsed, ModelList, ModelRecord, ModelTested, Problem,
    SetBudget, UsageRecord, UsageReport,
};
use utoipa::IntoParams;

use crate::{
    answer::Refused,
    door::{Asked, Body, Part, Visit},
};

/// How a breaker stands of which nobody heard anything.
const CLOSED: &str = "closed";

fn record(row: ModelRow, breakers: &[(String, &'static str)]) -> ModelRecord {
    let breaker = breakers.iter().find(|(name, _)| name == row.name.as_str()).map_or(CLOSED, |(_, state)| state);
    ModelRecord {
        name: row.name.to_string(),
        wire: row.wire.as_str().to_owned(),
        url: row.url,
        upstream: row.upstream,
        secret: row.secret,
        tier: row.tier.to_string(),
        input_price_micros: row.input_micros,
        output_price_micros: row.output_micros,
        max_output: row.max_output,
        fallback: row.fallback.map(|name| name.to_string()),
        breaker: breaker.to_owned(),
        added_by: row.added_by,
        added_at: row.added_at.to_string(),
        entry: row.entry_seq,
    }
}

fn budget(row: BudgetRow, used: Option<Spent>) -> BudgetRecord {
    let Limits { calls, tokens, micros } = row.limits;
    BudgetRecord {
        agent: row.agent.map(|name| name.to_string()),
        per: row.per.as_str().to_owned(),
        limits: BudgetLimits { calls, tokens, micros },
        used: used.map(|used| BudgetUsed { calls: used.calls, tokens: used.tokens, micros: used.micros }),
        set_by: row.set_by,
        set_at: row.set_at.to_string(),
    }
}

fn report(used: Used) -> UsageReport {
    let one = |(agent, model, spent, unsettled): (String, String, Spent, u64)| {
        let Spent { calls, tokens, micros } = spent;
        UsageRecord { agent, model, calls, tokens, micros, unsettled }
    };
    UsageReport {
        since: used.since,
        by: used.by.into_iter().map(one).collect(),
        budgets: used.budgets.into_iter().map(|(row, used)| budget(row, used)).collect(),
    }
}

/// Every model of this node.
#[utoipa::path(get, path = "/v1/models", tag = "models", responses((status = 200, body = ModelList), (status = 403, body = Problem)))]
pub(crate) async fn list(visit: Visit) -> Result<Json<ModelList>, Refused> {
    let rows = visit.read(|context, caller| async move { verbs::models(&context, &caller).await }).await?;
    let breakers = visit.runner().breakers();
    Ok(Json(ModelList { models: rows.into_iter().map(|row| record(row, &breakers)).collect() }))
}

/// Puts a model behind the node. One that is there already is replaced only if that is asked for. Its secret must be there.
#[utoipa::path(post, path = "/v1/models", tag = "models", request_body = AddModel, responses((status = 201, body = ModelRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn add(visit: Visit, Body(asked): Body<AddModel>) -> Result<(StatusCode, Json<ModelRecord>), Refused> {
    let new = NewModel {
        name: asked.name,
        wire: asked.wire.unwrap_or_else(|| "openai".to_owned()),
        url: asked.url,
        upstream: asked.upstream,
        secret: asked.secret,
        tier: asked.tier,
        input_micros: asked.input_price_micros,
        output_micros: asked.output_price_micros,
        max_output: asked.max_output,
        fallback: asked.fallback,
        replace: asked.replace,
    };
    let row = visit
        .change(|_, caller| {
            let (runner, new) = (visit.runner(), new.clone());
            async move { runner.add_model(&caller, &new).await }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(record(row, &visit.runner().breakers()))))
}

/// Asks a model something small: whether address, key and name are right. It costs what a word or two cost, counts in no budget, and
/// no fallback answers instead.
#[utoipa::path(post, path = "/v1/models/{name}/test", tag = "models", params(("name" = String, Path)), responses((status = 200, body = ModelTested), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn test(visit: Visit, Part(name): Part<String>) -> Result<Json<ModelTested>, Refused> {
    let tested = visit
        .change(|_, caller| {
            let (runner, name) = (visit.runner(), name.clone());
            async move { runner.test_model(&caller, &name).await }
        })
        .await?;
    Ok(Json(ModelTested {
        model: tested.model,
        said: tested.said,
        prompt_tokens: tested.prompt_tokens,
        completion_tokens: tested.completion_tokens,
        ms: tested.ms,
    }))
}

/// Takes a model away. What was used of it stays on record. The answer is what it was.
#[utoipa::path(post, path = "/v1/models/{name}/remove", tag = "models", params(("name" = String, Path)), responses((status = 200, body = ModelRecord), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn remove(visit: Visit, Part(name): Part<String>) -> Result<Json<ModelRecord>, Refused> {
    let row = visit
        .change(|context, caller| {
            let name = name.clone();
            async move { verbs::remove(&context, &caller, &name).await }
        })
        .await?;
    Ok(Json(record(row, &[])))
}

/// Every budget, with what was used of it in its own time.
#[utoipa::path(get, path = "/v1/budgets", tag = "models", responses((status = 200, body = BudgetList), (status = 403, body = Problem)))]
pub(crate) async fn budgets(visit: Visit) -> Result<Json<BudgetList>, Refused> {
    // The budgets are the same for each period; a day's sums are the least to read.
    let used = visit.read(|context, caller| async move { verbs::usage(&context, &caller, Per::Day).await }).await?;
    Ok(Json(BudgetList { budgets: report(used).budgets }))
}

/// Sets a budget. Without any limit it is taken away, and the answer has none either.
#[utoipa::path(post, path = "/v1/budgets", tag = "models", request_body = SetBudget, responses((status = 200, body = BudgetRecord), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn set_budget(visit: Visit, Body(asked): Body<SetBudget>) -> Result<Json<BudgetRecord>, Refused> {
    let SetBudget { agent, per, calls, tokens, micros } = asked;
    let new = NewBudget { agent, per, limits: Limits { calls, tokens, micros } };
    let set = visit
        .change(|context, caller| {
            let new = new.clone();
            async move {
                let set = verbs::set_budget(&context, &caller, &new).await?;
                Ok(match set {
                    Some(row) => budget(row, None),
                    None => BudgetRecord {
                        agent: new
                            .agent
                            .map(|name| Name::resolve(&name, &context.namespace))
                            .transpose()?
                            .map(|name| name.to_string()),
                        per: new.per,
                        limits: BudgetLimits::default(),
                        used: None,
                        set_by: caller.actor.full_name(),
                        set_at: context.now().to_string(),
                    },
                })
            }
        })
        .await?;
    Ok(Json(set))
}

/// Since when.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// `day`, if nothing is said, `month` (both of UTC) or `ever`.
    per: Option<String>,
}

fn period(text: Option<&str>) -> Result<Per, Error> {
    match text.map_or(Ok(Per::Day), str::parse).map_err(Error::invalid)? {
        Per::Run => Err(Error::invalid("what was used is summed per day, month or ever; `steward run show` has a run")),
        per => Ok(per),
    }
}

/// What was used of models, by agent and model, and of each budget.
#[utoipa::path(get, path = "/v1/usage", tag = "models", params(Since), responses((status = 200, body = UsageReport), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn usage(visit: Visit, Asked(since): Asked<Since>) -> Result<Json<UsageReport>, Refused> {
    let per = period(since.per.as_deref()).map_err(|e| visit.refused(e))?;
    let used = visit.read(move |context, caller| async move { verbs::usage(&context, &caller, per).await }).await?;
    Ok(Json(report(used)))
}
