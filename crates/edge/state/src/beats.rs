//! Signs of life, by key and by age.
//!
//! Deliberately absent: the lock (see `soft`), and any judgement of what silence means.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use steward_clock::Timestamp;

/// One sign of life.
#[derive(Debug, Clone, Copy)]
struct Beat {
    at: Timestamp,
    ttl_ms: u64,
}

impl Beat {
    fn is_good(&self, now: Timestamp) -> bool {
        now.since_ms(self.at) < self.ttl_ms
    }
}

/// At most so many signs of life. INVARIANT: `by_age` holds exactly the keys of `by_key`, each with its time.
#[derive(Debug)]
pub(crate) struct Beats {
    most: usize,
    by_key: BTreeMap<Arc<str>, Beat>,
    by_age: BTreeSet<(Timestamp, Arc<str>)>,
}

impl Beats {
    pub(crate) fn holding(most: usize) -> Self {
        Self { most, by_key: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    pub(crate) fn beat(&mut self, key: &str, at: Timestamp, ttl_ms: u64) {
        self.forget(key);
        if self.by_key.len() >= self.most
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_key.remove(&oldest);
        }
        let key: Arc<str> = key.into();
        self.by_age.insert((at, Arc::clone(&key)));
        self.by_key.insert(key, Beat { at, ttl_ms });
    }

    pub(crate) fn last(&self, key: &str) -> Option<Timestamp> {
        self.by_key.get(key).map(|beat| beat.at)
    }

    pub(crate) fn is_alive(&self, key: &str, now: Timestamp) -> bool {
        self.by_key.get(key).is_some_and(|beat| beat.is_good(now))
    }

    pub(crate) fn forget(&mut self, key: &str) {
        if let Some((key, beat)) = self.by_key.remove_entry(key) {
            self.by_age.remove(&(beat.at, key));
        }
    }

    pub(crate) fn alive(&self, prefix: &str, now: Timestamp) -> Vec<(String, Timestamp)> {
        self.by_key
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, beat)| beat.is_good(now))
            .map(|(key, beat)| (key.to_string(), beat.at))
            .collect()
    }

    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let by_age = &mut self.by_age;
        self.by_key.retain(|key, beat| {
            let good = beat.is_good(now);
            if !good {
                by_age.remove(&(beat.at, Arc::clone(key)));
            }
            good
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use steward_clock::Timestamp;

    use super::Beats;

    const MOST: usize = 4;

    #[derive(Debug, Clone)]
    enum Step {
        Beat(String, u64, u64),
        Forget(String),
        Sweep(u64),
    }

    /// A list, looked through from its beginning each time.
    #[derive(Default)]
    struct Naive(Vec<(String, u64, u64)>);

    impl Naive {
        fn take(&mut self, step: &Step) {
            match step {
                Step::Beat(key, at, ttl) => {
                    self.0.retain(|beat| beat.0 != *key);
                    if self.0.len() == MOST {
                        let oldest = self.0.iter().map(|beat| (beat.1, beat.0.clone())).min().unwrap();
                        self.0.retain(|beat| beat.0 != oldest.1);
                    }
                    self.0.push((key.clone(), *at, *ttl));
                }
                Step::Forget(key) => self.0.retain(|beat| beat.0 != *key),
                Step::Sweep(now) => self.0.retain(|beat| beat.1 + beat.2 > *now && beat.2 > 0),
            }
        }
    }

    fn moment(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(i64::try_from(ms).unwrap())
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = "[ab]{0,2}";
        let step = prop_oneof![
            6 => (key, 0..20_u64, 0..20_u64).prop_map(|(key, at, ttl)| Step::Beat(key, at, ttl)),
            1 => key.prop_map(Step::Forget),
            1 => (0..40_u64).prop_map(Step::Sweep),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn they_are_a_short_list(steps in steps(), prefix in "[ab]{0,2}", now in 0..40_u64) {
            let (mut beats, mut naive) = (Beats::holding(MOST), Naive::default());
            for step in &steps {
                naive.take(step);
                match step {
                    Step::Beat(key, at, ttl) => beats.beat(key, moment(*at), *ttl),
                    Step::Forget(key) => beats.forget(key),
                    Step::Sweep(now) => beats.sweep(moment(*now)),
                }
                prop_assert_eq!(beats.by_key.len(), naive.0.len());
                let by_age: std::collections::BTreeSet<_> = beats.by_key.iter().map(|(k, b)| (b.at, k.clone())).collect();
                prop_assert_eq!(&beats.by_age, &by_age);
            }
            for (key, at, _) in &naive.0 {
                prop_assert_eq!(beats.last(key), Some(moment(*at)));
            }
            let mut alive: Vec<_> = naive
                .0
                .iter()
                .filter(|(key, at, ttl)| key.starts_with(&prefix) && now.saturating_sub(*at) < *ttl)
                .map(|(key, at, _)| (key.clone(), moment(*at)))
                .collect();
            alive.sort();
            for (key, _) in &alive {
                prop_assert!(beats.is_alive(key, moment(now)));
            }
            prop_assert_eq!(beats.alive(&prefix, moment(now)), alive);
        }
    }

    #[test]
    fn a_beat_is_good_until_its_time_is_over() {
        let mut beats = Beats::holding(MOST);
        beats.beat("k", moment(100), 10);
        for (now, alive) in [(0, true), (99, true), (100, true), (109, true), (110, false), (u64::MAX >> 20, false)] {
            assert_eq!(beats.is_alive("k", moment(now)), alive, "{now}");
        }
        assert_eq!(beats.last("k"), Some(moment(100)), "remembered though it is no longer good");
        beats.sweep(moment(110));
        assert_eq!(beats.last("k"), None);
        beats.beat("none", moment(100), 0);
        assert!(!beats.is_alive("none", moment(100)));
        beats.beat("ever", moment(100), u64::MAX);
        assert!(beats.is_alive("ever", Timestamp::MAX));
        // The last one counts, so that a clock that was set back is believed again with the next beat.
        beats.beat("ever", moment(50), 10);
        assert!(!beats.is_alive("ever", moment(60)));
    }
}
