//! Reserving what a call could use, and what takes its place when it ends.
//!
//! Deliberately absent: the commit (flows), which has these rows and guards beside those of the action.

use steward_app_node::{Context, Error};
use steward_clock::Timestamp;
use steward_naming::{ActionId, Name, RunId};
use steward_store::{Guard, Row};

use crate::rows::{self, BudgetRow, CallRow, CallStatus, Limits, ModelRow, Of, Per, Spent};

/// The most calls of a run for which nobody set another budget: an agent that thinks once a second for a quarter of an hour.
pub const DEFAULT_RUN_CALLS: u64 = 1_000;

/// The most tokens of such a run: some dollars' worth of a large model.
pub const DEFAULT_RUN_TOKENS: u64 = 2_000_000;

/// The most tokens that a call is counted with, whatever its provider says: more than any takes in a year.
const MAX_COUNTED_TOKENS: u64 = 1 << 40;

/// What a call asks for.
#[derive(Debug, Clone)]
pub struct Asks<'a> {
    /// The call's id.
    pub id: ActionId,
    /// Who asks.
    pub agent: &'a Name,
    /// In which run.
    pub run: Option<&'a RunId>,
    /// Of which model.
    pub model: &'a ModelRow,
    /// The most tokens that its prompt can have.
    pub prompt_bound: u64,
    /// The most tokens that its answer can have.
    pub completion_bound: u64,
}

/// What a call has reserved, for the commit that begins it.
#[derive(Debug)]
pub struct Reserved {
    /// The call.
    pub call: CallRow,
    /// What must still hold: no other call began, and the model is as it was.
    pub guards: Vec<Guard>,
    /// Rows beside the call's own.
    pub rows: Vec<Row>,
}

/// A budget that has not enough left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over(pub String);

/// What so many tokens cost, in millionths of the money's unit, rounded up. What has no price costs nothing.
pub fn price_micros(model: &ModelRow, prompt: u64, completion: u64) -> u64 {
    let of = |tokens: u64, price: Option<u64>| u128::from(tokens) * u128::from(price.unwrap_or(0));
    let total = of(prompt, model.input_micros) + of(completion, model.output_micros);
    u64::try_from(total.div_ceil(1_000_000)).unwrap_or(u64::MAX).min(i64::MAX.cast_unsigned())
}

/// Reserves the most that a call could use, if every budget that it falls under has as much left.
///
/// # Errors
/// A budget has not, as the first part of the answer says; or the store cannot be read.
pub fn reserve(context: &Context, asks: &Asks<'_>) -> Result<Result<Reserved, Over>, Error> {
    let (namespace, now, model) = (&context.namespace, context.now(), asks.model);
    let tokens = asks.prompt_bound.saturating_add(asks.completion_bound);
    let wanted = Spent { calls: 1, tokens, micros: price_micros(model, asks.prompt_bound, asks.completion_bound) };
    context.store.read(|reader| {
        let budgets = rows::budgets(reader, namespace)?;
        for budget in in_force(&budgets, asks.agent, asks.run.is_some()) {
            let of = match (budget.per, budget.agent) {
                (Per::Run, _) => asks.run.map_or(Of::Agent(asks.agent), Of::Run),
                (_, Some(agent)) => Of::Agent(agent),
                (_, None) => Of::All,
            };
            let spent = rows::spent(reader, namespace, of, &budget.per.since(now))?;
            if let Some(over) = over(&budget, spent, wanted, model) {
                return Ok(Err(over));
            }
        }
        let (turn, row) = rows::turn(reader, namespace, &asks.id)?;
        let call = CallRow {
            namespace: namespace.clone(),
            id: asks.id.clone(),
            agent: asks.agent.clone(),
            run: asks.run.cloned(),
            model: model.name.clone(),
            status: CallStatus::Reserved,
            tokens: wanted.tokens.min(i64::MAX.cast_unsigned()),
            micros: wanted.micros,
            prompt_tokens: None,
            completion_tokens: None,
            started_at: now,
            settled_at: None,
            error_code: None,
            entry_seq: 0,
        };
        Ok(Ok(Reserved { call, guards: vec![turn, model.guard()], rows: vec![row] }))
    })
}

