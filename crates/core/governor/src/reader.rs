//! Reads values of strict JSON into types, and keeps every mistake on the way.
//!
//! ```text
//! let mut reader = Reader::default();
//! let fields = reader.object(&Field::whole(&value), "a plan", &["summary", "steps"], &["summary"]);
//! … reader.text(&field, LINE) … reader.list(&field, MAX_STEPS) …
//! reader.mistakes(Some(text))
//! ```
//!
//! Deliberately absent: stopping at the first mistake, and values made up for wrong ones: those are `None`.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value};
use steward_naming::visible;
use steward_permit::MAX_RESOURCE_BYTES;

use crate::{
    locate::{Part, escape, locate},
    mistake::{MAX_MISTAKES, Mistake},
};

/// What a text may be.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) max_chars: usize,
    pub(crate) lines: bool,
    pub(crate) blank: bool,
}

/// One line: a step, a question, an argument. Longer ones belong into a file.
pub(crate) const LINE: Text = Text { max_chars: 500, lines: false, blank: false };

/// An argument of a command, which may be empty.
pub(crate) const ARGUMENT: Text = Text { max_chars: 500, lines: false, blank: true };

/// Several lines: an objective, a summary. Two printed pages.
pub(crate) const LINES: Text = Text { max_chars: 8_000, lines: true, blank: false };

/// A value and where it is.
#[derive(Clone)]
pub(crate) struct Field<'v> {
    pub(crate) at: String,
    pub(crate) value: &'v Value,
}

impl<'v> Field<'v> {
    pub(crate) fn whole(value: &'v Value) -> Self {
        Self { at: String::new(), value }
    }
}

/// An object whose fields are known.
pub(crate) struct Object<'v> {
    at: String,
    map: &'v Map<String, Value>,
}

impl<'v> Object<'v> {
    pub(crate) fn get(&self, name: &str) -> Option<Field<'v>> {
        self.map.get(name).map(|value| Field { at: format!("{}/{}", self.at, escape(name)), value })
    }
}

/// Keeps what is wrong.
#[derive(Default)]
pub(crate) struct Reader {
    found: Vec<(String, Part, String)>,
}

impl Reader {
    pub(crate) fn refuse(&mut self, at: &str, message: impl Into<String>) {
        self.keep(at.to_owned(), Part::Value, message.into());
    }

