//! A Rust file, taken apart: code, literals, tests.
//!
//! The lexer knows comments (nested ones too), strings (raw ones too), characters and lifetimes; nothing else of the
//! language. What it blanks keeps its length and its line breaks, so that offsets are those of the file.

use std::ops::Range;

/// A string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    /// The byte that it begins at, its quote.
    pub(crate) at: usize,
    /// What stands between the quotes, escapes as written.
    pub(crate) text: String,
}

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Where it is, from the root of the house.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    /// The text with comments and the insides of literals blanked, tests and all.
    pub(crate) all_code: String,
    /// The same without tests.
    pub(crate) code: String,
    /// The literals outside tests.
    pub(crate) literals: Vec<Literal>,
}

impl Source {
    /// Takes `text` apart.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (all_code, mut literals) = lex(text);
        let mut code = all_code.clone().into_bytes();
        let tests = if is_test_file(path) { std::iter::once(0..code.len()).collect() } else { test_ranges(&all_code) };
        for range in &tests {
            blank(&mut code, range.clone());
        }
        literals.retain(|literal| !tests.iter().any(|range| range.contains(&literal.at)));
        let code = String::from_utf8(code).expect("blanking whole literals, comments and items keeps UTF-8 whole");
        Self { path: path.to_owned(), text: text.to_owned(), all_code, code, literals }
    }

    /// The line, counted from 1, of a byte.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1
    }

    /// The files that are tests because `#[cfg(test)] mod name;` says so.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        let items = test_ranges(&self.all_code).into_iter().map(|range| &self.all_code[range]);
        items
            .filter_map(|item| {
                let name = item.strip_suffix(';')?.rsplit_once("mod ")?.1.trim();
                Some(format!("{folder}/{name}.rs"))
            })
            .collect()
    }

    /// The same file, all of it a test.
    pub(crate) fn into_test(self) -> Self {
        Self { code: String::new(), literals: Vec::new(), ..self }
    }
}

/// Whether a file is a test because of where it stands.
fn is_test_file(path: &str) -> bool {
    ["/tests/", "/benches/", "/examples/"].iter().any(|folder| path.contains(folder)) || path.ends_with("/tests.rs")
}

/// The places of `word` in `code`, where it stands as a word of its own.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_letter = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = code.as_bytes();
        !is_letter(at.checked_sub(1).and_then(|before| bytes.get(before))) && !is_letter(bytes.get(at + word.len()))
    })
}

/// The paths that `use` declarations name, groups written out: `use std::{fs, io::Read};` gives `std::fs` and `std::io::Read`.
pub(crate) fn used_paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for at in words(code, "use") {
        let rest = &code[at + 3..];
        let tree: String =
            rest[..rest.find(';').unwrap_or(rest.len())].split_whitespace().collect::<Vec<_>>().join(" ");
        spell_out("", tree.trim(), &mut |path| paths.push((at, path)));
    }
    paths
}

fn spell_out(prefix: &str, tree: &str, found: &mut impl FnMut(String)) {
    match tree.split_once('{') {
        None => found(format!("{prefix}{}", tree.trim())),
        Some((head, group)) => {
            let prefix = format!("{prefix}{}", head.trim());
            let group = group.strip_suffix('}').unwrap_or(group);
            let mut depth = 0;
            let parts = group.split(|c| {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                c == ',' && depth == 0
            });
            for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
                spell_out(&prefix, part, found);
            }
        }
    }
}

/// The text with comments and the insides of literals blanked, and the string literals.
fn lex(text: &str) -> (String, Vec<Literal>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut literals = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        i = if rest.starts_with(b"//") {
            let end = i + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            blank(&mut code, i..end);
            end
        } else if rest.starts_with(b"/*") {
            let end = i + block_comment(rest);
            blank(&mut code, i..end);
            end
        } else if let Some((open, hashes)) = raw_string(bytes, i) {
            let close = format!("\"{}", "#".repeat(hashes));
            let inside = i + open;
            let end = text[inside..].find(&close).map_or(bytes.len(), |n| inside + n);
            literals.push(Literal { at: inside - 1, text: text[inside..end].to_owned() });
            blank(&mut code, inside..end);
            (end + close.len()).min(bytes.len())
        } else if rest[0] == b'"' {
            let end = i + 1 + quoted(&rest[1..], b'"');
            literals.push(Literal { at: i, text: text[i + 1..end].to_owned() });
            blank(&mut code, i + 1..end);
            (end + 1).min(bytes.len())
        } else if rest[0] == b'\'' {
            match character(&text[i..]) {
                Some(length) => {
                    blank(&mut code, i + 1..i + length - 1);
                    i + length
                }
                None => i + 1,
            }
        } else {
            i + 1
        };
    }
    (String::from_utf8(code).expect("blanking whole literals and comments keeps UTF-8 whole"), literals)
}

