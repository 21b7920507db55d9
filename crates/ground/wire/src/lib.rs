//! What crosses a socket: the shapes of `/v1`, without behaviour.
//!
//! The API writes them, `caller` reads them, `--json` prints them; docs/openapi.json is generated from them. Times are RFC 3339
//! with milliseconds, digests are `sha256:<hex>`, ids and names are text that the receiving side parses. Shapes only grow;
//! a reader passes over fields that it does not know, a request with fields that nobody knows is refused.
//!
//! Deliberately absent: domain types. Turning text into them is the door's work (`api`).

mod actions;
mod agents;
mod entries;
mod hooks;
mod models;
mod node;
mod people;
mod policies;
mod policy_diff;
mod problem;
mod replay;
mod reviews;
mod runs;
mod secrets;
mod tools;
mod traces;

pub use actions::{
    Act, ActionList, ActionRecord, ActionResult, Decide, DecisionRecord, EffectRecord, Explanation, MatchedPolicy,
    Proof,
};
pub use agents::{AddAgent, AgentList, AgentRecord};
pub use entries::{
    Consistency, EntryList, EntryRecord, ExportQuery, InclusionProof, LedgerHead, RedactionRecord, RetentionKind,
    RetentionReport, SearchQuery, VerifierKey,
};
pub use hooks::{HookList, HookRecord, HookTested};
pub use models::{
    AddModel, BudgetLimits, BudgetList, BudgetRecord, BudgetUsed, ModelList, ModelRecord, ModelTested, SetBudget,
    UsageRecord, UsageReport,
};
pub use node::{AlertList, AlertRecord, Check, Doctor, NodeStatus};
pub use people::{
    AddPerson, CreateKey, CreatedKey, KeyList, KeyRecord, LinkList, LinkPerson, LinkRecord, Login, LoginIssuer,
    LoginIssuers, LoginToken, PersonList, PersonRecord, UnlinkPerson,
};
pub use policies::{ExplainPolicy, PolicyList, PolicyRecord, PolicyVerdict};
pub use policy_diff::{DiffPolicy, NotAsked, PolicyDiff, PolicyDifference, PolicyFile, PolicyOutcome};
pub use problem::{FieldProblem, Problem};
pub use replay::{AgentHistory, AgentTurn, ReplayEvent, RunReplay};
pub use reviews::{ReviewDecision, ReviewDetail, ReviewDocument, ReviewList, ReviewRecord, TierChange};
pub use runs::{
    ArtifactRecord, EVIDENCE_FORMAT, EffectList, EffectSummary, EvidenceDocument, EvidenceEntry, EvidenceFile,
    HaltRecord, HandoffRecord, Reason, ResolveEffect, RevocationRecord, RunDetail, RunEvent, RunList, RunRecord,
    StartRun, StateEntry, StateList,
};
pub use secrets::{GrantSecret, LeaseList, LeaseRecord, PutSecret, RotateSecret, SecretList, SecretRecord, SecretText};
pub use tools::{AddTool, AllowTool, ToolFinding, ToolRecord, ToolServerList, ToolServerRecord};
pub use traces::TracesRecord;
