//! A circuit breaker: whether a provider that keeps failing is asked at all.
//!
//! ```text
//! let pass = breaker.ask(now)?;            // Err(until): not asked
//! breaker.succeeded(pass);                 // or failed(pass, now), or abandoned(pass, now)
//! ```
//!
//! Closed, it lets everything through and counts failures in a row. Open, it lets nothing through until a time. Then it is
//! half open: one trial, whose end decides. What was asked before it opened, and ends after, decides nothing.
//!
//! Deliberately absent: the clock (`now` is passed in), and what a failure is (`caller` knows).

use serde::Serialize;
use steward_clock::Timestamp;

/// Failures in a row that open it: fewer happen by chance, and each of them keeps an agent waiting.
pub const FAILURES_TO_OPEN: u32 = 5;

/// How long it is open at first, in milliseconds: what a provider needs to restart.
pub const FIRST_OPEN_MS: u64 = 30_000;

/// How long it is open at most, in milliseconds: who repairs a provider does not want to wait longer for its return.
pub const MAX_OPEN_MS: u64 = 300_000;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BreakerState {
    /// The provider is asked.
    Closed {
        /// Failures in a row, until now.
        failures: u32,
    },
    /// The provider is not asked.
    Open {
        /// Until then, in milliseconds since 1970.
        #[serde(serialize_with = "as_text")]
        until: Timestamp,
        /// How long it is open this time, in milliseconds.
        for_ms: u64,
    },
    /// One request may try whether the provider answers again.
    HalfOpen {
        /// Whether one does.
        tried: bool,
        /// How long it was open, in milliseconds.
        for_ms: u64,
    },
}

fn as_text<S: serde::Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(moment)
}

/// Leave to ask once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As long as the breaker is closed.
    Ordinary,
    /// The one of a half-open breaker.
    Trial,
}

/// A breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Breaker(BreakerState);

impl Default for Breaker {
    fn default() -> Self {
        Self(BreakerState::Closed { failures: 0 })
    }
}

impl Breaker {
    /// Where it stands now.
    pub(crate) fn state(&self, now: Timestamp) -> BreakerState {
        match self.0 {
            BreakerState::Open { until, for_ms } if until <= now => BreakerState::HalfOpen { tried: false, for_ms },
            state => state,
        }
    }

    /// Leave to ask, or until when there is none.
    pub(crate) fn ask(&mut self, now: Timestamp) -> Result<Pass, Timestamp> {
        self.0 = self.state(now);
        match self.0 {
            BreakerState::Closed { .. } => Ok(Pass::Ordinary),
            BreakerState::HalfOpen { tried: false, for_ms } => {
                self.0 = BreakerState::HalfOpen { tried: true, for_ms };
                Ok(Pass::Trial)
            }
            BreakerState::HalfOpen { tried: true, .. } => Err(now),
            BreakerState::Open { until, .. } => Err(until),
        }
    }

    /// The provider answered.
    pub(crate) fn succeeded(&mut self, pass: Pass) {
        match (pass, self.0) {
            (Pass::Trial, BreakerState::HalfOpen { .. }) | (_, BreakerState::Closed { .. }) => *self = Self::default(),
            _ => {}
        }
    }

    /// The provider failed.
    pub(crate) fn failed(&mut self, pass: Pass, now: Timestamp) {
        let for_ms = match (pass, self.0) {
            (Pass::Trial, BreakerState::HalfOpen { for_ms, .. }) => for_ms.saturating_mul(2).min(MAX_OPEN_MS),
            (_, BreakerState::Closed { failures }) if failures + 1 >= FAILURES_TO_OPEN => FIRST_OPEN_MS,
            (_, BreakerState::Closed { failures }) => {
                self.0 = BreakerState::Closed { failures: failures + 1 };
                return;
            }
            _ => return,
        };
        self.0 = BreakerState::Open { until: now.plus_ms(for_ms), for_ms };
    }

