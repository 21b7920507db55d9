//! Cuts a policy file into its statements, so that a mistake in one hides none in the others.
//!
//! A statement ends at its `;`, or where the next one plainly starts (an annotation, `permit (` or `forbid (` after a head).
//! Strings and comments are seen through. A file whose last string never ends is cut once more with strings that end with
//! their line, so that one lost quotation mark costs one statement and not the file. What a statement means is Cedar's.

/// One statement: its text, and the byte of the file that it starts at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    pub(crate) start: usize,
    pub(crate) text: &'a str,
}

/// The statements of a file, in order.
pub(crate) fn statements(text: &str) -> Vec<Statement<'_>> {
    cut(text, false).unwrap_or_else(|| cut(text, true).unwrap_or_default())
}

/// `None` if a string is open at the end of the file.
fn cut(text: &str, strings_end_with_line: bool) -> Option<Vec<Statement<'_>>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    // Where the present statement starts, and whether its `permit` or `forbid` was seen.
    let (mut start, mut headed) = (None, false);
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        match bytes[at] {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = line_end(bytes, at);
                continue;
            }
            b'"' => {
                at = string_end(bytes, at, strings_end_with_line)?;
                // A head may be lost in a string that did not end: whatever plainly starts a statement next, does.
                headed |= bytes[at - 1] != b'"';
            }
            b';' => {
                at += 1;
                let from = start.take().unwrap_or(begin);
                found.push(Statement { start: from, text: &text[from..at] });
                headed = false;
                continue;
            }
            b if b.is_ascii_alphabetic() || b == b'_' => at = word_end(bytes, at),
            _ => at += 1,
        }
        let is_head = matches!(&bytes[begin..at], b"permit" | b"forbid") && next_is(bytes, at, b'(');
        if headed && (is_head || bytes[begin] == b'@') {
            let from = start.replace(begin).unwrap_or(begin);
            found.push(Statement { start: from, text: text[from..begin].trim_end() });
            headed = false;
        }
        headed |= is_head;
        start.get_or_insert(begin);
    }
    if let Some(from) = start {
        found.push(Statement { start: from, text: text[from..].trim_end() });
    }
    Some(found)
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n)
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_')).map_or(bytes.len(), |n| at + n)
}

fn next_is(bytes: &[u8], at: usize, what: u8) -> bool {
    bytes[at..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&what)
}

/// The byte after a string that starts at `at`.
fn string_end(bytes: &[u8], at: usize, ends_with_line: bool) -> Option<usize> {
    let mut next = at + 1;
    loop {
        match bytes.get(next) {
            None if ends_with_line => return Some(bytes.len()),
            None => return None,
            Some(b'\n') if ends_with_line => return Some(next),
            Some(b'"') => return Some(next + 1),
            Some(b'\\') => next = (next + 2).min(bytes.len()),
            Some(_) => next += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::statements;

    fn cut(text: &str) -> Vec<&str> {
        let found = statements(text);
        assert!(found.iter().all(|s| text[s.start..].starts_with(s.text)), "{found:?}");
        found.iter().map(|s| s.text).collect()
    }

    #[test]
    fn statements_end_where_they_end() {
        for (text, parts) in [
            ("", vec![]),
            ("// permit (;\n", vec![]),
            ("permit (a); // x;\n forbid (b);", vec!["permit (a);", "forbid (b);"]),
            (
                r#"permit (a) when { x == "; \" ;" };forbid(b)"#,
                vec![r#"permit (a) when { x == "; \" ;" };"#, "forbid(b)"],
            ),
            // Valid Cedar may have a string over two lines.
            ("permit (\"a\n;b\");", vec!["permit (\"a\n;b\");"]),
            // A lost semicolon.
            ("permit (a)\n@id(\"b\") forbid (b);", vec!["permit (a)", "@id(\"b\") forbid (b);"]),
            ("permit (a)\nforbid\n(b);", vec!["permit (a)", "forbid\n(b);"]),
            // A lost quotation mark.
            ("permit (\"a);\npermit (b);", vec!["permit (\"a);", "permit (b);"]),
            ("@id(\"a) permit (a);\n@id(\"b\") permit (b);", vec!["@id(\"a) permit (a);", "@id(\"b\") permit (b);"]),
            ("permit (resource.permit);;", vec!["permit (resource.permit);", ";"]),
            ("größe;", vec!["größe;"]),
            ("\"\\", vec!["\"\\"]),
        ] {
            assert_eq!(cut(text), parts, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut(text in "(permit|forbid|@id| |\\(|\"|\\\\|\n|;|//|ä|\\PC){0,40}") {
            cut(&text);
        }
    }
}
