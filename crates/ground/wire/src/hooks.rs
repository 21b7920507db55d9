//! Hooks: who is told what waits for people.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A hook, as it was configured, and how it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookRecord {
    /// Its name.
    pub name: String,
    /// `webhook` or `command`.
    pub kind: String,
    /// The host that is told, or the program. Paths and arguments may be secret.
    pub to: String,
    /// What it is told of: `review.opened`.
    pub events: Vec<String>,
    /// How often it was told something.
    pub told: u64,
    /// When last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<String>,
    /// How much waits to be told.
    pub waiting: u64,
    /// Since when it is not told, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How often it was given up to tell it something.
    pub gave_up: u64,
    /// When last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_up_at: Option<String>,
}

/// Every hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookList {
    /// By name.
    pub hooks: Vec<HookRecord>,
}

/// What came of trying a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookTested {
    /// Its name.
    pub hook: String,
    /// The id of the message: `webhook-id`.
    pub id: String,
    /// Whether it was told.
    pub told: bool,
    /// What a webhook answered, or with which code a command ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// Why it was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}
