//! Time that is moved by hand, and chance from a seed.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use steward_clock::{Clock, Dice, Timestamp};
use steward_seal::Digest;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct HandClock(AtomicI64);

impl HandClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.unix_ms()))
    }

    /// Moves it on, or back.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets it.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix_ms(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}

/// Chance that is the same for the same seed, as long as it is asked in the same order.
#[derive(Debug)]
pub struct SeededDice {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededDice {
    /// Chance from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Dice for SeededDice {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
            let block = Digest::of(&[self.seed.to_be_bytes(), drawn.to_be_bytes()].concat());
            chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use steward_clock::{Clock as _, Dice as _, Timestamp};

    use super::{HandClock, SeededDice};

    #[test]
    fn a_seed_gives_the_same_again_and_another_seed_something_else() {
        let draw = |seed| {
            let dice = SeededDice::new(seed);
            let (mut first, mut second) = ([0; 40], [0; 40]);
            dice.fill(&mut first);
            dice.fill(&mut second);
            assert_ne!(first, second);
            [first, second].concat()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn time_moves_when_it_is_told_to() {
        let clock = HandClock::at(Timestamp::from_unix_ms(1_000));
        assert_eq!(clock.now(), clock.now());
        clock.advance_ms(500);
        clock.advance_ms(-1_000);
        assert_eq!(clock.now(), Timestamp::from_unix_ms(500));
        clock.set(Timestamp::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
