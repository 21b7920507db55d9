//! Rate limits: a bucket of tokens per key, that fills with time.
//!
//! A token is a thousand parts, so that a rate per second is a number of parts per millisecond and nothing is ever rounded.
//!
//! Deliberately absent: waiting (the caller is told for how long), and fairness between those who wait.

use std::collections::HashMap;

use steward_clock::Timestamp;

/// What a caller is told to wait when there is no room to count it: the usual time between two sweeps.
pub const FULL_RETRY_MS: u64 = 1_000;

/// How far back a time may lie behind one seen before and still be a thread that was slow to ask. Farther, and the clock was
/// set back: counting goes on from the new time, or else nobody would get anything until the old time comes again.
pub const CLOCK_SET_BACK_MS: u64 = 60_000;

/// Parts of a token.
const TOKEN: u64 = 1_000;

/// How much of something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many per second, in the long run. With none, the burst is all there is, ever.
    pub per_s: u32,
    /// So many at once after a pause. With none, nothing is allowed.
    pub burst: u32,
}

/// It was too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; wait {ms} ms and ask again")]
pub struct RetryAfter {
    /// The earliest moment at which it can succeed, in milliseconds from now; `u64::MAX` if never.
    pub ms: u64,
}

/// What one key has left.
#[derive(Debug)]
struct Bucket {
    /// In parts of a token.
    level: u64,
    /// As of when.
    at: Timestamp,
    rate: Rate,
}

impl Bucket {
    fn full(rate: Rate, at: Timestamp) -> Self {
        Self { level: capacity(rate), at, rate }
    }

    /// What is there at `now`. A time before [`Bucket::at`] adds nothing.
    fn level(&self, now: Timestamp) -> u64 {
        let more = now.since_ms(self.at).saturating_mul(u64::from(self.rate.per_s));
        self.level.saturating_add(more).min(capacity(self.rate))
    }

    fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), RetryAfter> {
        self.level = self.level(now).min(capacity(rate));
        self.rate = rate;
        // A thread that was slow to ask must not turn the clock back: the same time would be given twice.
        if now > self.at || self.at.since_ms(now) > CLOCK_SET_BACK_MS {
            self.at = now;
        }
        match self.level.checked_sub(TOKEN) {
            Some(rest) => {
                self.level = rest;
                Ok(())
            }
            None if rate.per_s == 0 || rate.burst == 0 => Err(RetryAfter { ms: u64::MAX }),
            None => {
                let wait = (TOKEN - self.level).div_ceil(u64::from(rate.per_s));
                Err(RetryAfter { ms: wait + self.at.since_ms(now) })
            }
        }
    }
}

fn capacity(rate: Rate) -> u64 {
    u64::from(rate.burst) * TOKEN
}

/// At most so many buckets. A key without one has a full one.
#[derive(Debug)]
pub(crate) struct Buckets {
    most: usize,
    by_key: HashMap<Box<str>, Bucket>,
}

impl Buckets {
    pub(crate) fn holding(most: usize) -> Self {
        Self { most, by_key: HashMap::new() }
    }

    pub(crate) fn take(&mut self, key: &str, rate: Rate, now: Timestamp) -> Result<(), RetryAfter> {
        if let Some(bucket) = self.by_key.get_mut(key) {
            return bucket.take(rate, now);
        }
        let mut bucket = Bucket::full(rate, now);
        if self.by_key.len() >= self.most {
            return Err(RetryAfter { ms: FULL_RETRY_MS });
        }
        // What is refused of a full bucket leaves it full: nothing to keep.
        bucket.take(rate, now)?;
        self.by_key.insert(key.into(), bucket);
        Ok(())
    }

    /// Drops the full ones. A thread that read the clock before this and asks after it may get again what its lateness is
    /// worth, once.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.by_key.retain(|_, bucket| bucket.level(now) < capacity(bucket.rate));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    };

    use proptest::prelude::*;
    use steward_clock::Timestamp;

    use super::{Buckets, CLOCK_SET_BACK_MS, Rate, RetryAfter};

    fn moment(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(i64::try_from(ms).unwrap())
    }

    /// Drips one part after the other, millisecond by millisecond.
    struct Naive {
        parts: u64,
        at: u64,
    }

    impl Naive {
        fn take(&mut self, rate: Rate, now: u64) -> bool {
            while self.at < now {
                self.at += 1;
                for _ in 0..rate.per_s {
                    if self.parts < u64::from(rate.burst) * 1_000 {
                        self.parts += 1;
                    }
                }
            }
            let enough = self.parts >= 1_000;
            if enough {
                self.parts -= 1_000;
            }
            enough
        }
    }

