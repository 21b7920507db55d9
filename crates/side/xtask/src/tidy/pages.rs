//! Every error code has its page, and every page its code.
//!
//! Codes are made in a few places ([`LIST`] and [`MAKERS`]). A literal that has the shape of a code and stands elsewhere is a
//! finding, so that none is made in passing.

use std::collections::BTreeMap;

use super::{Finding, house::House, source::words};

/// Where refusals have their codes, each the name of a constant.
const LIST: &str = "crates/app/node/src/code.rs";

/// Where denials, effects, findings of an audit and about tools, and what runs refuse and how they end have their codes, each a literal.
const MAKERS: [&str; 9] = [
    "crates/ground/permit/src/decision.rs",
    "crates/edge/worker/src/error.rs",
    "crates/core/ledger/src/report.rs",
    "crates/core/governor/src/refusal.rs",
    "crates/core/governor/src/ending.rs",
    "crates/edge/fetch/src/error.rs",
    "crates/edge/upstream/src/error.rs",
    "crates/edge/model/src/error.rs",
    "crates/core/gateway/src/finding.rs",
];

/// Where the pages are.
const PAGES: &str = "docs/errors/";

/// Beginnings of words that look like codes and are names of environment variables.
const VARIABLES: [&str; 11] = [
    "CREDENTIALS_",
    "STEWARD_",
    "RUST_",
    "CARGO_",
    "XDG_",
    "MIMALLOC_",
    "OPENAI_",
    "NO_COLOR",
    "NO_PROXY",
    "NOTIFY_",
    "WATCHDOG_",
];

/// An error code has a page, a page has a code.
pub(super) fn errors(house: &House) -> Vec<Finding> {
    let codes = codes(house);
    let mut findings = Vec::new();
    for source in house.sources().iter().filter(|s| !s.path.starts_with("crates/side/")) {
        let coded = source.literals.iter().filter(|l| is_word(&l.text) && l.text.contains('_'));
        for code in
            coded.filter(|l| !VARIABLES.iter().any(|v| l.text.starts_with(v)) && !codes.contains_key(l.text.as_str()))
        {
            let message = format!("`{}` looks like an error code; list it in {LIST} and use it from there", code.text);
            findings.push(Finding::new(&source.path, source.line(code.at), message));
        }
    }
    let page = |code: &str| format!("{PAGES}{code}.md");
    for (code, (path, line)) in &codes {
        if !house.files().contains_key(&page(code)) {
            findings.push(Finding::new(path, *line, format!("`{code}` has no page; write {}", page(code))));
        }
    }
    let pages = house.files().keys().filter_map(|path| path.strip_prefix(PAGES)?.strip_suffix(".md"));
    for name in pages.filter(|name| is_word(name) && !codes.contains_key(name)) {
        findings.push(Finding::new(&page(name), 1, format!("no code is called `{name}`; take the page out")));
    }
    findings
}

/// Every code, and where it is made.
fn codes(house: &House) -> BTreeMap<&str, (&str, usize)> {
    let mut codes = BTreeMap::new();
    for source in house.sources() {
        if source.path == LIST {
            let names = source.code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for name in names.filter(|name| is_word(name) && *name != "ALL") {
                codes.entry(name).or_insert((LIST, source.line(words(&source.code, name).next().unwrap_or_default())));
            }
        }
        if MAKERS.contains(&source.path.as_str()) {
            for literal in source.literals.iter().filter(|l| is_word(&l.text)) {
                codes.entry(&literal.text).or_insert((&source.path, source.line(literal.at)));
            }
        }
    }
    codes
}

/// `DISK_FULL`: words in capitals, joined by single underscores.
fn is_word(text: &str) -> bool {
    text.len() > 2 && text.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn codes_and_pages_that_lack_each_other_are_found() {
        let files = [
            (LIST, "codes! {\n/// NOT_ME\nSTALE,\nDISK_FULL }\npub const ALL: &[&str] = &[];"),
            (MAKERS[0], "\"FORBIDDEN\" \"not a code\""),
            (MAKERS[1], "\"DISK_FULL\""),
            (
                "crates/edge/store/src/lib.rs",
                "\"DISK_FULL\" \"MADE_UP\" \"STEWARD_HOME\" \"GET\" \"A__B\" // \"NO_PAGE\"\n#[cfg(test)] mod t { \"IN_TEST\" }",
            ),
            ("docs/errors/DISK_FULL.md", ""),
            ("docs/errors/OLD.md", ""),
            ("docs/errors/index.md", ""),
        ];
        let found: Vec<String> =
            errors(&House::of(&files)).iter().map(|f| format!("{}:{} {}\n", f.path, f.line, f.message)).collect();
        expect![[r#"
            crates/edge/store/src/lib.rs:1 `MADE_UP` looks like an error code; list it in crates/app/node/src/code.rs and use it from there
            crates/ground/permit/src/decision.rs:1 `FORBIDDEN` has no page; write docs/errors/FORBIDDEN.md
            crates/app/node/src/code.rs:3 `STALE` has no page; write docs/errors/STALE.md
            docs/errors/OLD.md:1 no code is called `OLD`; take the page out
        "#]]
        .assert_eq(&found.concat());
    }
}
