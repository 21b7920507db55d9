//! Bearer tokens: `stw_<26 digits of the key's id>_<64 hexadecimal digits>`.

use std::{fmt, str::FromStr};

use steward_clock::Dice;
use steward_naming::KeyId;
use steward_seal::{Digest, equal_in_constant_time};

/// A key's secret. 256 random bits, so that a plain hash of it can be kept. Never in Debug output.
#[derive(Clone)]
pub struct Secret {
    id: KeyId,
    bytes: [u8; 32],
}

/// The text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAToken;

impl Secret {
    /// A new secret for `id`.
    pub fn new(id: KeyId, dice: &dyn Dice) -> Self {
        let mut bytes = [0; 32];
        dice.fill(&mut bytes);
        Self { id, bytes }
    }

    /// The key that it belongs to.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What is kept of it.
    pub fn hash(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Whether `hash` is of this secret; takes the same time whether or not.
    pub fn is_of(&self, hash: &str) -> bool {
        equal_in_constant_time(self.hash().to_string().as_bytes(), hash.as_bytes())
    }

    /// The token, to be shown once.
    pub fn reveal(&self) -> String {
        let digits = self.id.as_str().strip_prefix("key_").expect("a key's id begins so");
        let secret: String = self.bytes.iter().map(|b| format!("{b:02x}")).collect();
        format!("stw_{digits}_{secret}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, ***)", self.id)
    }
}

impl FromStr for Secret {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let (digits, secret) = text.strip_prefix("stw_").and_then(|t| t.split_once('_')).ok_or(NotAToken)?;
        let id: KeyId = format!("key_{digits}").parse().map_err(|_| NotAToken)?;
        if secret.len() != 64 || !secret.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotAToken);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(secret.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotAToken)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAToken)?;
        }
        Ok(Self { id, bytes })
    }
}

#[cfg(test)]
mod tests {
    use steward_clock::{Dice, Timestamp};
    use steward_naming::KeyId;

    use super::Secret;

    struct Fixed;

    impl Dice for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xab);
        }
    }

    #[test]
    fn a_token_survives_and_its_debug_tells_nothing() {
        let secret = Secret::new(KeyId::new(Timestamp::from_unix_ms(1), &Fixed), &Fixed);
        let token = secret.reveal();
        let again: Secret = token.parse().expect("a token");
        assert_eq!((again.id(), again.hash()), (secret.id(), secret.hash()));
        assert!(again.is_of(&secret.hash().to_string()));
        assert!(!again.is_of("sha256:00"));
        assert!(!format!("{secret:?}").contains("abab"));
        for bad in ["", "stw_", "stw_x_y", &token[1..], &token[..token.len() - 1], &token.to_uppercase()] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
    }
}
