//! Which numbers every reader of JSON agrees about.
//!
//! One rule, kept by the reader on the text and by the canonical form on the value:
//!
//! 1. A number written as an integer (no fraction, no exponent) lies within ±(2^53 - 1) (RFC 7493). Some readers keep
//!    every digit of a longer one, others take the nearest double.
//! 2. A number written with a fraction or an exponent is the nearest double; it must be finite.
//! 3. A whole double from 2^53 to below 1e21 is refused however it was written, because RFC 8785 writes it as an integer,
//!    which rule 1 refuses. From 1e21 on the canonical form has an exponent and falls under rule 2.
//!
//! So what [`refuse_long_integers`] and [`refuse_double`] let pass has a canonical form, and that form is read again as
//! the same number. `-0` is read and written as `0`, as RFC 8785 asks.

use std::fmt;

use serde::{
    Serialize, Serializer,
    ser::{
        self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

/// The largest integer that every reader of JSON agrees about: 2^53 - 1 (RFC 7493).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// From here on RFC 8785 writes a whole number with an exponent (ECMAScript's Number::toString).
const FIRST_WITH_EXPONENT: f64 = 1e21;

/// A number that two readers could disagree about, or that JSON cannot write.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn beyond(number: impl fmt::Display) -> Refused {
    Refused(format!(
        "the number {number} is beyond 2^53 and would be read differently by different readers; write it as a string"
    ))
}

/// Rule 1 on a value.
pub(crate) fn refuse_integer(magnitude: u128, negative: bool) -> Result<(), Refused> {
    if magnitude <= u128::from(MAX_SAFE_INTEGER) {
        return Ok(());
    }
    Err(beyond(format_args!("{}{magnitude}", if negative { "-" } else { "" })))
}

/// Rules 2 and 3.
pub(crate) fn refuse_double(double: f64) -> Result<(), Refused> {
    if !double.is_finite() {
        return Err(Refused("a number that is not finite cannot be written in JSON".to_owned()));
    }
    let size = double.abs();
    if double.fract() == 0.0 && size > MAX_SAFE_INTEGER as f64 && size < FIRST_WITH_EXPONENT {
        return Err(beyond(double));
    }
    Ok(())
}

/// Rule 1 on a text that was already found to be JSON: the place of the first integer of too many digits, and why.
///
/// Integers of up to 16 digits have arrived in the reader as integers; longer ones may have become doubles, and then
/// only the text still tells.
pub(crate) fn refuse_long_integers(text: &[u8]) -> Result<(), (usize, Refused)> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let rest = &text[at..];
                let length = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
                let number = &rest[..length.unwrap_or(rest.len())];
                let is_integer = !number.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
                if is_integer && number.len() > "-9007199254740991".len() {
                    let shown: String = number.iter().take(40).copied().map(char::from).collect();
                    return Err((at, beyond(shown)));
                }
                at += number.len();
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// Walks a value and refuses what has no canonical form; it writes nothing.
///
/// Needed because serde_json writes a number that is not finite as `null` and says nothing.
#[derive(Clone, Copy)]
pub(crate) struct Exact;

macro_rules! integers {
    ($($name:ident: $type:ty),*) => {$(
        fn $name(self, n: $type) -> Result<(), Refused> {
            #[allow(unused_comparisons, reason = "one macro for signed and unsigned")]
            let negative = n < 0;
            #[allow(clippy::unnecessary_cast, reason = "one macro for all widths")]
            refuse_integer(if negative { (n as i128).unsigned_abs() } else { n as u128 }, negative)
        }
    )*};
}

macro_rules! nothing_to_check {
    ($($name:ident($($argument:ty),*)),*) => {$(
        fn $name(self $(, _: $argument)*) -> Result<(), Refused> {
            Ok(())
        }
    )*};
}

impl Serializer for Exact {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    integers!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    );
    nothing_to_check!(
        serialize_bool(bool),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
        serialize_none(),
        serialize_unit(),
        serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str)
    );

    fn serialize_f32(self, n: f32) -> Result<(), Refused> {
        refuse_double(n.into())
    }

    fn serialize_f64(self, n: f64) -> Result<(), Refused> {
        refuse_double(n)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }
}

macro_rules! parts {
    ($($part:ident: $name:ident($($key:ty)?)),*) => {$(
        impl $part for Exact {
            type Ok = ();
            type Error = Refused;

            fn $name<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Result<(), Refused> {
                value.serialize(*self)
            }

            fn end(self) -> Result<(), Refused> {
                Ok(())
            }
        }
    )*};
}
parts!(
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(&'static str),
    SerializeStructVariant: serialize_field(&'static str)
);

impl SerializeMap for Exact {
    type Ok = ();
    type Error = Refused;

    // A key that is a number is written through the same formatter, as a double.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        key.serialize(*self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        value.serialize(*self)
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}