    fn keep(&mut self, at: String, part: Part, message: String) {
        if self.found.len() < MAX_MISTAKES {
            self.found.push((at, part, message));
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Everything that was wrong, in the order of the text, with places in it.
    pub(crate) fn mistakes(self, text: Option<&str>) -> Vec<Mistake> {
        let placed = self.found.into_iter().map(|(at, part, message)| {
            let (line, column) = text.map_or((0, 0), |text| locate(text, &at, part));
            Mistake { line, column, at, message }
        });
        let mut all: Vec<Mistake> = placed.collect();
        all.sort_by_key(|m| (m.line, m.column));
        all
    }

    pub(crate) fn object<'v>(
        &mut self,
        field: &Field<'v>,
        what: &str,
        known: &[&str],
        needed: &[&str],
    ) -> Option<Object<'v>> {
        let Value::Object(map) = field.value else {
            self.refuse(&field.at, format!("{what} is an object here; write `{{…}}`"));
            return None;
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let advice = match nearest(key, known) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("its fields are {}", known.join(", ")),
            };
            let at = format!("{}/{}", field.at, escape(key));
            self.keep(at, Part::Key, format!("`{}` is not a field of {what}; {advice}", visible(key)));
        }
        for name in needed.iter().filter(|name| !map.contains_key(**name)) {
            self.refuse(&field.at, format!("{what} needs `{name}`; add it"));
        }
        Some(Object { at: field.at.clone(), map })
    }

    pub(crate) fn list<'v>(&mut self, field: &Field<'v>, max: usize) -> Option<Vec<Field<'v>>> {
        let Value::Array(items) = field.value else {
            self.refuse(&field.at, "a list is expected here; write `[…]`");
            return None;
        };
        if items.len() > max {
            self.refuse(&field.at, format!("the list has {} items; at most {max} are read", items.len()));
            return None;
        }
        let fields = items.iter().enumerate();
        Some(fields.map(|(i, value)| Field { at: format!("{}/{i}", field.at), value }).collect())
    }

    /// A list of which each item is read in the same way; items that are wrong are left out.
    pub(crate) fn each<T>(
        &mut self,
        field: &Field<'_>,
        max: usize,
        mut read: impl FnMut(&mut Self, &Field<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.list(field, max)?;
        Some(items.iter().filter_map(|item| read(self, item)).collect())
    }

    pub(crate) fn text(&mut self, field: &Field<'_>, kind: Text) -> Option<String> {
        let Value::String(text) = field.value else {
            self.refuse(&field.at, "a text is expected here; write it in quotation marks");
            return None;
        };
        let chars = text.chars().count();
        let refusal = if text.trim().is_empty() && !kind.blank {
            "the text is empty; write one, or leave the field out where that is allowed".to_owned()
        } else if chars > kind.max_chars {
            format!("the text has {chars} characters; write at most {}", kind.max_chars)
        } else if text.chars().any(|c| c.is_control() && !(c == '\n' && kind.lines)) {
            let but = if kind.lines { " but new lines" } else { "" };
            format!("the text holds control characters; write it without any{but}")
        } else {
            return Some(text.clone());
        };
        self.refuse(&field.at, refusal);
        None
    }

    /// An absolute path without tricks.
    pub(crate) fn path(&mut self, field: &Field<'_>) -> Option<String> {
        let path = self.text(field, Text { max_chars: MAX_RESOURCE_BYTES, lines: false, blank: false })?;
        let parts = path.strip_prefix('/').map(|rest| rest.split('/'));
        let is_path = parts.is_some_and(|mut p| p.all(|part| !matches!(part, "" | "." | "..")));
        if is_path && path.len() <= MAX_RESOURCE_BYTES {
            return Some(path);
        }
        let message = format!(
            "`{}` is not a path; write one from the root without empty, `.` or `..` parts, such as `/reports/a.md`",
            visible(&path)
        );
        self.refuse(&field.at, message);
        None
    }

    /// What is read from one line of text.
    pub(crate) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, field: &Field<'_>) -> Option<T> {
        let text = self.text(field, LINE)?;
        text.parse().map_err(|e: T::Err| self.refuse(&field.at, e.to_string())).ok()
    }

    pub(crate) fn number(&mut self, field: &Field<'_>, max: u32) -> Option<u32> {
        let number = field.value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=max).contains(n));
        if number.is_none() {
            self.refuse(&field.at, format!("a whole number from 1 to {max} is expected here"));
        }
        number
    }
}

/// The known name that a key was likely meant to be.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // Past this length it is not a slip of the finger, and comparing would take long.
    const MAX_CHARS: usize = 40;
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    if key.chars().count() > MAX_CHARS {
        return None;
    }
    let best = known.iter().map(|name| (distance(&plain(key), name), *name)).min()?;
    (best.0 <= 1 + best.1.len() / 4).then_some(best.1)
}

/// Characters to add, drop or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, d) in b.iter().enumerate() {
            let replaced = before + usize::from(c != *d);
            before = row[j + 1];
            row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn slips_of_the_finger() {
        let known = ["agent_id", "objective", "deliverables", "when"];
        for (key, name) in [
            ("objetive", Some("objective")),
            ("agent-id", Some("agent_id")),
            ("Agent_ID", Some("agent_id")),
            ("deliverable", Some("deliverables")),
            ("wen", Some("when")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(key, &known), name, "{key}");
        }
        assert_eq!(nearest(&"objective".repeat(9), &known), None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("abc", "abc")), (3, 3, 0));
    }
}
