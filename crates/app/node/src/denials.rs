//! Refusals are recorded, then counted, so that nobody fills the disk with them.
//!
//! The first refusal of a principal, action and code in a minute is recorded whole; the rest of that minute is counted, and the
//! count is recorded when the minute is over or the node stops. Actions that no policy knows count as one, or whoever makes up
//! a new name each time would be recorded each time. A crash loses the counts of the running minute, never a first one.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use steward_clock::Timestamp;
use steward_naming::{ActionId, ReviewId};
use steward_permit::{Denial, DenialCode};
use steward_store::Recorded;

use crate::error::Error;

/// Principals, actions and codes that are told apart in one minute; beyond, every refusal is recorded whole.
const MAX_COUNTED: usize = 10_000;

/// A minute, in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// How a refusal stands in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// By an entry of its own.
    Whole(Recorded),
    /// Counted: this refusal of the same principal, action and code was recorded whole in the same minute.
    Counted(ActionId),
    /// By the review that waits for a person: nothing is refused before they say so.
    Waits(ReviewId),
}

/// What a refusal is told with beside, if one like it was recorded before.
const ALIKE: &str = "; one like it was recorded as ";

/// What a refusal says without that: two that are alike say the same then.
pub fn without_note(message: &str) -> &str {
    message.rsplit_once(ALIKE).map_or(message, |(said, _)| said)
}

impl Noted {
    /// The refusal as the caller is told it: what can be looked up is what was recorded.
    pub fn tell(&self, error: Error) -> Error {
        match self {
            Self::Whole(_) => error,
            Self::Waits(review) => {
                let message = format!(
                    "a person must approve this first: `{review}` waits for it; see `steward review show {review}`"
                );
                error.saying(message).of_review(review.clone())
            }
            Self::Counted(first) => {
                let message = format!("{}{ALIKE}{first} this minute, and this was counted", error.message);
                error.saying(message).of_action(first.clone())
            }
        }
    }

    /// The entry of its own, if it has one.
    pub fn entry(self) -> Option<Recorded> {
        match self {
            Self::Whole(recorded) => Some(recorded),
            Self::Counted(_) | Self::Waits(_) => None,
        }
    }
}

/// Who, what and why: what is counted together.
type Same = (String, String, &'static str);

#[derive(Default)]
pub(crate) struct Denials {
    minute: i64,
    /// How often, and the first of them, which is recorded whole.
    counts: BTreeMap<Same, (u64, ActionId)>,
}

/// Refusals that were counted and not recorded one by one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) minute: Timestamp,
    more: BTreeMap<Same, u64>,
}

impl Denials {
    /// The refusal with which this one was counted; none if it is to be recorded whole.
    pub(crate) fn count(&mut self, denial: &Denial, now: Timestamp) -> Option<ActionId> {
        let minute = now.unix_ms().div_euclid(MINUTE_MS);
        // A minute with counts lasts until they are recorded.
        if minute != self.minute && !self.has_counts() {
            self.minute = minute;
            self.counts.clear();
        }
        let same = same(denial);
        if let Some((count, first)) = self.counts.get_mut(&same) {
            *count += 1;
            return Some(first.clone());
        }
        if self.counts.len() < MAX_COUNTED {
            self.counts.insert(same, (1, denial.ruling().id.clone()));
        }
        None
    }

    /// This refusal could not be recorded after all: the next one like it is the first.
    pub(crate) fn forget(&mut self, denial: &Denial) {
        let same = same(denial);
        if self.counts.get(&same).is_some_and(|(_, first)| *first == denial.ruling().id) {
            self.counts.remove(&same);
        }
    }

    fn has_counts(&self) -> bool {
        self.counts.values().any(|(n, _)| *n > 1)
    }

    /// What was counted, if its minute is over or the node stops. It stays until [`Denials::recorded`].
    pub(crate) fn due(&self, now: Timestamp, stopping: bool) -> Option<Counted> {
        let over = now.unix_ms().div_euclid(MINUTE_MS) != self.minute;
        if !(over || stopping) {
            return None;
        }
        let more: BTreeMap<Same, u64> =
            self.counts.iter().filter(|(_, (n, _))| *n > 1).map(|(same, (n, _))| (same.clone(), n - 1)).collect();
        let minute = Timestamp::from_unix_ms(self.minute * MINUTE_MS);
        (!more.is_empty()).then_some(Counted { minute, more })
    }

    /// These counts are on record. What came since is still to be.
    pub(crate) fn recorded(&mut self, counted: &Counted) {
        self.counts.retain(|same, (n, _)| {
            *n -= counted.more.get(same).copied().unwrap_or(0);
            *n > 1
        });
    }
}

impl Counted {
    /// As the entry says it.
    pub(crate) fn to_json(&self) -> Vec<Value> {
        let one = |((actor, action, code), n): (&Same, &u64)| json!({"actor": actor, "action": action, "code": code, "more": n.to_string()});
        self.more.iter().map(one).collect()
    }
}

fn same(denial: &Denial) -> Same {
    let ruling = denial.ruling();
    let action = match denial.code() {
        DenialCode::UnknownAction => "*",
        _ => ruling.action.name().as_str(),
    };
    (ruling.actor.to_string(), action.to_owned(), denial.code().as_str())
}
