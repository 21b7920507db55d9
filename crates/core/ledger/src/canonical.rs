//! Canonical JSON (RFC 8785) straight from our own types, without going through a tree of values.
//!
//! serde_json writes strings and integers as RFC 8785 asks. What remains is the order of keys: structs declare their
//! fields in it, and maps go through [`sorted`]. Tests hold the result against `seal::json::canonical`.
//!
//! Deliberately absent: floats. [`is_exact`] refuses them and integers beyond 2^53.

use std::io;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;
use steward_seal::json::MAX_SAFE_INTEGER;

/// The canonical bytes of a type whose fields are declared in canonical order and hold no floats.
pub(crate) fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("our types have string keys and write into memory")
}

/// Whether `bytes` are exactly the canonical bytes of `value`; nothing is allocated.
pub(crate) fn is_spelling_of<T: Serialize>(bytes: &[u8], value: &T) -> bool {
    struct Same<'a>(&'a [u8]);

    impl io::Write for Same<'_> {
        fn write(&mut self, written: &[u8]) -> io::Result<usize> {
            self.0 = self.0.strip_prefix(written).ok_or(io::ErrorKind::InvalidData)?;
            Ok(written.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut same = Same(bytes);
    serde_json::to_writer(&mut same, value).is_ok() && same.0.is_empty()
}

/// Writes a map with its keys in the order of RFC 8785: by UTF-16 code units.
pub(crate) fn sorted<'a, V, S>(entries: impl Iterator<Item = (&'a String, V)>, serializer: S) -> Result<S::Ok, S::Error>
where
    V: Serialize,
    S: Serializer,
{
    let mut entries: Vec<(&String, V)> = entries.collect();
    if !entries.is_sorted_by(|a, b| a.0.is_ascii() && b.0.is_ascii() && a.0 < b.0) {
        entries.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
    }
    let mut map = serializer.serialize_map(Some(entries.len()))?;
    for (key, value) in entries {
        map.serialize_entry(key, &value)?;
    }
    map.end()
}

/// A JSON value, written with sorted keys all the way down.
pub(crate) struct Sorted<'a>(pub(crate) &'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Value::Object(map) => sorted(map.iter().map(|(k, v)| (k, Sorted(v))), serializer),
            plain => plain.serialize(serializer),
        }
    }
}

/// Whether the JSON library would take an object with this key for something of its own.
pub(crate) fn is_private(key: &str) -> bool {
    key.starts_with("$serde_json::private::")
}

/// Whether every number in `value` is an integer that all readers of JSON agree about, and no key is the library's own.
pub(crate) fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(u), _) => u <= MAX_SAFE_INTEGER,
            (None, Some(i)) => i.unsigned_abs() <= MAX_SAFE_INTEGER,
            (None, None) => false,
        },
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(map) => map.iter().all(|(key, value)| !is_private(key) && is_exact(value)),
        _ => true,
    }
}
