//! What people do with models and budgets.

use serde_json::json;
use steward_app_node::{Caller, Context, Error, Kind, Problem, code};
use steward_ledger::kind;
use steward_naming::{Label, Name, visible};
use steward_permit::{ResourceKind, Tier};
use steward_store::Guard;

use crate::rows::{self, BudgetRow, Limits, ModelRow, Per, WireName};

/// The most models of a node.
pub const MAX_MODELS: usize = 256;

/// The longest address, and the longest name that a provider has for a model, in bytes.
const MAX_TEXT_BYTES: usize = 512;

/// The most tokens of one answer if nobody says otherwise.
const USUAL_MAX_OUTPUT: u64 = 4_096;

/// The most tokens of one answer that can be said.
const MAX_OUTPUT: u64 = 1_000_000;

/// The highest price of a million tokens, in millionths: a million units.
const MAX_PRICE_MICROS: u64 = 1_000_000_000_000;

/// A model, as it was asked for.
#[derive(Debug, Clone, Default)]
pub struct NewModel {
    /// The name by which agents ask for it.
    pub name: String,
    /// `openai` or `anthropic`.
    pub wire: String,
    /// The provider's address.
    pub url: String,
    /// What the provider calls it; its own name if nothing is said.
    pub upstream: Option<String>,
    /// The name of the secret that is its key.
    pub secret: Option<String>,
    /// From which tier on.
    pub tier: Option<String>,
    /// What a million tokens of a prompt cost, in millionths.
    pub input_micros: Option<u64>,
    /// And of an answer.
    pub output_micros: Option<u64>,
    /// The most tokens of an answer.
    pub max_output: Option<u64>,
    /// The model that is asked when this one cannot answer.
    pub fallback: Option<String>,
    /// Whether it may take the place of one of the same name.
    pub replace: bool,
}

impl NewModel {
    fn read(&self, context: &Context, caller: &Caller) -> Result<ModelRow, Error> {
        let mut problems = Vec::new();
        let mut problem = |at: &str, message: String| problems.push(Problem { at: at.to_owned(), message });
        let name = self.name.parse::<Label>();
        if let Err(error) = &name {
            problem("name", error.to_string());
        }
        let wire = match self.wire.as_str() {
            "openai" => WireName::OpenAi,
            "anthropic" => WireName::Anthropic,
            other => {
                problem("wire", format!("`{}` is none; it is `openai` or `anthropic`", visible(other)));
                WireName::OpenAi
            }
        };
        let plain = |text: &str| text.len() <= MAX_TEXT_BYTES && !text.chars().any(|c| c.is_control() || c == ' ');
        let known = self.url.starts_with("https://") || self.url.starts_with("http://");
        if !known || !plain(&self.url) || self.url.contains('?') {
            problem("url", format!("`{}` is none; one looks like `https://example.org/v1`", visible(&self.url)));
        }
        let authority = self.url.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
        if authority.contains('@') {
            problem("url", "holds a user or a password, which would stand in the ledger; use --secret NAME".to_owned());
        }
        let upstream = self.upstream.clone().unwrap_or_else(|| self.name.clone());
        if upstream.is_empty() || !plain(&upstream) {
            problem("upstream", format!("`{}` is no name of a model", visible(&upstream)));
        }
        if let Some(secret) = &self.secret
            && secret.parse::<Label>().is_err()
        {
            problem("secret", format!("`{}` is not the name of a secret", visible(secret)));
        }
        let tier = self.tier.as_deref().unwrap_or("T0").parse::<Tier>();
        match &tier {
            Err(error) => problem("tier", error.to_string()),
            Ok(Tier::T4) => problem("tier", "T4 has what T0 has; say T0".to_owned()),
            Ok(_) => {}
        }
        for (at, price) in [("input_price_micros", self.input_micros), ("output_price_micros", self.output_micros)] {
            if price.is_some_and(|price| price > MAX_PRICE_MICROS) {
                problem(at, "is more than a million for a million tokens".to_owned());
            }
        }
        let max_output = self.max_output.unwrap_or(USUAL_MAX_OUTPUT);
        if !(1..=MAX_OUTPUT).contains(&max_output) {
            problem("max_output", format!("is from 1 to {MAX_OUTPUT}"));
        }
        let fallback = self.fallback.as_deref().map(str::parse::<Label>).transpose();
        if let Err(error) = &fallback {
            problem("fallback", error.to_string());
        }
        match (name, tier, fallback) {
            (Ok(name), Ok(tier), Ok(fallback)) if problems.is_empty() => Ok(ModelRow {
                namespace: context.namespace.clone(),
                name,
                wire,
                url: self.url.trim_end_matches('/').to_owned(),
                upstream,
                secret: self.secret.clone(),
                tier,
                input_micros: self.input_micros,
                output_micros: self.output_micros,
                max_output,
                fallback,
                added_by: caller.actor.full_name(),
                added_at: context.now(),
                entry_seq: 0,
            }),
            _ => Err(Error::problems(problems)),
        }
    }
}

