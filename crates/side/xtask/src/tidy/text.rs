//! What every file owes the house, whatever stands in it.

use super::{Finding, house::House};

/// The most lines of a source file: past it, a second noun has moved in.
const MAX_LINES: usize = 800;

/// Beginnings of paths that exist on one machine only. Written in two parts, so that this file does not hold them.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/tmp/", "studio"),
    concat!("/tmp/", "bash_jobs"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/user"),
];

/// Where packages come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A source file begins with `//!`.
pub(super) fn module_doc(house: &House) -> Vec<Finding> {
    let bare = house.sources().iter().filter(|s| s.path.contains("/src/") && !s.text.starts_with("//!"));
    bare.map(|s| Finding::new(&s.path, 1, "begin with `//!`: what it is, how it is used, what is deliberately absent"))
        .collect()
}

/// A source file has at most 800 lines.
pub(super) fn length(house: &House) -> Vec<Finding> {
    let counted = house.sources().iter().map(|s| (s, s.text.lines().count()));
    let long = counted.filter(|(_, lines)| *lines > MAX_LINES);
    long.map(|(s, lines)| {
        Finding::new(&s.path, MAX_LINES + 1, format!("{lines} lines; find the second noun that moved in"))
    })
    .collect()
}

/// No path of one machine in the tree.
pub(super) fn machine(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in house.files() {
        for (n, line) in text.lines().enumerate() {
            for pattern in MACHINE_PATHS.iter().filter(|pattern| stands_alone(line, pattern)) {
                findings.push(Finding::new(
                    path,
                    n + 1,
                    format!("`{pattern}` is a path of one machine; write it relative, or from the environment"),
                ));
            }
        }
    }
    findings
}

/// Whether a path in `line` begins with `pattern`: `/a/b` is not in `/x/a/b`.
fn stands_alone(line: &str, pattern: &str) -> bool {
    line.match_indices(pattern).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '*' | '}' | ')'))
    })
}

/// `Cargo.lock` takes packages from crates.io only.
pub(super) fn sources(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in house.files().iter().filter(|(path, _)| path.ends_with("Cargo.lock")) {
        for (n, line) in text.lines().enumerate() {
            let source = line.strip_prefix("source = \"").and_then(|rest| rest.strip_suffix('"'));
            if source.is_some_and(|source| source != CRATES_IO) {
                findings.push(Finding::new(
                    path,
                    n + 1,
                    "a package from elsewhere than crates.io; nobody else could build this",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&House) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
        rule(&House::of(files)).iter().map(|f| format!("{}:{}", f.path, f.line)).collect()
    }

    #[test]
    fn files_without_a_first_line_are_found() {
        let files = [
            ("crates/core/x/src/a.rs", "use b;\n//! late"),
            ("crates/core/x/src/c.rs", "//! What it is."),
            ("crates/core/x/tests/d.rs", "use e;"),
        ];
        assert_eq!(lines(module_doc, &files), ["crates/core/x/src/a.rs:1"]);
    }

    #[test]
    fn long_files_are_found() {
        let files = [
            ("crates/core/x/src/a.rs", "\n".repeat(MAX_LINES)),
            ("crates/core/x/src/b.rs", "\n".repeat(MAX_LINES + 1)),
        ];
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert_eq!(lines(length, &files), ["crates/core/x/src/b.rs:801"]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for pattern in MACHINE_PATHS {
            let text = format!("fine\ncd {pattern}x\nsee {pattern}y");
            assert_eq!(lines(machine, &[("docs/a.md", &text)]), ["docs/a.md:2", "docs/a.md:3"], "{pattern}");
        }
        let relative = format!("frame{}", MACHINE_PATHS[0]);
        assert!(lines(machine, &[("docs/a.md", &relative)]).is_empty());
    }

    #[test]
    fn packages_from_elsewhere_are_found() {
        let text = format!("source = \"{CRATES_IO}\"\nsource = \"git+https://example.org/x\"");
        assert_eq!(lines(sources, &[("Cargo.lock", &text)]), ["Cargo.lock:2"]);
    }
}
