//! A secret in memory, and keeping secrets out of what is shown.
//!
//! ```
//! use steward_seal::secret::{Secret, Secrets};
//! let key = Secret::new("sk-1234567890");
//! assert_eq!(format!("{key:?}"), "***");
//! let known = Secrets::of([key]);
//! assert_eq!(known.scrub("the key is sk-1234567890."), "the key is [secret].");
//! ```
//!
//! Deliberately absent: where secrets are kept (`keeper`'s), and guessing what may be one.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// What stands where a secret stood.
pub const SCRUBBED: &str = "[secret]";

/// The shortest secret that is looked for, in bytes: a shorter one stands in texts by chance.
pub const MIN_SCRUBBED_BYTES: usize = 6;

/// Something that only its user may see: not shown by Debug, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes what a person or a file gave, without the white space around it.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    /// The secret itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A text as it stands in addresses (RFC 3986), of what must be escaped there and of all that may be, and in JSON (RFC 8259), as it is and in ASCII.
fn escapes(text: &str) -> Vec<String> {
    let in_address = |is_left: fn(u8) -> bool, upper: bool| -> String {
        let one = |b: u8| match b {
            _ if b.is_ascii_alphanumeric() || b"-._~".contains(&b) || is_left(b) => char::from(b).to_string(),
            _ if upper => format!("%{b:02X}"),
            _ => format!("%{b:02x}"),
        };
        text.bytes().map(one).collect()
    };
    let json = serde_json::Value::from(text).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let ascii = |upper: bool| -> String {
        let unit = |unit: u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
        let one = |c: char| match c {
            _ if c.is_ascii() => c.to_string(),
            _ => c.encode_utf16(&mut [0; 2]).iter().map(|u| unit(*u)).collect(),
        };
        json.chars().map(one).collect()
    };
    let slash: fn(u8) -> bool = |b| b == b'/';
    let none: fn(u8) -> bool = |_| false;
    let mut all = vec![json.clone(), json.replace('/', "\\/"), ascii(false), ascii(true)];
    for upper in [true, false] {
        all.extend([in_address(none, upper), in_address(slash, upper), in_address(none, upper).replace("%20", "+")]);
    }
    all.retain(|written| written != text);
    all.sort();
    all.dedup();
    all
}

/// Secrets that are known, to be kept out of what is shown. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(Arc<[Secret]>);

impl Secrets {
    /// These secrets; the longest come first, so that one which holds another is taken out whole.
    pub fn of(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> =
            secrets.into_iter().filter(|secret| secret.reveal().len() >= MIN_SCRUBBED_BYTES).collect();
        secrets.sort_by(|a, b| b.reveal().len().cmp(&a.reveal().len()).then_with(|| a.reveal().cmp(b.reveal())));
        secrets.dedup();
        Self(secrets.into())
    }

    /// These and those.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        Self::of(self.0.iter().chain(&*others.0).cloned())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text without them.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut scrubbed = Cow::Borrowed(text);
        for secret in &*self.0 {
            if scrubbed.contains(secret.reveal()) {
                scrubbed = Cow::Owned(scrubbed.replace(secret.reveal(), SCRUBBED));
            }
        }
        scrubbed
    }

    /// These and one more.
    #[must_use]
    pub fn and(&self, secret: &Secret) -> Self {
        Self::of(self.0.iter().chain([secret]).cloned())
    }

    /// These, and how each looks in hexadecimal digits, in base 64, wherever in what was encoded it begins, in an address, and in JSON.
    #[must_use]
    pub fn however_written(&self) -> Self {
        Self::of(self.0.iter().flat_map(|secret| {
            let bytes = secret.reveal().as_bytes();
            let digits = [hex::encode(bytes), hex::encode_upper(bytes)];
            let encoded = (0..3).flat_map(|before| {
                let whole = Zeroizing::new([&vec![0; before][..], bytes].concat());
                // The first digit and the last that say nothing of what stands around it.
                let (from, to) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
                let plain = BASE64_STANDARD_NO_PAD.encode(&*whole);
                let for_addresses = BASE64_URL_SAFE_NO_PAD.encode(&*whole);
                [plain, for_addresses].map(|text| text[from..to].to_owned())
            });
            let escaped = escapes(secret.reveal());
            let written: Vec<Secret> =
                digits.into_iter().chain(encoded).chain(escaped).map(|text| Secret::new(&text)).collect();
            std::iter::once(secret.clone()).chain(written)
        }))
    }

    /// How many bytes at the end of `text` must wait for what is yet to come: they may be the beginning of a secret. What stands
    /// before them ends within none, so that it can be scrubbed and shown.
    pub fn begun_at_end(&self, text: &str) -> usize {
        let begun = |secret: &Secret| {
            let secret = secret.reveal();
            let longest = secret.len().saturating_sub(1).min(text.len());
            let fits = |n: &usize| secret.is_char_boundary(*n) && text.ends_with(&secret[..*n]);
            (1..=longest).rev().find(fits).unwrap_or(0)
        };
        let mut cut = text.len() - self.0.iter().map(begun).max().unwrap_or(0);
        // The end of one secret may be the beginning of another, or of the same: the first is not cut in two.
        while let Some(start) = self.0.iter().filter_map(|secret| across(text, secret.reveal(), cut)).min() {
            cut = start;
        }
        text.len() - cut
    }
}

