//! Whether the node is halted (SEC-5): then nothing that agents ask for is done, whoever asks, until a person resumes.
//!
//! The row is a guard of every agent's commit, so that what was decided before a halt is not done after it.

use std::fmt;

use steward_clock::Timestamp;
use steward_naming::Namespace;
use steward_store::{Guard, Key, Row, key};

/// Whether the node is halted, by whom, why and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Halt {
    /// Whether it is.
    pub is_halted: bool,
    /// Who said so last, halting or resuming: a person's full name.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Option<Timestamp>,
    /// The entry that wrote the row; none if the node was never halted.
    pub entry_seq: Option<u64>,
}

impl Halt {
    fn key(namespace: &Namespace) -> Key {
        key([("namespace", namespace.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self, namespace: &Namespace) -> Guard {
        match self.entry_seq {
            Some(seq) => Guard::unchanged("halt", Self::key(namespace), seq),
            None => Guard::absent("halt", Self::key(namespace)),
        }
    }

    /// The row as it will be.
    pub fn row(&self, namespace: &Namespace) -> Row {
        Row::put("halt")
            .text("namespace", namespace.as_str())
            .integer("halted", i64::from(self.is_halted))
            .text("by", self.by.as_str())
            .text("reason", self.reason.as_str())
            .optional_text("at", self.at.map(|t| t.to_string()))
    }
}

impl fmt::Display for Halt {
    /// What is told to whoever is refused.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the node was halted by {}: {}; an administrator resumes it with `steward resume`",
            self.by, self.reason
        )
    }
}
