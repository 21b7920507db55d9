//! Small sets of words that are written the same everywhere: phases, endings, reasons.
//!
//! `words!` makes an enum with `ALL`, `as_str`, `Display`, `FromStr`, and JSON as the word.
//!
//! Deliberately absent: aliases and other capitals. A word has one spelling.

/// The text is not one of a small set of words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}; they are {all}")]
pub struct UnknownWord {
    pub(crate) text: String,
    pub(crate) what: &'static str,
    pub(crate) all: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $what:literal, { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $type { $($(#[$vdoc])* $variant),* }

        impl $type {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::word::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| $crate::word::UnknownWord {
                    text: steward_naming::visible(text),
                    what: $what,
                    all: Self::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }

        impl From<$type> for String {
            fn from(word: $type) -> Self {
                word.as_str().to_owned()
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::word::UnknownWord;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    };
}
pub(crate) use words;
