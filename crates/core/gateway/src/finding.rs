//! Something suspicious, for a person to look at.
//!
//! ```text
//! for finding in inspect(&tool) { println!("{finding}") }
//! ```
//!
//! Deliberately absent: a grade of danger. Who reads it decides; a grade would be read instead.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of suspicious thing it is. Stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FindingCode {
    /// Characters that nobody sees, and a model reads: zero-width, bidirectional, tags, controls.
    #[serde(rename = "HIDDEN_CHARACTERS")]
    HiddenCharacters,
    /// Text that a screen may hide, or that plays another speaker: HTML comments, `<important>`, `<|im_start|>`.
    #[serde(rename = "MARKUP")]
    Markup,
    /// Phrases that tell the model what to do, and not what the tool does.
    #[serde(rename = "SPEAKS_TO_MODEL")]
    SpeaksToModel,
    /// A long run of letters and digits that nobody can read.
    #[serde(rename = "OPAQUE")]
    Opaque,
    /// A name that can be taken for another tool's.
    #[serde(rename = "LOOKALIKE")]
    Lookalike,
}

impl FindingCode {
    /// In one word, for records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HiddenCharacters => "HIDDEN_CHARACTERS",
            Self::Markup => "MARKUP",
            Self::SpeaksToModel => "SPEAKS_TO_MODEL",
            Self::Opaque => "OPAQUE",
            Self::Lookalike => "LOOKALIKE",
        }
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something suspicious.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind.
    pub code: FindingCode,
    /// Where it is and what, with everything made visible.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(code: FindingCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
