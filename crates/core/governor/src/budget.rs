//! What has gone wrong so far, and when it is enough (GOV-4).
//!
//! ```
//! use steward_governor::{ErrorBudget, Reason, Spent};
//! let budget = ErrorBudget::default(); // the second occurrence of one error revokes
//! let (spent, reason) = Spent::default().charge_error(&budget, "TIMEOUT", "no answer after 31 s");
//! assert_eq!(reason, None);
//! let (_, reason) = spent.charge_error(&budget, "TIMEOUT", "No answer after 204 s");
//! assert_eq!(reason, Some(Reason::RepeatedError));
//! ```
//!
//! A count that reaches its limit revokes at once. When one error reaches both its own limit and that of all errors, it
//! is `REPEATED_ERROR`: that says more.
//!
//! Deliberately absent: forgiving. Counts are of one run and only grow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ending::Reason, packet::ErrorBudget};

/// The longest key of an error in characters: type, colon, message. What differs after that is the same error.
pub const MAX_KEY_CHARS: usize = 200;

/// The longest type of an error in characters.
const MAX_KIND_CHARS: usize = 60;

/// What has gone wrong in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Errors of all kinds.
    pub total: u32,
    /// Violations of procedure, which are no errors.
    pub violations: u32,
    /// Occurrences of each error, by type and normalised message. As many as `total` together.
    pub repeats: BTreeMap<String, u32>,
}

impl Spent {
    /// With one more error, and whether that is enough.
    #[must_use]
    pub fn charge_error(&self, budget: &ErrorBudget, kind: &str, message: &str) -> (Self, Option<Reason>) {
        let mut spent = self.clone();
        spent.total = spent.total.saturating_add(1);
        let repeats = spent.repeats.entry(key(kind, message)).or_default();
        *repeats = repeats.saturating_add(1);
        let reason = if *repeats >= budget.max_same_error_repeats {
            Some(Reason::RepeatedError)
        } else if spent.total >= budget.max_total_errors {
            Some(Reason::ErrorBudgetExceeded)
        } else {
            None
        };
        (spent, reason)
    }

    /// With one more violation, and whether that is enough.
    #[must_use]
    pub fn charge_violation(&self, budget: &ErrorBudget) -> (Self, Option<Reason>) {
        let mut spent = self.clone();
        spent.violations = spent.violations.saturating_add(1);
        let reason = (spent.violations >= budget.max_procedure_violations).then_some(Reason::ProcedureViolation);
        (spent, reason)
    }
}

/// What two occurrences of the same error have in common: `TIMEOUT: no answer after # s`.
fn key(kind: &str, message: &str) -> String {
    // A type has no spaces and colons, so that it cannot be continued by a message.
    let kind =
        kind.chars().take(MAX_KIND_CHARS).map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' });
    let whole: String = kind.collect::<String>() + ": " + &normalise(message);
    whole.chars().take(MAX_KEY_CHARS).collect()
}

/// A message without what changes from one occurrence to the next. In lower case, with single spaces;
/// `#` stands for each run of digits, each id (`act_…`), UUID, `0x…`, each word of eight or more hexadecimal digits,
/// and each text in quotation marks that holds a slash (a path, an address).
pub fn normalise(message: &str) -> String {
    // What is kept has MAX_KEY_CHARS, so that the end of an endless message need not be looked at.
    let lower: String = message.chars().take(8 * MAX_KEY_CHARS).flat_map(char::to_lowercase).collect();
    let lower = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut out, mut rest) = (String::new(), lower.as_str());
    while let Some(first) = rest.chars().next() {
        let taken = if matches!(first, '"' | '\'' | '`') && !out.ends_with(char::is_alphanumeric) {
            quoted(rest, first, &mut out)
        } else if first.is_alphanumeric() || first == '_' {
            word(rest, &mut out)
        } else {
            out.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

/// Writes what stands for a text in quotation marks; gives the bytes that it stands for.
fn quoted(rest: &str, mark: char, out: &mut String) -> usize {
    out.push(mark);
    match rest[1..].find(mark) {
        Some(end) if rest[1..=end].contains('/') => {
            out.push('#');
            out.push(mark);
            end + 2
        }
        // Quoted words are looked at like all others.
        _ => 1,
    }
}

/// Writes what stands for a word; gives the bytes that it stands for.
fn word(rest: &str, out: &mut String) -> usize {
    if let Some(uuid) = rest.get(..36).filter(|text| is_uuid(text)) {
        out.push('#');
        return uuid.len();
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let word = &rest[..end];
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    match word.split_once('_') {
        Some((prefix, digits))
            if prefix.len() == 3 && digits.len() == 26 && digits.is_ascii() && !digits.contains('_') =>
        {
            out.push_str(prefix);
            out.push_str("_#");
        }
        _ if word.strip_prefix("0x").is_some_and(is_hex) || word.len() >= 8 && is_hex(word) => out.push('#'),
        _ => {
            let mut in_digits = false;
            for c in word.chars() {
                if !c.is_numeric() {
                    out.push(c);
                } else if !in_digits {
                    out.push('#');
                }
                in_digits = c.is_numeric();
            }
        }
    }
    end
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}
