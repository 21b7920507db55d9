//! What an agent means to do, and the artifacts that it leaves (GOV-3).
//!
//! ```text
//! Plan::read(&value) ──► Plan | every Mistake          plan.digest() is what an approval is bound to
//! ```
//!
//! Deliberately absent: what the plan is allowed to be. That depends on the packet, and [`Run`](crate::Run) knows it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use steward_seal::{Digest, json::canonical};

use crate::{
    mistake::Mistake,
    pattern::Pattern,
    reader::{Field, LINE, LINES, Reader},
};

/// Steps of a plan. More is several runs.
pub const MAX_STEPS: usize = 100;

/// What an agent means to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// In words.
    pub summary: String,
    /// One after the other.
    pub steps: Vec<PlanStep>,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanStep {
    /// In words.
    pub step: String,
    /// What it does, as a pattern within the packet's scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Pattern>,
    /// The path that it leaves. Once the plan is approved, the agent is revoked if it is missing after EXECUTE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// Every mistake, with a pointer and without line and column: a plan comes within something else.
    pub fn read(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader::default();
        let plan = plan(&mut reader, &Field::whole(value));
        match plan {
            Some(plan) if reader.is_clean() => Ok(plan),
            _ => Err(reader.mistakes(None)),
        }
    }

    /// The one form that is hashed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        canonical(self).expect("texts have a canonical form")
    }

    /// What an approval names the plan by.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }
}

fn plan(reader: &mut Reader, field: &Field<'_>) -> Option<Plan> {
    let fields = reader.object(field, "a plan", &["summary", "steps"], &["summary", "steps"])?;
    let summary = fields.get("summary").and_then(|f| reader.text(&f, LINES));
    let list = fields.get("steps");
    if list.as_ref().and_then(|f| f.value.as_array()).is_some_and(Vec::is_empty) {
        reader.refuse("/steps", "a plan has at least one step; write what you will do first");
    }
    let steps = list.and_then(|f| reader.each(&f, MAX_STEPS, step));
    Some(Plan { summary: summary?, steps: steps? })
}

fn step(reader: &mut Reader, field: &Field<'_>) -> Option<PlanStep> {
    let fields = reader.object(field, "a step", &["step", "action", "artifact"], &["step"])?;
    let step = fields.get("step").and_then(|f| reader.text(&f, LINE));
    let action = fields.get("action").and_then(|f| reader.parsed(&f));
    let artifact = fields.get("artifact").and_then(|f| reader.path(&f));
    Some(PlanStep { step: step?, action, artifact })
}

/// A file that a run left, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its path in the agent's folder.
    pub path: String,
    /// Of its content.
    pub digest: Digest,
    /// Of its content.
    pub bytes: u64,
}