fn blank(code: &mut [u8], range: Range<usize>) {
    for byte in &mut code[range] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// The length of the block comment that `rest` begins with; they nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        if rest[i..].starts_with(b"/*") {
            (depth, i) = (depth + 1, i + 2);
        } else if rest[i..].starts_with(b"*/") {
            (depth, i) = (depth - 1, i + 2);
        } else {
            i += 1;
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// Whether a raw string begins at `i`: the bytes up to and with its quote, and its hashes.
fn raw_string(bytes: &[u8], i: usize) -> Option<(usize, usize)> {
    let before = i.checked_sub(1).map(|n| bytes[n]);
    if bytes[i] != b'r' || before.is_some_and(|b| b.is_ascii_alphanumeric() && !matches!(b, b'b' | b'c') || b == b'_') {
        return None;
    }
    let hashes = bytes[i + 1..].iter().take_while(|b| **b == b'#').count();
    (bytes.get(i + 1 + hashes) == Some(&b'"')).then_some((hashes + 2, hashes))
}

/// The bytes before the closing `quote`.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut i = 0;
    while i < rest.len() && rest[i] != quote {
        i += if rest[i] == b'\\' { 2 } else { 1 };
    }
    i.min(rest.len())
}

/// The length of the character literal that `rest` begins with; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest[1..].chars();
    let first = chars.next()?;
    if first == '\\' {
        return Some((quoted(&rest.as_bytes()[1..], b'\'') + 2).min(rest.len()));
    }
    (chars.next() == Some('\'')).then(|| first.len_utf8() + 2)
}

/// The items under `#[cfg(test)]`, attribute and all.
fn test_ranges(code: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (start, _) in code.match_indices(attribute) {
            if ranges.iter().any(|range| range.contains(&start)) {
                continue;
            }
            let mut i = start;
            // Attributes may follow attributes; none of them holds a brace that is not inside its brackets.
            while code[i..].trim_start().starts_with('#') {
                i += code[i..].find(']').map_or(code.len() - i, |n| n + 1);
            }
            ranges.push(start..i + item_length(&code[i..]));
        }
    }
    ranges
}

/// The length of the item that `code` begins with: up to its semicolon or its closing brace.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b';' if depth == 0 => return at + 1,
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && byte == b'}' {
                    // The brace of a `use` group has its semicolon after it.
                    return at + 1 + usize::from(code[at + 1..].starts_with(';'));
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, code: Expect) {
        let source = Source::new("crates/core/x/src/lib.rs", text);
        assert_eq!(source.all_code.len(), text.len());
        let literals: Vec<_> = source.literals.iter().map(|l| l.text.as_str()).collect();
        code.assert_eq(&format!(
            "{} | {}",
            source.code.split_whitespace().collect::<Vec<_>>().join(" "),
            literals.join(" ~ ")
        ));
    }

    #[test]
    fn comments_and_literals_are_set_apart() {
        check("a /* b /* c */ d */ e // f\ng", expect!["a e g | "]);
        check(r#"f("x \" // y", 'z', '"', '\'', b"w")"#, expect![[r#"f(" ", ' ', ' ', ' ', b" ") | x \" // y ~ w"#]]);
        check(r##"let r = r#"a " b"#; br"c"; r#type"##, expect![[r##"let r = r#" "#; br" "; r#type | a " b ~ c"##]]);
        check(
            "fn f<'a>(x: &'a str) -> &'static str { 'é'; \"ü\" }",
            expect![[r#"fn f<'a>(x: &'a str) -> &'static str { ' '; " " } | ü"#]],
        );
        check("\"never closed", expect![[r#"" | never closed"#]]);
        check("'\\", expect![[r"'\ | "]]);
    }

    #[test]
    fn tests_are_set_apart() {
        check("a(); #[cfg(test)]\n#[allow(x)]\nmod tests { fn f() { \"s\" } }\nb();", expect!["a(); b(); | "]);
        check("a(); #[cfg(test)] mod rows_tests; b();", expect!["a(); b(); | "]);
        check("#[cfg(test)] use x::{y, z}; b();", expect!["b(); | "]);
        check("a(\"#[cfg(test)]\"); b()", expect![[r#"a(" "); b() | #[cfg(test)]"#]]);
        assert_eq!(Source::new("crates/app/people/src/tests.rs", "fn f() {}").code.trim(), "");
        assert_eq!(Source::new("crates/steward/tests/story.rs", "fn f() {}").code.trim(), "");
    }

    #[test]
    fn modules_that_are_tests_are_found() {
        let text = "mod a;\n#[cfg(test)]\nmod story;";
        assert_eq!(Source::new("crates/app/x/src/lib.rs", text).test_modules(), ["crates/app/x/src/story.rs"]);
        assert_eq!(Source::new("crates/app/x/src/verbs.rs", text).test_modules(), ["crates/app/x/src/verbs/story.rs"]);
    }

    #[test]
    fn groups_are_written_out() {
        let paths: Vec<_> = used_paths("use std::{fs, io::{self, Read}, net::TcpStream as T};\npub(crate) use a::b;")
            .into_iter()
            .map(|p| p.1)
            .collect();
        assert_eq!(paths, ["std::fs", "std::io::self", "std::io::Read", "std::net::TcpStream as T", "a::b"]);
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(words("unsafe not_unsafe unsafe_code (unsafe)", "unsafe").count(), 2);
    }
}
