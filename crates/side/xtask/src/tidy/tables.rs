//! Tables: a namespace in every key, and docs/store.md says what exists.
//!
//! Tables are read from the `CREATE TABLE` in string literals: name, columns, primary key. That is all of SQL that is
//! understood here; it is enough because migrations are written one column to a line.

use super::{Finding, house::House, source::Source};

/// Where tables are described.
const DOCUMENT: &str = "docs/store.md";

/// The column that makes a table one of facts.
const VERSION: &str = "entry_seq";

/// What begins a table.
const CREATE: [&str; 2] = ["CREATE TABLE IF NOT EXISTS ", "CREATE TABLE "];

/// What begins a line of a table that is no column.
const CONSTRAINTS: [&str; 5] = ["PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"];

struct Table<'a> {
    path: &'a str,
    line: usize,
    name: &'a str,
    columns: Vec<&'a str>,
    key: Vec<&'a str>,
    is_strict: bool,
}

/// Tables of facts have a namespace in their key, and take nothing but what their columns say (laws 1 and 10).
pub(super) fn keys(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in tables(house) {
        let mut found = |message: String| findings.push(Finding::new(table.path, table.line, message));
        if table.columns.contains(&VERSION) && !table.key.contains(&"namespace") {
            found(format!("`{}` has no `namespace` in its primary key", table.name));
        }
        if !table.is_strict {
            found(format!("`{}` is not STRICT, so that its columns hold anything", table.name));
        }
    }
    findings
}

/// Every table and column has its place in docs/store.md, and no other has.
pub(super) fn documented(house: &House) -> Vec<Finding> {
    let text = house.files().get(DOCUMENT).map_or("", String::as_str);
    let tables = tables(house);
    let mut findings = Vec::new();
    for table in &tables {
        let Some(section) = section(text, table.name) else {
            let message = format!("`{}` is not described in {DOCUMENT}; give it a section", table.name);
            findings.push(Finding::new(table.path, table.line, message));
            continue;
        };
        for column in table.columns.iter().filter(|column| !section.contains(&format!("`{column}`"))) {
            let message = format!("`{}.{column}` is not described in {DOCUMENT}", table.name);
            findings.push(Finding::new(table.path, table.line, message));
        }
    }
    for (n, line) in text.lines().enumerate() {
        let name = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`'));
        if let Some(name) = name.filter(|name| !tables.iter().any(|table| table.name == *name)) {
            findings.push(Finding::new(DOCUMENT, n + 1, format!("there is no table `{name}`; take its section out")));
        }
    }
    findings
}

/// The section about a table, up to the next heading.
fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let heading = format!("### `{name}`\n");
    let begin = text.find(&heading)? + heading.len();
    let rest = &text[begin..];
    Some(&rest[..rest.find("\n#").unwrap_or(rest.len())])
}

fn tables(house: &House) -> Vec<Table<'_>> {
    let sources = house.sources().iter().filter(|s| !s.path.starts_with("crates/side/"));
    sources
        .flat_map(|source| source.literals.iter().flat_map(|literal| in_literal(source, literal.at, &literal.text)))
        .collect()
}

fn in_literal<'a>(source: &'a Source, at: usize, sql: &'a str) -> Vec<Table<'a>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    for create in CREATE {
        for (begin, _) in sql.match_indices(create) {
            let rest = &sql[begin + create.len()..];
            let Some((name, rest)) = rest.split_once('(') else { continue };
            if name.starts_with("IF ") {
                continue;
            }
            let end = closing(rest);
            let (inside, after) = (&rest[..end], &rest[end..]);
            let parts = split(inside);
            let mut key = Vec::new();
            let mut columns = Vec::new();
            for part in parts {
                let first = part.split_whitespace().next().unwrap_or_default();
                if part.starts_with("PRIMARY KEY") {
                    key.extend(part.split(['(', ')']).nth(1).unwrap_or_default().split(',').map(str::trim));
                } else if !CONSTRAINTS.contains(&first) {
                    columns.push(first);
                    if part.contains("PRIMARY KEY") {
                        key.push(first);
                    }
                }
            }
            let is_strict = after.split(';').next().unwrap_or_default().contains("STRICT");
            // The quote, and what stands before the table in the literal.
            let line = source.line(at + 1 + begin);
            tables.push(Table { path: &source.path, line, name: name.trim(), columns, key, is_strict });
        }
    }
    tables
}

/// The place of the parenthesis that closes what `text` is inside of.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    let closes = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    };
    text.find(closes).unwrap_or(text.len())
}

/// The parts between commas that are in no parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const ROWS: &str = "crates/app/people/src/rows.rs";

    fn check(rule: fn(&House) -> Vec<Finding>, files: &[(&str, &str)], findings: Expect) {
        let found: Vec<String> =
            rule(&House::of(files)).iter().map(|f| format!("{}:{} {}\n", f.path, f.line, f.message)).collect();
        findings.assert_eq(&found.concat());
    }

    #[test]
    fn keys_without_a_namespace_are_found() {
        let text = "sql: \"\nCREATE TABLE a (id TEXT PRIMARY KEY, entry_seq INTEGER) STRICT;\n\
            CREATE TABLE b (namespace TEXT NOT NULL PRIMARY KEY, entry_seq INTEGER) STRICT;\n\
            CREATE TABLE c (namespace TEXT, id TEXT CHECK (id IN ('x', 'y')), entry_seq INTEGER,\n PRIMARY KEY (namespace, id));\n\
            CREATE TABLE IF NOT EXISTS d (id TEXT PRIMARY KEY) STRICT\"";
        check(
            keys,
            &[(ROWS, text)],
            expect![[r#"
                crates/app/people/src/rows.rs:2 `a` has no `namespace` in its primary key
                crates/app/people/src/rows.rs:4 `c` is not STRICT, so that its columns hold anything
            "#]],
        );
    }

    #[test]
    fn tables_and_sections_that_lack_each_other_are_found() {
        let text = "\"CREATE TABLE a (\n id TEXT,\n size INTEGER,\n PRIMARY KEY (id)) STRICT; CREATE TABLE b (id TEXT) STRICT\"";
        let document = "### `a`\n| `id` |\n\n### `gone`\n`size`\n";
        check(
            documented,
            &[(ROWS, text), (DOCUMENT, document)],
            expect![[r#"
                crates/app/people/src/rows.rs:1 `a.size` is not described in docs/store.md
                crates/app/people/src/rows.rs:4 `b` is not described in docs/store.md; give it a section
                docs/store.md:4 there is no table `gone`; take its section out
            "#]],
        );
    }
}
