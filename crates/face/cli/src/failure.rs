//! Why a command did not do what was asked, and the exit code that says so.

use std::{fmt, io};

use steward_caller::CallError;
use steward_wire::Problem;

use crate::home;

/// How a command ends. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or true.
    Done,
    /// Refused, failed, or not true: a denied action, a ledger that does not verify.
    Refused,
    /// Used wrongly: what was typed cannot be meant.
    Misused,
    /// The node cannot be reached, or cannot answer now.
    Unreachable,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Misused => 2,
            Self::Unreachable => 3,
        }
    }

    /// How a command ends that the node refused with this HTTP status.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 | 413 | 422 => Self::Misused,
            429 | 503 => Self::Unreachable,
            _ => Self::Refused,
        }
    }
}

/// Why a command did not do what was asked: what to tell, and how to end.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What happened; empty if the answer on stdout says it already.
    pub(crate) message: String,
    /// All that is wrong, if it is several things.
    pub(crate) details: Vec<String>,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// What the node answered, for `--json`.
    pub(crate) problem: Option<Box<Problem>>,
}

impl Failure {
    fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), details: Vec::new(), hint: None, problem: None }
    }

    /// Exit code 1.
    pub(crate) fn refused(message: impl fmt::Display) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// Exit code 1, when stdout says why.
    pub(crate) fn not_true() -> Self {
        Self::new(Exit::Refused, "")
    }

    /// Exit code 2.
    pub(crate) fn misused(message: impl fmt::Display) -> Self {
        Self::new(Exit::Misused, message)
    }

    /// Exit code 3.
    pub(crate) fn unreachable(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    /// Whoever reads our stdout went away (`| head`): nothing is wrong, and there is nobody to tell.
    pub(crate) fn unheard() -> Self {
        Self::new(Exit::Done, "")
    }

    /// With what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With all that is wrong.
    pub(crate) fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::refused(format!("cannot {what} `{}`: {error}", path.display()))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => {
                let told: Vec<String> = problem.problems.iter().map(|p| format!("{}: {}", p.at, p.message)).collect();
                let trace = problem.trace.as_ref().map(|t| format!("; request {t}")).unwrap_or_default();
                // What is wrong is told once: of one thing in the message, of several below it.
                let is_list = problem.detail == told.join("; ");
                let (said, details) = match told.len() {
                    0 => (problem.detail.clone(), told),
                    1 if is_list => (problem.detail.clone(), Vec::new()),
                    n if is_list => (format!("{n} things are wrong"), told),
                    _ => (problem.detail.clone(), told),
                };
                let hint = match problem.status {
                    _ if problem.code == "MODEL_REFUSED" => Some(
                        "check the secret that `steward model list --json` names, and what it may be used for"
                            .to_owned(),
                    ),
                    401 if home::has_key_of_environment() => {
                        Some("put another key into STEWARD_KEY, or unset it".to_owned())
                    }
                    401 => Some("log in with `steward login`".to_owned()),
                    403 if problem.action.is_some() => {
                        problem.action.as_ref().map(|id| format!("see why with `steward action explain {id}`"))
                    }
                    429 => Some("wait as long as it says, and ask less often".to_owned()),
                    503 if problem.code == "STORE_FULL" => Some(
                        "make room on the disk, or raise `max_store_bytes` in `steward.toml` and restart the node".to_owned(),
                    ),
                    503 if problem.code == "KEYSTORE_LOCKED" => Some(
                        "put back or mend what opens the keystore, then restart the node; `steward doctor` says what is wrong"
                            .to_owned(),
                    ),
                    503 => Some("try again in a moment; `steward doctor` says more".to_owned()),
                    500 => Some("the node's log says more; `steward doctor` may too".to_owned()),
                    _ => None,
                };
                let message = format!("{said} ({}{trace})", problem.code);
                Self { exit: Exit::of_status(problem.status), message, details, hint, problem: Some(problem) }
            }
            CallError::Unreachable { .. } => {
                Self::unreachable(&error).hint("start it with `steward up`, or name another with --node URL")
            }
            CallError::Untrusted { .. } => Self::unreachable(&error)
                .hint("name the authority that it is by with --ca FILE, or the right address with --node URL"),
            CallError::Unreadable(_) => Self::unreachable(&error).hint("name the right one with --node URL"),
            CallError::Malformed { .. } => Self::misused(&error),
            CallError::Declined(_) => Self::refused(&error),
        }
    }
}

