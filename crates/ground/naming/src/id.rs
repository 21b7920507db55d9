//! Ids that say what they name: `act_01KAH…`, `key_01KAH…`, `trc_01KAH…`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use steward_clock::{Dice, Timestamp};

use crate::text::visible;

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of this kind; one looks like `{prefix}01KAHW5V8NQ4Z0M7C2R9T3XBYD`")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

/// Crockford's base 32, which ULIDs use.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Whether a byte is one of [`ALPHABET`].
const fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z') && !matches!(byte, b'I' | b'L' | b'O' | b'U')
}

/// The 26 characters of a ULID: 48 bits of milliseconds, 80 of chance; it sorts by time.
fn ulid(now: Timestamp, dice: &dyn Dice) -> String {
    let mut random = [0; 10];
    dice.fill(&mut random);
    let time = u128::from(now.unix_ms().max(0).unsigned_abs() & ((1 << 48) - 1));
    let chance = random.iter().fold(0_u128, |n, b| n << 8 | u128::from(*b));
    let bits = time << 80 | chance;
    (0..26).rev().map(|i| char::from(ALPHABET[(bits >> (5 * i) & 31) as usize])).collect()
}

/// What the digits of a ULID say.
fn bits(digits: &[u8]) -> u128 {
    let value = |digit: &u8| ALPHABET.iter().position(|known| known == digit).unwrap_or_default() as u128;
    digits.iter().fold(0, |bits, digit| bits << 5 | value(digit))
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $type:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// A new id, which sorts by `now`.
            pub fn new(now: Timestamp, dice: &dyn Dice) -> Self {
                Self(format!(concat!($prefix, "{}"), ulid(now, dice)))
            }

            /// The id as it is written everywhere.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The 128 bits of its ULID.
            pub fn to_bits(&self) -> u128 {
                bits(&self.0.as_bytes()[$prefix.len()..])
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.strip_prefix($prefix).unwrap_or_default().as_bytes();
                // 26 digits of 5 bits hold 130; a ULID has 128, so that the first is at most 7.
                if digits.len() == 26 && digits[0] <= b'7' && digits.iter().all(|d| is_digit(*d)) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { text: visible(text), prefix: $prefix })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
    };
}

typed_id!(
    /// One decision, and the effect that it allowed, if any. It is also the effect's `Idempotency-Key`.
    ActionId,
    "act_"
);
typed_id!(
    /// A key of a person or an agent (not its secret).
    KeyId,
    "key_"
);
typed_id!(
    /// What joins everything that one request caused.
    TraceId,
    "trc_"
);
typed_id!(
    /// One pass of an agent through the lifecycle.
    RunId,
    "run_"
);
typed_id!(
    /// The short-lived credential of a run.
    CredentialId,
    "crd_"
);
typed_id!(
    /// What a revoked agent leaves to its successor.
    HandoffId,
    "hnd_"
);
typed_id!(
    /// That a run may have a secret, for a time.
    LeaseId,
    "lse_"
);
typed_id!(
    /// The revocation of an agent.
    RevocationId,
    "rev_"
);
typed_id!(
    /// A decision that a person must make.
    ReviewId,
    "rvw_"
);

#[cfg(test)]
mod tests {
    use steward_clock::{Dice, Timestamp};

    use super::{ALPHABET, ActionId, KeyId, is_digit};

    struct Fixed(u8);

    impl Dice for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn golden() {
        // Timestamp and digits of the ULID specification's example.
        let id = ActionId::new(Timestamp::from_unix_ms(1_469_918_176_385), &Fixed(0));
        assert_eq!(id.as_str(), "act_01ARYZ6S410000000000000000");
        let id = ActionId::new(Timestamp::from_unix_ms(1_469_918_176_385), &Fixed(255));
        assert_eq!(id.as_str(), "act_01ARYZ6S41ZZZZZZZZZZZZZZZZ");
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn the_digits_are_those_of_the_alphabet() {
        (0..=u8::MAX).for_each(|byte| assert_eq!(is_digit(byte), ALPHABET.contains(&byte), "{byte}"));
    }

    #[test]
    fn other_kinds_and_spellings_are_refused() {
        let id = ActionId::new(Timestamp::from_unix_ms(0), &Fixed(1));
        assert!(id.as_str().parse::<KeyId>().is_err());
        assert!(id.as_str().to_lowercase().parse::<ActionId>().is_err());
        assert!("act_81ARYZ6S410000000000000000".parse::<ActionId>().is_err());
        assert!("act_".parse::<ActionId>().is_err());
        assert!("act_ä".parse::<ActionId>().is_err());
    }
}
