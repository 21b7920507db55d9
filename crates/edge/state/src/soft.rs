//! The one door: both kinds of soft state, each behind its own lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use steward_clock::Timestamp;

use crate::{
    beats::Beats,
    buckets::{Buckets, FULL_RETRY_MS, Rate, RetryAfter},
};

/// The most heartbeats, and the most rate limits, that are kept: some tens of megabytes each with keys of usual length.
pub const MAX_KEYS: usize = 100_000;

/// The longest key in bytes: a name of 253, a task's label, and words between.
pub const MAX_KEY_BYTES: usize = 512;

/// Heartbeats and rate limits, for all threads.
#[derive(Debug)]
pub struct Soft {
    beats: Mutex<Beats>,
    buckets: Mutex<Buckets>,
}

impl Default for Soft {
    fn default() -> Self {
        Self::new()
    }
}

impl Soft {
    /// Nothing heard, nothing taken.
    pub fn new() -> Self {
        Self { beats: Mutex::new(Beats::holding(MAX_KEYS)), buckets: Mutex::new(Buckets::holding(MAX_KEYS)) }
    }

    /// Notes a sign of life, good for `ttl_ms`. The last one counts, even if the clock was set back since.
    ///
    /// With [`MAX_KEYS`] others, the one that was heard of longest ago is forgotten. A key longer than [`MAX_KEY_BYTES`] is
    /// not kept, so that its owner looks dead.
    pub fn beat(&self, key: &str, now: Timestamp, ttl_ms: u64) {
        if key.len() <= MAX_KEY_BYTES {
            held(&self.beats).beat(key, now, ttl_ms);
        }
    }

    /// When the last sign of life came, also if it is no longer good. Nothing once it was swept.
    pub fn last_beat(&self, key: &str) -> Option<Timestamp> {
        held(&self.beats).last(key)
    }

    /// Whether the last sign of life is still good. A clock that was set back makes it good for longer: nobody is to be taken
    /// for dead because of a clock.
    pub fn is_alive(&self, key: &str, now: Timestamp) -> bool {
        held(&self.beats).is_alive(key, now)
    }

    /// Forgets a sign of life. Rate limits are not forgotten: that would be a way around them.
    pub fn forget(&self, key: &str) {
        held(&self.beats).forget(key);
    }

    /// Those alive whose key begins with `prefix`, by key.
    pub fn beats(&self, prefix: &str, now: Timestamp) -> Vec<(String, Timestamp)> {
        held(&self.beats).alive(prefix, now)
    }

    /// Takes one from what `rate` allows `key`, or says when to come back. What is refused costs nothing.
    ///
    /// # Errors
    /// [`RetryAfter`]. Also for a new key when there are [`MAX_KEYS`] others, and for one longer than [`MAX_KEY_BYTES`]: a
    /// limit that cannot be kept is not waived.
    pub fn take(&self, key: &str, rate: Rate, now: Timestamp) -> Result<(), RetryAfter> {
        if key.len() > MAX_KEY_BYTES {
            return Err(RetryAfter { ms: FULL_RETRY_MS });
        }
        held(&self.buckets).take(key, rate, now)
    }

    /// Drops what makes no difference any more: signs of life that are no longer good, and limits of which all is there again.
    pub fn sweep(&self, now: Timestamp) {
        held(&self.beats).sweep(now);
        held(&self.buckets).sweep(now);
    }
}

/// A thread that panicked holding this left nothing half done that matters: the state is soft.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use steward_clock::Timestamp;

    use super::{MAX_KEY_BYTES, MAX_KEYS, Soft};
    use crate::buckets::{FULL_RETRY_MS, Rate, RetryAfter};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);
    const RATE: Rate = Rate { per_s: 1, burst: 1 };

    #[test]
    fn at_the_limit_beats_drop_the_oldest_and_limits_refuse() {
        let soft = Soft::new();
        for n in 0..MAX_KEYS {
            soft.beat(&format!("a/{n}"), NOW.plus_ms(n as u64), u64::MAX);
            soft.take(&format!("a/{n}"), RATE, NOW).unwrap();
        }
        soft.beat("a/new", NOW, u64::MAX);
        assert_eq!(soft.last_beat("a/0"), None, "heard of longest ago");
        assert_eq!(soft.last_beat("a/new"), Some(NOW));
        assert_eq!(soft.beats("a/", NOW).len(), MAX_KEYS);

        assert_eq!(soft.take("a/new", RATE, NOW), Err(RetryAfter { ms: FULL_RETRY_MS }), "closed, not open");
        assert_eq!(
            soft.take("a/0", RATE, NOW),
            Err(RetryAfter { ms: 1_000 }),
            "who was there before is limited as before"
        );
        // A second later all is there again, so that it can be swept, and there is room.
        soft.sweep(NOW.plus_ms(999));
        assert!(soft.take("a/new", RATE, NOW.plus_ms(999)).is_err());
        soft.sweep(NOW.plus_ms(1_000));
        assert!(soft.take("a/new", RATE, NOW.plus_ms(1_000)).is_ok());
    }

    #[test]
    fn a_key_without_end_is_not_kept() {
        let soft = Soft::new();
        let (most, more) = ("k".repeat(MAX_KEY_BYTES), "k".repeat(MAX_KEY_BYTES + 1));
        soft.beat(&most, NOW, 1);
        soft.beat(&more, NOW, 1);
        assert_eq!(soft.beats("k", NOW), [(most.clone(), NOW)]);
        assert!(soft.take(&most, RATE, NOW).is_ok());
        assert_eq!(soft.take(&more, RATE, NOW), Err(RetryAfter { ms: FULL_RETRY_MS }));
    }

    #[test]
    fn forgetting_a_beat_is_no_way_around_a_limit() {
        let soft = Soft::new();
        soft.beat("k", NOW, 1_000);
        soft.take("k", RATE, NOW).unwrap();
        soft.forget("k");
        assert!(!soft.is_alive("k", NOW));
        assert!(soft.take("k", RATE, NOW).is_err());
    }

    #[test]
    fn what_panicked_elsewhere_does_not_stop_the_rest() {
        let soft = Soft::new();
        std::thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let _beats = soft.beats.lock().unwrap();
                let _buckets = soft.buckets.lock().unwrap();
                panic!("on purpose");
            });
            assert!(panicked.join().is_err());
        });
        soft.beat("k", NOW, 1);
        assert!(soft.is_alive("k", NOW));
        assert!(soft.take("k", RATE, NOW).is_ok());
    }
}
