//! Commands as they stand on record, so that a run can be lived again from its record alone.
//!
//! ```text
//! command.plain() ──► run.step(…) ──► Recorded::of(&command, &run) ──► the step's entry
//! recorded.command(|digest| plan)? ──► run.step(…)                    again, years later
//! ```
//!
//! What is told to the machine is plain first: what stands on record is what it was told, to the letter.
//!
//! Deliberately absent: plans (they are kept by their digest), and when it was (the entry says that beside).

use serde::{Deserialize, Serialize};
use steward_naming::{ActionId, HandoffId, RunId};
use steward_seal::Digest;

use crate::{
    command::Command,
    plan::{Artifact, Plan},
    run::Run,
    step::clip,
};

/// The longest type or code in characters.
const MAX_CODE_CHARS: usize = 64;

/// A command as it stands on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "each is the command of its name")]
pub enum Recorded {
    Booted,
    PreflightPassed,
    Submit {
        plan: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acknowledges: Option<HandoffId>,
    },
    Approve,
    RefusePlan {
        code: String,
        message: String,
    },
    /// Of the files that were found, those that the plan and the packet require: the machine looks for no others.
    Finish {
        artifacts: Vec<Artifact>,
    },
    Verified {
        failed: Vec<String>,
    },
    Packaged {
        missing: Vec<String>,
    },
    Reported,
    Error {
        kind: String,
        message: String,
    },
    Denied {
        code: String,
        message: String,
    },
    Violation {
        details: String,
    },
    Forbidden {
        details: String,
    },
    UnknownOutcome {
        action: ActionId,
    },
    Fail {
        code: String,
        message: String,
    },
    Refuse {
        code: String,
        message: String,
    },
    Stop {
        reason: String,
    },
    Revoke {
        details: String,
    },
    Looked {
        goes_on: bool,
        message: String,
    },
    ChildStarted {
        run: RunId,
    },
    ChildEnded {
        run: RunId,
    },
}

fn code(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CODE_CHARS).collect()
}

impl Command {
    /// The same with texts that can stand in a record: of limited length, without control characters. They may come from an agent.
    #[must_use]
    pub fn plain(self) -> Self {
        let all = |texts: Vec<String>| texts.iter().map(|text| clip(text)).collect();
        match self {
            Self::RefusePlan { code: word, message } => Self::RefusePlan { code: code(&word), message: clip(&message) },
            Self::Verified { failed } => Self::Verified { failed: all(failed) },
            Self::Packaged { missing } => Self::Packaged { missing: all(missing) },
            Self::Error { kind, message } => Self::Error { kind: code(&kind), message: clip(&message) },
            Self::Denied { code: word, message } => Self::Denied { code: code(&word), message: clip(&message) },
            Self::Violation { details } => Self::Violation { details: clip(&details) },
            Self::Forbidden { details } => Self::Forbidden { details: clip(&details) },
            Self::Fail { code: word, message } => Self::Fail { code: code(&word), message: clip(&message) },
            Self::Refuse { code: word, message } => Self::Refuse { code: code(&word), message: clip(&message) },
            Self::Stop { reason } => Self::Stop { reason: clip(&reason) },
            Self::Revoke { details } => Self::Revoke { details: clip(&details) },
            Self::Looked { goes_on, message } => Self::Looked { goes_on, message: clip(&message) },
            other @ (Self::Booted
            | Self::PreflightPassed
            | Self::Submit { .. }
            | Self::Approve
            | Self::Finish { .. }
            | Self::Reported
            | Self::UnknownOutcome { .. }
            | Self::ChildStarted(_)
            | Self::ChildEnded(_)) => other,
        }
    }
}

impl Recorded {
    /// A [plain](Command::plain) command that is told to a run.
    pub fn of(command: &Command, run: &Run) -> Self {
        match command.clone() {
            Command::Booted => Self::Booted,
            Command::PreflightPassed => Self::PreflightPassed,
            Command::Submit { plan, acknowledges } => Self::Submit { plan: plan.digest(), acknowledges },
            Command::Approve => Self::Approve,
            Command::RefusePlan { code, message } => Self::RefusePlan { code, message },
            Command::Finish { mut artifacts } => {
                let required = run.required_artifacts();
                artifacts.retain(|artifact| required.contains(artifact.path.as_str()));
                Self::Finish { artifacts }
            }
            Command::Verified { failed } => Self::Verified { failed },
            Command::Packaged { missing } => Self::Packaged { missing },
            Command::Reported => Self::Reported,
            Command::Error { kind, message } => Self::Error { kind, message },
            Command::Denied { code, message } => Self::Denied { code, message },
            Command::Violation { details } => Self::Violation { details },
            Command::Forbidden { details } => Self::Forbidden { details },
            Command::UnknownOutcome { action } => Self::UnknownOutcome { action },
            Command::Fail { code, message } => Self::Fail { code, message },
            Command::Refuse { code, message } => Self::Refuse { code, message },
            Command::Stop { reason } => Self::Stop { reason },
            Command::Revoke { details } => Self::Revoke { details },
            Command::Looked { goes_on, message } => Self::Looked { goes_on, message },
            Command::ChildStarted(run) => Self::ChildStarted { run },
            Command::ChildEnded(run) => Self::ChildEnded { run },
        }
    }

    /// The command. `plan` gives the plan of a digest.
    ///
    /// # Errors
    /// There is no such plan.
    pub fn command<E>(self, plan: impl FnOnce(&Digest) -> Result<Plan, E>) -> Result<Command, E> {
        Ok(match self {
            Self::Booted => Command::Booted,
            Self::PreflightPassed => Command::PreflightPassed,
            Self::Submit { plan: digest, acknowledges } => Command::Submit { plan: plan(&digest)?, acknowledges },
            Self::Approve => Command::Approve,
            Self::RefusePlan { code, message } => Command::RefusePlan { code, message },
            Self::Finish { artifacts } => Command::Finish { artifacts },
            Self::Verified { failed } => Command::Verified { failed },
            Self::Packaged { missing } => Command::Packaged { missing },
            Self::Reported => Command::Reported,
            Self::Error { kind, message } => Command::Error { kind, message },
            Self::Denied { code, message } => Command::Denied { code, message },
            Self::Violation { details } => Command::Violation { details },
            Self::Forbidden { details } => Command::Forbidden { details },
            Self::UnknownOutcome { action } => Command::UnknownOutcome { action },
            Self::Fail { code, message } => Command::Fail { code, message },
            Self::Refuse { code, message } => Command::Refuse { code, message },
            Self::Stop { reason } => Command::Stop { reason },
            Self::Revoke { details } => Command::Revoke { details },
            Self::Looked { goes_on, message } => Command::Looked { goes_on, message },
            Self::ChildStarted { run } => Command::ChildStarted(run),
            Self::ChildEnded { run } => Command::ChildEnded(run),
        })
    }
}
