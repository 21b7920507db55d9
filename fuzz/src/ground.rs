//! Parsers of `clock`, `naming`, `seal` and `permit`.

use std::str::FromStr;

use serde_json::Value;
use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, KeyId, Label, Name, NameError, Namespace, TraceId};
use steward_permit::{ActionError, ActionName};
use steward_seal::{
    Digest, Fingerprint, SigningKey, VerifyingKey, dsse,
    json::{self, Limits},
    note::{self, NoteKey},
};

use crate::{is_printable, one_spelling};

struct Fixed(u8);

impl Dice for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// The key that the seeds are signed with.
pub(crate) fn key() -> SigningKey {
    SigningKey::generate(&Fixed(7))
}

pub(crate) fn json(bytes: &[u8]) -> bool {
    let value = match json::value(bytes, Limits::BODY) {
        Ok(value) => value,
        Err(refused) => {
            is_printable(&refused);
            return false;
        }
    };
    // Whoever reads with serde_json reads the same, only not as strictly.
    let lenient: Value = serde_json::from_slice(bytes).expect("what the strict reader takes, the lenient one takes");
    assert_eq!(value, lenient);
    assert_eq!(json::read::<Value>(bytes, Limits::BODY).expect("just read"), value);
    let _ = json::read::<steward_ledger::Body>(bytes, Limits::BODY).map_err(|refused| is_printable(&refused));
    // What is read has a canonical form, and that is read as the same.
    let canonical = json::canonical(&value).expect("what is read has a canonical form");
    let again = json::value(&canonical, Limits { bytes: usize::MAX, depth: 32 }).expect("the canonical form is strict");
    assert_eq!(json::canonical(&again).expect("a canonical form has one"), canonical);
    // Unless it is written so already, as nothing else would be.
    if bytes == canonical {
        assert_eq!(again, value);
    }
    true
}

/// The canonical form of whatever a lenient reader takes: it is refused, or it is strict JSON that keeps its form.
pub(crate) fn canonical(bytes: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    let canonical = match json::canonical(&value) {
        Ok(canonical) => canonical,
        Err(refused) => {
            is_printable(&refused);
            let written = serde_json::to_vec(&value).expect("a value can be written");
            assert!(json::value(&written, Limits::BODY).is_err(), "no form, but it is read");
            return false;
        }
    };
    // Nesting has a limit of its own.
    if let Ok(again) = json::value(&canonical, Limits { bytes: usize::MAX, depth: usize::MAX }) {
        assert_eq!(json::canonical(&again).expect("a canonical form has one"), canonical);
    } else {
        let text = String::from_utf8(canonical).expect("JSON is text");
        assert!(text.contains("$serde_json::private::") || text.contains("[[[") || text.contains(":{"), "{text}");
    }
    true
}

pub(crate) fn note(bytes: &[u8]) -> bool {
    let key = key();
    let signer = NoteKey::new("steward.example/log", key.verifying_key()).expect("a good name");
    match note::open(bytes, &signer) {
        Ok(sealed) => {
            // The signature is sound, so that this text can only be one that was signed.
            let again = note::sign(sealed.get(), signer.name(), &key).expect("what was opened can be signed");
            assert!(note::open(again.as_bytes(), &signer).is_ok());
            assert!(bytes.starts_with(sealed.get().as_bytes()));
            true
        }
        Err(refused) => {
            is_printable(&refused);
            // Every text that can stand in a note survives being signed.
            if let Ok(text) = std::str::from_utf8(bytes)
                && let Ok(signed) = note::sign(text, signer.name(), &key)
                && signed.len() <= note::MAX_NOTE_BYTES
            {
                assert_eq!(note::open(signed.as_bytes(), &signer).expect("just signed").get(), text);
            }
            false
        }
    }
}

pub(crate) fn vkey(bytes: &[u8]) -> bool {
    one_spelling(bytes, NoteKey::from_str, NoteKey::to_string)
}

pub(crate) fn dsse(bytes: &[u8]) -> bool {
    const TYPE: &str = "application/vnd.steward.test+json";
    let key = key();
    match dsse::open(bytes, TYPE, &key.verifying_key()) {
        Ok(sealed) => {
            let again = serde_json::to_vec(&dsse::sign(TYPE, sealed.get(), &[&key])).expect("an envelope is JSON");
            let again = dsse::open(&again, TYPE, &key.verifying_key()).expect("just signed");
            assert_eq!(again, sealed);
            true
        }
        Err(refused) => {
            is_printable(&refused);
            false
        }
    }
}

