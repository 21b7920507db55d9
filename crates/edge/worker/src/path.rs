//! A path within what an agent owns, as the agent writes it: `/reports/a.md`.

use std::fmt;

use steward_naming::visible;

/// The most bytes that a file may have, 8 MiB: it is held in memory, whole, by every request that writes one.
pub const MAX_FILE_BYTES: usize = 8 * 1024 * 1024;

/// The longest path in bytes: what the kernel takes in one call, and the longest resource that an action can name.
pub const MAX_PATH_BYTES: usize = 4096;

/// The longest part of a path in bytes: the longest file name of Linux's file systems.
pub const MAX_PART_BYTES: usize = 255;

/// The most parts in a path, so that making its folders is bounded work.
pub const MAX_DEPTH: usize = 64;

const _: () = assert!(MAX_PATH_BYTES == steward_permit::MAX_RESOURCE_BYTES);

/// Why a path was refused by its shape alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("`{0}` does not begin with `/`; write the path from the agent's own folder, such as `/reports/a.md`")]
    NotFromTheTop(String),
    /// It has an empty part: `//`, or a `/` at the end.
    #[error("`{0}` has an empty part; name a file, with single slashes and none at the end, such as `/reports/a.md`")]
    EmptyPart(String),
    /// It has `.` or `..` as a part.
    #[error("`{0}` has `.` or `..` as a part; write the path that is meant, without them")]
    DotPart(String),
    /// It holds a control character.
    #[error("`{0}` holds a control character; write the path without")]
    ControlCharacter(String),
    /// One part is longer than [`MAX_PART_BYTES`].
    #[error("`{0}` has a part longer than {MAX_PART_BYTES} bytes; use a shorter name")]
    PartTooLong(String),
    /// It is longer than [`MAX_PATH_BYTES`].
    #[error("`{0}` is longer than {MAX_PATH_BYTES} bytes; use shorter or fewer names")]
    TooLong(String),
    /// It has more than [`MAX_DEPTH`] parts.
    #[error("`{0}` has more than {MAX_DEPTH} parts; use fewer folders")]
    TooDeep(String),
}

/// A path within what an agent owns, of a shape that names one file in one way.
///
/// Nothing is normalised: what is not already plain is refused. That it stays within the folder is not known from its shape;
/// the kernel sees to that when it resolves it.
///
/// ```
/// use steward_worker::GrantPath;
/// assert!(GrantPath::parse("/reports/a.md").is_ok());
/// assert!(GrantPath::parse("/reports/../../other/files/a.md").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantPath(String);

impl GrantPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`PathError`] says which property was refused and what to write instead.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        // The length first: whatever else is said quotes the text, and looks at all of it.
        if text.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong(visible(text)));
        }
        if text.chars().any(char::is_control) {
            return Err(PathError::ControlCharacter(visible(text)));
        }
        let Some(beneath) = text.strip_prefix('/') else {
            return Err(PathError::NotFromTheTop(visible(text)));
        };
        for (count, part) in beneath.split('/').enumerate() {
            match part {
                "" => return Err(PathError::EmptyPart(visible(text))),
                "." | ".." => return Err(PathError::DotPart(visible(text))),
                _ if part.len() > MAX_PART_BYTES => return Err(PathError::PartTooLong(visible(text))),
                _ if count >= MAX_DEPTH => return Err(PathError::TooDeep(visible(text))),
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as it was written, with the leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path from the agent's folder, without the leading `/`.
    pub(crate) fn beneath(&self) -> &str {
        &self.0[1..]
    }

    /// The folder that it lies in, from the agent's folder (`None` for that folder itself), and the file's own name.
    pub(crate) fn parent_and_name(&self) -> (Option<&str>, &str) {
        match self.beneath().rsplit_once('/') {
            Some((parent, name)) => (Some(parent), name),
            None => (None, self.beneath()),
        }
    }
}

impl fmt::Display for GrantPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GrantPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{GrantPath, MAX_DEPTH, MAX_PART_BYTES, MAX_PATH_BYTES, PathError};

    #[test]
    fn plain_paths_are_taken_as_they_are() {
        for text in ["/a", "/a.md", "/reports/a.md", "/...", "/.hidden", "/a b", "/größe", "/C:\\x", "/~", "/%2e%2e/a"]
        {
            assert_eq!(GrantPath::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let refused = |text: &str| GrantPath::parse(text).expect_err(text);
        for text in ["", "a", "reports/a.md", "./a", "../a", "~/a", "\\a", " /a", "file:///a"] {
            assert!(matches!(refused(text), PathError::NotFromTheTop(_)), "{text:?}");
        }
        for text in ["/", "//", "//a", "/a//b", "/a/", "///etc/passwd"] {
            assert!(matches!(refused(text), PathError::EmptyPart(_)), "{text:?}");
        }
        for text in ["/.", "/..", "/../a", "/a/..", "/a/../b", "/a/./b", "/./a"] {
            assert!(matches!(refused(text), PathError::DotPart(_)), "{text:?}");
        }
        for text in ["/a\0b", "\0", "/a\n", "/\u{7f}", "/\u{85}"] {
            assert!(matches!(refused(text), PathError::ControlCharacter(_)), "{text:?}");
        }
    }

    #[test]
    fn limits_are_where_they_say() {
        let part = |bytes| format!("/{}", "x".repeat(bytes));
        assert!(GrantPath::parse(&part(MAX_PART_BYTES)).is_ok());
        assert!(matches!(GrantPath::parse(&part(MAX_PART_BYTES + 1)), Err(PathError::PartTooLong(_))));
        assert!(GrantPath::parse(&"/x".repeat(MAX_DEPTH)).is_ok());
        assert!(matches!(GrantPath::parse(&"/x".repeat(MAX_DEPTH + 1)), Err(PathError::TooDeep(_))));
        let longest = part(MAX_PART_BYTES).repeat(MAX_PATH_BYTES / (MAX_PART_BYTES + 1));
        assert_eq!(longest.len(), MAX_PATH_BYTES);
        assert!(GrantPath::parse(&longest).is_ok());
        assert!(matches!(GrantPath::parse(&format!("{longest}x")), Err(PathError::TooLong(_))));
    }

    #[test]
    fn messages_show_no_tricks() {
        let message = GrantPath::parse("/a/..\u{202e}\0").expect_err("refused").to_string();
        assert!(message.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{message}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = GrantPath::parse(&text);
        }

        #[test]
        fn whatever_is_accepted_is_plain(text in "/?([a./\\\\~ \0é]{0,3}(/|//|/\\./|/\\.\\./)?){0,6}") {
            if let Ok(path) = GrantPath::parse(&text) {
                // The standard library's own reading of it: a root and then names, one for each slash.
                let parts: Vec<_> = std::path::Path::new(path.as_str()).components().collect();
                prop_assert_eq!(parts[0], std::path::Component::RootDir);
                prop_assert!(parts[1..].iter().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert_eq!(parts.len() - 1, text.matches('/').count());
                prop_assert_eq!(path.as_str(), text);
            }
        }
    }
}
