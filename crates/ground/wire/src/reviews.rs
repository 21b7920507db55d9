//! What waits for people's decisions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What one person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewDecision {
    /// Their full name.
    pub by: String,
    /// Yes or no.
    pub approves: bool,
    /// Why.
    pub reason: String,
    /// Whether they stand in the chain that asked, and policy let them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// When.
    pub at: String,
}

/// A decision that a person must make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewRecord {
    /// Its id: `rvw_…`.
    pub id: String,
    /// `plan`, `action`, `criterion`, `escalation`, `promotion`, `appeal`, `outcome` or `tool`.
    pub kind: String,
    /// `pending`, `approved`, `rejected`, `expired`, `voided` or `used`.
    pub status: String,
    /// Who asks: a full name.
    pub asker: String,
    /// Who does not approve it, because they asked: full names.
    pub chain: Vec<String>,
    /// What is asked for.
    pub action: String,
    /// To what it would be done.
    pub resource: String,
    /// The digest of exactly that, with its arguments: what an approval is bound to.
    pub digest: String,
    /// The version of the policy that it is bound to.
    pub policy: String,
    /// The tier of the agent that it is about, or the tier that it would get.
    pub tier: String,
    /// The agent that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The run that waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Why it is asked.
    pub why: String,
    /// When it was opened.
    pub opened_at: String,
    /// When it ends, which is a denial.
    pub expires_at: String,
    /// What people said.
    pub decisions: Vec<ReviewDecision>,
    /// What became of it, in words.
    pub answer: String,
    /// The action that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// Reviews, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewList {
    /// The reviews.
    pub reviews: Vec<ReviewRecord>,
}

/// A document that a review is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewDocument {
    /// Its digest.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// What it says, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it holds in base 64, if it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// A review, with all that a person needs to decide it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewDetail {
    /// The review.
    pub review: ReviewRecord,
    /// What it is about, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<ReviewDocument>,
    /// What that would replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ReviewDocument>,
    /// What follows from an approval.
    pub if_approved: String,
    /// What follows from a rejection, or from no answer.
    pub if_not: String,
}

/// What a tier more asks for, and what became of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TierChange {
    /// The agent.
    pub agent: String,
    /// Its tier now.
    pub tier: String,
    /// Whether it changed.
    pub changed: bool,
    /// The review that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}
