//! What looks like a secret is not written.
//!
//! Secrets that the node knows are types that show `***`; this is the net below them, for what comes from outside: what an agent
//! writes, what a provider answers, an address with a password in it.
//!
//! Deliberately absent: secrets that look like nothing, or are spelled otherwise. Nobody can know all of them.

use std::borrow::Cow;

use serde_json::Value;

/// What stands in its place.
const HIDDEN: &str = "***";

/// How keys of well-known makers begin, our own first; a word that begins so and is long is hidden.
const BEGINNINGS: [&str; 13] = [
    "stw_",
    "sk-",
    "sk_live_",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "eyJ",
];

/// The shortest word that is taken for a key.
const MIN_KEY_BYTES: usize = 16;

/// After these words stands a secret.
const BEFORE: [&str; 2] = ["bearer", "basic"];

/// How private keys begin and end in PEM; `BEGIN RSA PRIVATE KEY` and its like too.
const PEM: (&str, &str, &str) = ("-----BEGIN ", "PRIVATE KEY-----", "-----END ");

/// Parts of names of fields whose values are secrets.
const NAMES: [&str; 7] = ["password", "passphrase", "secret", "token", "authorization", "api_key", "apikey"];

/// A text without what looks like a secret.
pub fn scrub(text: &str) -> Cow<'_, str> {
    // Most lines have nothing of the kind.
    let lower = text.to_ascii_lowercase();
    let suspicious = BEGINNINGS.iter().any(|beginning| text.contains(beginning))
        || BEFORE.iter().any(|word| lower.contains(word))
        || text.contains(PEM.1)
        || text.contains("://");
    if !suspicious {
        return Cow::Borrowed(text);
    }
    let text = without_keys(text);
    let mut out = String::with_capacity(text.len());
    let mut is_next = false;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let gap = rest.find(is_part).unwrap_or(rest.len());
        out.push_str(&rest[..gap]);
        rest = &rest[gap..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        let is_key = word.len() >= MIN_KEY_BYTES && BEGINNINGS.iter().any(|beginning| word.starts_with(beginning));
        if is_key || is_next && word.len() >= 8 {
            out.push_str(HIDDEN);
        } else {
            out.push_str(word);
        }
        is_next = BEFORE.iter().any(|before| word.eq_ignore_ascii_case(before));
        rest = &rest[end..];
    }
    Cow::Owned(without_passwords(&out))
}

/// Whether a field is called like one whose value is a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // Counts of tokens are no tokens.
    NAMES.iter().any(|part| lower.contains(part)) && !lower.contains("tokens")
}

/// The value of a field, without what looks like a secret.
pub(crate) fn field(name: &str, value: Value) -> Value {
    match value {
        Value::String(_) if is_secret(name) => Value::from(HIDDEN),
        Value::String(text) => match scrub(&text) {
            Cow::Borrowed(_) => Value::String(text),
            Cow::Owned(scrubbed) => Value::String(scrubbed),
        },
        other => other,
    }
}

/// What words are made of: keys and tokens, in whatever alphabet they come.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/' | '=' | '~')
}

/// Private keys in PEM, up to their end or that of the text.
fn without_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(PEM.0) {
        let after = &rest[begin + PEM.0.len()..];
        let is_private = after.find(PEM.1).is_some_and(|at| at <= 16);
        out.push_str(&rest[..begin]);
        if !is_private {
            out.push_str(PEM.0);
            rest = after;
            continue;
        }
        out.push_str(HIDDEN);
        let end = after.find(PEM.2).map_or(after.len(), |at| {
            let closing = &after[at + PEM.2.len()..];
            closing.find("-----").map_or(after.len(), |close| at + PEM.2.len() + close + 5)
        });
        rest = &after[end..];
    }
    out + rest
}

/// Addresses without the user and password that may stand in them.
fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority =
            after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"')).unwrap_or(after.len());
        match after[..authority].rfind('@') {
            Some(user) => {
                out.push_str(HIDDEN);
                rest = &after[user..];
            }
            None => rest = after,
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{field, scrub};

    #[test]
    fn secrets_are_hidden_and_the_rest_stays() {
        for (text, shown) in [
            ("a plain line about keys", "a plain line about keys"),
            ("key stw_01kahw5v8nq4z0m7c2r9t3xbyd_abc used", "key *** used"),
            ("(sk-proj-aaaaaaaaaaaaaaaaaaaa)", "(***)"),
            ("sk-1 is short", "sk-1 is short"),
            ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
            ("the bearer of bad news", "the bearer of bad news"),
            ("at https://user:pass@host/x?y and http://host:80/", "at https://***@host/x?y and http://host:80/"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "***"),
            ("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY----- after", "*** after"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII", "***"),
            ("-----BEGIN CERTIFICATE-----\nMII\n-----BEGIN PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----\nMII\n***"),
        ] {
            assert_eq!(scrub(text), shown, "{text}");
        }
    }

    #[test]
    fn fields_are_hidden_by_their_names() {
        assert_eq!(field("login_token", json!("x")), "***");
        assert_eq!(field("Authorization", json!("x")), "***");
        assert_eq!(field("tokens", json!("12")), "12");
        assert_eq!(field("code", json!("12")), "12");
        assert_eq!(field("at", json!(3)), 3);
    }
}
