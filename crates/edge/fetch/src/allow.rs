//! Whom the node fetches from, as its operator lists it.
//!
//! ```
//! use steward_fetch::AllowList;
//! let entries = ["*.example.org", "https://api.example.com:8443/v1/*", "http://127.0.0.1:8080/**"].map(str::to_owned);
//! let allow = AllowList::parse(&entries).expect("three entries");
//! assert!(allow.covers("a.b.example.org/any/path?any=query") && !allow.covers("example.org/"));
//! assert!(allow.covers("api.example.com:8443/v1/users") && !allow.covers("api.example.com:8443/v1/users/7"));
//! ```
//!
//! An entry is a host with a path. `*` before a host is any number of labels, at least one; in a path it is a part of one
//! segment or all of it, and `**` any number of whole ones, none included. Without a path it is every path. `http://` before it says so; without,
//! or with `https://`, it is TLS. A query is not looked at.
//!
//! Deliberately absent: networks (`10.0.0.0/8`), hosts that are excepted, and `*` alone: whoever may fetch from everywhere may
//! carry everything there.

use steward_naming::visible;

use crate::target::{Host, Scheme, Target, authority_of, check_path};

/// The most entries: what a person can still read.
pub const MAX_ENTRIES: usize = 1_000;

/// The longest entry in bytes. Matching costs entry times address.
pub const MAX_ENTRY_BYTES: usize = 512;

/// Whom the node fetches from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    scheme: Scheme,
    host: HostPattern,
    port: u16,
    path: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Is(Host),
    /// `*.example.org`, kept as `.example.org`.
    Below(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`
    Deep,
    /// One segment, in which `*` is any text.
    Segment(String),
}

impl AllowList {
    /// Reads a list. An empty one covers nothing.
    ///
    /// # Errors
    /// All mistakes, each with the entry that it is in and what to write.
    pub fn parse(entries: &[String]) -> Result<Self, Vec<String>> {
        if entries.len() > MAX_ENTRIES {
            return Err(vec![format!("there are {} entries; list at most {MAX_ENTRIES}", entries.len())]);
        }
        let (mut list, mut mistakes) = (Vec::new(), Vec::new());
        for (n, text) in entries.iter().enumerate() {
            match Entry::parse(text) {
                Ok(entry) => list.push(entry),
                Err(why) => mistakes.push(format!("entry {}, `{}`, {why}", n + 1, visible(text))),
            }
        }
        if mistakes.is_empty() { Ok(Self(list)) } else { Err(mistakes) }
    }

    /// Whether the resource of an action is an address in its one spelling that an entry covers.
    pub fn covers(&self, resource: &str) -> bool {
        Target::parse(resource).is_ok_and(|target| self.allows(&target))
    }

    /// Whether an entry covers it.
    pub fn allows(&self, target: &Target) -> bool {
        self.0.iter().any(|entry| entry.covers(target))
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_ENTRY_BYTES {
            return Err("is longer than 512 bytes; write a shorter one");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) || text.is_empty() {
            return Err("is empty or has something that is not plain ASCII; write such as `example.org/docs/**`");
        }
        let (scheme, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (Scheme::Http, rest),
            (_, Some(rest)) => (Scheme::Https, rest),
            _ => (Scheme::Https, text),
        };
        if rest.contains(['?', '#']) {
            return Err("has a query or a fragment, which are not looked at; write a host and a path");
        }
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let (host, port) = match authority.strip_prefix('*') {
            None => {
                let (host, port) = authority_of(authority, scheme)?;
                (HostPattern::Is(host), port)
            }
            Some(rest) => below(rest, scheme)?,
        };
        let path = path.map_or(Ok(vec![Part::Deep]), parts_of)?;
        Ok(Self { scheme, host, port, path })
    }

    fn covers(&self, target: &Target) -> bool {
        let host = match (&self.host, target.who()) {
            (HostPattern::Is(ours), theirs) => ours == theirs,
            // A name has no empty label, so that there is one before the dot.
            (HostPattern::Below(ours), Host::Name(name)) => name.ends_with(ours.as_str()),
            (HostPattern::Below(_), Host::Address(_)) => false,
        };
        host && self.scheme == target.scheme() && self.port == target.port() && {
            let segments: Vec<&str> = target.path().strip_prefix('/').unwrap_or_default().split('/').collect();
            fits(
                &self.path,
                &segments,
                |part| *part == Part::Deep,
                |part, segment| match part {
                    Part::Deep => true,
                    Part::Segment(text) => {
                        fits(text.as_bytes(), segment.as_bytes(), |b| *b == b'*', |ours, b| ours == b)
                    }
                },
            )
        }
    }
}

/// What follows `*`: `.example.org:8443`.
fn below(rest: &str, scheme: Scheme) -> Result<(HostPattern, u16), &'static str> {
    let wrong = "has a `*` that is not before a name of two labels or more; write such as `*.example.org`";
    let (host, port) = authority_of(rest.strip_prefix('.').ok_or(wrong)?, scheme)?;
    match host {
        Host::Name(name) if name.contains('.') => Ok((HostPattern::Below(format!(".{name}")), port)),
        _ => Err(wrong),
    }
}

fn parts_of(path: &str) -> Result<Vec<Part>, &'static str> {
    check_path(path)?;
    let part = |text: &str| match text {
        "**" => Ok(Part::Deep),
        _ if text.contains("**") => {
            Err("has `**` within a part; it stands alone between slashes, `*` does within a part")
        }
        _ => Ok(Part::Segment(text.to_owned())),
    };
    path.split('/').map(part).collect()
}

/// Whether a sequence fits a pattern in which some items, which are `any`, take any number. It goes back to the last of them
/// only, which is enough, since an earlier one could not do with less; so the cost is pattern times sequence.
fn fits<P, T>(pattern: &[P], sequence: &[T], any: impl Fn(&P) -> bool, one: impl Fn(&P, &T) -> bool) -> bool {
    let (mut p, mut s) = (0, 0);
    // Where to go back to: after the last `any`, and how much of the sequence that one took.
    let mut back: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), sequence.get(s)) {
            (Some(item), _) if any(item) => {
                p += 1;
                back = Some((p, s));
            }
            (None, None) => return true,
            (Some(item), Some(next)) if one(item, next) => (p, s) = (p + 1, s + 1),
            (_, Some(_)) | (Some(_), None) => match back {
                Some((after, took)) if took < sequence.len() => {
                    (p, s) = (after, took + 1);
                    back = Some((after, took + 1));
                }
                _ => return false,
            },
        }
    }
}