/// A budget that a call falls under.
struct InForce<'a> {
    per: Per,
    agent: Option<&'a Name>,
    limits: Limits,
}

/// Of each period the agent's own and the namespace's. Of runs the agent's own, else that of each run, else the usual one.
fn in_force<'a>(budgets: &'a [BudgetRow], agent: &'a Name, in_run: bool) -> Vec<InForce<'a>> {
    let mut found: Vec<InForce<'a>> = budgets
        .iter()
        .filter(|budget| budget.per != Per::Run && budget.agent.as_ref().is_none_or(|of| of == agent))
        .map(|budget| InForce { per: budget.per, agent: budget.agent.as_ref(), limits: budget.limits })
        .collect();
    let usual = Limits { calls: Some(DEFAULT_RUN_CALLS), tokens: Some(DEFAULT_RUN_TOKENS), micros: None };
    if in_run {
        let of_runs = |of: Option<&Name>| budgets.iter().find(|b| b.per == Per::Run && b.agent.as_ref() == of);
        let limits = of_runs(Some(agent)).or_else(|| of_runs(None)).map_or(usual, |budget| budget.limits);
        found.push(InForce { per: Per::Run, agent: Some(agent), limits });
    } else if !found.iter().any(|budget| budget.agent.is_some()) {
        // Outside of runs an agent without a budget of its own has for a day what a run has.
        found.push(InForce { per: Per::Day, agent: Some(agent), limits: usual });
    }
    found
}

fn over(budget: &InForce<'_>, spent: Spent, wanted: Spent, model: &ModelRow) -> Option<Over> {
    let whose = match (budget.per, budget.agent) {
        (Per::Run, _) => "the run".to_owned(),
        (per, Some(agent)) => format!("`{agent}` per {}", per.as_str()),
        (per, None) => format!("the namespace per {}", per.as_str()),
    };
    let Limits { calls, tokens, micros } = budget.limits;
    if micros.is_some() && (model.input_micros.is_none() || model.output_micros.is_none()) {
        return Some(Over(format!(
            "the budget of {whose} is in money, and `{}` has no price; an administrator adds it anew with --input-price and \
             --output-price",
            model.name
        )));
    }
    let short = |limit: Option<u64>, spent: u64, wanted: u64, unit: &str| {
        let limit = limit?;
        (spent.saturating_add(wanted) > limit).then(|| {
            let left = limit.saturating_sub(spent);
            Over(format!(
                "the budget of {whose} has {left} {unit} left of {limit}, and this call could use {wanted}; `steward usage` shows it"
            ))
        })
    };
    short(calls, spent.calls, wanted.calls, "calls")
        .or_else(|| short(tokens, spent.tokens, wanted.tokens, "tokens"))
        .or_else(|| short(micros, spent.micros, wanted.micros, "millionths"))
}