/// Adds a model. Where one of the name is there, it replaces what is known of it, if that is asked for.
///
/// # Errors
/// It is not allowed, the name is in use, there are too many, or what is asked for is wrong (all of it is said at once).
pub async fn add(context: &Context, caller: &Caller, new: &NewModel) -> Result<ModelRow, Error> {
    let model = new.read(context, caller)?;
    let action = context.action("model.add", ResourceKind::Model, model.name.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let all = context.store.read(|reader| rows::models(reader, &context.namespace))?;
    let before = all.iter().find(|known| known.name == model.name);
    if before.is_some() && !new.replace {
        let message = format!(
            "there is a model `{}` already; say --replace if what is known of it is to be replaced, its key and tier too",
            model.name
        );
        return Err(Error::new(Kind::Taken, code::NAME_TAKEN, message));
    }
    if before.is_none() && all.len() >= MAX_MODELS {
        return Err(Error::invalid(format!("a node has at most {MAX_MODELS} models; remove one first")));
    }
    if let Some(fallback) = &model.fallback
        && (*fallback == model.name || !all.iter().any(|known| known.name == *fallback))
    {
        let message = format!("`{fallback}` is no other model; add it first: `steward model list` shows them");
        return Err(Error::new(Kind::Invalid, code::NO_MODEL, message));
    }
    let guard = match before {
        Some(before) => before.guard(),
        None => Guard::absent("model", ModelRow::key(&model.namespace, &model.name)),
    };
    let change = context
        .change(caller, granted, kind::MODEL_ADDED, model.name.as_str())
        .guard(guard)
        .row(model.row())
        .detail("url", model.url.as_str())
        .detail("upstream", model.upstream.as_str())
        .detail("secret", json!(model.secret))
        .detail("tier", model.tier.as_str())
        .detail("replaced", before.is_some());
    let done = context.commit(change).await?;
    Ok(ModelRow { entry_seq: done.recorded.seq, ..model })
}

/// Takes a model away. What was used of it stays on record.
///
/// # Errors
/// It is not allowed, or there is none.
pub async fn remove(context: &Context, caller: &Caller, name: &str) -> Result<ModelRow, Error> {
    let model = match find(context, name) {
        Ok(model) => model,
        Err(why) => return Err(context.absent(caller, "model.remove", ResourceKind::Model, name, why).await),
    };
    let action = context.action("model.remove", ResourceKind::Model, model.name.as_str())?;
    let granted = context.permit(caller, action, None).await?;
    let change = context
        .change(caller, granted, kind::MODEL_REMOVED, model.name.as_str())
        .guard(model.guard())
        .row(model.gone());
    context.commit(change).await?;
    Ok(model)
}

/// A model by its name.
///
/// # Errors
/// There is none.
pub fn find(context: &Context, name: &str) -> Result<ModelRow, Error> {
    let found = context.store.read(|reader| rows::model(reader, &context.namespace, name))?;
    found.ok_or_else(|| {
        let message = format!("there is no model `{}` here; `steward model list` shows them", visible(name));
        Error::new(Kind::NotFound, code::NO_MODEL, message)
    })
}

/// Every model.
///
/// # Errors
/// It is not allowed.
pub async fn models(context: &Context, caller: &Caller) -> Result<Vec<ModelRow>, Error> {
    context.allow(caller, context.action("model.read", ResourceKind::Model, "*")?, None).await?;
    Ok(context.store.read(|reader| rows::models(reader, &context.namespace))?)
}

/// A budget, as it was asked for. Without any limit it is taken away.
#[derive(Debug, Clone, Default)]
pub struct NewBudget {
    /// The agent; none for all of the namespace, or for each run of any agent.
    pub agent: Option<String>,
    /// `run`, `day`, `month` or `ever`.
    pub per: String,
    /// How much.
    pub limits: Limits,
}

/// Sets a budget, or takes it away. Gives it as it is now.
///
/// # Errors
/// It is not allowed, or there is no such agent or period.
pub async fn set_budget(context: &Context, caller: &Caller, new: &NewBudget) -> Result<Option<BudgetRow>, Error> {
    let per: Per = new.per.parse().map_err(Error::invalid)?;
    let agent = new.agent.as_ref().map(|name| Name::resolve(name, &context.namespace)).transpose()?;
    let action = match &agent {
        Some(agent) => context.action("budget.set", ResourceKind::Agent, agent.to_string())?,
        None => context.action("budget.set", ResourceKind::Node, context.namespace.as_str())?,
    };
    let granted = context.permit(caller, action, None).await?;
    if let Some(agent) = &agent
        && !context.store.read(|reader| rows::has_agent(reader, agent))?
    {
        return Err(Error::not_found(format!("agent `{agent}`; `steward agent list` shows them")));
    }
    let too_much = [new.limits.calls, new.limits.tokens, new.limits.micros]
        .into_iter()
        .flatten()
        .any(|n| n > i64::MAX.cast_unsigned());
    if too_much {
        return Err(Error::invalid("a limit is larger than can be counted; leave it out instead"));
    }
    let all = context.store.read(|reader| rows::budgets(reader, &context.namespace))?;
    let before = all.into_iter().find(|budget| budget.agent == agent && budget.per == per);
    let is_taken_away = new.limits == Limits::default();
    let subject = agent.as_ref().map_or_else(|| context.namespace.to_string(), ToString::to_string);
    let mut change = context
        .change(caller, granted, kind::BUDGET_SET, subject)
        .detail("per", per.as_str())
        .detail("calls", json!(new.limits.calls))
        .detail("tokens", json!(new.limits.tokens.map(|n| n.to_string())))
        .detail("micros", json!(new.limits.micros.map(|n| n.to_string())));
    change = change.guard(match &before {
        Some(before) => before.guard(),
        None => Guard::absent("model_budget", BudgetRow::key(&context.namespace, agent.as_ref(), per)),
    });
    if is_taken_away {
        let before =
            before.ok_or_else(|| Error::not_found("such budget; give --calls, --tokens or --money to set one"))?;
        context.commit(change.row(before.gone())).await?;
        return Ok(None);
    }
    let budget = BudgetRow {
        namespace: context.namespace.clone(),
        agent,
        per,
        limits: new.limits,
        set_by: caller.actor.full_name(),
        set_at: context.now(),
        entry_seq: 0,
    };
    let done = context.commit(change.row(budget.row())).await?;
    Ok(Some(BudgetRow { entry_seq: done.recorded.seq, ..budget }))
}

/// Every budget.
///
/// # Errors
/// It is not allowed.
pub async fn budgets(context: &Context, caller: &Caller) -> Result<Vec<BudgetRow>, Error> {
    context.allow(caller, context.action("model.read", ResourceKind::Model, "*")?, None).await?;
    Ok(context.store.read(|reader| rows::budgets(reader, &context.namespace))?)
}