    /// Nothing was learned about the provider: another may try.
    pub(crate) fn abandoned(&mut self, pass: Pass) {
        if let (Pass::Trial, BreakerState::HalfOpen { for_ms, .. }) = (pass, self.0) {
            self.0 = BreakerState::HalfOpen { tried: false, for_ms };
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use steward_clock::Timestamp;

    use super::{Breaker, Pass};

    /// Each word is an event: `+5` seconds pass, `ask`, `ok`, `fail`, `gone`, and `late-ok`, `late-fail` of an ordinary pass.
    fn check(events: &str, expected: Expect) {
        let (mut breaker, mut now, mut pass) = (Breaker::default(), Timestamp::from_unix_ms(0), Pass::Ordinary);
        let mut shown = String::new();
        for event in events.split_whitespace() {
            let told = match event {
                "ask" => match breaker.ask(now) {
                    Ok(given) => {
                        pass = given;
                        format!("{given:?}")
                    }
                    Err(until) => format!("not before {}", until.unix_ms() / 1000),
                },
                "ok" => format!("{:?}", breaker.succeeded(pass)),
                "fail" => format!("{:?}", breaker.failed(pass, now)),
                "gone" => format!("{:?}", breaker.abandoned(pass)),
                "late-ok" => format!("{:?}", breaker.succeeded(Pass::Ordinary)),
                "late-fail" => format!("{:?}", breaker.failed(Pass::Ordinary, now)),
                _ => {
                    now = now.plus_ms(1000 * event[1..].parse::<u64>().unwrap());
                    continue;
                }
            };
            shown += &format!("{event}: {told}; {:?}\n", breaker.state(now));
        }
        expected.assert_eq(&shown);
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        check(
            "ask fail fail fail fail ok fail fail fail fail fail ask",
            expect![[r#"
            ask: Ordinary; Closed { failures: 0 }
            fail: (); Closed { failures: 1 }
            fail: (); Closed { failures: 2 }
            fail: (); Closed { failures: 3 }
            fail: (); Closed { failures: 4 }
            ok: (); Closed { failures: 0 }
            fail: (); Closed { failures: 1 }
            fail: (); Closed { failures: 2 }
            fail: (); Closed { failures: 3 }
            fail: (); Closed { failures: 4 }
            fail: (); Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
            ask: not before 30; Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
        "#]],
        );
    }

    #[test]
    fn one_trial_decides() {
        check(
            "fail fail fail fail fail +29 ask +1 ask ask fail +59 ask +1 ask ok ask",
            expect![[r#"
            fail: (); Closed { failures: 1 }
            fail: (); Closed { failures: 2 }
            fail: (); Closed { failures: 3 }
            fail: (); Closed { failures: 4 }
            fail: (); Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
            ask: not before 30; Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 30000 }
            ask: not before 30; HalfOpen { tried: true, for_ms: 30000 }
            fail: (); Open { until: 1970-01-01T00:01:30.000Z, for_ms: 60000 }
            ask: not before 90; Open { until: 1970-01-01T00:01:30.000Z, for_ms: 60000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 60000 }
            ok: (); Closed { failures: 0 }
            ask: Ordinary; Closed { failures: 0 }
        "#]],
        );
    }

    #[test]
    fn what_was_asked_before_decides_nothing() {
        check(
            "fail fail fail fail fail late-ok late-fail +30 ask late-ok late-fail ok",
            expect![[r#"
            fail: (); Closed { failures: 1 }
            fail: (); Closed { failures: 2 }
            fail: (); Closed { failures: 3 }
            fail: (); Closed { failures: 4 }
            fail: (); Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
            late-ok: (); Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
            late-fail: (); Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 30000 }
            late-ok: (); HalfOpen { tried: true, for_ms: 30000 }
            late-fail: (); HalfOpen { tried: true, for_ms: 30000 }
            ok: (); Closed { failures: 0 }
        "#]],
        );
    }

    #[test]
    fn an_abandoned_trial_leaves_room_for_another() {
        check(
            "fail fail fail fail fail +30 ask gone ask gone fail",
            expect![[r#"
            fail: (); Closed { failures: 1 }
            fail: (); Closed { failures: 2 }
            fail: (); Closed { failures: 3 }
            fail: (); Closed { failures: 4 }
            fail: (); Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 30000 }
            gone: (); HalfOpen { tried: false, for_ms: 30000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 30000 }
            gone: (); HalfOpen { tried: false, for_ms: 30000 }
            fail: (); Open { until: 1970-01-01T00:01:30.000Z, for_ms: 60000 }
        "#]],
        );
    }

    #[test]
    fn it_is_not_open_for_longer_than_that() {
        check(
            "fail fail fail fail fail +30 ask fail +60 ask fail +120 ask fail +240 ask fail +300 ask fail",
            expect![[r#"
            fail: (); Closed { failures: 1 }
            fail: (); Closed { failures: 2 }
            fail: (); Closed { failures: 3 }
            fail: (); Closed { failures: 4 }
            fail: (); Open { until: 1970-01-01T00:00:30.000Z, for_ms: 30000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 30000 }
            fail: (); Open { until: 1970-01-01T00:01:30.000Z, for_ms: 60000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 60000 }
            fail: (); Open { until: 1970-01-01T00:03:30.000Z, for_ms: 120000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 120000 }
            fail: (); Open { until: 1970-01-01T00:07:30.000Z, for_ms: 240000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 240000 }
            fail: (); Open { until: 1970-01-01T00:12:30.000Z, for_ms: 300000 }
            ask: Trial; HalfOpen { tried: true, for_ms: 300000 }
            fail: (); Open { until: 1970-01-01T00:17:30.000Z, for_ms: 300000 }
        "#]],
        );
    }
}
