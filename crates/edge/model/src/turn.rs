//! One call's turn at a breaker: however it ends, the breaker learns of it.
//!
//! ```text
//! let turn = breakers.turn("fast", &clock)?;   // BREAKER_OPEN
//! turn.ended(outcome.as_ref().err());          // dropped without: nothing was learned
//! ```
//!
//! Deliberately absent: taking breakers away. There is one for each name that an operator gave.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use steward_clock::{Clock, Timestamp};

use crate::{
    breaker::{Breaker, BreakerState, Pass},
    error::ModelError,
};

/// The breakers of a node, by the names of its models.
#[derive(Debug, Clone, Default)]
pub(crate) struct Breakers(Arc<Mutex<BTreeMap<String, Breaker>>>);

impl Breakers {
    /// Where they stand.
    pub(crate) fn states(&self, now: Timestamp) -> Vec<(String, BreakerState)> {
        self.lock().iter().map(|(name, breaker)| (name.clone(), breaker.state(now))).collect()
    }

    /// Leave to ask once.
    pub(crate) fn turn(&self, name: &str, clock: &Arc<dyn Clock>) -> Result<Turn, ModelError> {
        let pass = self.lock().entry(name.to_owned()).or_default().ask(clock.now());
        let pass = pass.map_err(|until| ModelError::BreakerOpen { model: name.to_owned(), until })?;
        Ok(Turn { breakers: self.clone(), name: name.to_owned(), clock: Arc::clone(clock), pass: Some(pass) })
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to ask once, and the duty to tell how it ended.
pub(crate) struct Turn {
    breakers: Breakers,
    name: String,
    clock: Arc<dyn Clock>,
    pass: Option<Pass>,
}

impl Turn {
    /// Tells how it ended; only the first time counts.
    pub(crate) fn ended(&mut self, error: Option<&ModelError>) {
        let Some(pass) = self.pass.take() else { return };
        let now = self.clock.now();
        let mut breakers = self.breakers.lock();
        let breaker = breakers.entry(self.name.clone()).or_default();
        match error {
            None => breaker.succeeded(pass),
            Some(error) if error.is_failure() => breaker.failed(pass, now),
            Some(_) => breaker.abandoned(pass),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.breakers.lock().entry(self.name.clone()).or_default().abandoned(pass);
        }
    }
}
