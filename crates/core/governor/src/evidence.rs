//! What a run leaves behind: the evidence package that PACKAGE makes, and the report that REPORT writes (GOV-3).
//!
//! ```text
//! EvidencePackage { … }.canonical() ──► bytes that are kept, and named by their digest
//! ```
//!
//! Deliberately absent: contents. Everything here is named by its digest or its place in the ledger.

use serde::{Deserialize, Serialize};
use steward_clock::Timestamp;
use steward_naming::{ActionId, Label, Name, RunId};
use steward_permit::Tier;
use steward_seal::{Digest, json::canonical};

use crate::{budget::Spent, ending::Ending, phase::Phase, plan::Artifact};

/// The JSON Schema of an evidence package.
pub const EVIDENCE_SCHEMA: &str = include_str!("../schemas/evidence.schema.json");

/// What shows that a run did what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidencePackage {
    /// The run.
    pub run: RunId,
    /// Its task.
    pub task: Label,
    /// Its agent.
    pub agent: Name,
    /// The packet that was in force.
    pub packet: Digest,
    /// The plan that was approved.
    pub plan: Option<Digest>,
    /// What it made.
    pub artifacts: Vec<Artifact>,
    /// What was decided on the way.
    pub decisions: Vec<DecisionRef>,
    /// What its actions gave.
    pub outputs: Vec<OutputRef>,
}

/// A decision, and where it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRef {
    /// The entry of the ledger, as text: it may be beyond what JSON numbers hold.
    pub seq: String,
    /// What was asked.
    pub action: String,
    /// Done to what.
    pub resource: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// The policies that made it.
    pub policies: Vec<String>,
}

/// What an action gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRef {
    /// The action.
    pub action: ActionId,
    /// The tool that did it.
    pub tool: String,
    /// What became of it.
    pub status: String,
    /// Of its output, if there was one.
    pub digest: Option<Digest>,
}

/// What a person reads first about a run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// Its task.
    pub task: Label,
    /// Its agent.
    pub agent: Name,
    /// What the agent might do.
    pub tier: Tier,
    /// The packet that was in force.
    pub packet: Digest,
    /// The evidence package, if the run came so far.
    pub evidence: Option<Digest>,
    /// How it ended, or will with this report.
    pub ending: Ending,
    /// Why: a stable code.
    pub code: String,
    /// The same in words.
    pub message: String,
    /// Each phase, and when the run came into it.
    pub phases: Vec<PhaseTime>,
    /// What became of what the agent asked.
    pub actions: ActionCounts,
    /// What went wrong.
    pub errors: Spent,
    /// What it made.
    pub artifacts: Vec<Artifact>,
    /// What made the plan, where that was no model: the offline planner says what it is.
    pub planner: Option<String>,
    /// What else a person should know.
    pub note: Option<String>,
}

/// When a run came into a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// When.
    #[serde(with = "crate::moment")]
    pub at: Timestamp,
}

/// What became of what an agent asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionCounts {
    /// Done.
    pub succeeded: u64,
    /// Attempted in vain.
    pub failed: u64,
    /// Not allowed.
    pub denied: u64,
    /// Nobody knows.
    pub unknown: u64,
}

impl EvidencePackage {
    /// The one form that is hashed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        canonical(self).expect("texts, digests and sizes of files have a canonical form")
    }

    /// What records name the package by.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }
}

impl Report {
    /// The one form that is hashed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        canonical(self).expect("texts, digests and counts have a canonical form")
    }

    /// What records name the report by.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }
}
