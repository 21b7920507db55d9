//! What issuers write, and whoever says that they are one.

use steward_identity::{KeySet, MAX_KEYS, Token};

use crate::is_printable;

/// A token. What is signed is what was sent, and its kind has one spelling.
pub(crate) fn token(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Token::read(text) {
        Ok(token) => {
            let (signed, _) = text.rsplit_once('.').expect("three parts");
            assert_eq!(token.digest(), steward_seal::Digest::of(signed.as_bytes()));
            assert!(token.kid().is_none_or(|kid| kid.len() <= text.len()));
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}

/// A set of keys.
pub(crate) fn key_set(bytes: &[u8]) -> bool {
    match KeySet::read(bytes) {
        Ok(set) => {
            assert!(set.len() <= MAX_KEYS && set.has(None) != set.is_empty());
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}
