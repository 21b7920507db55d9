//! Keeps known secrets out of answers, also out of those that come in pieces.
//!
//! ```text
//! scrub_all(&mut body, &secrets);                       // a whole answer
//! let text = channels.pass(choice, &mut delta, last)?;  // a piece of one: what may be the beginning of a secret waits
//! ```
//!
//! A channel is where pieces of one text stand: a choice, and the path below its delta, such as `content` or
//! `tool_calls[1].function.arguments`. Every text of a delta is one, but for those that come whole ([`WHOLE`]).
//!
//! Deliberately absent: secrets that a model spells otherwise (in base64, backwards): nobody can know all of them.

use std::{borrow::Cow, collections::BTreeMap, mem};

use serde_json::{Map, Value, json};
use steward_seal::secret::Secrets;

/// The most channels of one stream: each may hold something back.
const MAX_CHANNELS: usize = 1_024;

/// The most bytes that a channel holds back: more than the longest key in a file has, and few enough to be looked through with
/// each piece. Beyond is only a secret that begins again within itself and is repeated without end.
const MAX_HELD_BYTES: usize = 8 * 1024;

/// Texts of a delta that are not sent in pieces.
const WHOLE: [&str; 5] = ["role", "id", "type", "name", "format"];

/// Takes known secrets out of every text and every name of a field.
pub(crate) fn scrub_all(value: &mut Value, secrets: &Secrets) {
    match value {
        Value::String(text) => scrub_text(text, secrets),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub_all(item, secrets)),
        Value::Object(fields) => {
            scrub_names(fields, secrets);
            fields.values_mut().for_each(|field| scrub_all(field, secrets));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn scrub_text(text: &mut String, secrets: &Secrets) {
    if let Cow::Owned(scrubbed) = secrets.scrub(text) {
        *text = scrubbed;
    }
}

fn scrub_names(fields: &mut Map<String, Value>, secrets: &Secrets) {
    if fields.keys().any(|name| matches!(secrets.scrub(name), Cow::Owned(_))) {
        *fields =
            mem::take(fields).into_iter().map(|(name, field)| (secrets.scrub(&name).into_owned(), field)).collect();
    }
}

/// A step from a delta to a text in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(String),
    /// The item that calls itself so (`"index": 1`).
    Named(u64),
    /// The item that stands there.
    At(usize),
}

/// That a stream has more channels than are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyChannels;

/// What is held back of a stream.
#[derive(Debug)]
pub(crate) struct Channels {
    secrets: Secrets,
    held: BTreeMap<(u64, Vec<Step>), String>,
}

impl Channels {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, held: BTreeMap::new() }
    }

    /// What is known.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Puts into a delta what may be shown of it and of what was held back. Gives the bytes of text that were in it. The
    /// `last` one holds nothing back.
    pub(crate) fn pass(&mut self, choice: u64, delta: &mut Value, last: bool) -> Result<usize, TooManyChannels> {
        let mut path = Vec::new();
        self.walk(choice, &mut path, delta, last)
    }

    fn walk(
        &mut self,
        choice: u64,
        path: &mut Vec<Step>,
        value: &mut Value,
        last: bool,
    ) -> Result<usize, TooManyChannels> {
        let mut bytes = 0;
        match value {
            Value::String(text) => {
                bytes = text.len();
                match path.last() {
                    Some(Step::Field(name)) if WHOLE.contains(&name.as_str()) => scrub_text(text, &self.secrets),
                    _ => *text = self.text(choice, path, text, last)?,
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    path.push(item.get("index").and_then(Value::as_u64).map_or(Step::At(at), Step::Named));
                    bytes += self.walk(choice, path, item, last)?;
                    path.pop();
                }
            }
            Value::Object(fields) => {
                scrub_names(fields, &self.secrets);
                for (name, field) in fields {
                    path.push(Step::Field(name.clone()));
                    bytes += self.walk(choice, path, field, last)?;
                    path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(bytes)
    }

    fn text(&mut self, choice: u64, path: &[Step], new: &str, last: bool) -> Result<String, TooManyChannels> {
        let key = (choice, path.to_vec());
        let mut text = self.held.remove(&key).unwrap_or_default();
        text.push_str(new);
        let waits = if last || text.len() > MAX_HELD_BYTES { 0 } else { self.secrets.begun_at_end(&text) };
        let (shown, held) = text.split_at(text.len() - waits);
        if !held.is_empty() {
            if self.held.len() >= MAX_CHANNELS {
                return Err(TooManyChannels);
            }
            self.held.insert(key, held.to_owned());
        }
        Ok(self.secrets.scrub(shown).into_owned())
    }

    /// What is held back of a choice, as deltas; afterwards nothing is.
    pub(crate) fn rest(&mut self, choice: u64) -> Vec<Value> {
        let keys: Vec<_> = self.held.keys().filter(|(of, _)| *of == choice).cloned().collect();
        let mut deltas = Vec::new();
        for key in keys {
            let text = self.held.remove(&key).unwrap_or_default();
            let mut value = Value::String(self.secrets.scrub(&text).into_owned());
            for step in key.1.iter().rev() {
                value = match (step, value) {
                    (Step::Field(name), value) => json!({ name: value }),
                    (Step::Named(index), Value::Object(mut fields)) => {
                        fields.insert("index".to_owned(), json!(index));
                        json!([fields])
                    }
                    (Step::Named(_) | Step::At(_), value) => json!([value]),
                };
            }
            deltas.push(value);
        }
        deltas
    }

    /// The choices of which something is held back.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        let mut choices: Vec<u64> = self.held.keys().map(|(choice, _)| *choice).collect();
        choices.dedup();
        choices
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};
    use serde_json::{Value, json};
    use steward_seal::secret::{Secret, Secrets};

    use super::{Channels, scrub_all};

    fn known() -> Secrets {
        Secrets::of(["abcabc", "abcabc-abc", "cab-xy", "ä-öäö-"].map(Secret::new))
    }

    /// The text of `content` of all deltas.
    fn shown(pieces: &[String], finish: bool) -> String {
        let mut channels = Channels::new(known());
        let mut text = String::new();
        let mut show = |delta: &Value| text += delta["content"].as_str().unwrap();
        for (n, piece) in pieces.iter().enumerate() {
            let mut delta = json!({ "content": piece });
            channels.pass(0, &mut delta, finish && n + 1 == pieces.len()).unwrap();
            show(&delta);
        }
        channels.rest(0).iter().for_each(show);
        text
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_text_arrives(
            pieces in prop::collection::vec("(abc|ab|c|-|xy|ä|ö|a|b){0,3}", 1..12),
            finish in proptest::bool::ANY,
        ) {
            let whole = pieces.concat();
            assert_eq!(shown(&pieces, finish), known().scrub(&whole), "{whole}");
        }
    }

    #[test]
    fn channels_do_not_mix() {
        let mut channels = Channels::new(Secrets::of([Secret::new("secret-key")]));
        let call = |index: u64, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
        for (choice, mut delta, expected) in [
            (0, json!({"role": "assistant", "content": "secret"}), json!({"role": "assistant", "content": ""})),
            (1, json!({"content": "-key"}), json!({"content": "-key"})),
            (0, json!({"reasoning": "-key"}), json!({"reasoning": "-key"})),
            (0, call(0, "secret"), call(0, "")),
            (0, call(1, "-key"), call(1, "-key")),
            (0, call(0, "-key"), call(0, "[secret]")),
            (0, call(1, "s"), call(1, "")),
            (0, json!({"content": "-key!"}), json!({"content": "[secret]!"})),
        ] {
            channels.pass(choice, &mut delta, false).unwrap();
            assert_eq!(delta, expected);
        }
        assert_eq!(channels.waiting(), [0]);
        assert_eq!(channels.rest(0), [call(1, "s")]);
        assert!(channels.waiting().is_empty());
    }

    #[test]
    fn names_are_scrubbed_too() {
        let mut value = json!({"abcabc": ["x abcabc", {"a": "abcabc-abc"}], "n": 1});
        scrub_all(&mut value, &known());
        assert_eq!(value, json!({"[secret]": ["x [secret]", {"a": "[secret]"}], "n": 1}));
    }

    #[test]
    fn what_repeats_itself_is_not_held_for_ever() {
        let mut channels = Channels::new(known());
        let mut held = 0;
        for _ in 0..100 {
            channels.pass(0, &mut json!({"content": "abc".repeat(64)}), false).unwrap();
            held = held.max(channels.held.values().map(String::len).sum());
        }
        assert!((4_096..=super::MAX_HELD_BYTES).contains(&held), "{held}");
    }
}
