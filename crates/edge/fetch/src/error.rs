//! Why nothing was fetched, or nobody knows what came of it.

use std::{error::Error, net::IpAddr};

use steward_naming::visible;

/// What lies below an error, for the node's log.
pub(crate) type Source = Box<dyn Error + Send + Sync>;

/// Why nothing was fetched, or nobody knows what came of it.
///
/// Messages are for the caller: they name what was asked for and nothing of the node or its networks. What lies below is in
/// the source, for the node's log. [`FetchError::code`] is stable.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is no address in its one spelling.
    #[error("`{text}` {why}")]
    UrlRefused {
        /// What was asked for, made visible.
        text: String,
        /// What is wrong with it, and what to write.
        why: &'static str,
    },
    /// No entry of the node's list covers it.
    #[error(
        "`{text}` is not among what this node fetches from; ask its operator to add it to the list of allowed hosts"
    )]
    HostNotAllowed {
        /// What was asked for, made visible.
        text: String,
    },
    /// The name has an address inside a network.
    #[error(
        "`{host}` leads inside a network, where a name is not followed; if that is meant, the operator lists the address itself"
    )]
    AddressRefused {
        /// The name.
        host: String,
        /// Where it leads: for the node's log, not for the caller.
        address: IpAddr,
    },
    /// No connection came about: nothing was asked.
    #[error("`{host}` {why}; nothing was sent: ask again later, or for something else")]
    Failed {
        /// Whom it was for.
        host: String,
        /// What happened.
        why: &'static str,
        /// What lies below.
        source: Source,
    },
    /// It may have been asked, and no whole answer came.
    #[error("`{host}` {why}; it may have been asked, so find out what came of it before asking again")]
    OutcomeUnknown {
        /// Whom it was for.
        host: String,
        /// What happened.
        why: &'static str,
        /// What lies below.
        source: Source,
    },
    /// The node asks as much at once as it may, or has no thread left: nothing was begun, and it is nobody's fault who asked.
    #[error("`{0}` was not asked: this node asks as much at once as it may; try again in a moment")]
    Busy(String),
    /// The warrant and the action do not belong together, or the action is not one of this crate.
    #[error("{0}; ask for a decision about exactly what is to be done")]
    WarrantMismatch(&'static str),
}

impl FetchError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UrlRefused { .. } => "URL_REFUSED",
            Self::HostNotAllowed { .. } => "HOST_NOT_ALLOWED",
            Self::AddressRefused { .. } => "ADDRESS_REFUSED",
            Self::Failed { .. } => "FETCH_FAILED",
            Self::Busy(_) => "BUSY",
            Self::OutcomeUnknown { .. } => "OUTCOME_UNKNOWN",
            Self::WarrantMismatch(_) => "WARRANT_MISMATCH",
        }
    }

    /// Every code.
    pub const CODES: &[&str] = &[
        "URL_REFUSED",
        "HOST_NOT_ALLOWED",
        "ADDRESS_REFUSED",
        "FETCH_FAILED",
        "BUSY",
        "OUTCOME_UNKNOWN",
        "WARRANT_MISMATCH",
    ];

    /// Whether something may have been sent.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// What happened, for the operator who configured the address: without what whoever asks for something else should do.
    pub fn in_short(&self) -> String {
        match self {
            Self::AddressRefused { host, .. } => format!("`{host}` leads inside a network"),
            Self::Failed { host, why, .. } | Self::OutcomeUnknown { host, why, .. } => format!("`{host}` {why}"),
            other => other.to_string(),
        }
    }

    pub(crate) fn url(text: &str, why: &'static str) -> Self {
        Self::UrlRefused { text: visible(text), why }
    }
}
