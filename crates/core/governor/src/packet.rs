//! The instruction packet: what an agent gets before it may start (GOV-2).
//!
//! ```text
//! text ──Packet::read(namespace)──► Packet | every Mistake, with line and column
//! packet.canonical(), packet.digest()   what approvals and evidence are bound to
//! ```
//!
//! Deliberately absent: reading (that is `packet_text.rs`), and rules that are not enforced. Scope and forbidden are
//! patterns, success criteria are checks, and each escalation names something that the machine notices.

use serde::{Deserialize, Serialize};
use steward_clock::Timestamp;
use steward_naming::{Label, Name};
use steward_seal::{Digest, json::canonical};

use crate::{pattern::Pattern, word::words};

/// The JSON Schema of a packet.
pub const PACKET_SCHEMA: &str = include_str!("../schemas/packet.schema.json");

/// What an agent is told, and what holds it to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packet {
    /// The agent, by its full name.
    #[serde(rename = "agent_id")]
    pub agent: Name,
    /// The task that the run works on.
    #[serde(rename = "task_id")]
    pub task: Label,
    /// Who wants it done, in words.
    pub created_for: String,
    /// What is to be reached.
    pub objective: String,
    /// Paths that PACKAGE must find. One that is missing fails the run.
    pub deliverables: Vec<String>,
    /// What the agent may and must do.
    pub constraints: Constraints,
    /// What VERIFY checks.
    pub success_criteria: Vec<Criterion>,
    /// How much may go wrong.
    pub error_budget: ErrorBudget,
    /// What is done when something is noticed. One rule for each condition.
    pub escalation_rules: Vec<EscalationRule>,
    /// When the packet was written.
    #[serde(with = "crate::moment")]
    pub created_at: Timestamp,
}

/// What an agent may and must do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraints {
    /// Nothing is allowed but this.
    pub scope: Vec<Pattern>,
    /// Attempting this revokes the agent, even within the scope.
    pub forbidden: Vec<Pattern>,
    /// What EXECUTE must have done.
    pub required_steps: Vec<RequiredStep>,
}

/// A step that EXECUTE must take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredStep {
    /// In words.
    pub step: String,
    /// The path that shows it was taken. Missing after EXECUTE, the agent is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
}

/// A check that VERIFY makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Criterion {
    /// A file is there, and holds this text.
    Artifact {
        /// Its path.
        path: String,
        /// A text within it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contains: Option<String>,
    },
    /// A command ends with 0.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// A reviewer says yes.
    Review {
        /// To this.
        question: String,
    },
}

impl std::fmt::Display for Criterion {
    /// What is to be met, in words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Artifact { path, contains: None } => write!(f, "`{path}` is there"),
            Self::Artifact { path, contains: Some(text) } => write!(f, "`{path}` is there and holds `{text}`"),
            Self::Command { argv } => write!(f, "`{}` ends with 0", argv.join(" ")),
            Self::Review { question } => write!(f, "a reviewer says yes to: {question}"),
        }
    }
}

/// The largest limit that an error budget may have. Past it, the budget is no limit.
pub const MAX_ERROR_LIMIT: u32 = 100;

/// How much may go wrong in one run (GOV-4). A count that reaches its limit revokes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorBudget {
    /// All errors.
    pub max_total_errors: u32,
    /// Occurrences of one error.
    pub max_same_error_repeats: u32,
    /// Violations of procedure.
    pub max_procedure_violations: u32,
}

impl Default for ErrorBudget {
    fn default() -> Self {
        Self { max_total_errors: 8, max_same_error_repeats: 2, max_procedure_violations: 1 }
    }
}

words!(
    /// What the machine notices.
    When, "a condition", {
        /// The first error of the run.
        FirstError = "first_error",
        /// An action was denied.
        Denial = "denial",
        /// The plan was refused.
        PlanRefused = "plan_refused",
        /// Nobody knows whether an action was done.
        UnknownOutcome = "unknown_outcome",
        /// Half of the errors that are allowed have happened.
        HalfOfBudget = "half_of_budget",
        /// A success criterion is not met.
        CriterionFailed = "criterion_failed",
    }
);

words!(
    /// What is done about it.
    Then, "something to do", {
        /// People are told; the run goes on.
        Notify = "notify",
        /// A person must look at it first.
        Review = "review",
        /// The run stops.
        Stop = "stop",
    }
);

/// When this is noticed, that is done, once per run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscalationRule {
    /// What is noticed.
    pub when: When,
    /// What is done.
    pub then: Then,
}

impl Packet {
    /// The one form that is hashed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        canonical(self).expect("texts and small numbers have a canonical form")
    }

    /// What approvals and evidence name the packet by.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }

    /// The rule for a condition.
    pub fn rule(&self, when: When) -> Option<EscalationRule> {
        self.escalation_rules.iter().copied().find(|rule| rule.when == when)
    }
}
