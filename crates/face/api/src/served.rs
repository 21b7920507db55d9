//! What was asked of this process: how often each route, and how it was answered.

use std::{collections::BTreeMap, sync::Mutex};

/// The most pairs of a route and a status that are told apart; there are far fewer, unless somebody adds routes without end.
const MAX_COUNTED: usize = 2_000;

/// What requests are counted under that no route is for.
pub(crate) const ELSEWHERE: &str = "other";

/// Which requests are counted together: method, route as it is described, status.
type Same = (String, String, u16);

/// Counts of requests.
#[derive(Debug, Default)]
pub(crate) struct Served(Mutex<BTreeMap<Same, u64>>);

impl Served {
    /// A request was answered. `route` is the pattern, never what was asked for: that has no end.
    pub(crate) fn note(&self, method: &str, route: &str, status: u16) {
        let mut counts = self.0.lock().expect("no holder of this lock panics");
        let same = (method.to_owned(), route.to_owned(), status);
        if let Some(count) = counts.get_mut(&same) {
            *count += 1;
        } else if counts.len() < MAX_COUNTED {
            counts.insert(same, 1);
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(Same, u64)> {
        let counts = self.0.lock().expect("no holder of this lock panics");
        counts.iter().map(|(same, count)| (same.clone(), *count)).collect()
    }
}
