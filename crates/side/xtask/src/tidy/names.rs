//! The documents say what exists: crates, dependencies, links.

use std::collections::BTreeMap;

use super::{Finding, house::House};

/// Where the house is described.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Where it is said what a node defends against.
const THREATS: &str = "docs/threat-model.md";

/// The crates in ARCHITECTURE.md, section "Crates", are those that exist.
pub(super) fn crates(house: &House) -> Vec<Finding> {
    let named = table(house, "Crates");
    let mut findings = Vec::new();
    for c in house.crates().iter().filter(|c| !named.contains_key(&c.folder)) {
        findings.push(Finding::new(
            ARCHITECTURE,
            1,
            format!("`{}` is not in the table under \"Crates\"; give it a row", c.folder),
        ));
    }
    for (folder, (line, text)) in &named {
        if !house.crates().iter().any(|c| c.folder == *folder) {
            findings.push(Finding::new(ARCHITECTURE, *line, format!("`{folder}` does not exist; take its row out")));
        } else if text.is_empty() {
            findings.push(Finding::new(ARCHITECTURE, *line, format!("say in a sentence what `{folder}` is")));
        }
    }
    findings
}

/// Each outside dependency of the workspace has its reason in ARCHITECTURE.md, section "Dependencies".
pub(super) fn reasons(house: &House) -> Vec<Finding> {
    let named = table(house, "Dependencies");
    let used = house.workspace_dependencies();
    let mut findings = Vec::new();
    for (name, _) in used.iter().filter(|(name, is_ours)| !is_ours && !named.contains_key(name)) {
        let message =
            format!("`{name}` has no reason in {ARCHITECTURE} under \"Dependencies\"; give it one, or do without it");
        findings.push(Finding::new("Cargo.toml", house.line_of("Cargo.toml", name), message));
    }
    for (name, (line, text)) in &named {
        if !used.iter().any(|(used, is_ours)| used == name && !is_ours) {
            findings.push(Finding::new(
                ARCHITECTURE,
                *line,
                format!("the workspace does not depend on `{name}`; take its row out"),
            ));
        } else if text.is_empty() {
            findings.push(Finding::new(ARCHITECTURE, *line, format!("`{name}` is there without a reason")));
        }
    }
    findings
}

/// The rows of the table in a section of ARCHITECTURE.md: what its first column has in backticks, the line, the last column.
fn table(house: &House, section: &str) -> BTreeMap<String, (usize, String)> {
    let text = house.files().get(ARCHITECTURE).map_or("", String::as_str);
    let mut rows = BTreeMap::new();
    let mut is_inside = false;
    for (n, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            is_inside = title.trim() == section;
        }
        let mut cells = line.trim().trim_matches('|').split('|').map(str::trim);
        let name = cells.next().and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
        if let Some(name) = name.filter(|_| is_inside && line.starts_with('|')) {
            rows.insert(name.to_owned(), (n + 1, cells.next_back().unwrap_or_default().to_owned()));
        }
    }
    rows
}

/// Relative links in documents, and paths of the tree in backticks, lead somewhere.
pub(super) fn links(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in house.files().iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (n, line) in text.lines().enumerate() {
            let linked = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            let linked = linked.filter(|to| !to.is_empty() && !to.contains(':')).map(|to| resolve(folder, to));
            let quoted = line.split('`').skip(1).step_by(2).filter(|word| is_path(word)).map(|word| resolve("", word));
            for to in linked.chain(quoted) {
                if !exists(house, &to) {
                    findings.push(Finding::new(path, n + 1, format!("`{to}` does not exist")));
                }
            }
        }
    }
    findings
}

/// Every test that the threat model names exists.
pub(super) fn evidence(house: &House) -> Vec<Finding> {
    let text = house.files().get(THREATS).map_or("", String::as_str);
    let mut findings = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let named = line.split('`').skip(1).step_by(2).filter(|word| !is_path(word) && is_function(word));
        for test in named {
            let declared = format!("fn {test}(");
            if !house.sources().iter().any(|s| s.all_code.contains(&declared)) {
                findings.push(Finding::new(
                    THREATS,
                    n + 1,
                    format!("there is no test `{test}`; name the one that stands for this"),
                ));
            }
        }
    }
    findings
}

