//! The laws that a program can check on the words of the code.

use super::{
    Finding,
    house::House,
    source::{Source, used_paths, words},
};

/// The traits of law 11.
const TRAITS: [&str; 5] = ["Clock", "Dice", "Transport", "Worker", "Model"];

/// What a statement of SQL begins with, before a space.
const STATEMENTS: [&str; 10] = [
    "SELECT",
    "INSERT INTO",
    "INSERT OR",
    "UPDATE",
    "DELETE FROM",
    "CREATE TABLE",
    "CREATE INDEX",
    "ALTER TABLE",
    "DROP TABLE",
    "PRAGMA",
];

/// Crates that pure floors neither name nor depend on.
const IMPURE_CRATES: [&str; 6] = ["tokio", "rusqlite", "reqwest", "axum", "hyper", "tower"];

/// Parts of the standard library that pure floors do not name.
const IMPURE_PATHS: [&str; 2] = ["std::fs", "std::net"];

/// Calls that read a clock.
const CLOCKS: [&str; 4] = ["SystemTime::now", "Instant::now", "Utc::now", "Local::now"];

/// Whether a file stands in one of `folders`.
fn within(source: &Source, folders: &[&str]) -> bool {
    folders.iter().any(|folder| source.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

/// Findings for `word` in the code outside tests of files outside `folders`.
fn only_in(house: &House, word: &str, folders: &[&str], message: &str) -> Vec<Finding> {
    let elsewhere = house.sources().iter().filter(|s| !within(s, folders));
    elsewhere
        .flat_map(|s| words(&s.code, word).map(|at| Finding::new(&s.path, s.line(at), message)).collect::<Vec<_>>())
        .collect()
}

/// Only permit and policy name the issuer (law 3).
pub(super) fn issuer(house: &House) -> Vec<Finding> {
    let homes = ["crates/ground/permit", "crates/core/policy"];
    only_in(house, "Issuer", &homes, "only policy makes permits; ask it to decide")
}

/// Only store spends a permit (law 3).
pub(super) fn spend(house: &House) -> Vec<Finding> {
    let elsewhere = house.sources().iter().filter(|s| !within(s, &["crates/edge/store"]));
    let mut findings = Vec::new();
    for source in elsewhere {
        let squeezed = words(&source.code, "spend").filter(|at| {
            let (before, after) = (source.code[..*at].trim_end(), source.code[at + 5..].trim_start());
            before.ends_with("Permit::") || before.ends_with('.') && after.starts_with('(')
        });
        findings.extend(squeezed.map(|at| {
            Finding::new(
                &source.path,
                source.line(at),
                "a permit is spent by the store's commit and by nothing else; commit it",
            )
        }));
    }
    findings
}

/// SQL stands in `rows.rs`, in migrations and in store (law 12).
pub(super) fn sql(house: &House) -> Vec<Finding> {
    let is_home = |s: &Source| {
        within(s, &["crates/edge/store", "crates/side"])
            || s.path.ends_with("/rows.rs")
            || s.path.contains("migrations")
    };
    let mut findings = Vec::new();
    for source in house.sources().iter().filter(|s| !is_home(s)) {
        for literal in &source.literals {
            let is_statement = STATEMENTS.iter().any(|statement| {
                words(&literal.text, statement).any(|at| literal.text[at + statement.len()..].starts_with([' ', '\n']))
            });
            if is_statement {
                findings.push(Finding::new(
                    &source.path,
                    source.line(literal.at),
                    "SQL outside rows.rs; move it there",
                ));
            }
        }
    }
    findings
}

/// Ground and core know no runtime, files, sockets or clock (law 7).
pub(super) fn pure(house: &House) -> Vec<Finding> {
    let pure = ["crates/ground", "crates/core"];
    let message = |what: &str| {
        format!("`{what}` on a pure floor; take what it gives as a parameter, or move the code to the edge")
    };
    let mut findings = Vec::new();
    for source in house.sources().iter().filter(|s| within(s, &pure)) {
        let mut found = |what: &str, at| findings.push(Finding::new(&source.path, source.line(at), message(what)));
        for name in IMPURE_CRATES {
            for at in words(&source.code, name).filter(|at| source.code[at + name.len()..].starts_with("::")) {
                found(name, at);
            }
        }
        for (at, path) in used_paths(&source.code) {
            for impure in IMPURE_PATHS {
                if path == impure || path.strip_prefix(impure).is_some_and(|rest| rest.starts_with([':', ' '])) {
                    found(impure, at);
                }
            }
        }
        for path in IMPURE_PATHS {
            for at in words(&source.code, path).filter(|at| source.code[at + path.len()..].starts_with("::")) {
                found(path, at);
            }
        }
        for clock in CLOCKS {
            for at in words(&source.code, clock) {
                found(clock, at);
            }
        }
    }
    for c in house.crates().iter().filter(|c| matches!(c.floor.as_str(), "ground" | "core")) {
        for name in c.dependencies.iter().filter(|name| IMPURE_CRATES.contains(&name.as_str())) {
            let path = c.manifest_path();
            findings.push(Finding::new(&path, house.line_of(&path, name), message(name)));
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Cedar lives in policy.
pub(super) fn cedar(house: &House) -> Vec<Finding> {
    let homes = ["crates/core/policy", "crates/side"];
    let mut findings =
        only_in(house, "cedar_policy", &homes, "Cedar lives in policy and nowhere else; give policy a question");
    for c in house.crates().iter().filter(|c| !homes.iter().any(|home| c.folder.starts_with(home))) {
        if c.dependencies.iter().chain(&c.dev_dependencies).any(|name| name.starts_with("cedar-policy")) {
            let path = c.manifest_path();
            findings.push(Finding::new(
                &path,
                house.line_of(&path, "cedar-policy"),
                "Cedar lives in policy and nowhere else",
            ));
        }
    }
    findings
}

/// Status codes live in the faces that answer over HTTP.
pub(super) fn status(house: &House) -> Vec<Finding> {
    let homes = ["crates/face/api", "crates/face/mcp", "crates/face/openai", "crates/side"];
    only_in(
        house,
        "StatusCode",
        &homes,
        "only faces that answer over HTTP know status codes; return a kind of error, or compare the stable code",
    )
}

/// `anyhow` in the binary, cli and side crates only.
pub(super) fn anyhow(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for c in house
        .crates()
        .iter()
        .filter(|c| !matches!(c.folder.as_str(), "crates/steward" | "crates/face/cli") && c.floor != "side")
    {
        if c.dependencies.iter().any(|name| name == "anyhow") {
            let path = c.manifest_path();
            let message = "`anyhow` is for the binary, cli and side crates; write an enum of the reasons";
            findings.push(Finding::new(&path, house.line_of(&path, "anyhow"), message));
        }
    }
    findings
}

/// Only the traits of law 11 are there for others to implement.
pub(super) fn traits(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in house.sources() {
        for at in words(&source.code, "trait") {
            let line_before = source.code[..at].rsplit('\n').next().unwrap_or_default();
            let name: String =
                source.code[at + 5..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if words(line_before, "pub").next().is_some() && !TRAITS.contains(&name.as_str()) {
                let message = format!("the trait `{name}`: only {} are traits; make it concrete", TRAITS.join(", "));
                findings.push(Finding::new(&source.path, source.line(at), message));
            }
        }
    }
    findings
}

/// No `unsafe`, in tests neither.
pub(super) fn no_unsafe(house: &House) -> Vec<Finding> {
    let all = house.sources().iter();
    all.flat_map(|s| {
        let places = words(&s.all_code, "unsafe");
        places
            .map(|at| {
                Finding::new(
                    &s.path,
                    s.line(at),
                    "this house is built without `unsafe`; use a crate that offers it safely",
                )
            })
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Nothing half done is left: no `dbg!`, `todo!`, `unimplemented!`, no ignored test.
pub(super) fn finished(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in house.sources() {
        for name in ["dbg", "todo", "unimplemented"] {
            for at in words(&source.all_code, name).filter(|at| source.all_code[at + name.len()..].starts_with('!')) {
                findings.push(Finding::new(
                    &source.path,
                    source.line(at),
                    format!("`{name}!` is left here; finish it or take it out"),
                ));
            }
        }
        for at in words(&source.all_code, "ignore").filter(|at| source.all_code[..*at].trim_end().ends_with("#[")) {
            findings.push(Finding::new(
                &source.path,
                source.line(at),
                "an ignored test tests nothing; mend it or delete it",
            ));
        }
    }
    findings
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
    fn issuers_are_found() {
        let text = "use steward_permit::{Issuer, Permit};\n// Issuer\nstatic I: Issuer = Issuer::for_policy_engine();\n#[cfg(test)] mod t { type I = Issuer; }";
        check(
            issuer,
            &[("crates/app/node/src/lib.rs", text)],
            expect![[r#"
            crates/app/node/src/lib.rs:1 only policy makes permits; ask it to decide
            crates/app/node/src/lib.rs:3 only policy makes permits; ask it to decide
            crates/app/node/src/lib.rs:3 only policy makes permits; ask it to decide
        "#]],
        );
        check(
            issuer,
            &[("crates/core/policy/src/lib.rs", text), ("crates/ground/permit/src/lib.rs", text)],
            expect![""],
        );
    }

    #[test]
    fn spending_is_found() {
        let text = "permit.spend(1);\npermit\n    .spend(2);\nfn spend(self) {}\nPermit::spend(p, 3);\n\".spend(\";";
        check(
            spend,
            &[("crates/app/node/src/lib.rs", text)],
            expect![[r#"
            crates/app/node/src/lib.rs:1 a permit is spent by the store's commit and by nothing else; commit it
            crates/app/node/src/lib.rs:3 a permit is spent by the store's commit and by nothing else; commit it
            crates/app/node/src/lib.rs:5 a permit is spent by the store's commit and by nothing else; commit it
        "#]],
        );
        check(spend, &[("crates/edge/store/src/lib.rs", text)], expect![""]);
    }

    #[test]
    fn sql_is_found() {
        let text = "q(\"SELECT x FROM y\");\nq(r\"\n  INSERT INTO t VALUES (?1)\");\nq(\"please SELECT one\");\nq(\"UPDATED\", \"select\", \"SELECT\");\n// \"DELETE FROM t\"";
        check(
            sql,
            &[("crates/app/people/src/verbs.rs", text)],
            expect![[r#"
            crates/app/people/src/verbs.rs:1 SQL outside rows.rs; move it there
            crates/app/people/src/verbs.rs:2 SQL outside rows.rs; move it there
            crates/app/people/src/verbs.rs:4 SQL outside rows.rs; move it there
        "#]],
        );
        check(
            sql,
            &[
                ("crates/app/people/src/rows.rs", text),
                ("crates/edge/store/src/lib.rs", text),
                ("crates/app/x/src/migrations/one.rs", text),
                ("crates/app/people/src/tests.rs", text),
            ],
            expect![""],
        );
    }

    #[test]
    fn impurity_is_found() {
        let text = "use std::{fs, io};\nfn f() { std::net::lookup(); tokio::spawn(); }\nfn now() { std::time::SystemTime::now(); Instant::now() }\nuse std::fs::File as F;";
        check(
            pure,
            &[("crates/core/ledger/src/lib.rs", text)],
            expect![[r#"
            crates/core/ledger/src/lib.rs:1 `std::fs` on a pure floor; take what it gives as a parameter, or move the code to the edge
            crates/core/ledger/src/lib.rs:2 `std::net` on a pure floor; take what it gives as a parameter, or move the code to the edge
            crates/core/ledger/src/lib.rs:2 `tokio` on a pure floor; take what it gives as a parameter, or move the code to the edge
            crates/core/ledger/src/lib.rs:3 `Instant::now` on a pure floor; take what it gives as a parameter, or move the code to the edge
            crates/core/ledger/src/lib.rs:3 `SystemTime::now` on a pure floor; take what it gives as a parameter, or move the code to the edge
            crates/core/ledger/src/lib.rs:4 `std::fs` on a pure floor; take what it gives as a parameter, or move the code to the edge
        "#]],
        );
        check(pure, &[("crates/edge/store/src/lib.rs", text)], expect![""]);
        check(
            pure,
            &[("crates/core/ledger/src/lib.rs", "use std::{fmt, net_like}; fn f(tokio: u8) {} use std::fsx;")],
            expect![""],
        );
        check(
            pure,
            &[("crates/core/x/Cargo.toml", "[package]\nname = \"steward-x\"\n[dependencies]\ntokio = \"1\"")],
            expect![[r#"
            crates/core/x/Cargo.toml:4 `tokio` on a pure floor; take what it gives as a parameter, or move the code to the edge
        "#]],
        );
    }

    #[test]
    fn cedar_elsewhere_is_found() {
        let files = [
            ("crates/app/node/src/lib.rs", "use cedar_policy::Entity;"),
            ("crates/core/policy/src/lib.rs", "use cedar_policy::Entity;"),
            ("crates/face/cli/Cargo.toml", "[package]\nname = \"steward-cli\"\n[dependencies]\ncedar-policy = \"4\""),
        ];
        check(
            cedar,
            &files,
            expect![[r#"
            crates/app/node/src/lib.rs:1 Cedar lives in policy and nowhere else; give policy a question
            crates/face/cli/Cargo.toml:4 Cedar lives in policy and nowhere else
        "#]],
        );
    }

    #[test]
    fn status_codes_elsewhere_are_found() {
        let text = "fn f() -> StatusCode { StatusCode::OK }";
        check(
            status,
            &[("crates/app/node/src/lib.rs", "use x::StatusCode;"), ("crates/face/api/src/lib.rs", text)],
            expect![[r#"
            crates/app/node/src/lib.rs:1 only faces that answer over HTTP know status codes; return a kind of error, or compare the stable code
        "#]],
        );
    }

    #[test]
    fn anyhow_elsewhere_is_found() {
        let manifest = |name: &str| format!("[package]\nname = \"{name}\"\n[dependencies]\nanyhow = \"1\"");
        let (store, cli) = (manifest("steward-store"), manifest("steward-cli"));
        check(
            anyhow,
            &[("crates/edge/store/Cargo.toml", &store), ("crates/face/cli/Cargo.toml", &cli)],
            expect![[r#"
            crates/edge/store/Cargo.toml:4 `anyhow` is for the binary, cli and side crates; write an enum of the reasons
        "#]],
        );
    }

    #[test]
    fn other_traits_are_found() {
        let text = "pub trait Clock {}\npub trait Engine: Send {}\npub(crate) trait Inner {}\ntrait Private {}\n#[cfg(test)] mod t { pub trait Fake {} }";
        check(
            traits,
            &[("crates/core/x/src/lib.rs", text)],
            expect![[r#"
            crates/core/x/src/lib.rs:2 the trait `Engine`: only Clock, Dice, Transport, Worker, Model are traits; make it concrete
            crates/core/x/src/lib.rs:3 the trait `Inner`: only Clock, Dice, Transport, Worker, Model are traits; make it concrete
        "#]],
        );
    }

    #[test]
    fn unsafety_is_found_in_tests_too() {
        check(
            no_unsafe,
            &[("crates/core/x/src/tests.rs", "// unsafe\nunsafe { f() }\n\"unsafe\"")],
            expect![[r#"
            crates/core/x/src/tests.rs:2 this house is built without `unsafe`; use a crate that offers it safely
        "#]],
        );
    }

    #[test]
    fn what_is_half_done_is_found() {
        let text = "fn f() { dbg!(1) }\nfn g() { todo!() }\n#[test]\n#[ignore = \"slow\"]\nfn h() { unimplemented!() }\nfn ignore(todo: u8) {}";
        check(
            finished,
            &[("crates/core/x/src/tests.rs", text)],
            expect![[r#"
            crates/core/x/src/tests.rs:1 `dbg!` is left here; finish it or take it out
            crates/core/x/src/tests.rs:2 `todo!` is left here; finish it or take it out
            crates/core/x/src/tests.rs:5 `unimplemented!` is left here; finish it or take it out
            crates/core/x/src/tests.rs:4 an ignored test tests nothing; mend it or delete it
        "#]],
        );
    }
}
