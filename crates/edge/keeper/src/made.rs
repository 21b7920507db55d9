//! Values that were made for one lease each: in memory and nowhere else, so that they end with the process at the latest.
//!
//! Deliberately absent: making and ending them (app/secrets tells a generator), and which lease is whose (rows).

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{RwLock, RwLockReadGuard},
};

use steward_seal::secret::{MIN_SCRUBBED_BYTES, Secret, Secrets};

use crate::{KeeperError, fitting};

/// How many values that are over are still looked for in what is shown: whoever had one may repeat it a moment later.
const MAX_KEPT_OVER: usize = 64;

/// The values that were made.
#[derive(Default)]
pub(crate) struct Made(RwLock<Held>);

#[derive(Default)]
struct Held {
    /// By the lease that each was made for.
    now: BTreeMap<String, Secret>,
    /// Those that were ended last, and those that were printed and are not used.
    over: VecDeque<Secret>,
}

impl Held {
    fn put_away(&mut self, value: Secret) {
        self.over.push_back(value);
        if self.over.len() > MAX_KEPT_OVER {
            self.over.pop_front();
        }
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made(***)")
    }
}

impl Made {
    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().expect("no holder of this lock panics")
    }

    pub(crate) fn value(&self, lease: &str) -> Option<Secret> {
        self.held().now.get(lease).cloned()
    }

    pub(crate) fn hold(&self, lease: &str, value: Secret) {
        self.0.write().expect("no holder of this lock panics").now.insert(lease.to_owned(), value);
    }

    pub(crate) fn end(&self, lease: &str) {
        let mut held = self.0.write().expect("no holder of this lock panics");
        if let Some(value) = held.now.remove(lease) {
            held.put_away(value);
        }
    }

    pub(crate) fn end_all(&self) {
        let mut held = self.0.write().expect("no holder of this lock panics");
        for value in std::mem::take(&mut held.now).into_values() {
            held.put_away(value);
        }
    }

    pub(crate) fn keep_out(&self, value: Secret) {
        self.0.write().expect("no holder of this lock panics").put_away(value);
    }

    pub(crate) fn all(&self) -> Secrets {
        let held = self.held();
        Secrets::of(held.now.values().chain(&held.over).cloned())
    }
}

/// A value that a generator printed, if it can be one: of one line without white space around it, and long enough to be found where it must not
/// stand.
///
/// # Errors
/// It cannot.
pub fn fitting_made(name: &str, text: &str) -> Result<Secret, KeeperError> {
    let unusable = |why| KeeperError::Unusable(name.to_owned(), why);
    if text.trim() != text {
        return Err(unusable("has white space around it, or more than one line"));
    }
    if text.len() < MIN_SCRUBBED_BYTES {
        return Err(unusable("is too short to be kept out of what is shown"));
    }
    fitting(name, Secret::new(text))
}
