//! The rules of the house, checked on its text.
//!
//! ```text
//! House::read(root) ─► check(&house) ─► findings: `path:line: what is wrong and what to do [rule]`
//! ```
//!
//! A rule is a function from a [`House`] to its findings, so that its tests give it a house of three made-up files. A new
//! rule is a line in [`RULES`], a function, and a test that shows it fire.
//!
//! Deliberately absent: a parser of Rust. Comments, literals and tests are set apart by a small lexer (`source`), and rules
//! look for words in what is left; a rule that would need types is not a rule for here.

mod floors;
mod house;
mod laws;
mod names;
mod pages;
mod source;
mod tables;
mod text;

use std::fmt;

pub(crate) use house::House;

/// Something that is not as the house has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
    rule: &'static str,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into(), rule: "" }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} [{}]", self.path, self.line, self.message, self.rule)
    }
}

/// One rule.
pub(crate) struct Rule {
    /// What it is called in findings.
    pub(crate) name: &'static str,
    /// What it asks for.
    pub(crate) says: &'static str,
    check: fn(&House) -> Vec<Finding>,
}

/// Every rule.
pub(crate) const RULES: &[Rule] = &[
    Rule { name: "floors", says: "crates import only downward, siblings only as listed", check: floors::imports },
    Rule { name: "packages", says: "a package is called after its floor and folder", check: floors::packages },
    Rule { name: "used", says: "no crate and no dependency is there before something uses it", check: floors::used },
    Rule { name: "versions", says: "versions stand once, in [workspace.dependencies]", check: floors::versions },
    Rule { name: "features", says: "no feature flags but `mishaps`", check: floors::features },
    Rule { name: "issuer", says: "only permit and policy name the issuer", check: laws::issuer },
    Rule { name: "spend", says: "only store spends a permit", check: laws::spend },
    Rule { name: "sql", says: "SQL stands in rows.rs, in migrations and in store", check: laws::sql },
    Rule { name: "pure", says: "ground and core know no runtime, files, sockets or clock", check: laws::pure },
    Rule { name: "cedar", says: "Cedar lives in policy", check: laws::cedar },
    Rule { name: "status", says: "status codes live in api", check: laws::status },
    Rule { name: "anyhow", says: "anyhow in the binary, cli and side crates", check: laws::anyhow },
    Rule { name: "traits", says: "only the traits of law 11", check: laws::traits },
    Rule { name: "unsafe", says: "no unsafe, anywhere", check: laws::no_unsafe },
    Rule { name: "finished", says: "no dbg!, todo!, unimplemented! and no ignored test", check: laws::finished },
    Rule { name: "module-doc", says: "a source file begins with `//!`", check: text::module_doc },
    Rule { name: "length", says: "a source file has at most 800 lines", check: text::length },
    Rule { name: "machine", says: "no path of one machine in the tree", check: text::machine },
    Rule { name: "sources", says: "Cargo.lock takes packages from crates.io only", check: text::sources },
    Rule { name: "architecture", says: "the crates in ARCHITECTURE.md are those that exist", check: names::crates },
    Rule { name: "reasons", says: "a dependency has its reason in ARCHITECTURE.md", check: names::reasons },
    Rule { name: "links", says: "links and paths in documents lead somewhere", check: names::links },
    Rule { name: "evidence", says: "a test that the threat model names exists", check: names::evidence },
    Rule { name: "keys", says: "a table of facts has a namespace in its key; tables are STRICT", check: tables::keys },
    Rule {
        name: "tables",
        says: "docs/store.md describes the tables and columns that exist",
        check: tables::documented,
    },
    Rule { name: "errors", says: "an error code has a page, a page has a code", check: pages::errors },
];

/// Every finding of every rule, by path and line.
pub(crate) fn check(house: &House) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES
        .iter()
        .flat_map(|rule| (rule.check)(house).into_iter().map(|finding| Finding { rule: rule.name, ..finding }))
        .collect();
    findings.sort();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_names_of_their_own() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn findings_say_where_and_by_which_rule() {
        let house = House::of(&[("crates/core/policy/src/lib.rs", "fn a() { dbg!(1); }")]);
        let findings: Vec<String> = check(&house).iter().map(ToString::to_string).collect();
        assert!(
            findings.iter().any(|f| f.starts_with("crates/core/policy/src/lib.rs:1: ") && f.ends_with("[finished]"))
        );
        assert!(findings.iter().any(|f| f.ends_with("[module-doc]")));
    }
}
