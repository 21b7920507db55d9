//! What is handed to the writer.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use steward_clock::Timestamp;
use steward_ledger::{BodyOutcome, Cell, row_digest};
use steward_naming::TraceId;
use steward_permit::{Permit, Warrant};
use steward_seal::Digest;

use crate::tables::{Key, VERSION};

/// A permitted change: the rows as they will be, what must still hold, and what its entry says beside the permit.
#[derive(Debug)]
pub struct Change {
    pub(crate) permit: Permit,
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    pub(crate) guards: Vec<Guard>,
    pub(crate) rows: Vec<Row>,
    pub(crate) blobs: Vec<(Digest, Vec<u8>)>,
    pub(crate) detail: Map<String, Value>,
    pub(crate) outcome: Option<BodyOutcome>,
    pub(crate) confidence_bp: Option<u16>,
    pub(crate) trace: Option<TraceId>,
    pub(crate) urgent: bool,
    pub(crate) erases: Vec<u64>,
    pub(crate) opens_origin: Option<String>,
}

impl Change {
    /// A change of `kind` (`steward_ledger::kind`) about `subject`.
    pub fn new(permit: Permit, kind: &'static str, subject: impl Into<String>) -> Self {
        Self {
            permit,
            kind,
            subject: subject.into(),
            guards: Vec::new(),
            rows: Vec::new(),
            blobs: Vec::new(),
            detail: Map::new(),
            outcome: None,
            confidence_bp: None,
            trace: None,
            urgent: false,
            erases: Vec::new(),
            opens_origin: None,
        }
    }

    /// May use the reserve of a store that has reached its limit: taking leave away, settling, stopping (SEC-5).
    #[must_use]
    pub fn urgent(self) -> Self {
        Self { urgent: true, ..self }
    }

    /// Erases body and salt of another entry (LED-5). This one restates the rows that only that one vouched for, and what is left of it.
    #[must_use]
    pub fn erases(mut self, entry: u64) -> Self {
        self.erases.push(entry);
        self
    }

    /// From this entry on the ledger has another origin: its heads no longer contradict those of the old one. The one change that a
    /// store takes that is [behind](crate::Options::behind). The store is to be opened anew after it.
    #[must_use]
    pub fn opens_origin(self, origin: impl Into<String>) -> Self {
        Self { opens_origin: Some(origin.into()), ..self }
    }

    /// What must still hold when it is written.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// What must still hold when it is written.
    #[must_use]
    pub fn guards(mut self, guards: impl IntoIterator<Item = Guard>) -> Self {
        self.guards.extend(guards);
        self
    }

    /// A row as it will be.
    #[must_use]
    pub fn row(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    /// Bytes that are kept under their digest.
    #[must_use]
    pub fn blob(mut self, bytes: Vec<u8>) -> Self {
        self.blobs.push((Digest::of(&bytes), bytes));
        self
    }

    /// Something else that the entry's body says.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(mut self, outcome: BodyOutcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// How sure the agent said it was, in basis points.
    #[must_use]
    pub fn confidence_bp(mut self, confidence_bp: Option<u16>) -> Self {
        self.confidence_bp = confidence_bp;
        self
    }

    /// The request that caused it.
    #[must_use]
    pub fn trace(mut self, trace: Option<TraceId>) -> Self {
        self.trace = trace;
        self
    }
}

/// What a refusal's entry says beside the denial.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    /// The request that caused it.
    pub trace: Option<TraceId>,
    /// How sure the agent said it was, in basis points.
    pub confidence_bp: Option<u16>,
    /// Anything else.
    pub detail: Map<String, Value>,
}

/// A change that is durable.
#[derive(Debug)]
pub struct Committed {
    /// The spent permit, for the effect.
    pub warrant: Warrant,
    /// The entry and its time.
    pub recorded: Recorded,
}

/// An entry that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The entry's place.
    pub seq: u64,
    /// The entry's time.
    pub time: Timestamp,
}

/// What must hold when a change is written, checked in the writer, one change after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub(crate) table: &'static str,
    pub(crate) key: Key,
    pub(crate) version: Option<u64>,
}

impl Guard {
    /// The row is still as entry `entry_seq` left it.
    pub fn unchanged(table: &'static str, key: Key, entry_seq: u64) -> Self {
        Self { table, key, version: Some(entry_seq) }
    }

    /// There is still no such row.
    pub fn absent(table: &'static str, key: Key) -> Self {
        Self { table, key, version: None }
    }

    /// Whether it guards this row.
    pub fn is_of(&self, table: &str, key: &Key) -> bool {
        self.table == table && self.key == *key
    }
}

/// A fact row as it will be: all its columns (those that are not said are null), or gone.
///
/// The store adds `entry_seq`, which is the row's version, and puts the row's digest into the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub(crate) table: &'static str,
    pub(crate) columns: BTreeMap<&'static str, Cell>,
    pub(crate) gone: bool,
}

impl Row {
    /// The row as it will be.
    pub fn put(table: &'static str) -> Self {
        Self { table, columns: BTreeMap::new(), gone: false }
    }

    /// The row, named by its key columns, will be gone.
    pub fn delete(table: &'static str) -> Self {
        Self { table, columns: BTreeMap::new(), gone: true }
    }

    /// The table.
    pub fn table(&self) -> &'static str {
        self.table
    }

    /// The digest that the entry at `seq` has of it, under this key.
    pub fn digest_at(&self, key: &Key, seq: u64) -> Option<Digest> {
        let mut columns: Key = self.columns.iter().map(|(c, v)| ((*c).to_owned(), v.clone())).collect();
        columns.insert(VERSION.to_owned(), Cell::Int(i64::try_from(seq).ok()?));
        (!self.gone).then(|| row_digest(self.table, key, &columns))
    }

    /// A column of text.
    #[must_use]
    pub fn text(mut self, column: &'static str, value: impl Into<String>) -> Self {
        self.columns.insert(column, Cell::Text(value.into()));
        self
    }

    /// A column of text that may be null.
    #[must_use]
    pub fn optional_text(self, column: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.text(column, value),
            None => self,
        }
    }

    /// A column of an integer.
    #[must_use]
    pub fn integer(mut self, column: &'static str, value: i64) -> Self {
        self.columns.insert(column, Cell::Int(value));
        self
    }

    /// A column of an integer that may be null.
    #[must_use]
    pub fn optional_integer(self, column: &'static str, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.integer(column, value),
            None => self,
        }
    }

    /// A column of bytes.
    #[must_use]
    pub fn bytes(mut self, column: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.columns.insert(column, Cell::Blob(value.into()));
        self
    }
}
