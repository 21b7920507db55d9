//! The node.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the node is and does, measured when asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// The program's version.
    pub version: String,
    /// The namespace that the node is the authority for.
    pub namespace: String,
    /// The ledger's origin.
    pub origin: String,
    /// When this process started.
    pub started_at: String,
    /// The node's clock now.
    pub now: String,
    /// Entries in the ledger.
    pub entries: u64,
    /// The policy in force.
    pub policy_version: String,
    /// Mistakes in the policy files as they are on disk, which keep them from being loaded.
    pub policy_mistakes: Vec<String>,
    /// People who are active.
    pub people: u64,
    /// Agents.
    pub agents: u64,
    /// Effects that are on their way now.
    pub effects_open: u64,
    /// Effects of which nobody knows whether they happened.
    pub effects_unknown: u64,
    /// Runs that are not over.
    pub runs_live: u64,
    /// Who halted the node, and why, while it is halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
    /// Why the node is read-only, if it is behind a head that somebody keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
    /// How agents are kept in: grade of the sandbox and what holds its limits; or why there is no sandbox.
    pub sandbox: String,
    /// What opened the keystore of secrets, or why it is locked.
    pub keystore: String,
    /// Requests refused without a valid key since the start.
    pub unauthenticated: u64,
    /// Bytes free where the home is.
    pub disk_free_bytes: u64,
    /// Whether this home was made by `up --demo`.
    pub demo: bool,
    /// How each part is, seen now.
    #[serde(default)]
    pub health: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// `ok`, `warning` or `failed`.
    pub status: String,
    /// What was found: the evidence.
    pub found: String,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// Everything that `doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Doctor {
    /// The checks.
    pub checks: Vec<Check>,
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertRecord {
    /// The rule: `disk-low`.
    pub name: String,
    /// `warning`, or `failed` if the node does not do what it is for.
    pub severity: String,
    /// The part of the node that it is about.
    pub part: String,
    /// What it is about, where there can be several: a model, a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Since when: by the evidence, or else since this process saw it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// By what it is seen.
    pub evidence: String,
    /// What to do first.
    pub mend: String,
    /// The page with the fault and its mend.
    pub page: String,
}

/// What is wrong now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertList {
    /// How many rules were looked at.
    pub rules: u64,
    /// What fires.
    pub alerts: Vec<AlertRecord>,
}
