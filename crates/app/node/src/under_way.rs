//! The effects that this process is working on. One that is open in the store and not here was left behind: the process that
//! began it died, or could not record how it ended.

use std::{collections::BTreeSet, sync::Arc};

use steward_naming::ActionId;
use tokio::sync::watch;

/// The effects that this process is working on.
#[derive(Debug, Clone, Default)]
pub struct UnderWay(Arc<watch::Sender<BTreeSet<ActionId>>>);

/// Somebody works on an effect until this is dropped.
#[derive(Debug)]
#[must_use = "it lasts as long as it is held"]
pub struct Working {
    all: UnderWay,
    id: ActionId,
}

impl UnderWay {
    /// Says that the effect `id` is worked on: before it is on record, so that nobody ever sees it there and not here.
    pub fn begin(&self, id: ActionId) -> Working {
        self.0.send_modify(|ids| {
            ids.insert(id.clone());
        });
        Working { all: self.clone(), id }
    }

    /// Whether somebody works on it.
    pub fn has(&self, id: &ActionId) -> bool {
        self.0.borrow().contains(id)
    }

    /// Waits until nobody works on any.
    pub async fn none(&self) {
        // The sender is in `self`, so that it cannot be gone.
        let _ = self.0.subscribe().wait_for(BTreeSet::is_empty).await;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.all.0.send_modify(|ids| {
            ids.remove(&self.id);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::UnderWay;

    #[tokio::test]
    async fn one_is_under_way_as_long_as_it_is_held() {
        let all = UnderWay::default();
        all.none().await;
        let (first, second) = ("act_01J8Z0K4F9QW3B7M2N5R6T8V0A", "act_01J8Z0K4F9QW3B7M2N5R6T8V0B");
        let (first, second) = (first.parse().expect("an id"), second.parse().expect("an id"));
        let working = all.begin(first);
        assert!(all.has(&working.id) && !all.has(&second));
        tokio::select! {
            biased;
            () = all.none() => panic!("one is under way"),
            () = std::future::ready(()) => {}
        }
        drop(working);
        all.none().await;
    }
}
