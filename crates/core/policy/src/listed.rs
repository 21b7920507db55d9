//! A policy as it is listed.

use std::fmt;

/// What a policy does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It permits, unless another forbids.
    Permit,
    /// It forbids, whatever others say.
    Forbid,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        })
    }
}

/// A policy in force, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its `@id`.
    pub id: String,
    /// The file that it stands in.
    pub file: String,
    /// The line that it starts at, from 1.
    pub line: usize,
    /// What it does when it matches.
    pub effect: Effect,
    /// Its `@description`.
    pub description: Option<String>,
}
