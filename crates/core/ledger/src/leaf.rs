//! What stands in the tree: when, what kind of thing, and a keyed hash of the body.
//!
//! A stranger can verify a whole log from its leaves and learns nothing of what the bodies say: without the salt,
//! guesses at a body cannot be tried, and once salt and body are erased nobody can.

use std::fmt;

use steward_clock::Timestamp;
use steward_seal::{equal_in_constant_time, from_lower_hex, hmac_sha256};

use crate::kind;

/// A leaf. Its bytes are the canonical JSON of `{"body", "kind", "time", "v": 1}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// When it happened, by the node's clock.
    pub time: Timestamp,
    /// What happened: one of [`kind`].
    pub kind: String,
    /// [`Salt::mac`] of the body.
    pub body: [u8; 32],
}

/// Why bytes are not a leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Not the canonical JSON of a leaf.
    #[error(r#"this is not a leaf; one is the canonical JSON of {{"body", "kind", "time", "v": 1}}"#)]
    Malformed,
    /// The kind could not be one.
    #[error("the leaf's kind is not 1 to 64 lower-case letters, digits, `_` and inner dots")]
    Kind,
    /// The time is not written as times are.
    #[error("the leaf's time is not written as 2026-11-20T20:14:27.123Z")]
    Time,
}

/// The random key of one body's hash. It is kept beside the body and erased with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl Salt {
    /// The keyed hash of a body that stands in its leaf.
    pub fn mac(&self, body: &[u8]) -> [u8; 32] {
        body_mac(self, body)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(***)")
    }
}

/// HMAC-SHA-256 of the encoded `body`, keyed with `salt`.
pub fn body_mac(salt: &Salt, body: &[u8]) -> [u8; 32] {
    hmac_sha256(&salt.0, body)
}

const BEFORE_BODY: &[u8] = br#"{"body":""#;
const BEFORE_KIND: &[u8] = br#"","kind":""#;
const BEFORE_TIME: &[u8] = br#"","time":""#;
const END: &[u8] = br#"","v":1}"#;

/// Bytes of a timestamp: `2026-11-20T20:14:27.123Z`.
const TIME_BYTES: usize = 24;

impl Leaf {
    /// The bytes that are hashed into the tree.
    ///
    /// # Panics
    /// The kind is not [well formed](kind::is_well_formed). Kinds are constants of this crate, never input.
    pub fn encode(&self) -> Vec<u8> {
        assert!(kind::is_well_formed(&self.kind), "kinds are constants, and `{}` is malformed", self.kind);
        let mut digits = [0; 64];
        hex::encode_to_slice(self.body, &mut digits).expect("32 bytes are 64 digits");
        let time = self.time.to_string();
        [BEFORE_BODY, &digits, BEFORE_KIND, self.kind.as_bytes(), BEFORE_TIME, time.as_bytes(), END].concat()
    }

