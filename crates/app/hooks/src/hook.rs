//! A hook, as an operator configured it.

use std::{fmt, str::FromStr};

use steward_fetch::Target;
use steward_naming::{Label, visible};

/// The most hooks of a node: each is a task of its own.
pub const MAX_HOOKS: usize = 16;

/// Who is told, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What it is called.
    pub name: Label,
    /// How it is told.
    pub to: To,
    /// Of what.
    pub events: Vec<Event>,
}

/// How a hook is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// A POST, signed.
    Web {
        /// The address.
        target: Target,
        /// The name of the secret that signs.
        secret: Label,
        /// Whether a name may lead inside a network.
        inside: bool,
    },
    /// A program with its arguments, which reads its standard input.
    Command(Vec<String>),
}

impl To {
    /// Who it is, without what could be a secret: the host, or the program.
    pub fn place(&self) -> &str {
        match self {
            Self::Web { target, .. } => target.place(),
            Self::Command(argv) => argv.first().map(String::as_str).unwrap_or_default(),
        }
    }

    /// `webhook` or `command`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Web { .. } => "webhook",
            Self::Command(_) => "command",
        }
    }
}

/// Something that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Something waits for a person.
    Opened,
    /// One person approved, and another must.
    NeedsAnother,
    /// People said yes, or one said no.
    Decided,
    /// Nobody answered in time, or what was approved was not used in time.
    Expired,
    /// Nothing waits for it any more.
    Voided,
}

impl Event {
    /// Every one.
    pub const ALL: &[Self] = &[Self::Opened, Self::NeedsAnother, Self::Decided, Self::Expired, Self::Voided];

    /// As it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "review.opened",
            Self::NeedsAnother => "review.needs_another",
            Self::Decided => "review.decided",
            Self::Expired => "review.expired",
            Self::Voided => "review.voided",
        }
    }

    /// What of it stands in ids.
    pub(crate) fn in_id(self) -> &'static str {
        self.as_str().trim_start_matches("review.")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|event| event.as_str() == text).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|event| event.as_str()).collect();
            format!("`{}` is no event; they are {}", visible(text), all.join(", "))
        })
    }
}
