//! `steward budget` and `steward usage`: how much of models may be used, and how much was.

use clap::{Args, Subcommand};
use steward_wire::{BudgetList, BudgetRecord, SetBudget, UsageReport};

use crate::{
    failure::Failure,
    money::{micros, money},
    session::Session,
    show::{Ink, Looks, Word, facts, table},
};

/// What can be done about budgets.
#[derive(Debug, Subcommand)]
pub enum BudgetVerb {
    /// Set how much may be used: it takes the place of what was set before for the same agent and time
    #[command(group(clap::ArgGroup::new("limit").required(true).multiple(true)))]
    Set {
        /// By this agent; if none is said, by all together, or --per run by each run of any agent
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// In what time; days and months are those of UTC
        #[arg(long, value_parser = ["run", "day", "month", "ever"])]
        per: String,
        /// At most so many calls
        #[arg(long, value_name = "N", group = "limit")]
        calls: Option<u64>,
        /// At most so many tokens, of prompts and answers together
        #[arg(long, value_name = "N", group = "limit")]
        tokens: Option<u64>,
        /// At most so much money, in the unit of the models' prices: 2.50
        #[arg(long, value_name = "MONEY", value_parser = micros, group = "limit")]
        money: Option<u64>,
        /// Take the budget away
        #[arg(long, group = "limit", conflicts_with_all = ["calls", "tokens", "money"])]
        none: bool,
    },
    /// List all budgets, with what was used of each
    List,
}

/// Since when.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Since the day or month of UTC began, or ever
    #[arg(long, default_value = "day", value_parser = ["day", "month", "ever"])]
    per: String,
}

/// Carries it out. `--json` prints `BudgetRecord`, and `BudgetList` of a list.
pub(crate) async fn carry_out(session: &mut Session, verb: BudgetVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        BudgetVerb::Set { agent, per, calls, tokens, money, none: _ } => {
            let set = caller.set_budget(&SetBudget { agent, per, calls, tokens, micros: money }).await?;
            session.show.answer(&set, budget_view)
        }
        BudgetVerb::List => session
            .show
            .answer(&caller.budgets().await?, |list: &BudgetList, looks| budgets_table(&list.budgets, looks)),
    }
}

/// What was used. `--json` prints `UsageReport`.
pub(crate) async fn usage(session: &mut Session, args: UsageArgs) -> Result<(), Failure> {
    let report = session.caller()?.usage(&args.per).await?;
    session.show.answer(&report, usage_view)
}

/// Whose a budget is.
fn holder(budget: &BudgetRecord) -> String {
    match (&budget.agent, budget.per.as_str()) {
        (Some(agent), _) => agent.clone(),
        (None, "run") => "each run".to_owned(),
        (None, _) => "all together".to_owned(),
    }
}

fn budget_view(budget: &BudgetRecord, looks: Looks) -> String {
    let limits = budget.limits;
    let is_gone = limits.calls.is_none() && limits.tokens.is_none() && limits.micros.is_none();
    let limit = |limit: Option<u64>| Word::from(limit.map(|n| n.to_string()).unwrap_or_default());
    facts(
        looks,
        [
            ("budget", Word::new(format!("{}, per {}", holder(budget), budget.per), Ink::Bold)),
            ("calls", limit(limits.calls)),
            ("tokens", limit(limits.tokens)),
            ("money", limits.micros.map(money).unwrap_or_default().into()),
            ("limits", Word::new(if is_gone { "none: it was taken away" } else { "" }, Ink::Warn)),
            ("set", format!("{}, by {}", budget.set_at, budget.set_by).into()),
        ],
    )
}

/// What was used of a limit; in another ink when nothing is left of it.
fn of(used: Option<u64>, limit: Option<u64>, written: impl Fn(u64) -> String) -> Word {
    match (used, limit) {
        (Some(used), Some(limit)) => {
            let text = format!("{} of {}", written(used), written(limit));
            Word::new(text, if used >= limit { Ink::Bad } else { Ink::Plain })
        }
        (Some(used), None) => written(used).into(),
        (None, Some(limit)) => format!("at most {}", written(limit)).into(),
        (None, None) => "-".into(),
    }
}