    /// Reads a leaf; every leaf has exactly one spelling.
    ///
    /// # Errors
    /// [`LeafError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        let malformed = LeafError::Malformed;
        let rest = bytes.strip_prefix(BEFORE_BODY).ok_or(LeafError::Malformed)?;
        let (digits, rest) = rest.split_at_checked(64).ok_or(LeafError::Malformed)?;
        let rest = rest.strip_prefix(BEFORE_KIND).ok_or(LeafError::Malformed)?;
        let rest = rest.strip_suffix(END).ok_or(LeafError::Malformed)?;
        let kind_bytes = rest.len().checked_sub(TIME_BYTES + BEFORE_TIME.len()).ok_or(LeafError::Malformed)?;
        let (kind, rest) = rest.split_at(kind_bytes);
        let time = rest.strip_prefix(BEFORE_TIME).ok_or(LeafError::Malformed)?;
        let body = from_lower_hex(digits).ok_or(malformed)?;
        let kind = std::str::from_utf8(kind).ok().filter(|k| kind::is_well_formed(k)).ok_or(LeafError::Kind)?;
        let time = std::str::from_utf8(time).ok().and_then(|t| t.parse().ok()).ok_or(LeafError::Time)?;
        Ok(Self { time, kind: kind.to_owned(), body })
    }

    /// Whether `body`, with `salt`, is the one that this leaf stands for.
    pub fn is_of(&self, salt: &Salt, body: &[u8]) -> bool {
        equal_in_constant_time(&self.body, &body_mac(salt, body))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use steward_clock::Timestamp;

    use super::{Leaf, LeafError, Salt};
    use crate::{hash::leaf_hash, kind};

    fn golden() -> Leaf {
        Leaf {
            time: "2026-11-20T20:14:27.123Z".parse().expect("a time"),
            kind: kind::ACTION_INTENDED.to_owned(),
            body: Salt([7; 32]).mac(b"{}"),
        }
    }

    #[test]
    fn golden_bytes() {
        // Frozen: others verify this.
        let bytes = golden().encode();
        expect_test::expect![[r#"
            {"body":"7204813b88da3469d9b37525eab7411cea611dd13401dd13e609fb07d86ac348","kind":"action.intended","time":"2026-11-20T20:14:27.123Z","v":1}
            b99a403bbd1a9b62e56446336a1b6f956121aac9b258ccb1d1eb63da1f159d2e"#]].assert_eq(&format!("{}\n{}", String::from_utf8_lossy(&bytes), leaf_hash(&bytes)));
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = String::from_utf8(golden().encode()).expect("text");
        for (from, to, why) in [
            ("\"v\":1", "\"v\":2", LeafError::Malformed),
            ("\"v\":1", "\"v\":1.0", LeafError::Malformed),
            (":", ": ", LeafError::Malformed),
            ("action.intended", "Action", LeafError::Kind),
            ("action.intended", "action\\u002eintended", LeafError::Kind),
            ("action.intended", "", LeafError::Kind),
            ("2026-11", "2026-13", LeafError::Time),
            ("T20", "t20", LeafError::Time),
            ("{\"body\":\"", "{\"body\":\"A", LeafError::Malformed),
            ("}", "} ", LeafError::Malformed),
            ("{", "{\"a\":1,", LeafError::Malformed),
        ] {
            assert_eq!(Leaf::decode(text.replacen(from, to, 1).as_bytes()), Err(why), "{from} {to}");
        }
        let upper = text[9..73].to_uppercase();
        assert_eq!(Leaf::decode(text.replace(&text[9..73], &upper).as_bytes()), Err(LeafError::Malformed));
    }

    #[test]
    fn a_leaf_knows_its_body() {
        let leaf = golden();
        assert!(leaf.is_of(&Salt([7; 32]), b"{}"));
        assert!(!leaf.is_of(&Salt([8; 32]), b"{}"));
        assert!(!leaf.is_of(&Salt([7; 32]), b"{ }"));
        assert_eq!(format!("{:?}", Salt([7; 32])), "Salt(***)");
    }

    fn leaves() -> impl Strategy<Value = Leaf> {
        let ms = Timestamp::MIN.unix_ms()..=Timestamp::MAX.unix_ms();
        (ms, "[a-z0-9_]{1,9}(\\.[a-z0-9_]{1,9}){0,4}", any::<[u8; 32]>()).prop_map(|(ms, kind, body)| Leaf {
            time: Timestamp::from_unix_ms(ms),
            kind,
            body,
        })
    }

    proptest! {
        #[test]
        fn the_bytes_are_canonical_json(leaf in leaves()) {
            let value = json!({"v": 1, "time": leaf.time.to_string(), "kind": leaf.kind, "body": hex::encode(leaf.body)});
            let bytes = leaf.encode();
            prop_assert_eq!(&bytes, &steward_seal::json::canonical(&value).expect("canonical"));
            prop_assert_eq!(Leaf::decode(&bytes), Ok(leaf));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(leaf in leaves(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = leaf.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(read) = Leaf::decode(&bytes) {
                prop_assert_eq!(read.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(read) = Leaf::decode(&bytes) {
                prop_assert_eq!(read.encode(), bytes);
            }
        }
    }
}
