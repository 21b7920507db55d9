//! A generator: a program of the operator's own that makes a value for a lease, and ends it. What is said to it, and what it says.
//!
//! ```text
//! {"do":"make","secret":"db","lease":"lse_…","run":"run_…","agent":"anna.acme","seconds":900}    on its standard input
//! {"value":"…","id":"what it calls it"}                                                         on its standard output, and it ends with 0
//! {"do":"end","secret":"db","lease":"lse_…","id":"what it calls it"}                             and it ends with 0 if it is gone
//! ```
//!
//! What it prints while it makes a value is read here and shown nowhere. What it says on standard error then is thrown away: a program that fails
//! may say there what it was about to make. It says `{"error":"…"}` instead, with a non-zero code; that is recorded.
//!
//! Deliberately absent: running it (`steward-worker`), and when (making.rs).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use steward_keeper::{Keeper, KeeperError, fitting_made};
use steward_naming::Label;
use steward_seal::{json::canonical, secret::Secret};
use steward_worker::{Plain, PlainEnd, PlainEnded};
use zeroize::Zeroizing;

use crate::rows::MadeRow;

/// The most generators of a node: each has a task of its own.
pub const MAX_GENERATORS: usize = 16;

/// How long a generator may take, in seconds, if nothing is said.
pub const GENERATOR_TIMEOUT_S: u64 = 10;

/// The longest that it may be given: an agent waits meanwhile.
pub const MAX_GENERATOR_TIMEOUT_S: u64 = 60;

/// The most bytes that a generator prints: a value of 64 KiB, in JSON, with each byte escaped at worst.
const MAX_PRINTED_BYTES: usize = 512 << 10;

/// How many lines of what is no answer are kept out of what is shown: one may be the value.
const MAX_LINES_KEPT_OUT: usize = 4;

/// The longest id of a maker's, in characters.
pub const MAX_MAKER_ID: usize = 200;

/// The longest reason that is kept, in characters.
pub(crate) const MAX_WHY_CHARS: usize = 200;

/// A generator, as an operator configured it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator {
    /// What it is called.
    pub name: Label,
    /// The program, by its whole path, and its arguments.
    pub command: Vec<String>,
    /// Its variables, and the names of the secrets that they hold.
    pub secrets: BTreeMap<String, Label>,
    /// How long it may take, in seconds.
    pub timeout_s: u64,
}

/// What it made.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) value: Secret,
    pub(crate) id: Option<String>,
}

/// Why it made nothing.
#[derive(Debug)]
pub(crate) struct NotMade {
    /// How, for whoever asked.
    pub(crate) how: String,
    /// What it said of it, for the record: an agent need not know what stands behind the node.
    pub(crate) error: Option<String>,
}

/// What it prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    #[serde(default)]
    value: Option<Zeroed>,
    #[serde(default)]
    id: Option<Zeroed>,
    #[serde(default)]
    error: Option<Zeroed>,
}

/// A text that may be a secret.
struct Zeroed(Zeroizing<String>);

impl<'de> Deserialize<'de> for Zeroed {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Generator {
    /// Its program.
    pub(crate) fn program(&self) -> &str {
        self.command.first().map(String::as_str).unwrap_or_default()
    }

    /// What it is told to make a value.
    pub(crate) fn make(&self, keeper: &Keeper, made: &MadeRow, seconds: u64) -> Result<Plain, KeeperError> {
        let input = json!({
            "do": "make",
            "secret": made.secret.as_str(),
            "lease": made.lease.as_str(),
            "run": made.run.as_ref().map(|run| run.as_str()),
            "agent": made.agent.as_ref().map(ToString::to_string),
            "seconds": seconds,
        });
        self.plain(keeper, "secret.make", &input)
    }

    /// What it is told to end it.
    pub(crate) fn end(&self, keeper: &Keeper, made: &MadeRow) -> Result<Plain, KeeperError> {
        let (secret, lease) = (made.secret.as_str(), made.lease.as_str());
        self.plain(
            keeper,
            "secret.end",
            &json!({"do": "end", "secret": secret, "lease": lease, "id": made.maker_id.as_deref()}),
        )
    }

