//! What else a policy was told: enough to ask it again.
//!
//! Deliberately absent: who asked for what (that is the [ruling](crate::Ruling) itself), and the fence of a run, which no policy sees.

use serde::{Deserialize, Serialize};
use steward_naming::{Label, RunId};

use crate::actor::{RunUse, Scope, Tier};

/// What a policy was told beside who asks for what. It stands in the record of the decision; fields that are empty are not written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circumstances {
    // In the order of RFC 8785, here and below: a test of the ledger holds the bytes against it.
    /// What a key that was to be made might be used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives_scopes: Option<Vec<Scope>>,
    /// The tier of an agent that was to be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives_tier: Option<Tier>,
    /// What the key that was asked with may be used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_scopes: Option<Vec<Scope>>,
    /// The lowest tier that the tool or model was allowed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_tier: Option<Tier>,
    /// The full name of whom the resource belonged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The run that an agent asked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunTold>,
}

/// What a policy was told of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunTold {
    /// Which.
    pub id: RunId,
    /// The phase that it was in: `EXECUTE`.
    pub phase: String,
    /// The task that it worked on.
    pub task: Label,
}

impl From<&RunUse> for RunTold {
    fn from(run: &RunUse) -> Self {
        Self { id: run.id.clone(), phase: run.phase.to_owned(), task: run.task.clone() }
    }
}