impl CallRow {
    /// The call as it ended: with what the provider says that it used; or, if nobody knows, with all that it reserved.
    #[must_use]
    pub fn settled(&self, used: Option<(u64, u64)>, model: &ModelRow, now: Timestamp, error: Option<&str>) -> Self {
        let ended = Self { settled_at: Some(now), error_code: error.map(str::to_owned), ..self.clone() };
        match used {
            None => Self { status: CallStatus::Unsettled, ..ended },
            Some((prompt, completion)) => {
                let (prompt, completion) = (prompt.min(MAX_COUNTED_TOKENS), completion.min(MAX_COUNTED_TOKENS));
                Self {
                    status: CallStatus::Settled,
                    tokens: prompt + completion,
                    micros: price_micros(model, prompt, completion),
                    prompt_tokens: Some(prompt),
                    completion_tokens: Some(completion),
                    ..ended
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use steward_clock::Timestamp;
    use steward_permit::Tier;

    use super::{InForce, Limits, Spent, in_force, over, price_micros};
    use crate::rows::{BudgetRow, ModelRow, Per, WireName};

    fn model(input: Option<u64>, output: Option<u64>) -> ModelRow {
        ModelRow {
            namespace: "acme.internal".parse().expect("valid"),
            name: "fast".parse().expect("valid"),
            wire: WireName::OpenAi,
            url: "http://127.0.0.1:1/v1".to_owned(),
            upstream: "x".to_owned(),
            secret: None,
            tier: Tier::T0,
            input_micros: input,
            output_micros: output,
            max_output: 100,
            fallback: None,
            added_by: "olivia@acme.internal".to_owned(),
            added_at: Timestamp::from_unix_ms(0),
            entry_seq: 1,
        }
    }

    #[test]
    fn a_price_is_rounded_up_and_does_not_overflow() {
        let model = model(Some(3_000_000), Some(15_000_000));
        assert_eq!(price_micros(&model, 0, 0), 0);
        assert_eq!(price_micros(&model, 1, 0), 3);
        assert_eq!(price_micros(&model, 1_000_000, 1_000_000), 18_000_000);
        assert_eq!(price_micros(&self::model(Some(1), None), 1, 5), 1);
        assert_eq!(price_micros(&self::model(Some(u64::MAX), None), u64::MAX, 5), i64::MAX as u64);
    }

    #[test]
    fn each_limit_holds_to_the_last_one() {
        let limits = Limits { calls: Some(2), tokens: Some(100), micros: Some(10) };
        let budget = InForce { per: Per::Day, agent: None, limits };
        let priced = model(Some(1), Some(1));
        let wanted = Spent { calls: 1, tokens: 40, micros: 4 };
        for (spent, fits) in [((1, 60, 6), true), ((2, 0, 0), false), ((0, 61, 0), false), ((0, 0, 7), false)] {
            let spent = Spent { calls: spent.0, tokens: spent.1, micros: spent.2 };
            assert_eq!(over(&budget, spent, wanted, &priced).is_none(), fits, "{spent:?}");
        }
        // What has no price cannot be held to a budget in money.
        assert!(over(&budget, Spent::default(), wanted, &model(None, Some(1))).is_some());
    }

    #[test]
    fn the_narrower_budget_of_runs_takes_the_place_of_the_wider() {
        let budget = |agent: Option<&str>, per, calls| BudgetRow {
            namespace: "acme.internal".parse().expect("valid"),
            agent: agent.map(|name| name.parse().expect("valid")),
            per,
            limits: Limits { calls: Some(calls), ..Limits::default() },
            set_by: String::new(),
            set_at: Timestamp::from_unix_ms(0),
            entry_seq: 1,
        };
        let scribe = "scribe.acme.internal".parse().expect("valid");
        let all = [
            budget(None, Per::Run, 7),
            budget(Some("scribe.acme.internal"), Per::Run, 5),
            budget(Some("other.acme.internal"), Per::Day, 1),
            budget(None, Per::Day, 50),
        ];
        let calls = |budgets: &[BudgetRow], in_run| {
            in_force(budgets, &scribe, in_run).iter().map(|b| (b.per, b.limits.calls)).collect::<Vec<_>>()
        };
        assert_eq!(calls(&all, true), [(Per::Day, Some(50)), (Per::Run, Some(5))]);
        assert_eq!(calls(&all[..1], true), [(Per::Run, Some(7))]);
        assert_eq!(calls(&[], true), [(Per::Run, Some(super::DEFAULT_RUN_CALLS))]);
        let usual = (Per::Day, Some(super::DEFAULT_RUN_CALLS));
        assert_eq!(calls(&all, false), [(Per::Day, Some(50)), usual]);
        // An agent with a budget of its own outside of runs is held to that.
        let own = [budget(Some("scribe.acme.internal"), Per::Month, 3)];
        assert_eq!(calls(&own, false), [(Per::Month, Some(3))]);
    }
}
