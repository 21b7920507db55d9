//! A mistake in a document, and where it is.
//!
//! Deliberately absent: warnings. A document is right or it is not.

use std::fmt;

/// The mistakes that are told at most; who made more has another kind of document.
pub const MAX_MISTAKES: usize = 100;

/// Something wrong in a packet, a template or a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; 0 where the document was not read from a text.
    pub line: usize,
    /// Counted from 1, in characters; 0 like the line.
    pub column: usize,
    /// The JSON pointer of the value (RFC 6901); empty for the document itself.
    pub at: String,
    /// What is wrong, and what to write.
    pub message: String,
}

impl fmt::Display for Mistake {
    /// `line 3, column 7: /constraints/scope/0: message`, without what is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.at.is_empty() {
            write!(f, "{}: ", steward_naming::visible(&self.at))?;
        }
        f.write_str(&self.message)
    }
}
