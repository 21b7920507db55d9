//! Why a server gave nothing, or nobody knows what came of a call.
//!
//! ```text
//! if error.is_unknown() { /* the call may have been done: it is not made again */ }
//! ```
//!
//! Deliberately absent: the errors of tools. A tool that says that it failed has answered, and its result says so.

use steward_gateway::reveal;
use steward_naming::visible;
use steward_seal::secret::Secrets;

/// The longest text of the other side in a message: some lines, of which a person reads the first.
pub const MAX_QUOTED_CHARS: usize = 300;

/// Why a server gave nothing, or nobody knows what came of a call.
///
/// Messages are for the caller. What is in them of the other side is short and plain. [`UpstreamError::code`] is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// There is no connection, or none any more.
    #[error("the server `{server}` {why}; {}", next(*asked))]
    Unavailable {
        /// Its name.
        server: String,
        /// What happened.
        why: String,
        /// Whether a tool may have been called.
        asked: bool,
    },
    /// It took too long.
    #[error("the server `{server}` did not answer within {after_ms} ms; {}", next(*asked))]
    Timeout {
        /// Its name.
        server: String,
        /// How long was waited, in milliseconds.
        after_ms: u64,
        /// Whether a tool may have been called.
        asked: bool,
    },
    /// What it sent is not MCP, or is larger than is read.
    #[error("the server `{server}` {why}; {}", next(*asked))]
    Garbage {
        /// Its name.
        server: String,
        /// What it sent.
        why: String,
        /// Whether a tool may have been called.
        asked: bool,
    },
    /// It speaks MCP, and something that this node does not do.
    #[error("the server `{server}` {why}; {}", next(*asked))]
    Protocol {
        /// Its name.
        server: String,
        /// What it wants.
        why: String,
        /// Whether a tool may have been called.
        asked: bool,
    },
    /// It refused, with an error of the protocol.
    #[error("the server `{server}` refused: {why}; correct what was asked for, or ask for something else")]
    Refused {
        /// Its name.
        server: String,
        /// What it said.
        why: String,
    },
    /// The warrant and what is asked for do not belong together.
    #[error("{0}; ask for a decision about exactly what is to be done")]
    WarrantMismatch(&'static str),
}

/// What to do next.
fn next(asked: bool) -> &'static str {
    if asked {
        "the tool may have been called, so find out what came of it before calling it again"
    } else {
        "no tool was called: ask its operator, or try again later"
    }
}

impl UpstreamError {
    /// Every code.
    pub const CODES: &[&str] =
        &["TOOL_SERVER_UNAVAILABLE", "TOOL_TIMEOUT", "TOOL_GARBAGE", "TOOL_PROTOCOL", "TOOL_ERROR", "WARRANT_MISMATCH"];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "TOOL_SERVER_UNAVAILABLE",
            Self::Timeout { .. } => "TOOL_TIMEOUT",
            Self::Garbage { .. } => "TOOL_GARBAGE",
            Self::Protocol { .. } => "TOOL_PROTOCOL",
            Self::Refused { .. } => "TOOL_ERROR",
            Self::WarrantMismatch(_) => "WARRANT_MISMATCH",
        }
    }

    /// Whether a tool may have been called, and nobody knows what came of it.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Unavailable { asked, .. }
            | Self::Timeout { asked, .. }
            | Self::Garbage { asked, .. }
            | Self::Protocol { asked, .. } => *asked,
            Self::Refused { .. } | Self::WarrantMismatch(_) => false,
        }
    }
}

/// A failure of which it is not yet said whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// What happened, with text of the other side in it as it came.
    pub(crate) why: String,
    /// That nothing reached the other side, whatever was to be asked.
    pub(crate) is_unsent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unavailable,
    Garbage,
    Protocol,
    Refused,
}

impl Failure {
    pub(crate) fn new(kind: Kind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), is_unsent: false }
    }

    pub(crate) fn unsent(kind: Kind, why: impl Into<String>) -> Self {
        Self { is_unsent: true, ..Self::new(kind, why) }
    }

    /// Whose it is. `is_call` says that a tool was to be called.
    pub(crate) fn of(self, server: &str, is_call: bool, secrets: &Secrets) -> UpstreamError {
        let (server, why) = (visible(server), plain(&self.why, secrets));
        let asked = is_call && !self.is_unsent;
        match self.kind {
            Kind::Unavailable => UpstreamError::Unavailable { server, why, asked },
            Kind::Garbage => UpstreamError::Garbage { server, why, asked },
            Kind::Protocol => UpstreamError::Protocol { server, why, asked },
            Kind::Refused => UpstreamError::Refused { server, why },
        }
    }
}

/// What the other side said, fit for a message: on one line, without anything hidden, without secrets, and short.
///
/// Secrets are taken out last but for the cutting: what is hidden could have stood in the middle of one.
pub(crate) fn plain(text: &str, secrets: &Secrets) -> String {
    let (shown, hidden) = reveal(text);
    let shown: String = if hidden > 0 {
        text.chars().filter(|c| reveal(c.encode_utf8(&mut [0; 4])).1 == 0).collect()
    } else {
        shown.into_owned()
    };
    let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let scrubbed = secrets.scrub(&line);
    match scrubbed.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}...", &scrubbed[..end]),
        None => scrubbed.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use steward_seal::secret::{Secret, Secrets};

    use super::{Failure, Kind, MAX_QUOTED_CHARS, UpstreamError, plain};

    #[test]
    fn what_the_other_side_says_is_made_plain() {
        let secrets = Secrets::of([Secret::new("sk-1234567890")]);
        for (text, shown) in [
            ("no such page", "no such page"),
            ("a\n\tb\r\n", "a b"),
            ("\u{1b}[31mred\u{202e}", "[31mred"),
            ("the key sk-1234567890!", "the key [secret]!"),
            ("sk-12345\u{200b}67\u{0}890", "[secret]"),
        ] {
            assert_eq!(plain(text, &secrets), shown, "{text:?}");
        }
        let long = plain(&"ä".repeat(MAX_QUOTED_CHARS + 1), &secrets);
        assert_eq!(long, "ä".repeat(MAX_QUOTED_CHARS) + "...");
        assert_eq!(plain(&"ä".repeat(MAX_QUOTED_CHARS), &secrets), "ä".repeat(MAX_QUOTED_CHARS));
        // Not even a half of one at the end.
        assert!(!plain(&("x".repeat(MAX_QUOTED_CHARS - 5) + "sk-1234567890"), &secrets).contains("sk-"));
    }

    #[test]
    fn each_code_is_listed_and_only_calls_leave_doubt() {
        let mut codes: Vec<&str> = [Kind::Unavailable, Kind::Garbage, Kind::Protocol, Kind::Refused]
            .into_iter()
            .map(|kind| {
                let failure = Failure::new(kind, "is odd");
                let called = failure.clone().of("a", true, &Secrets::default());
                assert_eq!(called.is_unknown(), kind != Kind::Refused);
                assert!(!failure.of("a", false, &Secrets::default()).is_unknown());
                assert!(!Failure::unsent(kind, "").of("a", true, &Secrets::default()).is_unknown());
                called.code()
            })
            .collect();
        codes.push(UpstreamError::Timeout { server: String::new(), after_ms: 1, asked: true }.code());
        codes.push(UpstreamError::WarrantMismatch("").code());
        codes.sort_unstable();
        let mut listed = UpstreamError::CODES.to_vec();
        listed.sort_unstable();
        assert_eq!(codes, listed);
    }
}
