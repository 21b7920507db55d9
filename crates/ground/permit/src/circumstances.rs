//! What else a policy was told: enough to ask it again.
//!
//! Deliberately absent: who asked for what (that is the [ruling](crate::Ruling) itself), and the fence of a run, which no policy sees.

use serde::{Deserialize, Serialize};
use steward_naming::{Label, RunId};

use crate::actor::{ReviewKind, RunUse, Scope, Tier};

/// What a policy was told beside who asks for what. It stands in the record of the decision; fields that are empty are not written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circumstances {
    // In the order of RFC 8785, here and below: a test of the ledger holds the bytes against it.
    /// Whether a person approved exactly this, as the node found it on record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
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
    /// What was known of a review that was to be decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Reviewing>,
    /// The run that an agent asked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunTold>,
}

/// A review that is to be decided: so that policies can say who may decide it, and when enough people did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviewing {
    /// Whether who decides is the only person enrolled.
    pub alone: bool,
    /// How many people approved it, this one included.
    pub approvals: u32,
    /// What kind of decision.
    pub kind: ReviewKind,
    /// Whether who decides stands in the chain that asked.
    pub own: bool,
    /// The tier of the agent that it is about, or the tier that it would get.
    pub tier: Tier,
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
