//! Why there is no answer, or nobody knows what came of the question.
//!
//! ```
//! use steward_model::ModelError;
//! let refused = ModelError::Refused { model: "fast".to_owned() };
//! assert_eq!((refused.code(), refused.may_fall_back(), refused.is_unknown()), ("MODEL_REFUSED", true, false));
//! ```
//!
//! Deliberately absent: what a provider wrote, as it wrote it. Its words are scrubbed, cleaned and cut ([`MAX_MESSAGE_CHARS`]).

use serde_json::Value;
use steward_clock::Timestamp;
use steward_seal::secret::Secrets;

/// The most characters of a provider's message that are handed on: enough to say what is wrong, too few to be a page.
pub const MAX_MESSAGE_CHARS: usize = 300;

/// Why there is no answer, or nobody knows what came of the question.
///
/// `model` is the name that agents call it by. [`ModelError::code`] is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The provider cannot be reached, or says that it cannot answer: it did nothing.
    #[error("`{model}` {why}; ask again later, or another model")]
    Unavailable {
        /// Which.
        model: String,
        /// What happened.
        why: String,
    },
    /// It was asked, and took too long.
    #[error("`{model}` {why}; it may have cost something all the same, so it is not asked a second time by itself")]
    TimedOut {
        /// Which.
        model: String,
        /// What took too long.
        why: &'static str,
    },
    /// It was asked, and its answer broke off.
    #[error("`{model}` {why}; it may have cost something all the same, so it is not asked a second time by itself")]
    CutOff {
        /// Which.
        model: String,
        /// How.
        why: String,
    },
    /// It answered, with something that is no answer.
    #[error(
        "`{model}` gave no answer that can be read: {why}; ask another model, or have its operator check its address"
    )]
    Garbage {
        /// Which.
        model: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The provider refuses the node's key.
    #[error(
        "`{model}`: the provider refuses the key of this node; its operator checks the key and what it may be used for"
    )]
    Refused {
        /// Which.
        model: String,
    },
    /// The provider refuses the request.
    #[error("`{model}` refuses the request ({status}): {message}; change the request")]
    Rejected {
        /// Which.
        model: String,
        /// The status.
        status: u16,
        /// What the provider says, scrubbed and cut.
        message: String,
    },
    /// The provider has been asked too often.
    #[error("`{model}` has been asked too often; ask again later, or another model")]
    RateLimited {
        /// Which.
        model: String,
    },
    /// Its answer does not end.
    #[error("`{model}` was stopped: {what} is more than is read; ask for less")]
    TooMuch {
        /// Which.
        model: String,
        /// What there was too much of.
        what: &'static str,
    },
    /// It failed so often that it is not asked.
    #[error("`{model}` failed several times in a row and is not asked until {until}; ask then, or another model")]
    BreakerOpen {
        /// Which.
        model: String,
        /// When it is asked again, at the earliest.
        until: Timestamp,
    },
    /// The warrant, the action and the request do not belong together.
    #[error("{0}; ask for a decision about exactly what is to be done")]
    WarrantMismatch(&'static str),
    /// The request cannot be sent as it is.
    #[error("the request {0}")]
    Invalid(String),
}

