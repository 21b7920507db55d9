//! Refusals are recorded, then counted, so that nobody fills the disk with them.
//!
//! The first refusal of a principal, action and code in a minute is recorded whole; the rest of that minute is counted, and the
//! count is recorded when the minute is over or the node stops. A crash loses the counts of the running minute, never a
//! first one.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use steward_clock::Timestamp;
use steward_permit::Denial;

/// Principals, actions and codes that are told apart in one minute; beyond, every refusal is recorded whole.
const MAX_COUNTED: usize = 10_000;

/// A minute, in milliseconds.
const MINUTE_MS: i64 = 60_000;

#[derive(Default)]
pub(crate) struct Denials {
    minute: i64,
    counts: BTreeMap<(String, String, &'static str), u64>,
}

/// Refusals that were counted and not recorded one by one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) minute: Timestamp,
    pub(crate) counts: Vec<Value>,
}

impl Denials {
    /// Whether this refusal is to be recorded whole. Otherwise it was counted.
    pub(crate) fn is_first(&mut self, denial: &Denial, now: Timestamp) -> bool {
        let ruling = denial.ruling();
        let minute = now.unix_ms().div_euclid(MINUTE_MS);
        // Counts of an earlier minute wait for `take`; until then everything is recorded whole. An incident always is.
        if (minute != self.minute && self.has_counts()) || denial.is_incident() {
            return true;
        }
        if minute != self.minute {
            self.minute = minute;
            self.counts.clear();
        }
        let key = (ruling.actor.to_string(), ruling.action.name().to_string(), denial.code().as_str());
        if self.counts.len() >= MAX_COUNTED && !self.counts.contains_key(&key) {
            return true;
        }
        let count = self.counts.entry(key).or_insert(0);
        *count += 1;
        *count == 1
    }

    fn has_counts(&self) -> bool {
        self.counts.values().any(|n| *n > 1)
    }

    /// What was counted, if its minute is over or the node stops.
    pub(crate) fn take(&mut self, now: Timestamp, stopping: bool) -> Option<Counted> {
        let over = now.unix_ms().div_euclid(MINUTE_MS) != self.minute;
        if !(over || stopping) {
            return None;
        }
        let counted = std::mem::take(&mut self.counts);
        let counts: Vec<Value> = counted
            .into_iter()
            .filter(|(_, n)| *n > 1)
            .map(|((actor, action, code), n)| json!({"actor": actor, "action": action, "code": code, "more": (n - 1).to_string()}))
            .collect();
        let minute = Timestamp::from_unix_ms(self.minute * MINUTE_MS);
        (!counts.is_empty()).then_some(Counted { minute, counts })
    }
}
