//! A run that was lived again from its record, and what the record says of an agent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::policy_diff::{NotAsked, PolicyDifference};

/// A run that was lived again from its record, with its decisions asked again of the policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunReplay {
    /// The run.
    pub run: String,
    /// Its agent.
    pub agent: String,
    /// Its task.
    pub task: String,
    /// How it stands: `running`, or how it ended.
    pub status: String,
    /// Whether every step was made again, and led to what was recorded.
    pub agrees: bool,
    /// Steps that lead to what was recorded.
    pub same: u64,
    /// Steps that lead to something else.
    pub differ: u64,
    /// Steps that could not be made again.
    pub not_replayed: u64,
    /// What is wrong with the whole of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// The version of the policy in force, which was asked.
    pub policy_version: String,
    /// Decisions that come out the same under it.
    pub decisions_same: u64,
    /// Decisions that could not be asked again.
    pub decisions_not_asked: Vec<NotAsked>,
    /// Decisions that would come out otherwise, in order.
    pub decisions_otherwise: Vec<PolicyDifference>,
    /// Everything on record about it, in order.
    pub events: Vec<ReplayEvent>,
}

/// Something on record about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayEvent {
    /// Its entry.
    pub entry: u64,
    /// When.
    pub time: String,
    /// What kind of thing.
    pub kind: String,
    /// In words.
    pub says: String,
    /// Of a step: what was told to the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Of a step: the phase after it, as the machine has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Of a step: `same`, `differs` or `not_replayed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// In what it differs, or why it could not be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What the record says of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentHistory {
    /// The agent.
    pub agent: String,
    /// What happened, in order.
    pub turns: Vec<AgentTurn>,
    /// Whether there is more, older than the first: the newest 2,000 are told.
    pub cut: bool,
}

/// Something that happened to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentTurn {
    /// Its entry.
    pub entry: u64,
    /// When.
    pub time: String,
    /// The entry's kind.
    pub kind: String,
    /// By whom: a full name.
    pub by: String,
    /// In words.
    pub says: String,
    /// The tier that the agent has after it, if it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The run that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The task of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// How that run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<String>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether it counts for the agent, or against it; left out if neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliant: Option<bool>,
}