impl ModelError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "MODEL_UNAVAILABLE",
            Self::TimedOut { .. } => "MODEL_TIMEOUT",
            Self::CutOff { .. } => "MODEL_CUT_OFF",
            Self::Garbage { .. } => "MODEL_GARBAGE",
            Self::Refused { .. } => "MODEL_REFUSED",
            Self::Rejected { .. } => "MODEL_REJECTED",
            Self::RateLimited { .. } => "MODEL_RATE_LIMITED",
            Self::TooMuch { .. } => "MODEL_TOO_MUCH",
            Self::BreakerOpen { .. } => "BREAKER_OPEN",
            Self::WarrantMismatch(_) => "WARRANT_MISMATCH",
            Self::Invalid(_) => "INVALID_REQUEST",
        }
    }

    /// Every code.
    pub const CODES: &[&str] = &[
        "MODEL_UNAVAILABLE",
        "MODEL_TIMEOUT",
        "MODEL_CUT_OFF",
        "MODEL_GARBAGE",
        "MODEL_REFUSED",
        "MODEL_REJECTED",
        "MODEL_RATE_LIMITED",
        "MODEL_TOO_MUCH",
        "BREAKER_OPEN",
        "WARRANT_MISMATCH",
        "INVALID_REQUEST",
    ];

    /// Whether nobody knows what came of it.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::CutOff { .. } | Self::TooMuch { .. })
    }

    /// Whether the provider may have charged for it, and nobody knows how much: what is unknown, and what came and was no answer.
    pub fn may_have_cost(&self) -> bool {
        self.is_unknown() || matches!(self, Self::Garbage { .. })
    }

    /// Whether another provider should be asked: this one did not do it, and the request is not to blame. What is unknown is not
    /// asked again anywhere.
    pub fn may_fall_back(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::RateLimited { .. }
                | Self::Refused { .. }
                | Self::BreakerOpen { .. }
                | Self::Garbage { .. }
        )
    }

    /// Whether it speaks against the provider, and not against the request or the key.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::TimedOut { .. }
            | Self::CutOff { .. }
            | Self::Garbage { .. }
            | Self::RateLimited { .. }
            | Self::TooMuch { .. } => true,
            Self::Refused { .. }
            | Self::Rejected { .. }
            | Self::BreakerOpen { .. }
            | Self::WarrantMismatch(_)
            | Self::Invalid(_) => false,
        }
    }
}

/// What a provider says of an error, in a form that can be shown: from the usual places in JSON, or as it is.
pub(crate) fn message_of(body: &[u8], secrets: &Secrets) -> String {
    let found = serde_json::from_slice::<Value>(body).ok().and_then(|value| message_in(&value));
    showable(&found.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()), secrets)
}

/// The message of `{error: {message}}`, `{error: "…"}` or `{message}`.
pub(crate) fn message_in(value: &Value) -> Option<String> {
    let error = value.get("error").unwrap_or(value);
    error.get("message").unwrap_or(error).as_str().map(str::to_owned)
}

/// Cleaned before it is scrubbed, so that no control character hides a secret; cut after, so that none is cut in two.
pub(crate) fn showable(text: &str, secrets: &Secrets) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    let shown: String = secrets.scrub(&clean).chars().take(MAX_MESSAGE_CHARS).collect();
    if shown.trim().is_empty() { "it does not say why".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use steward_seal::secret::{Secret, Secrets};

    use super::{MAX_MESSAGE_CHARS, message_of};

    #[test]
    fn what_a_provider_says_is_shown_in_part() {
        let known = Secrets::of([Secret::new("sk-1234567890")]);
        let long = "x".repeat(MAX_MESSAGE_CHARS - 5);
        for (body, shown) in [
            (r#"{"error":{"message":"no such model","type":"x"}}"#.to_owned(), "no such model".to_owned()),
            (r#"{"type":"error","error":{"type":"x","message":"bad"}}"#.to_owned(), "bad".to_owned()),
            (r#"{"error":"model 'a' not found"}"#.to_owned(), "model 'a' not found".to_owned()),
            (r#"{"message":"a\u0000\u001b[31mb"}"#.to_owned(), "a[31mb".to_owned()),
            ("<html>\r\nsk-1234567890".to_owned(), "<html>[secret]".to_owned()),
            ("sk-1234\n567890".to_owned(), "[secret]".to_owned()),
            (format!("{long}sk-1234567890"), format!("{long}[secr")),
            (String::new(), "it does not say why".to_owned()),
            (r#"{"error":{"code":7}}"#.to_owned(), r#"{"error":{"code":7}}"#.to_owned()),
        ] {
            assert_eq!(message_of(body.as_bytes(), &known), shown);
        }
    }
}
