//! Times and durations as people type them.

use steward_clock::Timestamp;

/// A duration (`90s`, `15m`, `24h`, `30d`, `2w`) in milliseconds.
///
/// # Errors
/// What is wrong, and how to write it.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is not a duration; write one as 90s, 15m, 24h, 30d or 2w", text.escape_debug());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit_ms: u64 = match &text[digits..] {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    number.checked_mul(unit_ms).ok_or_else(wrong)
}

/// A moment, in the one spelling that the node reads: a duration before `now` (`2h`), a day (`2026-11-20`, its
/// beginning in UTC), or RFC 3339.
///
/// # Errors
/// What is wrong, and how to write it.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(ms) = duration_ms(text) {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        return Ok(Timestamp::from_unix_ms(now.unix_ms().saturating_sub(ms)));
    }
    rfc3339(text).ok_or_else(|| {
        format!(
            "`{}` is not a time; write one as 2h or 3d (so long ago), 2026-11-20, or 2026-11-20T20:14:27Z",
            text.escape_debug()
        )
    })
}

fn rfc3339(text: &str) -> Option<Timestamp> {
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    if text.len() == 10 {
        return format!("{text}T00:00:00.000Z").parse().ok();
    }
    let (clock, zone) = text.split_at_checked(19)?;
    let end = zone.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = zone.split_at(end);
    let ms = match fraction.strip_prefix('.') {
        None if fraction.is_empty() => "000".to_owned(),
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{digits:0<3}").chars().take(3).collect()
        }
        _ => return None,
    };
    let clock = clock.replacen(['t', ' '], "T", 1);
    let local: Timestamp = format!("{clock}.{ms}Z").parse().ok()?;
    Some(Timestamp::from_unix_ms(local.unix_ms() - offset_ms(zone)?))
}

fn offset_ms(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let number = |text: &str, below: i64| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|n| digits && *n < below)
    };
    Some(sign * (number(hours, 24)? * 3_600_000 + number(minutes, 60)? * 60_000))
}

/// How long `ms` is, for people: the largest unit, or two.
pub(crate) fn spoken(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use steward_clock::Timestamp;

    use super::{duration_ms, moment, spoken};

    #[test]
    fn durations() {
        for (text, ms) in [("0s", 0), ("90s", 90_000), ("15m", 900_000), ("24h", 86_400_000), ("2w", 1_209_600_000)] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "d", "3", "3 d", "-3d", "3.5h", "3D", "3dd", "99999999999999999999d", "9999999999999999d", "ä"]
        {
            assert!(duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments() {
        let now: Timestamp = "2026-11-20T20:00:00.000Z".parse().unwrap();
        for (text, time) in [
            ("2h", "2026-11-20T18:00:00.000Z"),
            ("3d", "2026-11-17T20:00:00.000Z"),
            ("2026-11-19", "2026-11-19T00:00:00.000Z"),
            ("2026-11-19T01:02:03Z", "2026-11-19T01:02:03.000Z"),
            ("2026-11-19 01:02:03z", "2026-11-19T01:02:03.000Z"),
            ("2026-11-19T01:02:03.4567Z", "2026-11-19T01:02:03.456Z"),
            ("2026-11-19T01:02:03.5+02:00", "2026-11-18T23:02:03.500Z"),
            ("2026-11-19T01:02:03-01:30", "2026-11-19T02:32:03.000Z"),
        ] {
            assert_eq!(moment(text, now).map(|t| t.to_string()).as_deref(), Ok(time), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-19T01:02Z",
            "2026-11-19T01:02:03",
            "2026-11-19T01:02:03+2",
            "2026-11-19T01:02:03.Z",
        ] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn spoken_durations() {
        let spoken = [0, 59_999, 61_000, 3_700_000, 90_000_000].map(spoken);
        assert_eq!(spoken, ["0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }
}
