//! The policy in force.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::actions::MatchedPolicy;

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyRecord {
    /// Its id.
    pub id: String,
    /// The file that it stands in.
    pub file: String,
    /// The line that it starts at.
    pub line: u32,
    /// `permit` or `forbid`.
    pub effect: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyList {
    /// The digest of all files.
    pub version: String,
    /// The ledger entry that loaded it.
    pub entry: u64,
    /// The policies.
    pub policies: Vec<PolicyRecord>,
}

/// Asks what would be decided. Nothing is done or permitted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainPolicy {
    /// Who: `agent:scribe`, `person:olivia`. Oneself if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What: `fs.write`.
    pub action: String,
    /// To what kind of thing: file, command, host, plan, agent, person, key, policy, ledger, node.
    pub kind: String,
    /// To what.
    pub resource: String,
}

/// What would be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyVerdict {
    /// `allow` or `deny`.
    pub decision: String,
    /// Why it would be denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The policies that would make the decision.
    pub policies: Vec<MatchedPolicy>,
    /// What could not be evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// How many policies were looked at, of all.
    pub considered: u64,
    /// The version of the policy in force.
    pub policy_version: String,
    /// The same in words, a sentence each.
    pub sentences: Vec<String>,
}
