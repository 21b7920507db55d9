//! Characters that nobody sees and a model reads.
//!
//! ```
//! use steward_gateway::reveal;
//! let (shown, hidden) = reveal("Finds\u{200b} pages.");
//! assert_eq!((&*shown, hidden), ("Finds\\u{200b} pages.", 1));
//! ```
//!
//! What joins emoji, and letters of the scripts that need joiners, is left alone: people write it without knowing.
//!
//! Deliberately absent: removing. What was hidden is shown, so that whoever reads sees what was tried.

use std::borrow::Cow;

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const EMOJI_STYLE: char = '\u{fe0f}';

/// The text with everything hidden in it written as `\u{200b}`, and how much there was.
pub fn reveal(text: &str) -> (Cow<'_, str>, usize) {
    let found = hidden_in(text);
    if found.is_empty() {
        return (Cow::Borrowed(text), 0);
    }
    let mut shown = String::with_capacity(text.len() + found.len() * 8);
    let mut done = 0;
    for (at, c) in &found {
        shown.push_str(&text[done..*at]);
        shown.extend(c.escape_unicode());
        done = at + c.len_utf8();
    }
    shown.push_str(&text[done..]);
    (Cow::Owned(shown), found.len())
}

/// Everything hidden in a text, with where it begins. Line breaks and tabs are not hidden.
pub(crate) fn hidden_in(text: &str) -> Vec<(usize, char)> {
    // Most texts are plain, and results are long.
    if text.bytes().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut before = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map(|(_, c)| *c);
        if is_hidden(c) && !joins(before, c, after) {
            found.push((at, c));
        }
        before = Some(c);
    }
    found
}

/// Controls but line breaks and tabs, and what Unicode says is drawn as nothing or turns around what is drawn.
pub(crate) fn is_hidden(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        _ if c.is_control() => true,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => true,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// Whether it does what it was made for: one of them, between two characters that it joins, or after one that it styles.
fn joins(before: Option<char>, c: char, after: Option<char>) -> bool {
    let picture =
        |c: char| matches!(u32::from(c), 0x2190..=0x2bff | 0x3030 | 0x303d | 0x3297 | 0x3299 | 0x1f000..=0x1faff);
    // Arabic, Indic and South-East Asian scripts.
    let joined = |c: char| matches!(u32::from(c), 0x600..=0x1cff) && !is_hidden(c);
    let (Some(before), after) = (before, after) else { return false };
    match c {
        EMOJI_STYLE => {
            picture(before)
                || matches!(
                    before,
                    '0'..='9' | '#' | '*' | '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
                )
        }
        ZERO_WIDTH_JOINER if after.is_some_and(picture) => picture(before) || before == EMOJI_STYLE,
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => joined(before) && after.is_some_and(joined),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::reveal;

    #[test]
    fn what_nobody_sees_is_shown() {
        for (text, shown, hidden) in [
            ("a\u{200b}b", "a\\u{200b}b", 1),
            ("a\u{200d}b", "a\\u{200d}b", 1),
            ("\u{feff}a", "\\u{feff}a", 1),
            ("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}", 2),
            ("a\u{e0041}\u{e007f}", "a\\u{e0041}\\u{e007f}", 2),
            ("a\u{fe01}\u{e0100}", "a\\u{fe01}\\u{e0100}", 2),
            ("a\u{fe0f}", "a\\u{fe0f}", 1),
            ("\u{26a0}\u{fe0f}\u{fe0f}", "\u{26a0}\u{fe0f}\\u{fe0f}", 1),
            ("\u{1b}[8m", "\\u{1b}[8m", 1),
            ("\0\u{7f}\u{9b}", "\\u{0}\\u{7f}\\u{9b}", 3),
            ("ש\u{200f}", "ש\\u{200f}", 1),
            ("a\u{3164}\u{ad}", "a\\u{3164}\\u{ad}", 2),
        ] {
            assert_eq!(reveal(text), (shown.into(), hidden), "{text:?}");
        }
    }

    #[test]
    fn what_people_write_is_left_alone() {
        for text in [
            "",
            "plain\ttext\r\n",
            "Größe, 東京, агент",
            "\u{26a0}\u{fe0f} careful",
            "1\u{fe0f}\u{20e3}",
            "\u{1f469}\u{200d}\u{1f4bb}",
            "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
            "می\u{200c}خواهم",
            "क\u{94d}\u{200d}ष",
        ] {
            assert_eq!(reveal(text), (text.into(), 0), "{text:?}");
        }
    }
}
