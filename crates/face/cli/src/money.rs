//! Money as people write it: whole units with a decimal point, `0.15`. What crosses a socket is millionths.
//!
//! ```text
//! micros("0.15")? == 150_000
//! money(150_000) == "0.15"
//! ```
//!
//! Deliberately absent: currencies. A node counts in whatever unit its prices are in.

/// Millionths of a unit.
const UNIT: u64 = 1_000_000;

/// Digits after the point that can be counted.
const DIGITS: usize = 6;

/// Reads an amount, for clap.
pub(crate) fn micros(text: &str) -> Result<u64, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) || text.ends_with('.') {
        return Err("this is no amount; write it like 0.15, without a currency".to_owned());
    }
    if part.len() > DIGITS {
        return Err(format!("it has more than {DIGITS} digits after the point; round it"));
    }
    let part: u64 = format!("{part:0<DIGITS$}").parse().map_err(|_| "this is no amount".to_owned())?;
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(UNIT));
    whole.and_then(|whole| whole.checked_add(part)).ok_or_else(|| "it is more than can be counted".to_owned())
}

/// An amount as people read it: two digits after the point, or as many as it has.
pub(crate) fn money(micros: u64) -> String {
    let part = format!("{:06}", micros % UNIT);
    let part = part.trim_end_matches('0');
    format!("{}.{part:0<2}", micros / UNIT)
}

#[cfg(test)]
mod tests {
    use super::{micros, money};

    #[test]
    fn amounts_are_read_and_shown() {
        for (text, amount, shown) in [
            ("0", 0, "0.00"),
            ("0.15", 150_000, "0.15"),
            ("3", 3_000_000, "3.00"),
            ("00.1", 100_000, "0.10"),
            ("12.000001", 12_000_001, "12.000001"),
            ("18446744073709.551615", u64::MAX, "18446744073709.551615"),
        ] {
            assert_eq!(micros(text), Ok(amount), "{text}");
            assert_eq!(money(amount), shown);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "$1", "0.1234567", "18446744073709.551616", "1.2.3"]
        {
            assert!(micros(text).is_err(), "{text}");
        }
    }
}
