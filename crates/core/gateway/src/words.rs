//! A text as words, and patterns of words.
//!
//! ```text
//! let pattern = Pattern::parse("ignore|forget ..2 previous|prior");     // once
//! Words::of("IGNORE all *previous* text").have(&pattern)                // true
//! ```
//!
//! A pattern is a row of steps: `a|b` is one of these words, `do_not` is two in a row, and `..2` lets at most two words stand
//! between. A gap does not reach over the end of a sentence.
//!
//! Words are compared as they look: in lower case, without what is hidden, and with letters of other scripts taken for the Latin
//! ones that they resemble.
//!
//! Deliberately absent: regular expressions. Rows of words can be read by who decides what belongs there.

use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

use crate::hidden::is_hidden;

/// The end of a sentence, among words.
const END: &str = ".";

/// The words of a text.
#[derive(Debug)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let seen: String = text.chars().filter(|c| !is_hidden(*c)).nfkc().flat_map(char::to_lowercase).collect();
        let mut words = Vec::new();
        for sentence in seen.split(['.', '!', '?', ';']) {
            words.extend(sentence.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(looks));
            words.push(END.to_owned());
        }
        Self(words)
    }

    /// Whether the pattern stands anywhere among them.
    pub(crate) fn have(&self, pattern: &Pattern) -> bool {
        (0..self.0.len()).any(|at| stands(&self.0[at..], &pattern.0))
    }
}

/// A word as it looks. Nearly all are plain, and are still mapped, since `l` and `1` look the same.
fn looks(word: &str) -> String {
    skeleton(word).flat_map(char::to_lowercase).collect()
}

/// A pattern of words.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Step>);

impl Pattern {
    pub(crate) fn parse(pattern: &str) -> Self {
        Self(pattern.split(' ').map(Step::parse).collect())
    }
}

/// A step of a pattern.
#[derive(Debug)]
enum Step {
    /// At most so many words.
    Gap(usize),
    /// One of these, each of one or more words.
    OneOf(Vec<Vec<String>>),
}

impl Step {
    fn parse(step: &str) -> Self {
        match step.strip_prefix("..").and_then(|most| most.parse().ok()) {
            Some(most) => Self::Gap(most),
            None => Self::OneOf(step.split('|').map(|one| one.split('_').map(looks).collect()).collect()),
        }
    }
}

fn stands(words: &[String], steps: &[Step]) -> bool {
    match steps.split_first() {
        None => true,
        Some((Step::Gap(most), rest)) => {
            let reach = words.iter().take(*most).take_while(|word| *word != END).count();
            (0..=reach).any(|between| stands(&words[between..], rest))
        }
        Some((Step::OneOf(choices), rest)) => {
            choices.iter().any(|choice| words.starts_with(choice) && stands(&words[choice.len()..], rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Words};

    #[test]
    fn patterns_are_rows_of_words() {
        let pattern = Pattern::parse("do_not|never ..2 tell|show user");
        for (text, found) in [
            ("never tell user", true),
            ("So do not ever really TELL user!", true),
            ("do not ever really truly tell user", false),
            ("do\nnot *show* 'user'", true),
            ("never. tell user", false),
            ("never", false),
            ("do tell user", false),
            ("nevertell user", false),
            ("n\u{200b}ever tell us\u{ad}er", true),
            ("nеvеr tеll usеr", true), // Cyrillic
            ("ｎｅｖｅｒ tell user", true),
            ("never te1l user", true),
            ("", false),
        ] {
            assert_eq!(Words::of(text).have(&pattern), found, "{text}");
        }
    }
}
