//! Why a run does not do what it was asked, and what asking costs.
//!
//! ```text
//! match run.may(&action, "/reports/a.md") {
//!     Err(refusal) => refusal.charge().map(|command| run.step(command, now)),   // the agent pays for it
//!     …
//! ```
//!
//! Deliberately absent: being broken. A core has nothing that could break.

use steward_naming::{HandoffId, RunId};

use crate::{command::Command, ending::Ending, pattern::Pattern, phase::Phase};

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The run has ended.
    #[error("run {run} is over ({ending}, {code}); a retry is a new run of the task")]
    Over {
        /// Which.
        run: RunId,
        /// How it ended.
        ending: Ending,
        /// Why it ended.
        code: String,
    },
    /// Not now.
    #[error("`{asked}` is not for {phase}; it is for {}", list(.legal))]
    NotInPhase {
        /// What was asked.
        asked: String,
        /// Where the run is.
        phase: Phase,
        /// Where it would have to be.
        legal: Vec<Phase>,
    },
    /// A person has to look at it first.
    #[error("run {run} waits for a person: {why}")]
    Held {
        /// Which.
        run: RunId,
        /// What they are to look at.
        why: String,
    },
    /// The packet forbids it.
    #[error("`{action}` on `{resource}` is forbidden by `{pattern}` of the packet")]
    Forbidden {
        /// What was asked.
        action: String,
        /// What it was to be done to, escaped.
        resource: String,
        /// What forbids it.
        pattern: Pattern,
    },
    /// The packet does not allow it.
    #[error("`{action}` on `{resource}` is outside the packet's scope; it is {}", quoted(.scope))]
    OutOfScope {
        /// What was asked.
        action: String,
        /// What it was to be done to, escaped.
        resource: String,
        /// What is allowed.
        scope: Vec<Pattern>,
    },
    /// A successor has to read what was left to it first.
    #[error("handoff {handoff} has not been acknowledged; read it, and name it when you submit the plan")]
    NotAcknowledged {
        /// Which.
        handoff: HandoffId,
    },
    /// The plan has steps that the packet does not allow.
    #[error("the plan is outside its packet: {}", .0.join("; "))]
    OutsidePacket(Vec<String>),
    /// The child would have more than its parent.
    #[error("the packet gives more than its parent has: {}", .0.join("; "))]
    WiderThanParent(Vec<String>),
    /// Children of children of children.
    #[error("runs are begun at most {limit} deep; let the parent do it itself")]
    TooDeep {
        /// [`MAX_RUN_DEPTH`](crate::run::MAX_RUN_DEPTH).
        limit: u32,
    },
    /// Too many at once.
    #[error("a run has at most {limit} children at once; wait until one has ended")]
    TooManyChildren {
        /// [`MAX_CHILDREN`](crate::run::MAX_CHILDREN).
        limit: usize,
    },
    /// There is nothing to approve or to refuse.
    #[error("no plan has been submitted; wait for one")]
    NoPlan,
}

impl Refusal {
    /// A stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Over { .. } => "RUN_OVER",
            Self::NotInPhase { .. } => "WRONG_PHASE",
            Self::Held { .. } => "NEEDS_REVIEW",
            Self::Forbidden { .. } => "FORBIDDEN_ACTION",
            Self::OutOfScope { .. } => "OUT_OF_SCOPE",
            Self::NotAcknowledged { .. } => "HANDOFF_NOT_ACKNOWLEDGED",
            Self::OutsidePacket(_) => "PLAN_OUTSIDE_PACKET",
            Self::WiderThanParent(_) => "WIDER_THAN_PARENT",
            Self::TooDeep { .. } => "RUN_TOO_DEEP",
            Self::TooManyChildren { .. } => "TOO_MANY_CHILDREN",
            Self::NoPlan => "NO_PLAN",
        }
    }

    /// What an agent that asked pays for it. Who is not the agent pays nothing: the node does not charge its own slips.
    pub fn charge(&self) -> Option<Command> {
        match self {
            Self::Over { .. } | Self::Held { .. } | Self::NoPlan => None,
            Self::NotInPhase { .. } => Some(Command::Violation { details: self.to_string() }),
            Self::Forbidden { .. } => Some(Command::Forbidden { details: self.to_string() }),
            Self::OutOfScope { .. }
            | Self::NotAcknowledged { .. }
            | Self::OutsidePacket(_)
            | Self::WiderThanParent(_)
            | Self::TooDeep { .. }
            | Self::TooManyChildren { .. } => {
                Some(Command::Denied { code: self.code().to_owned(), message: self.to_string() })
            }
        }
    }
}

fn list(phases: &[Phase]) -> String {
    phases.iter().map(|phase| phase.as_str()).collect::<Vec<_>>().join(", ")
}

/// The first patterns, and how many more there are: a message is no document.
pub(crate) fn quoted(patterns: &[Pattern]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = patterns.iter().take(SHOWN).map(|pattern| format!("`{pattern}`")).collect();
    match (shown.is_empty(), patterns.len().saturating_sub(SHOWN)) {
        (true, _) => "empty".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
