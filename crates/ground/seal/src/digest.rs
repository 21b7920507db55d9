//! SHA-256, and HMAC with it.

use std::{fmt, str::FromStr};

use hmac::{Hmac, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The text is not a digest as this house writes them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest; one is `sha256:` and 64 lower-case hexadecimal digits")]
pub struct MalformedDigest;

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn written(&self) -> [u8; PREFIX.len() + 64] {
        let mut text = [0; PREFIX.len() + 64];
        let (prefix, digits) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        hex::encode_to_slice(self.0, digits).expect("32 bytes are 64 digits");
        text
    }
}

/// The value of each lower-case hexadecimal digit; of all else one that no digit has. An audit reads a few digests per entry.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// 32 bytes from 64 lower-case hexadecimal digits. One spelling: capitals are no digits here.
pub fn from_lower_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.try_into().ok()?;
    let (mut bytes, mut seen) = ([0; 32], 0);
    for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        seen |= high | low;
        *byte = high << 4 | low & 0x0f;
    }
    (seen <= 0x0f).then_some(bytes)
}

/// What stands before the digits.
const PREFIX: &str = "sha256:";

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.written()).expect("letters, digits and a colon"))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.written()).expect("letters, digits and a colon"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = MalformedDigest;

    fn from_str(text: &str) -> Result<Self, MalformedDigest> {
        let digits = text.strip_prefix(PREFIX).ok_or(MalformedDigest)?;
        from_lower_hex(digits.as_bytes()).map(Self).ok_or(MalformedDigest)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = MalformedDigest;

    fn try_from(text: String) -> Result<Self, MalformedDigest> {
        text.parse()
    }
}

/// HMAC-SHA-256 (RFC 2104) of `message`.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Whether `a` and `b` are equal, in a time that depends on their lengths only.
pub fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn one_digest_one_spelling() {
        let d = Digest::of(b"abc"); // FIPS 180-4's example
        assert_eq!(d.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(d.to_string().parse(), Ok(d));
        assert!(d.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!("sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD".parse::<Digest>().is_err());
        assert!(d.to_string()[..70].parse::<Digest>().is_err());
        assert!(d.to_string()[7..].parse::<Digest>().is_err());
        assert!(format!("{d}0").parse::<Digest>().is_err());
    }

    #[test]
    fn each_digit_is_read_as_it_is_and_nothing_else_is_a_digit() {
        let text = Digest::of(b"abc").to_string();
        for at in 7..text.len() {
            for byte in 0..=0x7f_u8 {
                let mut changed = text.clone().into_bytes();
                changed[at] = byte;
                let changed = String::from_utf8(changed).expect("plain");
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                match changed.parse::<Digest>() {
                    Ok(read) => assert!(is_digit && read.to_string() == changed, "{changed}"),
                    Err(_) => assert!(!is_digit, "{changed}"),
                }
            }
        }
    }

    #[test]
    fn json_has_the_same_spelling() {
        let d = Digest::of(b"abc");
        let json = serde_json::to_string(&d).expect("text");
        assert_eq!(json, format!("\"{d}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).expect("a digest"), d);
        assert_eq!(serde_json::from_str::<Digest>(&json.replace("sha256", "\\u0073ha256")).expect("escaped"), d);
        for bad in ["1", "null", "\"sha256:\"", &json.to_uppercase()] {
            assert!(serde_json::from_str::<Digest>(bad).is_err(), "{bad}");
        }
    }
}