fn is_function(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether a word in backticks means one file or folder of this tree.
fn is_path(word: &str) -> bool {
    (word.starts_with("crates/") || word.starts_with("docs/"))
        && !word.contains(['*', '<', '{', ' ', '…', '\\'])
        && !has_placeholder(word)
}

/// Whether a part of a path is a word in capitals, which stands for something: `docs/errors/CODE.md`.
fn has_placeholder(path: &str) -> bool {
    path.split(['/', '.', '-']).any(|part| matches!(part, "CODE" | "NAME" | "NOUN" | "NNNN" | "FLOOR"))
}

fn resolve(folder: &str, to: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(house: &House, path: &str) -> bool {
    let inside = format!("{path}/");
    path.is_empty() || house.files().contains_key(path) || house.files().keys().any(|file| file.starts_with(&inside))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(rule: fn(&House) -> Vec<Finding>, files: &[(&str, &str)], findings: Expect) {
        let found: Vec<String> =
            rule(&House::of(files)).iter().map(|f| format!("{}:{} {}\n", f.path, f.line, f.message)).collect();
        findings.assert_eq(&found.concat());
    }

    #[test]
    fn crates_and_rows_that_lack_each_other_are_found() {
        let text = "## Crates\n| crate | what |\n|---|---|\n| `crates/core/gone` | x |\n| `crates/core/b` | |\n## Other\n| `crates/core/a` | x |";
        let files = [
            (ARCHITECTURE, text),
            ("crates/core/a/Cargo.toml", "[package]\nname = \"steward-a\""),
            ("crates/core/b/Cargo.toml", "[package]\nname = \"steward-b\""),
        ];
        check(
            crates,
            &files,
            expect![[r#"
            ARCHITECTURE.md:1 `crates/core/a` is not in the table under "Crates"; give it a row
            ARCHITECTURE.md:5 say in a sentence what `crates/core/b` is
            ARCHITECTURE.md:4 `crates/core/gone` does not exist; take its row out
        "#]],
        );
    }

    #[test]
    fn dependencies_without_reasons_are_found() {
        let cargo =
            "[workspace.dependencies]\nours = { path = \"x\" }\nhex = \"1\"\nclap = { version = \"4\" }\nbare = \"1\"";
        let text = "## Dependencies\n| crate | reason |\n| `clap` | commands |\n| `bare` | |\n| `gone` | x |";
        check(
            reasons,
            &[("Cargo.toml", cargo), (ARCHITECTURE, text)],
            expect![[r#"
            Cargo.toml:3 `hex` has no reason in ARCHITECTURE.md under "Dependencies"; give it one, or do without it
            ARCHITECTURE.md:4 `bare` is there without a reason
            ARCHITECTURE.md:5 the workspace does not depend on `gone`; take its row out
        "#]],
        );
    }

    #[test]
    fn dead_links_are_found() {
        let text = "[a](../README.md) [b](gone.md#x) [c](https://x.org) [d](#here)\n`crates/core/x` `docs/gone.md` `docs/errors/CODE.md`";
        let files = [("docs/a.md", text), ("README.md", "[](docs/) [](nowhere)"), ("crates/core/x/src/lib.rs", "")];
        check(
            links,
            &files,
            expect![[r#"
            README.md:1 `nowhere` does not exist
            docs/a.md:1 `docs/gone.md` does not exist
            docs/a.md:2 `docs/gone.md` does not exist
        "#]],
        );
    }

    #[test]
    fn tests_that_do_not_exist_are_found() {
        let text = "`not_in_a_table`\n| x | `crates/core/x/src`: `is_there`, `is_gone`, `..` |";
        let files = [(THREATS, text), ("crates/core/x/src/tests.rs", "#[test]\nfn is_there() {}\n// fn is_gone() {}")];
        check(
            evidence,
            &files,
            expect![[r#"
                docs/threat-model.md:2 there is no test `is_gone`; name the one that stands for this
            "#]],
        );
    }
}
