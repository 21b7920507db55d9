//! Normalisation of identifiers, and the refusal of those that could be mistaken for others.

use unicode_normalization::UnicodeNormalization;
use unicode_security::{GeneralSecurityProfile, MixedScript, confusable_detection::skeleton};

/// The longest identifier that is looked at, in bytes, before and after normalisation.
pub(crate) const MAX_IDENTIFIER_BYTES: usize = 255;

/// Why an identifier was refused.
///
/// The offending text is shown with everything but printable ASCII escaped, so that a message, a log line or a ledger
/// entry cannot itself be a trick.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("a name is needed, and it is empty")]
    Empty,
    /// More than 255 bytes or, for a label, more than 63.
    #[error("`{0}` is too long; a label may have 63 bytes, a whole name 255")]
    TooLong(String),
    /// A space, control, zero-width or otherwise invisible character.
    #[error("`{text}` contains {character}, which is not allowed in a name; write it without")]
    Character {
        /// The text as written, escaped.
        text: String,
        /// The character, as `U+200B`.
        character: String,
    },
    /// Letters of several scripts, or letters that look like Latin ones.
    #[error(
        "`{0}` mixes scripts or looks like another name; write it in one script, in letters that cannot be mistaken for Latin ones"
    )]
    Confusable(String),
    /// The form is wrong: `what` says what is expected.
    #[error("`{text}` is not {what}")]
    Form {
        /// The text as written, escaped.
        text: String,
        /// What was expected, with an example.
        what: &'static str,
    },
    /// A word that the product keeps for itself.
    #[error("`{0}` is a reserved word; choose another")]
    Reserved(String),
}

/// `text` with everything but printable ASCII escaped, at most 80 characters: fit for a message or a record.
pub fn visible(text: &str) -> String {
    visible_to(text, 80)
}

/// The same, with at most so many characters, and what it is cut with.
pub fn visible_to(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
        if out.len() >= most {
            out.push_str("...");
            break;
        }
    }
    out
}

/// The normal form of an identifier: NFKC, lower case, nothing that can be mistaken for something else.
///
/// Allowed are letters and digits of one script (UTS 39's general security profile) and `. _ - : /`.
/// Normalising twice changes nothing.
///
/// # Errors
/// [`NameError`] says which character or property was refused.
pub fn normalise(text: &str) -> Result<String, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_IDENTIFIER_BYTES {
        return Err(NameError::TooLong(visible(text)));
    }
    // Plain letters are their own NFKC form and mixed with nothing. Every name that is stored is plain.
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || is_mark(b.into())) {
        return Ok(text.to_ascii_lowercase());
    }
    normalise_in_full(text)
}

fn normalise_in_full(text: &str) -> Result<String, NameError> {
    // What is invisible or a space is refused as written: NFKC would fold some of it away.
    refuse_characters(text, text)?;
    // Lower-casing can leave NFKC form and the reverse, so go round until nothing changes (twice, in practice).
    let mut normal: String = text.nfkc().collect();
    for _ in 0..4 {
        let next: String = normal.chars().flat_map(char::to_lowercase).nfkc().collect();
        if next == normal {
            break;
        }
        normal = next;
    }
    if normal.len() > MAX_IDENTIFIER_BYTES {
        return Err(NameError::TooLong(visible(text)));
    }
    refuse_characters(&normal, text)?;
    let again: String = normal.chars().flat_map(char::to_lowercase).nfkc().collect();
    if again != normal {
        return Err(NameError::Confusable(visible(text)));
    }
    if !normal.is_ascii() {
        let letters: String = normal.chars().filter(|c| !is_mark(*c)).collect();
        if !letters.as_str().is_single_script() || looks_latin(&letters) {
            return Err(NameError::Confusable(visible(text)));
        }
    }
    Ok(normal)
}

fn is_mark(c: char) -> bool {
    matches!(c, '.' | '_' | '-' | ':' | '/')
}

fn refuse_characters(candidate: &str, written: &str) -> Result<(), NameError> {
    match candidate.chars().find(|c| !(is_mark(*c) || c.is_alphanumeric() || is_combining(*c))) {
        Some(c) => Err(refused(written, c)),
        None if candidate == written => Ok(()),
        None => match candidate.chars().find(|c| !is_mark(*c) && !c.identifier_allowed()) {
            Some(c) => Err(refused(written, c)),
            None => Ok(()),
        },
    }
}

fn is_combining(c: char) -> bool {
    // Combining marks carry meaning in many scripts; the security profile decides about each after normalisation.
    unicode_normalization::char::is_combining_mark(c) && c.identifier_allowed()
}

fn refused(written: &str, c: char) -> NameError {
    NameError::Character { text: visible(written), character: format!("U+{:04X}", u32::from(c)) }
}

/// Whether letters that are not Latin would be taken for Latin ones: `ѕсоре` in Cyrillic.
fn looks_latin(letters: &str) -> bool {
    skeleton(letters).all(|c| c.is_ascii()) && !letters.is_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NameError, normalise, normalise_in_full};

    #[test]
    fn what_people_write() {
        for (written, normal) in [
            ("drop", "drop"),
            ("DROP", "drop"),
            ("ＤＲＯＰ", "drop"),
            ("fs.Write", "fs.write"),
            ("Größe", "größe"),
            ("агент", "агент"),
            ("東京", "東京"),
            ("a-b_c:d/e", "a-b_c:d/e"),
        ] {
            assert_eq!(normalise(written).as_deref(), Ok(normal), "{written:?}");
        }
    }

    #[test]
    fn what_could_be_mistaken_is_refused() {
        for written in [
            " drop",
            "drop ",
            "dr op",
            "drop\n",
            "drop\0",
            "dr\u{200b}op",
            "dr\u{200d}op",
            "\u{feff}drop",
            "dr\u{00ad}op",
            "drop\u{202e}",
            "\u{2066}drop",
            "dr\u{034f}op",
            "dr\u{3164}op",
            "dr\u{e0061}op",
            "dr\u{043e}p",                              // Cyrillic о among Latin letters
            "\u{0501}rop",                              // Cyrillic ԁ
            "\u{0455}\u{0441}\u{043e}\u{0440}\u{0435}", // all Cyrillic, reads `scope`
            "\u{03bf}\u{03bd}",                         // Greek, reads `ov`
            "dr\u{1d0f}p",                              // small capital o
            "drop!",
            "drop;",
            "dr*p",
            "dröp\u{200b}",
            "🦀",
        ] {
            assert!(normalise(written).is_err(), "{written:?} became {:?}", normalise(written));
        }
        assert_eq!(normalise(""), Err(NameError::Empty));
        assert!(matches!(normalise(&"x".repeat(256)), Err(NameError::TooLong(_))));
    }

    #[test]
    fn messages_show_no_tricks() {
        let message = normalise("dr\u{200b}op\u{202e}").expect_err("refused").to_string();
        assert!(message.is_ascii(), "{message}");
        assert!(message.contains("U+200B"), "{message}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,12}|[a-zA-Z.ıİſßK-]{0,8}") {
            if let Ok(once) = normalise(&text) {
                prop_assert_eq!(normalise(&once), Ok(once.clone()));
            }
        }

        #[test]
        fn the_short_way_for_plain_letters_is_the_long_one(text in "[ -~]{1,3}|[a-zA-Z0-9._:/-]{1,40}") {
            prop_assert_eq!(normalise(&text), normalise_in_full(&text));
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = normalise(&text);
        }
    }
}
