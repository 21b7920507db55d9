//! What has not ended, by name.
//!
//! ```text
//! let place = alive.take("17-3".into())?;      // before anything of it is there
//! place.is_of(kill);                           // how to end it
//! drop(place);                                 // when nothing of it is left
//! ```
//!
//! Deliberately absent: what it is. That is its session's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{error::EffectError, kill::Kill};

/// The most agents and tools at a time: each has a few threads of the node and up to its limit of memory.
pub const MAX_ALIVE: usize = 256;

/// What has not ended. A name is taken before its process is there.
#[derive(Debug, Default)]
pub(crate) struct Alive {
    places: Mutex<Places>,
    freed: Condvar,
}

type Places = BTreeMap<String, Option<Arc<Kill>>>;

impl Alive {
    /// The names, and how to end what has them.
    pub(crate) fn all(&self) -> MutexGuard<'_, Places> {
        // A panic elsewhere leaves a map that is whole.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all have ended, but no longer than `most`.
    pub(crate) fn until_none(&self, most: Duration) {
        let some = |places: &mut Places| !places.is_empty();
        drop(self.freed.wait_timeout_while(self.all(), most, some));
    }

    /// A place of its own.
    ///
    /// # Errors
    /// `WORKER_FULL`.
    pub(crate) fn take(self: &Arc<Self>, name: String) -> Result<Place, EffectError> {
        let mut all = self.all();
        if all.len() >= MAX_ALIVE {
            return Err(EffectError::WorkerFull(all.len()));
        }
        all.insert(name.clone(), None);
        Ok(Place { alive: self.clone(), name })
    }
}

/// A place among those that have not ended. Dropped, it is free.
#[derive(Debug)]
pub(crate) struct Place {
    alive: Arc<Alive>,
    name: String,
}

impl Place {
    /// How to end what has this place.
    pub(crate) fn is_of(&self, kill: Arc<Kill>) {
        self.alive.all().insert(self.name.clone(), Some(kill));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.alive.all().remove(&self.name);
        self.alive.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Alive, MAX_ALIVE};

    #[test]
    fn there_is_room_for_so_many() {
        let alive = Arc::new(Alive::default());
        let mut places: Vec<_> = (0..MAX_ALIVE).map(|n| alive.take(n.to_string()).expect("there is room")).collect();
        assert_eq!(alive.take("more".to_owned()).expect_err("full").code(), "WORKER_FULL");
        assert_eq!(alive.all().len(), MAX_ALIVE);
        places.pop();
        alive.take("more".to_owned()).expect("there is room again");
    }
}