    fn plain(&self, keeper: &Keeper, event: &str, input: &serde_json::Value) -> Result<Plain, KeeperError> {
        let secret = |(variable, name): (&String, &Label)| Ok((variable.clone(), keeper.secret(name.as_str())?));
        Ok(Plain {
            argv: self.command.clone(),
            event: event.to_owned(),
            input: canonical(input).expect("texts and numbers have a canonical form"),
            env: self.secrets.iter().map(secret).collect::<Result<_, KeeperError>>()?,
            reads_bytes: MAX_PRINTED_BYTES,
        })
    }

    /// What it made, if it did. Whatever it printed is kept out of what is shown from here on.
    ///
    /// # Errors
    /// Why it made nothing that can be used, in words that hold nothing of it.
    pub(crate) fn answer(&self, keeper: &Keeper, secret: &Label, ended: PlainEnded) -> Result<Answer, NotMade> {
        let PlainEnded { end, printed, .. } = ended;
        let raw = printed.map(|printed| printed.0);
        // An array of the same values would be read as one, too.
        let object = raw.as_ref().filter(|bytes| bytes.trim_ascii_start().starts_with(b"{"));
        let read = object.and_then(|bytes| serde_json::from_slice::<Printed>(bytes).ok());
        let value = read.as_ref().and_then(|read| read.value.as_ref()).map(|text| &text.0);
        match (&read, &raw) {
            (Some(_), _) => value.into_iter().for_each(|text| keeper.keep_out(Secret::new(text))),
            // It may be the value itself.
            (None, Some(bytes)) => {
                let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
                text.lines().take(MAX_LINES_KEPT_OUT).for_each(|line| keeper.keep_out(Secret::new(line)));
            }
            (None, None) => {}
        }
        if end != PlainEnd::Exited(0) {
            let error = read.as_ref().and_then(|read| read.error.as_ref()).map(|text| shown(keeper, &text.0));
            return Err(NotMade { how: self.how(&end), error: error.filter(|error| !error.is_empty()) });
        }
        self.value(secret, raw.is_some(), read.as_ref()).map_err(|how| NotMade { how, error: None })
    }

    /// The value that it printed, and what it calls it.
    fn value(&self, secret: &Label, is_whole: bool, read: Option<&Printed>) -> Result<Answer, String> {
        let name = &self.name;
        let Some(read) = read else {
            return Err(match is_whole {
                false => format!("the generator `{name}` printed more than {MAX_PRINTED_BYTES} bytes"),
                true => format!("the generator `{name}` printed something else than {{\"value\": …, \"id\": …}}"),
            });
        };
        let Some(value) = read.value.as_ref().map(|text| &text.0) else {
            return Err(format!("the generator `{name}` printed no `value`"));
        };
        let value = fitting_made(secret.as_str(), value).map_err(|error| match error {
            KeeperError::Unusable(_, why) => format!("the value that the generator `{name}` printed {why}"),
            _ => format!("the generator `{name}` printed no value that can be used"),
        })?;
        let id = read.id.as_ref().map(|id| &id.0);
        if let Some(id) = id {
            let fits = (1..=MAX_MAKER_ID).contains(&id.chars().count())
                && id.chars().all(|c| c == ' ' || c.is_ascii_graphic())
                && !id.contains(value.reveal());
            if !fits {
                return Err(format!(
                    "the generator `{name}` printed an `id` that is none: 1 to {MAX_MAKER_ID} visible characters, without the value"
                ));
            }
        }
        Ok(Answer { value, id: id.map(|id| id.to_string()) })
    }

    /// How it ended, in words.
    pub(crate) fn how(&self, end: &PlainEnd) -> String {
        let name = &self.name;
        match end {
            PlainEnd::Exited(code) => format!("the generator `{name}` ended with {code}"),
            PlainEnd::Signalled(signal) => format!("the generator `{name}` was killed by signal {signal}"),
            PlainEnd::TooLong => {
                format!("the generator `{name}` did not end within {} s, and was killed", self.timeout_s)
            }
        }
    }
}

/// A text of a program's as it may stand in the record: on one line, not too long, and without any secret that is known.
pub(crate) fn shown(keeper: &Keeper, text: &str) -> String {
    // Without knowing what must not be shown nothing is.
    let Ok(known) = keeper.all() else { return String::new() };
    let line = known.scrub(text.trim()).lines().next().unwrap_or_default().to_owned();
    line.chars().take(MAX_WHY_CHARS).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}
