//! Time and chance as values that are passed in.
//!
//! Nothing below the app floor asks the machine for the time or for random bytes; it is given a
//! [`Timestamp`], a [`Clock`] or [`Dice`]. So cores are tested without waiting and replayed from a seed.
//!
//! ```
//! use steward_clock::Timestamp;
//! let t: Timestamp = "2026-11-20T20:14:27.123Z".parse().expect("well formed");
//! assert_eq!(t.plus_ms(1000).to_string(), "2026-11-20T20:14:28.123Z");
//! ```
//!
//! Deliberately absent: the system clock (the app floor has it), time zones, durations with units of
//! their own (milliseconds, named `_ms`, everywhere), and vector clocks until nodes meet.

pub mod mishap;
mod timestamp;

pub use timestamp::{MalformedTimestamp, Timestamp};

/// A source of the current time.
///
/// A trait because it has two implementations: the machine's clock, and the hand-moved one of tests.
pub trait Clock: Send + Sync + 'static {
    /// The time now, in UTC.
    fn now(&self) -> Timestamp;
}

/// A source of random bytes fit for keys and salts.
///
/// A trait because it has two implementations: the operating system's, and a seeded one in tests.
pub trait Dice: Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}