fn budgets_table(budgets: &[BudgetRecord], looks: Looks) -> String {
    let plain = |n: u64| n.to_string();
    let rows = budgets.iter().map(|budget| {
        let (used, limits) = (budget.used, budget.limits);
        [
            looks.name(&holder(budget)),
            (&budget.per).into(),
            of(used.map(|u| u.calls), limits.calls, plain),
            of(used.map(|u| u.tokens), limits.tokens, plain),
            of(used.map(|u| u.micros), limits.micros, money),
            looks.name(&budget.set_by),
        ]
    });
    table(looks, ["budget of", "per", "calls", "tokens", "money", "set by"], rows)
}

fn usage_view(report: &UsageReport, looks: Looks) -> String {
    let rows = report.by.iter().map(|used| {
        let unsettled = Word::new(used.unsettled.to_string(), if used.unsettled == 0 { Ink::Plain } else { Ink::Warn });
        [
            looks.name(&used.agent),
            (&used.model).into(),
            used.calls.to_string().into(),
            used.tokens.to_string().into(),
            money(used.micros).into(),
            unsettled,
        ]
    });
    let since = if report.since.is_empty() { "ever" } else { &report.since };
    let mut blocks = vec![
        facts(looks, [("since", Word::from(since))]),
        table(looks, ["agent", "model", "calls", "tokens", "money", "unsettled"], rows),
    ];
    if !report.budgets.is_empty() {
        blocks.push(budgets_table(&report.budgets, looks));
    }
    blocks.join("\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{BudgetLimits, BudgetRecord, BudgetUsed, UsageRecord, UsageReport};

    use super::{budget_view, usage_view};
    use crate::show::Looks;

    fn budget() -> BudgetRecord {
        BudgetRecord {
            agent: Some("scribe.acme.internal".into()),
            per: "day".into(),
            limits: BudgetLimits { calls: Some(100), tokens: None, micros: Some(2_500_000) },
            used: Some(BudgetUsed { calls: 100, tokens: 48_000, micros: 120_000 }),
            set_by: "adam@acme.internal".into(),
            set_at: "2026-11-20T20:14:27.123Z".into(),
        }
    }

    fn report() -> UsageReport {
        let of_runs = BudgetRecord { agent: None, per: "run".into(), used: None, ..budget() };
        let of_all = BudgetRecord { agent: None, per: "ever".into(), ..budget() };
        UsageReport {
            since: "2026-11-20".into(),
            by: vec![UsageRecord {
                agent: "scribe.acme.internal".into(),
                model: "fast".into(),
                calls: 100,
                tokens: 48_000,
                micros: 120_000,
                unsettled: 2,
            }],
            budgets: vec![of_all, of_runs, budget()],
        }
    }

    #[test]
    fn a_budget_as_it_looks() {
        expect![[r#"
            budget  scribe.acme.internal, per day
            calls   100
            money   2.50
            set     2026-11-20T20:14:27.123Z, by adam@acme.internal
        "#]]
        .assert_eq(&budget_view(&budget(), Looks::default()));
        let gone = BudgetRecord { agent: None, limits: BudgetLimits::default(), ..budget() };
        expect![[r#"
            budget  all together, per day
            limits  none: it was taken away
            set     2026-11-20T20:14:27.123Z, by adam@acme.internal
        "#]]
        .assert_eq(&budget_view(&gone, Looks::default()));
    }

    #[test]
    fn what_was_used_as_it_looks() {
        expect![[r#"
            since  2026-11-20

            agent                 model  calls  tokens  money  unsettled
            scribe.acme.internal  fast   100    48000   0.12   2

            budget of             per   calls        tokens  money         set by
            all together          ever  100 of 100   48000   0.12 of 2.50  adam@acme.internal
            each run              run   at most 100  -       at most 2.50  adam@acme.internal
            scribe.acme.internal  day   100 of 100   48000   0.12 of 2.50  adam@acme.internal
        "#]]
        .assert_eq(&usage_view(&report(), Looks::default()));
        let looks = Looks { is_terminal: true, colour: true, width: Some(100) };
        let text = usage_view(&UsageReport { since: String::new(), ..report() }, looks);
        assert!(text.contains("ever") && text.contains("\u{1b}[38;5;1m100 of 100"), "what is used up is red: {text:?}");
    }
}
