//! One line, and how it is written.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most bytes of one text in a line; the rest is cut off.
pub const MAX_TEXT_BYTES: usize = 8 << 10;

/// The most bytes of a line; one that has more loses its fields.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Each step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What happened.
    Info,
    /// What somebody may want to look at.
    Warn,
    /// What somebody has to look at.
    Error,
}

/// There is no such level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a level; there are error, warn, info, debug and trace")]
pub struct UnknownLevel(pub String);

impl Level {
    /// All of them, from the least.
    pub const ALL: [Self; 5] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The level as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    pub(crate) fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::ERROR => Self::Error,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When: RFC 3339 with milliseconds, in UTC.
    pub time: String,
    /// How much it matters.
    pub level: Level,
    /// Which part of the program says so: `store`, `api`, `node` …
    pub component: String,
    /// What happened. It reads alone.
    pub message: String,
    /// What can be searched for: `agent.name`, `run.id` …
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

impl Line {
    /// The line as it is written, with its end.
    pub(crate) fn encode(&self) -> String {
        let whole = serde_json::to_string(self).unwrap_or_default();
        let text = if whole.len() <= MAX_LINE_BYTES {
            whole
        } else {
            let fields = Map::from_iter([("cut".to_owned(), Value::Bool(true))]);
            serde_json::to_string(&Self { fields, ..self.clone() }).unwrap_or_default()
        };
        text + "\n"
    }

    /// The agent that it is about.
    pub fn agent(&self) -> Option<&str> {
        self.fields.get("agent.name")?.as_str()
    }
}

/// A text without what is too much of it.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let mut end = MAX_TEXT_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The part of the program that a line's target is in: the crate, without the house's name before it.
pub(crate) fn component(target: &str) -> &str {
    let name = target.split("::").next().unwrap_or(target);
    match name.strip_prefix("steward_app_").or_else(|| name.strip_prefix("steward_")) {
        Some(part) => part,
        None if name == "steward" => "node",
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::{Level, Line, MAX_LINE_BYTES, MAX_TEXT_BYTES, component, cut};

    #[test]
    fn components_are_parts_of_the_program() {
        for (target, part) in [
            ("steward_store::writer", "store"),
            ("steward_app_flows::runs::drive", "flows"),
            ("steward::up", "node"),
            ("rmcp::service", "rmcp"),
        ] {
            assert_eq!(component(target), part);
        }
    }

    #[test]
    fn nothing_is_without_end() {
        let text = cut("ä".repeat(MAX_TEXT_BYTES));
        assert!(text.len() <= MAX_TEXT_BYTES + '…'.len_utf8() && text.ends_with('…'), "{}", text.len());
        let fields: Map<_, _> = (0..40).map(|n| (format!("f{n}"), text.clone().into())).collect();
        let line = Line {
            time: "2026-11-20T09:00:00.000Z".to_owned(),
            level: Level::Warn,
            component: "store".to_owned(),
            message: "much".to_owned(),
            fields,
        };
        let written = line.encode();
        assert!(written.len() <= MAX_LINE_BYTES && written.contains("\"cut\":true"), "{written}");
        let read: Line = serde_json::from_str(&written).unwrap();
        assert_eq!((read.level, read.message.as_str()), (Level::Warn, "much"));
    }

    #[test]
    fn levels_are_words_in_order() {
        assert!(Level::Error > Level::Warn && Level::Info > Level::Debug);
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert!("WARN".parse::<Level>().is_err());
    }
}