/// Where the first occurrence of `secret` begins that stands on both sides of `cut`.
fn across(text: &str, secret: &str, cut: usize) -> Option<usize> {
    let most = secret.len().saturating_sub(1);
    let (from, to) = (cut.saturating_sub(most), cut.saturating_add(most).min(text.len()));
    let found = text.as_bytes()[from..to].windows(secret.len().max(1)).position(|w| w == secret.as_bytes());
    found.map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::{Secret, Secrets};

    #[test]
    fn secrets_are_taken_out_whole() {
        let known = Secrets::of(["abcdef", "abcdef-123", "short", "größe-geheim"].map(Secret::new));
        for (text, shown) in [
            ("abcdef-123 and abcdef", "[secret] and [secret]"),
            ("short", "short"),
            ("die größe-geheim!", "die [secret]!"),
            ("abcde", "abcde"),
        ] {
            assert_eq!(known.scrub(text), shown);
        }
        assert!(!format!("{known:?}").contains("abcdef"));
    }

    #[test]
    fn what_may_be_begun_is_known() {
        let known = Secrets::of(["abcdef-123", "größe-geheim"].map(Secret::new));
        for (text, bytes) in
            [("x", 0), ("xa", 1), ("xabcdef-12", 9), ("abcdef-123", 0), ("", 0), ("grö", 4), ("abgr", 2)]
        {
            assert_eq!(known.begun_at_end(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_secret_whose_end_begins_another_is_not_cut_in_two() {
        let known = Secrets::of(["abcabc", "first-key-xyz", "xyz-second"].map(Secret::new));
        for (text, bytes) in
            [("-abcabc", 6), ("-abcabcabc", 9), ("-abcabcq", 0), ("-first-key-xyz", 13), ("xyz-second", 0)]
        {
            assert_eq!(known.begun_at_end(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_in_base_64_wherever_it_begins_and_in_hexadecimal() {
        use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE};
        let secret = "sk-\u{ff}?>~verysecret";
        let plain = Secrets::of([Secret::new(secret)]);
        let known = plain.however_written();
        for around in ["", "a", "ab", "abc", "user:"] {
            let text = format!("{around}{secret} and more");
            for encoded in [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE.encode(&text)] {
                assert_eq!(plain.scrub(&encoded), encoded);
                let scrubbed = known.scrub(&encoded);
                assert!(scrubbed.contains("[secret]") && scrubbed.len() < encoded.len() - 10, "{around}: {scrubbed}");
            }
        }
        assert_eq!(known.scrub(&hex::encode(secret)), "[secret]");
        assert_eq!(known.scrub(&hex::encode_upper(secret)), "[secret]");
        assert_eq!(known.scrub(secret), "[secret]");
        assert_eq!(
            known.scrub(&BASE64_STANDARD.encode("another text altogether")),
            BASE64_STANDARD.encode("another text altogether")
        );
    }

    #[test]
    fn a_secret_is_found_in_addresses_and_in_json() {
        let known = Secrets::of([Secret::new("hunter+/'2-Sup\u{20ac}r \"S3cret\"&en==")]).however_written();
        for written in [
            "hunter%2B%2F%272-Sup%E2%82%ACr%20%22S3cret%22%26en%3D%3D",
            "hunter%2b%2f%272-Sup%e2%82%acr%20%22S3cret%22%26en%3d%3d",
            "hunter%2B/%272-Sup%E2%82%ACr%20%22S3cret%22%26en%3D%3D",
            "hunter%2B%2F%272-Sup%E2%82%ACr+%22S3cret%22%26en%3D%3D",
            "hunter+/'2-Sup\u{20ac}r \\\"S3cret\\\"&en==",
            "hunter+/'2-Sup\\u20acr \\\"S3cret\\\"&en==",
            "hunter+/'2-Sup\\u20ACr \\\"S3cret\\\"&en==",
            "hunter+\\/'2-Sup\u{20ac}r \\\"S3cret\\\"&en==",
        ] {
            assert_eq!(known.scrub(&format!("a={written}&b")), "a=[secret]&b", "{written}");
        }
    }

    #[test]
    fn one_more_is_in_its_order() {
        let known = Secrets::of([Secret::new("abcdef")]).and(&Secret::new("abcdef-123")).and(&Secret::new("short"));
        assert_eq!(known.scrub("abcdef-123 short"), "[secret] short");
    }
}
