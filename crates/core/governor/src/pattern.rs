//! What a packet allows and forbids: typed patterns over actions, `fs.write:/reports/**` (GOV-2).
//!
//! ```
//! use steward_governor::Pattern;
//! use steward_permit::ActionName;
//! let reports: Pattern = "fs.write:/reports/**".parse().expect("a pattern");
//! assert!(reports.matches(&ActionName::parse("fs.write").expect("a name"), "/reports/2026/a.md"));
//! assert!("write some reports".parse::<Pattern>().is_err());
//! ```
//!
//! Before the colon stands an action (`fs.write`) or all below a noun (`fs.*`). After it, in segments between slashes, `*` is one segment
//! or a part of one, `**` any number of whole ones. Of `http.*` and `ssh` the first segment is a host (`*`, `*.example.org`, with a port if
//! one is meant) and a query is not looked at. Of `exec`, `*` is any program. Of `shell` it is `*` or the whole command, since a
//! part of one promises nothing.
//!
//! What could be read in two ways (a path with `..`, a host in capitals) matches no pattern. Nothing is allowed that no
//! pattern of the scope matches, so that this can hide nothing from a forbidding one.
//!
//! Deliberately absent: regular expressions, negation (that is `forbidden`), and escapes for `*`.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use steward_naming::visible;
use steward_permit::{ActionError, ActionName, MAX_RESOURCE_BYTES};

use crate::web;

/// The longest pattern in bytes. Longer ones nobody reads, and matching costs pattern times resource.
pub const MAX_PATTERN_BYTES: usize = 512;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No colon.
    #[error(
        "`{0}` is free text, which cannot be enforced; write an action, a colon and what it is done to, such as `fs.write:/reports/**`"
    )]
    FreeText(String),
    /// Before the colon stands no action.
    #[error("before the colon: {0}")]
    Action(#[from] ActionError),
    /// After the colon stands nothing that could be enforced.
    #[error("in `{text}`, {what}")]
    Resource {
        /// The pattern as written, escaped.
        text: String,
        /// What is wrong, and what to write.
        what: &'static str,
    },
    /// More than [`MAX_PATTERN_BYTES`].
    #[error("the pattern has {0} bytes; write it in at most {MAX_PATTERN_BYTES}")]
    TooLong(usize),
}

/// A typed pattern over actions. Cheap to clone: each step of a run clones all of its packet's.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Arc<Form>);

struct Form {
    text: String,
    action: Verb,
    target: Target,
}

/// The part before the colon.
#[derive(Clone)]
enum Verb {
    Is(ActionName),
    /// `fs.*`, kept as `fs.`.
    Below(String),
}

/// The part after it.
#[derive(Clone)]
enum Target {
    /// `exec:*`, `shell:*`.
    Any,
    /// A program or a command; `*` stops at slashes.
    Word(String),
    Path(Vec<Part>),
    Web(web::Host, Vec<Part>),
}

/// What stands between slashes.
#[derive(Clone, PartialEq)]
enum Part {
    /// `**`
    Deep,
    /// `*`: any segment that is not empty.
    One,
    /// Literal, or with `*` for a part of it.
    Text(String),
}

/// How the resource of an action is read.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    Path,
    Files,
    Web,
    Exec,
    Shell,
}

impl Family {
    /// By the action's first word.
    fn of(action: &str) -> Self {
        match action.split('.').next() {
            Some("fs") => Self::Files,
            Some("http" | "ssh") => Self::Web,
            Some("exec") => Self::Exec,
            Some("shell") => Self::Shell,
            _ => Self::Path,
        }
    }
}

impl Pattern {
    /// Whether this action on this resource is one that the pattern means.
    pub fn matches(&self, action: &ActionName, resource: &str) -> bool {
        if !self.0.action.matches(action.as_str()) || resource.is_empty() || resource.len() > MAX_RESOURCE_BYTES {
            return false;
        }
        if resource.chars().any(char::is_control) {
            return false;
        }
        match &self.0.target {
            Target::Any => true,
            Target::Word(word) => {
                word == resource || word.contains('*') && is_plain(resource) && words_fit(word, resource)
            }
            Target::Path(parts) => segments(resource).is_some_and(|found| parts_fit(parts, &found, part_matches)),
            Target::Web(host, parts) => web::Address::read(resource)
                .is_some_and(|address| host.matches(&address) && parts_fit(parts, &address.segments(), part_matches)),
        }
    }