/// Writing to stdout failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::unheard()
        } else {
            Self::refused(format!("cannot write the answer: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use steward_caller::CallError;
    use steward_wire::{FieldProblem, Problem};

    use super::{Exit, Failure};

    fn problem(status: u16) -> Problem {
        Problem {
            kind: "urn:steward:error:X".into(),
            title: "x".into(),
            status,
            code: "X".into(),
            detail: "no".into(),
            action: (status == 403).then(|| "act_1".into()),
            review: None,
            trace: Some("trc_1".into()),
            problems: vec![FieldProblem { at: "tier".into(), message: "wrong".into() }],
        }
    }

    #[test]
    fn every_status_has_its_exit_code() {
        for (status, code) in [
            (400, 2),
            (413, 2),
            (422, 2),
            (401, 1),
            (403, 1),
            (404, 1),
            (409, 1),
            (410, 1),
            (429, 3),
            (500, 1),
            (503, 3),
        ] {
            let failure = Failure::from(CallError::Refused(Box::new(problem(status))));
            assert_eq!(failure.exit.code(), code, "{status}");
            assert_eq!(failure.details, ["tier: wrong"]);
            assert_eq!(failure.message, "no (X; request trc_1)");
        }
    }

    #[test]
    fn what_is_wrong_is_told_once() {
        let told = |detail: &str, wrong: &[&str]| {
            let problems = wrong.iter().map(|at| FieldProblem { at: (*at).into(), message: "wrong".into() }).collect();
            let problem = Problem { detail: detail.into(), problems, ..problem(400) };
            let failure = Failure::from(CallError::Refused(Box::new(problem)));
            (failure.message, failure.details)
        };
        assert_eq!(told("tier: wrong", &["tier"]), ("tier: wrong (X; request trc_1)".into(), vec![]));
        let both = ["tier: wrong".to_owned(), "url: wrong".to_owned()];
        let several = told("tier: wrong; url: wrong", &["tier", "url"]);
        assert_eq!(several, ("2 things are wrong (X; request trc_1)".into(), both.to_vec()));
        assert_eq!(told("look at it", &["tier"]), ("look at it (X; request trc_1)".into(), vec![both[0].clone()]));
    }

    #[test]
    fn errors_say_what_to_try() {
        let hint = |status| Failure::from(CallError::Refused(Box::new(problem(status)))).hint.unwrap_or_default();
        assert!(hint(401).contains("steward login"));
        let refused = Problem { code: "MODEL_REFUSED".into(), ..problem(503) };
        let hinted = Failure::from(CallError::Refused(Box::new(refused))).hint.unwrap_or_default();
        assert!(hinted.contains("check the secret") && !hinted.contains("try again"), "{hinted}");
        for (code, said) in [("STORE_FULL", "make room"), ("KEYSTORE_LOCKED", "mend what opens"), ("BUSY", "try again")]
        {
            let refused = Problem { code: code.into(), ..problem(503) };
            let hinted = Failure::from(CallError::Refused(Box::new(refused))).hint.unwrap_or_default();
            assert!(hinted.contains(said) && (code == "BUSY" || !hinted.contains("try again")), "{hinted}");
        }
        assert!(hint(403).contains("steward action explain act_1"));
        let unreachable = CallError::Unreachable { address: "http://127.0.0.1:1".into(), reason: "refused".into() };
        let failure = Failure::from(unreachable);
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.hint.unwrap_or_default().contains("steward up"));
        let untrusted = CallError::Untrusted { address: "https://127.0.0.1:1".into(), reason: "it is over".into() };
        let failure = Failure::from(untrusted);
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.hint.is_some_and(|hint| hint.contains("--ca FILE") && !hint.contains("steward up")));
        assert_eq!(Failure::from(CallError::Unreadable("html".into())).exit, Exit::Unreachable);
        assert_eq!(Failure::from(CallError::Malformed { text: "..".into(), what: "a name" }).exit, Exit::Misused);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(gone).exit, Exit::Done);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Failure::from(full).exit, Exit::Refused);
    }
}