    proptest! {
        #[test]
        fn it_drips(per_s in 0..50_u32, burst in 0..5_u32, asked in prop::collection::vec((0..300_u64, any::<bool>()), 1..60)) {
            let rate = Rate { per_s, burst };
            let (mut buckets, mut naive) = (Buckets::holding(1), Naive { parts: u64::from(burst) * 1_000, at: 0 });
            let (mut now, mut latest) = (0_u64, 0);
            for (step, forward) in asked {
                // Forth and back, but never so far that the clock was set.
                now = if forward { now + step } else { now.saturating_sub(step) };
                latest = latest.max(now);
                if latest != now {
                    // A slow thread gets what is there, as of the latest time.
                    naive.at = naive.at.max(now);
                }
                let taken = buckets.take("k", rate, moment(now));
                prop_assert_eq!(taken.is_ok(), naive.take(rate, now), "at {}", now);
                if now % 7 == 0 {
                    // A sweep makes no difference.
                    buckets.sweep(moment(now));
                }
                if let Err(RetryAfter { ms }) = taken {
                    if rate.per_s == 0 || rate.burst == 0 {
                        prop_assert_eq!(ms, u64::MAX);
                    } else {
                        // Not a millisecond before, and then surely.
                        prop_assert!(ms > 0);
                        let bucket = buckets.by_key.get("k").map(|b| (b.level(moment(now + ms - 1)), b.level(moment(now + ms))));
                        let (before, then) = bucket.unwrap();
                        prop_assert!(before < 1_000 && then >= 1_000, "{} then {}", before, then);
                    }
                }
            }
        }

        #[test]
        fn no_stretch_of_time_gives_more(per_s in 1..2_000_u32, burst in 1..20_u32, steps in prop::collection::vec(0..40_u64, 1..100)) {
            let mut buckets = Buckets::holding(1);
            let (mut now, mut taken) = (0, Vec::new());
            for step in steps {
                now += step;
                if buckets.take("k", Rate { per_s, burst }, moment(now)).is_ok() {
                    taken.push(now);
                }
            }
            for (i, from) in taken.iter().enumerate() {
                for (j, to) in taken.iter().enumerate().skip(i) {
                    let most = u64::from(burst) + (to - from) * u64::from(per_s) / 1_000;
                    prop_assert!((j - i + 1) as u64 <= most, "{} from {} to {}", j - i + 1, from, to);
                }
            }
        }

        #[test]
        fn nothing_overflows(per_s: u32, burst: u32, times in prop::collection::vec(any::<i64>(), 1..20)) {
            let mut buckets = Buckets::holding(2);
            for time in times {
                let _ = buckets.take("k", Rate { per_s, burst }, Timestamp::from_unix_ms(time));
                let _ = buckets.take("l", Rate { per_s: burst, burst: per_s }, Timestamp::from_unix_ms(time));
                buckets.sweep(Timestamp::from_unix_ms(time));
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_neither_gives_nor_starves() {
        let rate = Rate { per_s: 1, burst: 2 };
        let hour = moment(3_600_000);
        let mut buckets = Buckets::holding(1);
        for _ in 0..2 {
            assert!(buckets.take("k", rate, hour).is_ok());
        }
        // A little: as if no time had passed, and the same time is not given twice.
        let slow = moment(3_600_000 - CLOCK_SET_BACK_MS);
        assert_eq!(buckets.take("k", rate, slow), Err(RetryAfter { ms: 1_000 + CLOCK_SET_BACK_MS }));
        assert_eq!(buckets.take("k", rate, hour), Err(RetryAfter { ms: 1_000 }));
        // By an hour: nothing is given for that, but a second later there is one again.
        assert_eq!(buckets.take("k", rate, moment(0)), Err(RetryAfter { ms: 1_000 }));
        assert!(buckets.take("k", rate, moment(1_000)).is_ok());
    }

    #[test]
    fn a_long_pause_is_a_full_bucket() {
        // 2^31 times 2^33: exactly nothing, in 64 bits.
        let (rate, mut buckets) = (Rate { per_s: 1 << 31, burst: 1 }, Buckets::holding(1));
        assert!(buckets.take("k", rate, moment(0)).is_ok());
        assert!(buckets.take("k", rate, moment(1 << 33)).is_ok());
    }

    #[test]
    fn a_changed_rate_counts_from_now() {
        let mut buckets = Buckets::holding(1);
        assert!(buckets.take("k", Rate { per_s: 1, burst: 100 }, moment(0)).is_ok());
        let little = Rate { per_s: 1, burst: 1 };
        assert!(buckets.take("k", little, moment(0)).is_ok());
        assert!(buckets.take("k", little, moment(0)).is_err(), "what was saved under the old rate is gone");
    }

    #[test]
    fn thirty_two_threads_never_take_more() {
        const THREADS: usize = 32;
        const END_MS: i64 = 2_000;
        let rate = Rate { per_s: 500, burst: 10 };
        let (clock, taken) = (AtomicI64::new(0), AtomicU64::new(0));
        let buckets = Mutex::new(Buckets::holding(1));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    // Each reads the clock before it asks, so that they ask out of order.
                    loop {
                        let now = clock.fetch_add(1, Ordering::Relaxed) / 32;
                        if now >= END_MS {
                            break;
                        }
                        if buckets.lock().unwrap().take("k", rate, Timestamp::from_unix_ms(now)).is_ok() {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let (taken, most) = (taken.load(Ordering::Relaxed), 10 + 500 * 2);
        assert!(taken <= most, "{taken} of {most}");
        assert!(taken > most * 9 / 10, "{taken} of {most}: too few to have tested anything");
    }
}