    /// Whether this pattern matches everything that `other` does. Never wrongly true; false where it would take long to find out.
    pub fn covers(&self, other: &Self) -> bool {
        if !self.0.action.covers(&other.0.action) {
            return false;
        }
        match (&self.0.target, &other.0.target) {
            (Target::Any, Target::Any | Target::Word(_)) => true,
            // A `*` of the other one is a character that only a `*` of ours fits.
            (Target::Word(ours), Target::Word(theirs)) => {
                ours == theirs || ours.contains('*') && is_plain(theirs) && words_fit(ours, theirs)
            }
            (Target::Path(ours), Target::Path(theirs)) => parts_fit(ours, theirs, part_covers),
            (Target::Web(our_host, ours), Target::Web(their_host, theirs)) => {
                our_host.covers(their_host) && parts_fit(ours, theirs, part_covers)
            }
            _ => false,
        }
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl Verb {
    fn parse(text: &str) -> Result<Self, ActionError> {
        match text.strip_suffix(".*") {
            Some(noun) => Ok(Self::Below(format!("{}.", ActionName::parse(noun)?))),
            None => Ok(Self::Is(ActionName::parse(text)?)),
        }
    }

    fn matches(&self, action: &str) -> bool {
        match self {
            Self::Is(name) => name.as_str() == action,
            Self::Below(noun) => action.starts_with(noun.as_str()),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match other {
            Self::Is(name) => self.matches(name.as_str()),
            Self::Below(noun) => matches!(self, Self::Below(ours) if noun.starts_with(ours.as_str())),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(name) => write!(f, "{name}"),
            Self::Below(noun) => write!(f, "{noun}*"),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong(text.len()));
        }
        let refuse = |what| PatternError::Resource { text: visible(text), what };
        let (action, resource) = text.split_once(':').ok_or_else(|| PatternError::FreeText(visible(text)))?;
        // `write: the reports` has a colon, and is free text all the same.
        if action.contains(char::is_whitespace) || resource.trim() != resource {
            return Err(PatternError::FreeText(visible(text)));
        }
        let action = Verb::parse(action)?;
        if resource.is_empty() {
            return Err(refuse("nothing stands after the colon; say what the action may be done to"));
        }
        if resource.chars().any(char::is_control) {
            return Err(refuse("there are control characters; write it without"));
        }
        let written = action.to_string();
        let family = Family::of(&written);
        let (resource, target) = Target::parse(family, resource).map_err(refuse)?;
        Ok(Self(Arc::new(Form { text: format!("{written}:{resource}"), action, target })))
    }
}

impl Target {
    /// The target, and the one spelling that it has.
    fn parse(family: Family, text: &str) -> Result<(String, Self), &'static str> {
        let plain = |target| (text.to_owned(), target);
        match family {
            Family::Exec | Family::Shell if text == "*" => Ok(plain(Self::Any)),
            Family::Shell if text.contains('*') => {
                Err("a part of a shell command promises nothing; write `shell:*` or the whole command")
            }
            Family::Exec if text.contains("**") => Err("a program has no `**`; write `*`"),
            Family::Exec | Family::Shell => Ok(plain(Self::Word(text.to_owned()))),
            Family::Files if !text.starts_with('/') => {
                Err("a path begins with `/`; write it from the root of the folder")
            }
            Family::Files | Family::Path => {
                let found = segments(text)
                    .ok_or("there are empty, `.` or `..` parts between slashes; write the path without")?;
                Ok(plain(Self::Path(found.into_iter().map(Part::parse).collect::<Result<_, _>>()?)))
            }
            Family::Web => {
                let (host, path) = web::Host::parse(text)?;
                let parts = web::segments(&path).into_iter().map(Part::parse).collect::<Result<_, _>>()?;
                Ok((if path.is_empty() { host.to_string() } else { format!("{host}/{path}") }, Self::Web(host, parts)))
            }
        }
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "**" => Ok(Self::Deep),
            "*" => Ok(Self::One),
            _ if text.contains("**") => Err("`**` stands alone between slashes; write `*` for a part of a segment"),
            _ => Ok(Self::Text(text.to_owned())),
        }
    }
}

/// The segments of a path, or none if it could be read in two ways. A path from the root begins with an empty one.
fn segments(path: &str) -> Option<Vec<&str>> {
    if path == "/" {
        return Some(vec![""]);
    }
    is_plain(path).then(|| path.split('/').collect())
}

/// Whether no part of a path is empty (but before the first slash), `.` or `..`.
fn is_plain(path: &str) -> bool {
    path.split('/').enumerate().all(|(i, part)| match part {
        "" => i == 0 && path.len() > 1,
        "." | ".." => false,
        _ => true,
    })
}

/// Whether a sequence fits parts of which `**` take any number. It goes back to the last `**` only, which is enough: what an
/// earlier one could take, the last one can take as well.
fn parts_fit<T>(parts: &[Part], found: &[T], fits: fn(&Part, &T) -> bool) -> bool {
    let (mut at, mut seen, mut retry) = (0, 0, None);
    while seen < found.len() {
        match parts.get(at) {
            Some(Part::Deep) => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some(part) if fits(part, &found[seen]) => {
                at += 1;
                seen += 1;
            }
            _ => match &mut retry {
                Some((back, taken)) => {
                    *taken += 1;
                    (at, seen) = (*back, *taken);
                }
                None => return false,
            },
        }
    }
    parts[at..].iter().all(|part| *part == Part::Deep)
}

fn part_matches(part: &Part, segment: &&str) -> bool {
    match part {
        Part::Deep => false,
        Part::One => !segment.is_empty(),
        Part::Text(text) => glob(text.as_bytes(), segment.as_bytes()),
    }
}

fn part_covers(ours: &Part, theirs: &Part) -> bool {
    match (ours, theirs) {
        // `**` covers, too, but as a number of parts: that is for `parts_fit`.
        (Part::Deep, _) | (_, Part::Deep) => false,
        (Part::One, Part::One) => true,
        (Part::One, Part::Text(text)) => !text.is_empty(),
        (Part::Text(_), Part::One) => false,
        (Part::Text(ours), Part::Text(theirs)) => glob(ours.as_bytes(), theirs.as_bytes()),
    }
}

/// Segment for segment, since a `*` stops at slashes.
fn words_fit(pattern: &str, word: &str) -> bool {
    pattern.split('/').count() == word.split('/').count()
        && pattern.split('/').zip(word.split('/')).all(|(p, w)| glob(p.as_bytes(), w.as_bytes()))
}

/// Whether a text fits a pattern in which `*` is any run of bytes. It goes back to the last `*` only.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen, mut retry) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some(byte) if *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match &mut retry {
                Some((back, taken)) => {
                    *taken += 1;
                    (at, seen) = (*back, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Pattern {}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.text.clone()
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}
