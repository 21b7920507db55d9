//! Strict JSON in, canonical JSON out (RFC 8259, RFC 8785).
//!
//! Everything that will be hashed, signed or decided upon is read by [`read`]: duplicate keys, nesting beyond a limit,
//! lone surrogates, integers past 2^53 (the exact rule is in `number.rs`) and trailing text are refused, because two readers could
//! disagree about them. [`canonical`] writes the one form of RFC 8785.

use std::{cell::Cell, fmt};

use serde::{
    Serialize,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use steward_naming::visible;

pub use crate::number::MAX_SAFE_INTEGER;
use crate::number::{Exact, refuse_double, refuse_integer, refuse_long_integers};

/// serde_json gives keys that begin so a meaning of their own when features like `raw_value` are on, which any crate of
/// the build can do: a text under such a key would be read as JSON by rules other than ours.
const PRIVATE_KEY_PREFIX: &str = "$serde_json::private::";

/// What a document may be at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Objects and arrays within each other.
    pub depth: usize,
}

impl Limits {
    /// For documents and request bodies: 1 MiB, 32 levels.
    pub const BODY: Self = Self { bytes: 1 << 20, depth: 32 };
}

/// Why a text was refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Longer than the limit.
    #[error("the document has {found} bytes; at most {limit} are read")]
    TooLarge {
        /// Bytes in the document.
        found: usize,
        /// [`Limits::bytes`].
        limit: usize,
    },
    /// Not strict JSON.
    #[error("line {line}, column {column}: {message}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Strict JSON, but not the shape that was expected.
    #[error("{0}")]
    Shape(String),
    /// The value has no canonical form: a number that is not finite or not exact.
    #[error("the value has no canonical form: {0}")]
    NotCanonical(String),
}

/// Reads strict JSON as a `T`.
///
/// # Errors
/// [`JsonError`], with line and column where the text itself is wrong.
pub fn read<T: DeserializeOwned>(bytes: &[u8], limits: Limits) -> Result<T, JsonError> {
    serde_path(value(bytes, limits)?)
}

fn serde_path<T: DeserializeOwned>(value: Value) -> Result<T, JsonError> {
    T::deserialize(value).map_err(|e| JsonError::Shape(printable(&e.to_string())))
}

/// A message of serde's with what it quotes made visible: an unknown field may have any name. Quotation marks stay.
pub fn printable(message: &str) -> String {
    let mut out = String::new();
    for c in message.chars() {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

/// Reads strict JSON as a value.
///
/// # Errors
/// As [`read`].
pub fn value(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.bytes {
        return Err(JsonError::TooLarge { found: bytes.len(), limit: limits.bytes });
    }
    let malformed = |e: serde_json::Error| {
        let text = e.to_string();
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(m, _)| m).to_owned();
        JsonError::Malformed { line: e.line().max(1), column: e.column().max(1), message }
    };
    let depth = Cell::new(0);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: &depth, limit: limits.depth }.deserialize(&mut reader).map_err(malformed)?;
    reader.end().map_err(malformed)?;
    refuse_long_integers(bytes).map_err(|(at, refused)| {
        let line_start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
        JsonError::Malformed { line, column: 1 + at - line_start, message: refused.to_string() }
    })?;
    Ok(value)
}

/// The canonical form of a value (RFC 8785).
///
/// # Errors
/// The value holds a number that is not finite, or one that would be written as an integer beyond [`MAX_SAFE_INTEGER`]; or
/// it writes a key twice, or a key that is not text.
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, JsonError> {
    value.serialize(Exact).map_err(|e| JsonError::NotCanonical(e.to_string()))?;
    serde_json_canonicalizer::to_vec(&value).map_err(|e| JsonError::NotCanonical(e.to_string()))
}

/// Reads one value; remembers how deep it is.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: &'a Cell<usize>,
    limit: usize,
}

impl Strict<'_> {
    fn descend<E: de::Error>(&self) -> Result<(), E> {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > self.limit {
            return Err(E::custom(format!("more than {} levels of nesting", self.limit)));
        }
        Ok(())
    }

    fn ascend(&self) {
        self.depth.set(self.depth.get() - 1);
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Value, E> {
        refuse_integer(n.into(), false).map_err(E::custom)?;
        Ok(n.into())
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Value, E> {
        refuse_integer(n.unsigned_abs().into(), n < 0).map_err(E::custom)?;
        Ok(n.into())
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Value, E> {
        refuse_double(n).map_err(E::custom)?;
        Ok(Value::Number(Number::from_f64(n).expect("it was just found to be finite")))
    }

    fn visit_str<E>(self, s: &str) -> Result<Value, E> {
        Ok(Value::String(s.to_owned()))
    }

    fn visit_string<E>(self, s: String) -> Result<Value, E> {
        Ok(Value::String(s))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.descend()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        self.ascend();
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.descend()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format!("the key `{}` is written twice", visible(&key))));
            }
            if key.starts_with(PRIVATE_KEY_PREFIX) {
                return Err(de::Error::custom(format!(
                    "the key `{}` has a meaning inside this node; choose another",
                    visible(&key)
                )));
            }
            let value = access.next_value_seed(self)?;
            map.insert(key, value);
        }
        self.ascend();
        Ok(Value::Object(map))
    }
}
