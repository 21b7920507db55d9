//! Where a run is (GOV-3).
//!
//! ```
//! use steward_governor::Phase;
//! assert_eq!(Phase::Plan.next(), Some(Phase::Execute));
//! assert_eq!("EXECUTE".parse(), Ok(Phase::Execute));
//! ```
//!
//! Deliberately absent: any order but this one. A run takes the next phase or goes straight to EXIT.

use crate::word::words;

words!(
    /// Where a run is. No phase is skipped, none is entered twice.
    Phase, "a phase", {
        /// The packet, the lock and the credential are got.
        Bootstrap = "BOOTSTRAP",
        /// Scope and dependencies are checked.
        Preflight = "PREFLIGHT",
        /// The agent looks around and submits a plan.
        Plan = "PLAN",
        /// The agent acts.
        Execute = "EXECUTE",
        /// Results are held against the packet's criteria.
        Verify = "VERIFY",
        /// Artifacts are collected into an evidence package.
        Package = "PACKAGE",
        /// The report is written.
        Report = "REPORT",
        /// Over: lock and credential are released.
        Exit = "EXIT",
    }
);

impl Phase {
    /// The phase after this one; none after EXIT.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Bootstrap => Some(Self::Preflight),
            Self::Preflight => Some(Self::Plan),
            Self::Plan => Some(Self::Execute),
            Self::Execute => Some(Self::Verify),
            Self::Verify => Some(Self::Package),
            Self::Package => Some(Self::Report),
            Self::Report => Some(Self::Exit),
            Self::Exit => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Phase;

    #[test]
    fn phases_follow_each_other() {
        let mut walked = vec![Phase::Bootstrap];
        while let Some(next) = walked.last().and_then(|p| p.next()) {
            walked.push(next);
        }
        assert_eq!(walked, Phase::ALL);
    }

    #[test]
    fn words_have_one_spelling() {
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(*phase));
            assert!(phase.as_str().to_lowercase().parse::<Phase>().is_err());
            assert_eq!(serde_json::to_string(phase).unwrap(), format!("\"{phase}\""));
        }
    }
}
