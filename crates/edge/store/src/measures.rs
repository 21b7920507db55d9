//! What the store measures of itself while it runs: how long changes take to be durable, and how many wait.
//!
//! Lost with the process: these are figures for whoever watches a node, and no facts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper ends of the classes of latency, in microseconds: from a fast disk's sync to the time-out of a request.
pub const LATENCY_CLASSES_US: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];

/// Figures as they are kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    classes: [AtomicU64; LATENCY_CLASSES_US.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
    failed: AtomicU64,
}

/// Figures as they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measures {
    /// Changes and refusals that were made durable, by how long their callers waited: at most as long as [`LATENCY_CLASSES_US`] says,
    /// each class with those below it.
    pub within: [u64; LATENCY_CLASSES_US.len()],
    /// All of them.
    pub commits: u64,
    /// How long their callers waited, together, in microseconds.
    pub waited_us: u64,
    /// Changes that were not made: stale, or the store could not write.
    pub failed: u64,
    /// Changes that wait for the writer now.
    pub waiting: u64,
}

impl Kept {
    /// A change ended.
    pub(crate) fn note(&self, took: Duration, done: bool) {
        if !done {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(class) = LATENCY_CLASSES_US.iter().position(|most| us <= *most) {
            self.classes[class].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// The figures now.
    pub(crate) fn told(&self, waiting: u64) -> Measures {
        // Read first, so that no class holds more than there were.
        let mut within = [0; LATENCY_CLASSES_US.len()];
        let mut so_far = 0;
        for (told, kept) in within.iter_mut().zip(&self.classes) {
            so_far += kept.load(Ordering::Relaxed);
            *told = so_far;
        }
        Measures {
            within,
            commits: self.count.load(Ordering::Relaxed).max(so_far),
            waited_us: self.sum_us.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Kept;

    #[test]
    fn classes_hold_those_below_them() {
        let kept = Kept::default();
        for us in [1, 250, 251, 9_000, 20_000_000] {
            kept.note(Duration::from_micros(us), true);
        }
        kept.note(Duration::from_secs(1), false);
        let told = kept.told(3);
        assert_eq!((told.commits, told.failed, told.waiting), (5, 1, 3));
        assert_eq!(told.within[..6], [2, 3, 3, 3, 3, 4], "the slowest is in no class");
        assert_eq!(told.within[11], 4);
        assert_eq!(told.waited_us, 20_009_502);
    }
}
