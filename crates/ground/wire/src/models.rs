//! Language models, what may be used of them, and what was. Money is counted in millionths of its unit, whichever that is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Puts a model behind the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddModel {
    /// Its name here, by which agents ask for it: small letters, digits and hyphens.
    pub name: String,
    /// The language that its provider speaks: `openai`, if nothing is said, or `anthropic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<String>,
    /// The provider's address: `https://example.org/v1`.
    pub url: String,
    /// What the provider calls it; the same name, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The name of the secret that is the provider's key: a file in the node's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// From which tier on it may be used: T0, if nothing is said, to T3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What a million tokens of a prompt cost, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_price_micros: Option<u64>,
    /// What a million tokens of an answer cost, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_price_micros: Option<u64>,
    /// The most tokens of one answer; 4096, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// The model that is asked when this one cannot answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Whether it takes the place of one of that name, its key and tier too; refused otherwise, where there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelRecord {
    /// Its name, by which agents ask for it.
    pub name: String,
    /// `openai` or `anthropic`.
    pub wire: String,
    /// The provider's address.
    pub url: String,
    /// What the provider calls it.
    pub upstream: String,
    /// The name of the secret that is the provider's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// From which tier on it may be used.
    pub tier: String,
    /// What a million tokens of a prompt cost, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_price_micros: Option<u64>,
    /// What a million tokens of an answer cost, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_price_micros: Option<u64>,
    /// The most tokens of one answer.
    pub max_output: u64,
    /// The model that is asked when this one cannot answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Whether it is asked: `closed`, as usual; `open`, because it failed several times in a row; `half_open`, when the next call tries.
    pub breaker: String,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: String,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// Models, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelList {
    /// The models.
    pub models: Vec<ModelRecord>,
}

/// What a model answered to something small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelTested {
    /// The model.
    pub model: String,
    /// What it said.
    pub said: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// Sets how much of models may be used. Without any limit it is taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBudget {
    /// By which agent; left out: by all of the namespace together, or, per run, by each run of any agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// `run`, `day`, `month` (both of UTC) or `ever`.
    pub per: String,
    /// How many calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// How many tokens, of prompts and answers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// How much money, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

/// How much may be used; what is left out is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetLimits {
    /// Calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Tokens, of prompts and answers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

/// How much was used. A call that is under way counts with all that it could use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetUsed {
    /// Calls.
    pub calls: u64,
    /// Tokens, of prompts and answers together.
    pub tokens: u64,
    /// Money, in millionths.
    pub micros: u64,
}

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetRecord {
    /// Whose; left out: all of the namespace together, or, per run, each run of any agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// `run`, `day`, `month` or `ever`.
    pub per: String,
    /// How much; nothing if it was taken away.
    pub limits: BudgetLimits,
    /// What was used of it. Left out per run, where each has its own, and in the answer to setting one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<BudgetUsed>,
    /// Who set it.
    pub set_by: String,
    /// When.
    pub set_at: String,
}

/// Budgets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetList {
    /// The budgets.
    pub budgets: Vec<BudgetRecord>,
}

/// What an agent used of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageRecord {
    /// The agent.
    pub agent: String,
    /// The model.
    pub model: String,
    /// How often it was called.
    pub calls: u64,
    /// Tokens, of prompts and answers together.
    pub tokens: u64,
    /// Money, in millionths.
    pub micros: u64,
    /// How many of the calls count with all that they could use, because they are under way or nobody knows what they used.
    pub unsettled: u64,
}

/// What was used of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// Since when: a day or a month of UTC; empty for ever.
    pub since: String,
    /// By whom, and of what.
    pub by: Vec<UsageRecord>,
    /// Each budget, with what was used of it in its own time.
    pub budgets: Vec<BudgetRecord>,
}
