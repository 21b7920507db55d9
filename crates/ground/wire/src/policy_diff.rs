//! What would differ under another policy.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::actions::MatchedPolicy;

/// Asks what would differ under another policy. Nothing is put in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffPolicy {
    /// Files of policies.
    pub policies: Vec<PolicyFile>,
    /// Whether they are the whole policy. Else each takes the place of the file of its name in the policy in force, or stands beside.
    #[serde(default)]
    pub whole: bool,
    /// How many of the last decisions are asked again: from 1 to 10,000.
    pub last: u32,
}

/// A file of policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Its path within the folder of policies, with `/`.
    pub name: String,
    /// What it says, in Cedar.
    pub text: String,
}

/// What would differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDiff {
    /// The candidate's version.
    pub version: String,
    /// The version in force.
    pub in_force: String,
    /// How many policies the candidate has.
    pub policies: u64,
    /// Files of the policy in force that it replaces.
    pub replaced: Vec<String>,
    /// Files that it adds.
    pub added: Vec<String>,
    /// The oldest entry that was looked at; none if there is no decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Decisions that come out the same.
    pub same: u64,
    /// Decisions that were allowed and would be denied.
    pub would_be_denied: u64,
    /// Decisions that were denied and would be allowed.
    pub would_be_allowed: u64,
    /// Decisions that could not be asked again.
    pub not_asked: Vec<NotAsked>,
    /// Refusals of that time that were counted, and are not on record one by one.
    pub counted: u64,
    /// The decisions that come out otherwise, newest first.
    pub differences: Vec<PolicyDifference>,
}

/// Decisions that could not be asked again, of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotAsked {
    /// Why.
    pub why: String,
    /// How many.
    pub count: u64,
    /// The newest of them.
    pub entry: u64,
}

/// A decision that would come out otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDifference {
    /// Its entry.
    pub entry: u64,
    /// When.
    pub time: String,
    /// Who asked, by full name.
    pub actor: String,
    /// The tier that an agent had then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The roles that a person had then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What was asked for.
    pub action: String,
    /// To what kind of thing.
    pub kind: String,
    /// To what.
    pub resource: String,
    /// The run that it was asked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// How it came out.
    pub was: PolicyOutcome,
    /// How it would.
    pub would_be: PolicyOutcome,
}

/// How a decision comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyOutcome {
    /// `allow` or `deny`.
    pub decision: String,
    /// Why it is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The policies that make it.
    pub policies: Vec<MatchedPolicy>,
    /// What could not be evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}
