//! Strict JSON in, canonical JSON out (RFC 8259, RFC 8785).
//!
//! Everything that will be hashed, signed or decided upon is read by [`read`]: duplicate keys, nesting beyond a limit,
//! lone surrogates, numbers that a double cannot hold exactly and trailing text are refused, because two readers could
//! disagree about them. [`canonical`] writes the one form of RFC 8785.

use std::{cell::Cell, fmt};

use serde::{
    Serialize,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The largest integer that every reader of JSON agrees about: 2^53 - 1 (RFC 7493).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

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
    T::deserialize(value).map_err(|e| JsonError::Shape(e.to_string()))
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
    Ok(value)
}

/// The canonical form of a value (RFC 8785).
///
/// # Errors
/// The value holds a number that is not finite or an integer beyond [`MAX_SAFE_INTEGER`], or its keys are not strings.
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, JsonError> {
    let value = serde_json::to_value(value).map_err(|e| JsonError::NotCanonical(e.to_string()))?;
    exact(&value)?;
    serde_json_canonicalizer::to_vec(&value).map_err(|e| JsonError::NotCanonical(e.to_string()))
}

fn exact(value: &Value) -> Result<(), JsonError> {
    match value {
        Value::Number(n) if !number_is_exact(n) => Err(JsonError::NotCanonical(inexact(n))),
        Value::Array(items) => items.iter().try_for_each(exact),
        Value::Object(map) => map.values().try_for_each(exact),
        _ => Ok(()),
    }
}

fn inexact(n: &impl fmt::Display) -> String {
    format!("the number {n} is beyond 2^53 and would be read differently by different readers; write it as a string")
}

fn number_is_exact(n: &Number) -> bool {
    match (n.as_u64(), n.as_i64(), n.as_f64()) {
        (Some(u), _, _) => u <= MAX_SAFE_INTEGER,
        (_, Some(i), _) => i.unsigned_abs() <= MAX_SAFE_INTEGER,
        // 1e300 is a double like any other; 9007199254740993.0 was an integer that lost its last digit.
        (_, _, Some(f)) => f.is_finite() && (f.fract() != 0.0 || f.abs() <= MAX_SAFE_INTEGER as f64 || f.abs() >= 1e21),
        _ => false,
    }
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

    fn number<E: de::Error>(n: Number) -> Result<Value, E> {
        if number_is_exact(&n) { Ok(Value::Number(n)) } else { Err(E::custom(inexact(&n))) }
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
        Self::number(n.into())
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Value, E> {
        Self::number(n.into())
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Value, E> {
        Self::number(Number::from_f64(n).ok_or_else(|| E::custom("a number that is not finite"))?)
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
                return Err(de::Error::custom(format!("the key `{}` is written twice", key.escape_debug())));
            }
            let value = access.next_value_seed(self)?;
            map.insert(key, value);
        }
        self.ascend();
        Ok(Value::Object(map))
    }
}
