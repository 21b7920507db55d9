//! What a revoked agent leaves to its successor, written from the record (GOV-5).
//!
//! ```text
//! Effect::HandOff { reason, details } ──► Handoff::write(id, &run, reason, &details, tried, artifacts)
//!     ──► Begin { handoff: Some(id), … }     the successor acknowledges it with its plan
//! ```
//!
//! Deliberately absent: what the agent says about itself. It was revoked; the record speaks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use steward_naming::{HandoffId, Label, Name};
use steward_seal::{Digest, json::canonical};

use crate::{ending::Reason, packet::Criterion, phase::Phase, plan::Artifact, run::Run, step::clip};

/// The actions that are told: the last ones. All of them are in the ledger.
pub const MAX_TRIED: usize = 50;

/// The artifacts that are told: the first ones by path. A packet names far fewer.
pub const MAX_HANDED_ARTIFACTS: usize = 200;

/// The JSON Schema of a handoff.
pub const HANDOFF_SCHEMA: &str = include_str!("../schemas/handoff.schema.json");

/// What a successor is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handoff {
    /// Its id, which the successor acknowledges.
    pub id: HandoffId,
    /// The task that goes on.
    #[serde(rename = "task_id")]
    pub task: Label,
    /// Whom the successor follows.
    #[serde(rename = "previous_agent_id")]
    pub previous_agent: Name,
    /// Always true: a handoff is written for a revoked agent's successor.
    pub revoked: bool,
    /// Why it was revoked.
    pub revocation_reason: RevocationReason,
    /// How far it came.
    pub last_known_state: LastKnownState,
    /// The last actions, in order.
    pub what_was_tried: Vec<Tried>,
    /// What stood in the way, in words.
    pub blocking_issue: String,
    /// What is still to be done.
    pub required_next_actions: Vec<String>,
    /// What holds for the successor as it did before.
    pub constraints_reminder: Vec<String>,
    /// What is there.
    pub artifacts: Vec<Artifact>,
}

/// Why an agent was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationReason {
    /// The reason's word.
    #[serde(rename = "type")]
    pub kind: Reason,
    /// The same in words.
    pub details: String,
}

/// How far a run came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastKnownState {
    /// The phase in which it was when it ended.
    pub phase: Phase,
    /// The step, in words.
    pub step: String,
}

/// An action that was attempted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// What.
    pub action: String,
    /// Done to what.
    pub resource: String,
    /// What became of it: `succeeded`, `failed`, `denied`, `unknown`.
    pub outcome: String,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Handoff {
    /// Writes the handoff of a run. Of `tried` the last [`MAX_TRIED`] are kept, and messages are clipped.
    pub fn write(
        id: HandoffId,
        run: &Run,
        reason: Reason,
        details: &str,
        mut tried: Vec<Tried>,
        mut artifacts: Vec<Artifact>,
    ) -> Self {
        tried.drain(..tried.len().saturating_sub(MAX_TRIED));
        for error in tried.iter_mut().filter_map(|tried| tried.error.as_mut()) {
            *error = clip(error);
        }
        let details = clip(details);
        artifacts.sort_by(|a, b| a.path.cmp(&b.path));
        artifacts.truncate(MAX_HANDED_ARTIFACTS);
        let there: BTreeSet<&str> = artifacts.iter().map(|artifact| artifact.path.as_str()).collect();
        let phase = run.ended.as_ref().map_or(run.phase, |ended| ended.phase);
        Self {
            id,
            task: run.task.clone(),
            previous_agent: run.agent.clone(),
            revoked: true,
            revocation_reason: RevocationReason { kind: reason, details: details.clone() },
            last_known_state: LastKnownState { phase, step: step_of(run, phase, &there) },
            blocking_issue: format!("{reason}: {details}"),
            required_next_actions: next_actions(run, reason, &there),
            constraints_reminder: reminder(run),
            what_was_tried: tried,
            artifacts,
        }
    }

    /// The one form that is hashed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        canonical(self).expect("texts and sizes of files have a canonical form")
    }

    /// What records name the handoff by.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }
}

/// How far the plan was followed, as far as artifacts show it.
fn step_of(run: &Run, phase: Phase, there: &BTreeSet<&str>) -> String {
    let Some(plan) = &run.plan else { return "no plan was submitted".to_owned() };
    if phase <= Phase::Plan {
        return "a plan was submitted and not approved".to_owned();
    }
    let lacks = |path: &Option<String>| path.as_deref().is_some_and(|path| !there.contains(path));
    let count = plan.steps.len();
    match plan.steps.iter().position(|step| lacks(&step.artifact)) {
        Some(at) => format!("step {} of {count}: {}", at + 1, plan.steps[at].step),
        None => format!("every artifact of the plan's {count} steps is there"),
    }
}

fn next_actions(run: &Run, reason: Reason, there: &BTreeSet<&str>) -> Vec<String> {
    let packet = &run.packet;
    let mut actions = vec![format!("avoid what led to {reason}: see blocking_issue")];
    let required = run.required_artifacts();
    let missing = required.iter().filter(|path| !there.contains(**path));
    actions.extend(missing.map(|path| format!("write the required artifact `{path}`")));
    let delivered = packet.deliverables.iter().map(String::as_str);
    let missing = delivered.filter(|path| !there.contains(path) && !required.contains(path));
    actions.extend(missing.map(|path| format!("write the deliverable `{path}`")));
    let named = |path: &str| required.contains(path) || packet.deliverables.iter().any(|delivered| delivered == path);
    let undone = |criterion: &&Criterion| match criterion {
        // That a file is there can be seen, and one that has to be written may be told above.
        Criterion::Artifact { path, contains: None } => !there.contains(path.as_str()) && !named(path),
        _ => true,
    };
    actions
        .extend(packet.success_criteria.iter().filter(undone).map(|criterion| format!("see to it that {criterion}")));
    actions
}

fn reminder(run: &Run) -> Vec<String> {
    let constraints = &run.packet.constraints;
    let allowed = constraints.scope.iter().map(|pattern| format!("allowed: `{pattern}`"));
    let forbidden = constraints.forbidden.iter().map(|pattern| format!("forbidden: `{pattern}`"));
    let steps = constraints.required_steps.iter().map(|step| format!("required: {}", step.step));
    allowed.chain(forbidden).chain(steps).collect()
}
