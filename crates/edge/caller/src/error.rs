//! Why a call has no answer.

use steward_wire::Problem;

use crate::call::reason;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answered, or not in time, or the answer broke off. What was asked may have been done.
    #[error("the node at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What happened.
        reason: String,
    },
    /// Its certificate is by nobody who is trusted, is over, or is of another name.
    #[error("the certificate of {address} is not trusted: {reason}")]
    Untrusted {
        /// Where it was asked.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node refused.
    #[error("{} ({})", .0.detail, .0.code)]
    Refused(Box<Problem>),
    /// The other side declined, in words of its protocol.
    #[error("{0}")]
    Declined(String),
    /// Something answered, but not as a node of this version does.
    #[error("the answer cannot be read: {0}; is it a Steward node of this version?")]
    Unreadable(String),
    /// The call was not made: what was asked for cannot be written as a request.
    #[error("`{text}` is not {what}")]
    Malformed {
        /// What was given, with everything but printable ASCII escaped.
        text: String,
        /// What was expected.
        what: &'static str,
    },
}

impl CallError {
    /// The stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// Why somebody at `address` was not reached.
    pub(crate) fn unreached(address: &str, error: &reqwest::Error) -> Self {
        let (address, reason) = (address.to_owned(), reason(error));
        // As rustls says it.
        match reason.strip_prefix("invalid peer certificate: ") {
            Some("UnknownIssuer") => {
                Self::Untrusted { address, reason: "it is by an authority that is not known here".to_owned() }
            }
            Some(reason) => Self::Untrusted { address, reason: reason.to_owned() },
            None => Self::Unreachable { address, reason },
        }
    }

    pub(crate) fn malformed(text: &str, what: &'static str) -> Self {
        let text = text.chars().take(80).flat_map(char::escape_default).collect();
        Self::Malformed { text, what }
    }
}
