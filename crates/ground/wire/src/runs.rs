//! Runs: an agent's pass through the lifecycle, and what belongs to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Starts a run of an agent: with a packet, or with a task and an objective that fill the agent's own template.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// The agent: its label or full name.
    pub agent: String,
    /// The instruction packet, as JSON text (GOV-2), so that mistakes are named by line and column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
    /// The task, if there is no packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What the agent is to reach, if there is no packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The run that this is a child of. A child has no more than its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// Why, in the words of whoever does it. Recorded.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why.
    pub reason: String,
}

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunRecord {
    /// `run_…`.
    pub id: String,
    /// The task that it works on.
    pub task: String,
    /// The agent's full name.
    pub agent: String,
    /// The version of its manifest.
    pub agent_version: String,
    /// Its tier when the run began.
    pub tier: String,
    /// BOOTSTRAP, PREFLIGHT, PLAN, EXECUTE, VERIFY, PACKAGE, REPORT or EXIT.
    pub phase: String,
    /// `live`, or how it ended: `completed`, `refused`, `failed`, `stopped`, `revoked`.
    pub status: String,
    /// Why it ended: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// In which phase it was when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_in: Option<String>,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The run that it is a child of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What it wants to reach.
    pub objective: String,
    /// Errors so far, and how many revoke.
    pub errors: u32,
    /// The limit of `errors`.
    pub max_errors: u32,
    /// The number of its execution lock.
    pub fence: u64,
    /// The sandbox that its agent runs in, if one was started: its grade, and what holds its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// What joins all its ledger entries.
    pub trace: String,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// Runs, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunRecord>,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunEvent {
    /// The ledger entry.
    pub entry: u64,
    /// When.
    pub time: String,
    /// What kind of thing: `run.phase`, `action.intended`, …
    pub kind: String,
    /// In words.
    pub says: String,
}

/// A file that a run wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArtifactRecord {
    /// Its path in the agent's folder.
    pub path: String,
    /// The digest of its content.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
}

/// A run with everything about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// The run.
    pub run: RunRecord,
    /// Its packet.
    pub packet: Value,
    /// Its plan, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// The handoff that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<Value>,
    /// Its report, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Value>,
    /// What it wrote.
    pub artifacts: Vec<ArtifactRecord>,
    /// Its live children.
    pub children: Vec<String>,
    /// The reviews that it waits for: nothing of it goes on before a person decided them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// What happened, in order: the entries after `after`, or all.
    pub events: Vec<RunEvent>,
}

/// A handoff: what a revoked agent leaves to its successor (GOV-5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandoffRecord {
    /// `hnd_…`.
    pub id: String,
    /// The document.
    pub handoff: Value,
    /// The run that acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// The ledger entry that wrote it.
    pub entry: u64,
}

/// An effect: something that was done, or of which nobody knows whether it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectSummary {
    /// `act_…`.
    pub id: String,
    /// Whose.
    pub agent: String,
    /// The run that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What.
    pub action: String,
    /// To what.
    pub resource: String,
    /// `intended`, `publishing`, `succeeded`, `failed` or `unknown`.
    pub status: String,
    /// When it was intended.
    pub intended_at: String,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// Effects, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectList {
    /// The effects.
    pub effects: Vec<EffectSummary>,
}

/// Says what became of an effect of which the node does not know.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveEffect {
    /// Whether it happened.
    pub happened: bool,
    /// How the person knows.
    pub reason: String,
}

/// One key of the runtime state (GOV-6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateEntry {
    /// `agent:scribe.acme.internal:state`.
    pub key: String,
    /// `string`, `hash` or `list`, as a Redis-protocol server would have it.
    #[serde(rename = "type")]
    pub kind: String,
    /// A string, an object of strings, or a list of strings.
    pub value: Value,
    /// Until when, of a key that expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// Keys of the runtime state that match a pattern, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateList {
    /// The keys.
    pub entries: Vec<StateEntry>,
}

/// The revocation of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationRecord {
    /// `rev_…`.
    pub id: String,
    /// Whose.
    pub agent: String,
    /// ERROR_BUDGET_EXCEEDED, REPEATED_ERROR, PROCEDURE_VIOLATION, MISSING_ARTIFACT, FORBIDDEN_ACTION or BY_PERSON.
    pub reason: String,
    /// In words.
    pub details: String,
    /// The run that it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Who revoked: a person, or the node.
    pub by: String,
    /// When.
    pub at: String,
    /// Who reinstated the agent, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinstated_by: Option<String>,
    /// The tier that it came back with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinstated_tier: Option<String>,
    /// The ledger entry that last changed this.
    pub entry: u64,
}

/// Whether the node is halted (SEC-5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HaltRecord {
    /// Whether it is.
    pub halted: bool,
    /// Who said so last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The runs that were stopped by it.
    #[serde(default)]
    pub stopped: Vec<String>,
}

/// What an evidence file says that it is; a reader looks at this first.
pub const EVIDENCE_FORMAT: &str = "steward.evidence/v1";

/// What a run leaves, as one file: `steward evidence verify FILE` checks it off-line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceFile {
    /// `steward.evidence/v1`.
    pub format: String,
    /// The run.
    pub run: RunRecord,
    /// The verifier key of the tree heads, which the reader should have from elsewhere.
    pub vkey: String,
    /// Who the node is, signed (DSSE).
    pub identity: Value,
    /// Its packet, plan, evidence package, report and handoffs: the bytes in base 64, by digest.
    pub documents: Vec<EvidenceDocument>,
    /// Everything that happened in it, in order: each entry with body, salt and the proof that it is in the ledger. All proofs
    /// stand under one tree head.
    pub entries: Vec<EvidenceEntry>,
}

/// A document that an entry names by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceDocument {
    /// `packet`, `plan`, `package`, `report` or `handoff`.
    pub kind: String,
    /// The digest of the bytes.
    pub digest: String,
    /// The bytes, in base 64.
    pub bytes: String,
}

/// An entry of the ledger with its proof, in the form of `steward ledger prove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceEntry {
    /// Its place.
    pub seq: u64,
    /// The leaf's bytes as text: canonical JSON.
    pub leaf: String,
    /// The body's bytes as text: canonical JSON; none if it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The salt, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// `c2sp.org/tlog-proof@v1`.
    pub proof: String,
}
