//! Refusals of verbs.

use std::fmt;

use steward_naming::{ActionId, IdError, NameError, ReviewId};
use steward_permit::{ActionError, Denial, UnknownWord};
use steward_store::{CommitError, StoreError};

use crate::code;

/// What kind of refusal it is. `api` makes a status of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It does not exist.
    NotFound,
    /// It exists already.
    Taken,
    /// It is not allowed.
    Refused,
    /// Nobody who is known asked.
    Unauthenticated,
    /// The request is wrong.
    Invalid,
    /// It changed meanwhile; ask again.
    Stale,
    /// It cannot be done now.
    Unavailable,
    /// Something is broken inside.
    Broken,
}

/// One of several things that are wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a field.
    pub at: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// A refusal: a stable code, a message for the caller, and what is only for the log.
#[derive(Debug, Clone)]
pub struct Error {
    /// What kind it is.
    pub kind: Kind,
    /// The stable code; docs/errors has its page.
    pub code: &'static str,
    /// For the caller.
    pub message: String,
    /// The decision that refused it.
    pub action: Option<ActionId>,
    /// The review that it waits for.
    pub review: Option<Box<ReviewId>>,
    /// All that is wrong with a document.
    pub problems: Vec<Problem>,
    /// For the log only.
    context: Option<Box<str>>,
}

impl Error {
    /// A refusal.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), action: None, review: None, problems: Vec::new(), context: None }
    }

    /// There is no such thing.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, code::NOT_FOUND, format!("there is no {what}"))
    }

    /// The request is wrong.
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::new(Kind::Invalid, code::INVALID_REQUEST, message.to_string())
    }

    /// A document is wrong in several places.
    pub fn problems(problems: Vec<Problem>) -> Self {
        let message = problems.iter().map(|p| format!("{}: {}", p.at, p.message)).collect::<Vec<_>>().join("; ");
        Self { problems, ..Self::invalid(message) }
    }

    /// Something is broken inside; `context` is for the log.
    pub fn broken(context: impl fmt::Display) -> Self {
        let message = "something is broken inside; the node's log says what, under the trace of this request";
        Self { context: Some(context.to_string().into()), ..Self::new(Kind::Broken, code::INTERNAL, message) }
    }

    /// The same, naming the decision.
    #[must_use]
    pub fn of_action(self, action: ActionId) -> Self {
        Self { action: Some(action), ..self }
    }

    /// The same, about the review that it waits for: what it was decided upon is not on record by itself.
    #[must_use]
    pub fn of_review(self, review: ReviewId) -> Self {
        Self { review: Some(Box::new(review)), action: None, ..self }
    }

    /// The same, in other words.
    #[must_use]
    pub fn saying(self, message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), ..self }
    }

    /// The same, with more for the log, and for nobody else unless it is said.
    #[must_use]
    pub fn noting(self, context: impl fmt::Display) -> Self {
        Self { context: Some(context.to_string().into()), ..self }
    }

    /// What is only for the log.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<&Denial> for Error {
    fn from(denial: &Denial) -> Self {
        let action = Some(denial.ruling().id.clone());
        Self { action, ..Self::new(Kind::Refused, denial.code().as_str(), denial.to_string()) }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        let message = error.to_string();
        match error {
            CommitError::Stale { .. } => Self::new(Kind::Stale, code::STALE, message),
            CommitError::Expired => Self::new(Kind::Stale, code::PERMIT_EXPIRED, message),
            CommitError::Full => Self::new(Kind::Unavailable, code::STORE_FULL, message),
            CommitError::RolledBack(_) => Self::new(Kind::Refused, code::ROLLED_BACK, message),
            CommitError::Closed(_) => Self::new(Kind::Unavailable, code::STORE_CLOSED, message),
            CommitError::Conflict(_) | CommitError::Broken(_) => Self::broken(message),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::broken(error)
    }
}

macro_rules! invalid {
    ($($type:ty),*) => {$(
        impl From<$type> for Error {
            fn from(error: $type) -> Self {
                Self::invalid(error)
            }
        }
    )*};
}
invalid!(NameError, IdError, ActionError, UnknownWord);
