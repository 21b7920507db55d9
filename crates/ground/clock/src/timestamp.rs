//! A moment, in milliseconds of UTC.

use std::{fmt, str::FromStr};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

/// A moment in UTC with a resolution of one millisecond, between the years 0000 and 9999.
///
/// It is written in exactly one way, `2026-11-20T20:14:27.123Z` (RFC 3339), so that equal moments have equal
/// bytes and the text sorts as time does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not a timestamp as this house writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedTimestamp(String);

impl fmt::Display for MalformedTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a time; write it as 2026-11-20T20:14:27.123Z", self.0.escape_debug())
    }
}

impl std::error::Error for MalformedTimestamp {}

impl Timestamp {
    /// 0000-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The moment `ms` milliseconds after 1970-01-01T00:00:00Z, or the nearest that can be written.
    pub const fn from_unix_ms(ms: i64) -> Self {
        if ms < Self::MIN.0 {
            Self::MIN
        } else if ms > Self::MAX.0 {
            Self::MAX
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The moment `ms` milliseconds later, or the last that can be written.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self::from_unix_ms(self.0.saturating_add_unsigned(ms))
    }

    /// Milliseconds from `earlier` until this moment; 0 if `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> u64 {
        if self.0 > earlier.0 { self.0.abs_diff(earlier.0) } else { 0 }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment: DateTime<Utc> =
            DateTime::from_timestamp_millis(self.0).expect("a timestamp is within chrono's range");
        f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = MalformedTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.3fZ")
            .map(|moment| Self::from_unix_ms(moment.and_utc().timestamp_millis()))
            .map_err(|_| MalformedTimestamp(text.chars().take(64).collect()))?;
        // One moment, one spelling: anything that would be written differently is refused.
        if parsed.to_string() == text { Ok(parsed) } else { Err(MalformedTimestamp(text.chars().take(64).collect())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Timestamp;

    proptest! {
        #[test]
        fn text_and_value_are_the_same(ms in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let t = Timestamp::from_unix_ms(ms);
            prop_assert_eq!(t.to_string().parse::<Timestamp>(), Ok(t));
        }

        #[test]
        fn text_sorts_as_time_does(a in Timestamp::MIN.0..=Timestamp::MAX.0, b in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let (a, b) = (Timestamp::from_unix_ms(a), Timestamp::from_unix_ms(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn whatever_is_accepted_is_canonical(text in "[0-9TZ:. +-]{0,30}") {
            if let Ok(t) = text.parse::<Timestamp>() {
                prop_assert_eq!(t.to_string(), text);
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "2026-11-20",
            "2026-11-20T20:14:27Z",
            "2026-11-20T20:14:27.1234Z",
            "2026-11-20t20:14:27.123z",
            "2026-11-20T20:14:27.123+00:00",
            "2026-11-20T23:59:60.000Z",
            "2026-02-30T00:00:00.000Z",
            "+2026-11-20T20:14:27.123Z",
            " 2026-11-20T20:14:27.123Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn arithmetic_stays_in_range() {
        assert_eq!(Timestamp::MAX.plus_ms(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.since_ms(Timestamp::MAX), 0);
        assert_eq!(Timestamp::from_unix_ms(i64::MIN), Timestamp::MIN);
    }
}
