//! What was used, summed from the calls each time it is shown.

use steward_app_node::{Caller, Context, Error};
use steward_permit::ResourceKind;

use crate::rows::{self, BudgetRow, Of, Per, Spent};

/// What was used of models.
#[derive(Debug, Clone)]
pub struct Used {
    /// Since when, as times are written; empty for ever.
    pub since: String,
    /// By agent and model: what, and how many of the calls did not settle.
    pub by: Vec<(String, String, Spent, u64)>,
    /// Each budget, with what was used of it; none of those for each run, which have no one holder.
    pub budgets: Vec<(BudgetRow, Option<Spent>)>,
}

/// What was used in a period.
///
/// # Errors
/// It is not allowed, or the store cannot be read.
pub async fn usage(context: &Context, caller: &Caller, per: Per) -> Result<Used, Error> {
    context.allow(caller, context.action("model.read", ResourceKind::Model, "*")?, None).await?;
    let (namespace, now) = (context.namespace.clone(), context.now());
    let scanned = context.store.scan(move |reader| {
        let since = per.since(now);
        let by = rows::spent_by_agent_and_model(reader, &namespace, &since)?;
        let mut budgets = Vec::new();
        for budget in rows::budgets(reader, &namespace)? {
            let of = budget.agent.as_ref().map_or(Of::All, Of::Agent);
            let spent = match budget.per {
                Per::Run => None,
                per => Some(rows::spent(reader, &namespace, of, &per.since(now))?),
            };
            budgets.push((budget, spent));
        }
        Ok::<_, Error>(Used { since, by, budgets })
    });
    scanned.await
}
