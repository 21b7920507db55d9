//! How a run ended, and why an agent was revoked (GOV-3, GOV-4).
//!
//! ```text
//! run.ended ──► Some(Ended { ending: revoked, code: "REPEATED_ERROR", phase: EXECUTE, … })
//! ```
//!
//! Deliberately absent: the codes that others give when they end a run (`Fail`, `Refuse`, `RefusePlan`). Those that the
//! machine gives stand here, together with the reasons.

use serde::{Deserialize, Serialize};
use steward_clock::Timestamp;

use crate::{phase::Phase, word::words};

/// VERIFY found a criterion that is not met.
pub(crate) const CRITERION_FAILED: &str = "CRITERION_FAILED";

/// PACKAGE found no such deliverable.
pub(crate) const MISSING_DELIVERABLE: &str = "MISSING_DELIVERABLE";

/// An escalation rule said stop.
pub(crate) const ESCALATED: &str = "ESCALATED";

words!(
    /// How a run ended.
    Ending, "an ending", {
        /// Everything that was asked is there.
        Completed = "completed",
        /// It was not let into EXECUTE.
        Refused = "refused",
        /// A check failed, a deliverable is missing, or the agent gave up.
        Failed = "failed",
        /// It was told to stop. The agent keeps its standing.
        Stopped = "stopped",
        /// The agent was revoked.
        Revoked = "revoked",
    }
);

words!(
    /// Why an agent was revoked (GOV-4).
    Reason, "a reason to revoke", {
        /// All errors together reached their limit.
        ErrorBudgetExceeded = "ERROR_BUDGET_EXCEEDED",
        /// One error was repeated until its limit.
        RepeatedError = "REPEATED_ERROR",
        /// Violations of procedure reached their limit.
        ProcedureViolation = "PROCEDURE_VIOLATION",
        /// EXECUTE was left without a required artifact.
        MissingArtifact = "MISSING_ARTIFACT",
        /// Something that the packet forbids was attempted.
        ForbiddenAction = "FORBIDDEN_ACTION",
        /// A person decided so.
        ByPerson = "BY_PERSON",
    }
);

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// A stable code: a [`Reason`] for the revoked, `COMPLETED`, `STOPPED`, `CRITERION_FAILED`, …
    pub code: String,
    /// The same in words.
    pub message: String,
    /// The phase in which the run was when it ended.
    pub phase: Phase,
    /// When.
    #[serde(with = "crate::moment")]
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::{Ending, Reason};

    #[test]
    fn words_have_one_spelling() {
        assert_eq!(
            "gone".parse::<Ending>().unwrap_err().to_string(),
            "`gone` is not an ending; they are completed, refused, failed, stopped, revoked"
        );
        assert!(serde_json::from_str::<Reason>("\"ForbiddenAction\"").is_err());
    }
}
