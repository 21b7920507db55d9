//! Agents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an agent says it is: the part of a manifest (REG-2) that a node needs to govern it. The same shape is read from a
/// TOML or JSON file by `steward agent add FILE`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddAgent {
    /// Its name: a label of the node's namespace, or the full name.
    pub name: String,
    /// A semantic version: `1.0.0`.
    pub version: String,
    /// T0 to T4.
    pub tier: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// What it can do, for people to read.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// How it is started: a program of its sandbox and its arguments. Left out for an agent that only runs elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The template of its packets, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
    /// How it talks to the node: `line`, a line of JSON each way over its standard streams, if nothing is said; or `mcp`. An agent of `mcp`
    /// without a command runs elsewhere, and attaches to its run with a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentRecord {
    /// Its full name.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// Its manifest's version.
    pub version: String,
    /// What it may do, by policy.
    pub tier: String,
    /// What it is for.
    pub description: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// The digest of its manifest, which is kept.
    pub manifest: String,
    /// `active` or `revoked`.
    pub status: String,
    /// How it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The digest of the template of its packets, which is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
    /// `line` or `mcp`.
    pub protocol: String,
    /// Why it is revoked, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// When it was registered.
    pub added_at: String,
    /// Actions of it that were allowed, counted from the ledger now.
    pub allowed: u64,
    /// Actions of it that were refused, counted from the ledger now.
    pub refused: u64,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// Agents, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// The agents.
    pub agents: Vec<AgentRecord>,
}
