//! What can be said to a run, and what follows from it.
//!
//! ```text
//! run.step(Command::Booted, now)? ──► Step { run, effects: [RenewLease] }
//! ```
//!
//! Deliberately absent: doing anything. An effect is a wish; the node carries it out, once, and writes it down.

use steward_naming::{ActionId, HandoffId, RunId};

use crate::{
    ending::Reason,
    packet::{Then, When},
    phase::Phase,
    plan::{Artifact, Plan},
};

/// What can be said to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Packet, lock and credential are there.
    Booted,
    /// Scope and dependencies are as they must be.
    PreflightPassed,
    /// The agent submits its plan, or another one in its place.
    Submit {
        /// The plan.
        plan: Plan,
        /// The handoff that a successor says it has read.
        acknowledges: Option<HandoffId>,
    },
    /// The plan may be carried out.
    Approve,
    /// The plan may not be carried out: the run ends refused.
    RefusePlan {
        /// A stable code.
        code: String,
        /// Why.
        message: String,
    },
    /// The agent says that it is done; these files were found.
    Finish {
        /// What is there of what the plan and the packet name, and more.
        artifacts: Vec<Artifact>,
    },
    /// The criteria were evaluated.
    Verified {
        /// Those that are not met, in words.
        failed: Vec<String>,
    },
    /// The evidence package was made.
    Packaged {
        /// Deliverables that are not there.
        missing: Vec<String>,
    },
    /// The report was written.
    Reported,
    /// Something went wrong.
    Error {
        /// Its type.
        kind: String,
        /// What, in words.
        message: String,
    },
    /// An action was denied, which is an error too.
    Denied {
        /// The denial's code.
        code: String,
        /// Why.
        message: String,
    },
    /// The agent did something out of turn.
    Violation {
        /// What.
        details: String,
    },
    /// The agent attempted what its packet forbids.
    Forbidden {
        /// What.
        details: String,
    },
    /// Nobody knows whether an action was done.
    UnknownOutcome {
        /// Which.
        action: ActionId,
    },
    /// The run cannot go on.
    Fail {
        /// A stable code.
        code: String,
        /// Why.
        message: String,
    },
    /// The run may not go on. Before EXECUTE only.
    Refuse {
        /// A stable code.
        code: String,
        /// Why.
        message: String,
    },
    /// The run is to stop. The agent keeps its standing.
    Stop {
        /// Why.
        reason: String,
    },
    /// A person revokes the agent.
    Revoke {
        /// Why.
        details: String,
    },
    /// A person looked at what an escalation held the run for.
    Looked {
        /// Whether it goes on; else it stops.
        goes_on: bool,
        /// What they said.
        message: String,
    },
    /// A run was begun under this one.
    ChildStarted(RunId),
    /// It is over. Saying so twice does no harm.
    ChildEnded(RunId),
}

impl Command {
    /// What it is called in a refusal.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Booted => "boot",
            Self::PreflightPassed => "pass preflight",
            Self::Submit { .. } => "submit a plan",
            Self::Approve => "approve the plan",
            Self::RefusePlan { .. } => "refuse the plan",
            Self::Finish { .. } => "finish",
            Self::Verified { .. } => "tell what was verified",
            Self::Packaged { .. } => "tell what was packaged",
            Self::Reported => "tell what was reported",
            Self::Error { .. } => "report an error",
            Self::Denied { .. } => "report a denial",
            Self::Violation { .. } => "report a violation",
            Self::Forbidden { .. } => "report a forbidden action",
            Self::UnknownOutcome { .. } => "report an unknown outcome",
            Self::Fail { .. } => "fail",
            Self::Refuse { .. } => "refuse",
            Self::Stop { .. } => "stop",
            Self::Revoke { .. } => "revoke",
            Self::Looked { .. } => "go on or stop after a person looked",
            Self::ChildStarted(_) => "start a child",
            Self::ChildEnded(_) => "end a child",
        }
    }

    /// Whether it takes a run further, which one that is held does not go.
    pub(crate) const fn goes_further(&self) -> bool {
        matches!(
            self,
            Self::Submit { .. }
                | Self::Approve
                | Self::Finish { .. }
                | Self::Verified { .. }
                | Self::Packaged { .. }
                | Self::Reported
                | Self::ChildStarted(_)
        )
    }

    /// The phases in which it can be said.
    pub const fn legal(&self) -> &'static [Phase] {
        /// All but EXIT.
        const LIVE: &[Phase] = Phase::ALL.split_at(Phase::ALL.len() - 1).0;
        match self {
            Self::Booted => &[Phase::Bootstrap],
            Self::PreflightPassed => &[Phase::Preflight],
            Self::Submit { .. } | Self::Approve | Self::RefusePlan { .. } => &[Phase::Plan],
            Self::Finish { .. } | Self::ChildStarted(_) => &[Phase::Execute],
            Self::Verified { .. } => &[Phase::Verify],
            Self::Packaged { .. } => &[Phase::Package],
            Self::Reported => &[Phase::Report],
            Self::Refuse { .. } => &[Phase::Bootstrap, Phase::Preflight, Phase::Plan],
            Self::Error { .. }
            | Self::Denied { .. }
            | Self::Violation { .. }
            | Self::Forbidden { .. }
            | Self::UnknownOutcome { .. }
            | Self::Fail { .. }
            | Self::Stop { .. }
            | Self::Revoke { .. }
            | Self::Looked { .. }
            | Self::ChildEnded(_) => LIVE,
        }
    }
}

/// What the node is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Heartbeat, and keep the lock and the credential: the run took its next phase.
    RenewLease,
    /// Let go of the lock. Comes after all that needs it.
    ReleaseLock,
    /// Revoke the credential at its issuer.
    RevokeCredential,
    /// End the agent's process.
    KillAgent,
    /// Write that the agent is revoked.
    RevokeAgent {
        /// Why.
        reason: Reason,
        /// The same in words.
        details: String,
    },
    /// Write a handoff for the agent's successor.
    HandOff {
        /// Why the agent was revoked.
        reason: Reason,
        /// The same in words.
        details: String,
    },
    /// Stop these runs.
    StopChildren(Vec<RunId>),
    /// Tell people. A run that has to stop for it has stopped with the same step; one that has to wait for them is held.
    Escalate {
        /// What was noticed.
        when: When,
        /// What the packet's rule says.
        then: Then,
    },
}