pub(crate) fn private_key_pem(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(key) = SigningKey::from_pkcs8_pem(text) else { return false };
    let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem()).expect("just written");
    assert_eq!(again.to_pkcs8_pem(), key.to_pkcs8_pem());
    key.verifying_key().verify(b"message", &again.sign(b"message")).expect("the same key");
    true
}

pub(crate) fn public_key_pem(bytes: &[u8]) -> bool {
    // The same bytes as a raw key: what is enrolled is canonical.
    if let Ok(raw) = <&[u8; 32]>::try_from(bytes)
        && let Ok(key) = VerifyingKey::from_bytes(raw)
    {
        assert_eq!(key.as_bytes(), raw);
        assert!(key.verify(b"message", &[0; 64]).is_err());
        assert_eq!(VerifyingKey::from_spki_pem(&key.to_spki_pem()), Ok(key));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(key) = VerifyingKey::from_spki_pem(text) else { return false };
    assert_eq!(VerifyingKey::from_bytes(key.as_bytes()), Ok(key.clone()));
    assert_eq!(VerifyingKey::from_spki_pem(&key.to_spki_pem()), Ok(key));
    true
}

pub(crate) fn digest(bytes: &[u8]) -> bool {
    one_spelling(bytes, Fingerprint::from_str, Fingerprint::to_string);
    one_spelling(bytes, Digest::from_str, Digest::to_string)
}

pub(crate) fn timestamp(bytes: &[u8]) -> bool {
    one_spelling(bytes, Timestamp::from_str, |t| {
        assert_eq!(Timestamp::from_unix_ms(t.unix_ms()), *t);
        t.to_string()
    })
}

pub(crate) fn id(bytes: &[u8]) -> bool {
    let kinds = [
        one_spelling(bytes, ActionId::from_str, ActionId::to_string),
        one_spelling(bytes, KeyId::from_str, KeyId::to_string),
        one_spelling(bytes, TraceId::from_str, TraceId::to_string),
    ];
    let accepted = kinds.iter().filter(|accepted| **accepted).count();
    assert!(accepted <= 1, "an id is of one kind");
    accepted == 1
}

/// Normalisation can be repeated, and nothing that is hidden or looks like something else survives it.
pub(crate) fn normalise(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match steward_naming::normalise(text) {
        Ok(normal) => {
            assert_eq!(steward_naming::normalise(&normal).as_ref(), Ok(&normal));
            assert!(!normal.is_empty() && normal.len() <= 255);
            assert!(!normal.contains(|c: char| c.is_whitespace() || c.is_control() || c.is_ascii_uppercase()));
            let upper = text.to_ascii_uppercase();
            if text.is_ascii() {
                assert_eq!(steward_naming::normalise(&upper).as_ref(), Ok(&normal));
            }
            true
        }
        Err(refused) => {
            is_ascii(&refused);
            false
        }
    }
}

pub(crate) fn name(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    for parsed in [text.parse::<Label>().map(String::from), text.parse::<Namespace>().map(String::from)] {
        if let Ok(written) = parsed {
            assert!(is_dns(&written), "{written}");
            assert!(written.parse::<Namespace>().is_ok_and(|again| again.as_str() == written));
        }
    }
    match text.parse::<Name>() {
        Ok(name) => {
            let written = name.to_string();
            assert!(is_dns(&written) && written.len() <= 253, "{written}");
            assert_eq!(written.parse(), Ok(name.clone()));
            assert_eq!(Name::resolve(&written, name.namespace()), Ok(name.clone()));
            assert_eq!(Name::resolve(name.label().as_str(), name.namespace()), Ok(name));
            true
        }
        Err(refused) => {
            is_ascii(&refused);
            false
        }
    }
}

fn is_dns(name: &str) -> bool {
    name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

fn is_ascii(refused: &NameError) {
    let message = refused.to_string();
    assert!(message.is_ascii() && !message.contains(|c: char| c.is_control()), "{message:?}");
}

pub(crate) fn action_name(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match ActionName::parse(text) {
        Ok(name) => {
            assert_eq!(ActionName::parse(name.as_str()).as_ref(), Ok(&name));
            assert!(name.as_str().is_ascii() && name.as_str().len() <= 64);
            assert_eq!(steward_naming::normalise(text).as_deref(), Ok(name.as_str()));
            true
        }
        Err(refused) => {
            if let ActionError::Name(refused) = &refused {
                is_ascii(refused);
            }
            is_printable(&refused);
            false
        }
    }
}
