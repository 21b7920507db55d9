//! A span: what it is, and which parts of entries it is made of. Pure.

use std::{
    collections::BTreeMap,
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use steward_clock::Timestamp;

/// The most events of a span, half of them the first and half the last; how many there were between is said.
pub(crate) const MAX_EVENTS: usize = 64;

/// The id of a trace: never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(NonZeroU128);

impl TraceId {
    pub(crate) fn new(bits: u128) -> Option<Self> {
        NonZeroU128::new(bits).map(Self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The id of a span: never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(NonZeroU64);

impl SpanId {
    pub(crate) fn new(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }

    /// The last 64 bits of a ULID, which are chance. The one in 2^64 that are none are 1.
    pub(crate) fn of(ulid: u128) -> Self {
        let low = u64::try_from(ulid & u128::from(u64::MAX)).unwrap_or_default();
        Self(NonZeroU64::new(low).unwrap_or(NonZeroU64::MIN))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where a span stands: its trace, and what it is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) trace: TraceId,
    pub(crate) parent: Option<SpanId>,
}

/// What a span is to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanKind {
    /// The node did it itself.
    Internal,
    /// Somebody asked the node for it.
    Server,
    /// The node asked somebody else.
    Client,
}

/// What is said of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Text(String),
    Number(u64),
    List(Vec<String>),
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Said {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// Attributes, by name.
pub(crate) type Attributes = BTreeMap<&'static str, Said>;

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) name: &'static str,
    pub(crate) attributes: Attributes,
}

/// Something that was done, from when to when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) place: Place,
    pub(crate) id: SpanId,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) attributes: Attributes,
    pub(crate) events: Vec<Event>,
    /// How many events there were beside.
    pub(crate) more_events: u64,
    /// What it belongs to beside.
    pub(crate) link: Option<(TraceId, SpanId)>,
    /// The code of what went wrong.
    pub(crate) error: Option<String>,
}

impl Span {
    /// One that is in order so far.
    pub(crate) fn new(
        place: Place,
        id: SpanId,
        name: String,
        kind: SpanKind,
        began: Timestamp,
        ended: Timestamp,
    ) -> Self {
        // A clock that was put back makes no span of a negative length.
        let ended = ended.max(began);
        let (attributes, events) = (Attributes::new(), Vec::new());
        Self { place, id, name, kind, began, ended, attributes, events, more_events: 0, link: None, error: None }
    }

    /// With something said of it.
    pub(crate) fn says(mut self, name: &'static str, said: impl Into<Said>) -> Self {
        self.attributes.insert(name, said.into());
        self
    }

    /// With something said of it, if it is known.
    pub(crate) fn may_say(self, name: &'static str, said: Option<impl Into<Said>>) -> Self {
        match said {
            Some(said) => self.says(name, said),
            None => self,
        }
    }

    /// That it went wrong.
    pub(crate) fn failed(self, code: &str) -> Self {
        Self { error: Some(code.to_owned()), ..self.says("error.type", code) }
    }
}
