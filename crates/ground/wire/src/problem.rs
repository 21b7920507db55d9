//! Refusals (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A refusal, `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The page about this code: `urn:steward:error:NOT_PERMITTED`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code; docs/errors has a page for each.
    pub code: String,
    /// What happened here, and what to do next.
    pub detail: String,
    /// The decision that refused it, if one was made: `act_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The review that it waits for: `rvw_…`. Once it is approved, asking for exactly the same again does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
    /// The request, to be quoted when asking for help: `trc_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// All that is wrong with a document that can be partly right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FieldProblem>,
}

/// One of several things that are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Where: a field, or `file:line:column`.
    pub at: String,
    /// What is wrong, and what to do.
    pub message: String,
}
