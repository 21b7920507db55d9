//! A moment, in milliseconds of UTC.

use std::{fmt, str::FromStr};

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
        let of_day = self.0.rem_euclid(MS_PER_DAY);
        let [year, month, day] = date(self.0.div_euclid(MS_PER_DAY));
        let mut text = *FORM;
        let parts = [year, month, day, of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60, of_day % 1_000];
        for (part, (from, to)) in parts.into_iter().zip(DIGITS) {
            let mut rest = part;
            for digit in text[from..to].iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).expect("a remainder of ten is a digit");
                rest /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).expect("digits and marks"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = MalformedTimestamp;

    /// One moment, one spelling: every digit and mark stands where [`Display`](fmt::Display) writes it, and the day exists.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text.as_bytes()).ok_or_else(|| MalformedTimestamp(text.chars().take(64).collect()))
    }
}

/// What a timestamp looks like: digits where there are zeroes.
const FORM: &[u8; 24] = b"0000-00-00T00:00:00.000Z";

/// Where year, month, day, hour, minute, second and millisecond stand in it.
const DIGITS: [(usize, usize); 7] = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19), (20, 23)];

const MS_PER_DAY: i64 = 86_400_000;

/// Days of 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01. Years are counted from March here, so that the leap day is a year's last.
const DAYS_TO_1970: i64 = 719_468;

fn read(text: &[u8]) -> Option<Timestamp> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let fits = |(found, form): (&u8, &u8)| if *form == b'0' { found.is_ascii_digit() } else { found == form };
    if !text.iter().zip(FORM).all(fits) {
        return None;
    }
    let number = |(from, to)| text[from..to].iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
    let [year, month, day, hour, minute, second, ms] = DIGITS.map(number);
    if hour > 23 || minute > 59 || second > 59 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let days = days(year, month, day);
    // The 30th of February is a day of March: it does not come back as it was written.
    let exists = date(days) == [year, month, day];
    exists.then_some(Timestamp(days * MS_PER_DAY + hour * 3_600_000 + minute * 60_000 + second * 1_000 + ms))
}

/// Days since 1970-01-01 of a day of the Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    // Months from March on have 31, 30, 31, 30, 31 days, twice and a bit: 153 in five.
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970
}

/// The year, month and day that is so many days after 1970-01-01.
const fn date(days: i64) -> [i64; 3] {
    let days = days + DAYS_TO_1970;
    let (era, of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    // Without the leap days before it, each year has 365.
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    if month < 10 { [year + era * 400, month + 3, day] } else { [year + era * 400 + 1, month - 9, day] }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
    use proptest::prelude::*;

    use super::Timestamp;

    /// The calendar as others know it.
    fn as_chrono_writes(t: Timestamp) -> String {
        let moment: DateTime<Utc> = DateTime::from_timestamp_millis(t.unix_ms()).expect("within chrono's range");
        moment.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    fn as_chrono_reads(text: &str) -> Option<Timestamp> {
        let moment = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.3fZ").ok()?;
        let read = Timestamp::from_unix_ms(moment.and_utc().timestamp_millis());
        (as_chrono_writes(read) == text).then_some(read)
    }

    #[test]
    fn every_day_until_the_calendar_repeats_is_chronos() {
        for day in 0..2 * super::DAYS_PER_ERA {
            let t = Timestamp::from_unix_ms(Timestamp::MIN.0 + day * super::MS_PER_DAY);
            let text = t.to_string();
            assert_eq!(text, as_chrono_writes(t));
            assert_eq!(text.parse(), Ok(t));
        }
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn it_is_written_as_chrono_writes_it(ms in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let t = Timestamp::from_unix_ms(ms);
            prop_assert_eq!(t.to_string(), as_chrono_writes(t));
        }

        #[test]
        fn it_is_read_as_chrono_reads_it(text in "[0-9]{4}-[013][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9].[0-9]{3}Z") {
            prop_assert_eq!(text.parse().ok(), as_chrono_reads(&text));
        }

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
