//! Where in a text the value stands that a JSON pointer names.
//!
//! ```text
//! locate("{\n  \"a\": [1, 2]\n}", "/a/1", Part::Value) ──► (2, 12)
//! ```
//!
//! The text was read strictly before, so that each key is there once and everything is closed.
//!
//! Deliberately absent: judging the text. Of one that is not JSON this finds the beginning, and no more.

/// What of a member is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// Line and column, from 1 and in characters, of what `pointer` names; those of the beginning where it names nothing.
pub(crate) fn locate(text: &str, pointer: &str, part: Part) -> (usize, usize) {
    position(text, find(text, pointer, part).unwrap_or(0))
}

/// Line and column of a byte, both from 1; a byte past the end is the end.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// A key as one part of a pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn find(text: &str, pointer: &str, part: Part) -> Option<usize> {
    let mut at = Scanner { text, at: 0 };
    at.space();
    let mut steps = pointer.split('/').skip(1).peekable();
    while let Some(step) = steps.next() {
        let key = at.enter(&step.replace("~1", "/").replace("~0", "~"))?;
        if part == Part::Key && steps.peek().is_none() {
            return Some(key);
        }
    }
    Some(at.at)
}

/// Stands at the first byte of a value, or between tokens.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// From an object or a list to its member; gives where the key stands (of an item, the item).
    fn enter(&mut self, step: &str) -> Option<usize> {
        let is_object = match self.byte()? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        let mut index = 0;
        loop {
            self.at += 1;
            self.space();
            if matches!(self.byte()?, b'}' | b']') {
                return None;
            }
            let key = self.at;
            let found = if is_object {
                self.string()?;
                let name: String = serde_json::from_str(&self.text[key..self.at]).ok()?;
                self.space();
                self.at += 1; // the colon
                self.space();
                name == step
            } else {
                index += 1;
                step.parse() == Ok(index - 1)
            };
            if found {
                return Some(key);
            }
            self.skip()?;
            self.space();
            if self.byte()? != b',' {
                return None;
            }
        }
    }

    /// Past a string.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.byte()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Past a value of any kind.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.byte()? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => {
                    while self.byte().is_some_and(|b| !b",:]} \t\r\n".contains(&b)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{Part, escape, find, locate};

    #[test]
    fn values_and_keys() {
        let text = "{ \"a\" : [ 1, {\"b\": true}, \"]\\\"\" , [] ],\n\t\"ä\\u00e9\": -1e5,\"x/y~\":{\"z\":null}\n}\n";
        for (pointer, part, at) in [
            ("", Part::Value, (1, 1)),
            ("/a", Part::Key, (1, 3)),
            ("/a", Part::Value, (1, 9)),
            ("/a/0", Part::Value, (1, 11)),
            ("/a/1", Part::Value, (1, 14)),
            ("/a/1/b", Part::Key, (1, 15)),
            ("/a/1/b", Part::Value, (1, 20)),
            ("/a/2", Part::Value, (1, 27)),
            ("/a/3", Part::Value, (1, 35)),
            ("/äé", Part::Key, (2, 2)),
            ("/äé", Part::Value, (2, 13)),
            ("/x~1y~0", Part::Key, (2, 18)),
            ("/x~1y~0/z", Part::Value, (2, 30)),
            ("/none", Part::Value, (1, 1)),
            ("/a/9", Part::Value, (1, 1)),
            ("/a/0/b", Part::Value, (1, 1)),
        ] {
            assert_eq!(locate(text, pointer, part), at, "{pointer} {part:?}");
        }
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(locate("{\"größe\": \"€🦀\", \"a\": 1}", "/a", Part::Key), (1, 17));
    }

    /// Every pointer of a value, with what it names.
    fn walk(value: &Value, at: String, out: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| walk(v, format!("{at}/{}", escape(k)), out)),
            Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| walk(v, format!("{at}/{i}"), out)),
            _ => {}
        }
        out.push((at, value.clone()));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-1000_i32..1000).prop_map(Value::from),
            "[a-z/~\\\\\"ä{}\\[\\],: ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-c/~\\\\\"ä0-2{}]{0,3}", inner, 0..5)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// What begins at the place that was found reads as the value that the pointer names.
        #[test]
        fn it_finds_what_the_pointer_names(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.expect("JSON");
            let mut all = Vec::new();
            walk(&value, String::new(), &mut all);
            for (pointer, named) in all {
                let at = find(&text, &pointer, Part::Value).expect("it is there");
                let read = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>().next();
                prop_assert_eq!(read.expect("a value").expect("JSON"), named, "{}", pointer);
                if let Some((_, step)) = pointer.rsplit_once('/') {
                    let key = find(&text, &pointer, Part::Key).expect("it is there");
                    prop_assert!(key <= at);
                    if text[key..at].contains(':') {
                        let read = serde_json::Deserializer::from_str(&text[key..]).into_iter::<String>().next();
                        prop_assert_eq!(escape(&read.expect("a key").expect("text")), step);
                    }
                }
            }
        }

        #[test]
        fn it_never_panics(text in "[\\[\\]{}\",:0-9a\\\\ ä\n]{0,60}", pointer in "[/a0-9~ä]{0,12}") {
            locate(&text, &pointer, Part::Key);
            locate(&text, &pointer, Part::Value);
        }
    }
}
