//! Names that can be taken for one another.
//!
//! ```text
//! Looks::of("read-file").like(&Looks::of("readFile"))     // true
//! ```
//!
//! Deliberately absent: words that mean the same. `get_file` and `read_file` are two tools.

use unicode_security::confusable_detection::skeleton;

/// The tools of the node itself, which no other server's tool may pass for.
pub const OWN_TOOLS: [&str; 9] =
    ["submit_plan", "report_problem", "finish", "fs_read", "fs_write", "exec", "shell", "http_get", "await_result"];

/// A name as it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Looks {
    /// In lower case, without `-`, `_` and `.`.
    folded: String,
    /// The same of its skeleton (UTS 39): `l` and `I`, `rn` and `m`, Latin and Cyrillic letters are one.
    skeleton: String,
}

impl Looks {
    pub(crate) fn of(name: &str) -> Self {
        Self { folded: fold(name.chars()), skeleton: fold(skeleton(name)) }
    }

    /// Whether one can be taken for the other.
    pub(crate) fn like(&self, other: &Self) -> bool {
        self.folded == other.folded || self.skeleton == other.skeleton
    }
}

fn fold(chars: impl Iterator<Item = char>) -> String {
    chars.filter(|c| !matches!(c, '-' | '_' | '.')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::Looks;

    #[test]
    fn what_looks_alike_is_alike() {
        for (a, b, alike) in [
            ("exec", "exec", true),
            ("exec", "Exec", true),
            ("fs_read", "fs.read", true),
            ("fs_read", "fsRead", true),
            ("http-get", "http_get", true),
            ("shell", "shelI", true),
            ("shell", "she11", true),
            ("form", "forrn", true),
            ("exec", "ехес", true), // Cyrillic
            ("exec", "execs", false),
            ("fs_read", "fs_write", false),
            ("search", "research", false),
        ] {
            assert_eq!(Looks::of(a).like(&Looks::of(b)), alike, "{a} {b}");
        }
    }
}
