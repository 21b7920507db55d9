//! The table `trace_export`, and the entries that spans are made of.

use rusqlite::{OptionalExtension as _, Row as SqlRow, params, types::Type};
use steward_clock::Timestamp;
use steward_ledger::kind;
use steward_naming::Namespace;
use steward_store::{EntryRow, Guard, Key, Migration, Reader, Row, StoreError, key};

/// Where the receiver of traces is.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "traces-0001",
    sql: "
CREATE TABLE trace_export (
    namespace     TEXT NOT NULL,
    next          INTEGER NOT NULL,
    sent          INTEGER NOT NULL,
    dropped       INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    next_at       TEXT,
    sent_at       TEXT,
    dropped_at    TEXT,
    failing_since TEXT,
    why           TEXT,
    entry_seq     INTEGER NOT NULL,
    PRIMARY KEY (namespace)
) STRICT;
",
}];

/// Where the receiver of traces is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The entry of the ledger that is read next.
    pub next: u64,
    /// How many spans were sent, and taken.
    pub sent: u64,
    /// How many spans were not taken, and are not sent again.
    pub dropped: u64,
    /// How often what comes next was tried in vain.
    pub attempts: u64,
    /// When it is tried again.
    pub next_at: Option<Timestamp>,
    /// When spans were sent last.
    pub sent_at: Option<Timestamp>,
    /// When spans were dropped last.
    pub dropped_at: Option<Timestamp>,
    /// Since when nothing is sent, if it is not.
    pub failing_since: Option<Timestamp>,
    /// Why it was not sent, or not taken, last.
    pub why: Option<String>,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl ExportRow {
    fn key(&self) -> Key {
        key([("namespace", self.namespace.as_str())])
    }

    /// That it is as it was loaded, or not there yet.
    pub(crate) fn guard(&self) -> Guard {
        match self.entry_seq {
            0 => Guard::absent("trace_export", self.key()),
            seq => Guard::unchanged("trace_export", self.key(), seq),
        }
    }

    /// The row as it will be.
    pub(crate) fn row(&self) -> Row {
        let at = |at: &Option<Timestamp>| at.map(|at| at.to_string());
        Row::put("trace_export")
            .text("namespace", self.namespace.as_str())
            .integer("next", signed(self.next))
            .integer("sent", signed(self.sent))
            .integer("dropped", signed(self.dropped))
            .integer("attempts", signed(self.attempts))
            .optional_text("next_at", at(&self.next_at))
            .optional_text("sent_at", at(&self.sent_at))
            .optional_text("dropped_at", at(&self.dropped_at))
            .optional_text("failing_since", at(&self.failing_since))
            .optional_text("why", self.why.as_deref())
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn damaged<E: std::error::Error + Send + Sync + 'static>(column: usize) -> impl Fn(E) -> rusqlite::Error {
    move |error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

fn time(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(damaged(column))).transpose()
}

/// Where the receiver is; none before the first round.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn export(reader: &Reader<'_>, namespace: &Namespace) -> Result<Option<ExportRow>, StoreError> {
    let sql =
        "SELECT namespace, next, sent, dropped, attempts, next_at, sent_at, dropped_at, failing_since, why, entry_seq
               FROM trace_export WHERE namespace = ?1";
    let mut statement = reader.sql().prepare_cached(sql)?;
    let read = |row: &SqlRow<'_>| {
        Ok(ExportRow {
            namespace: row.get::<_, String>(0)?.parse().map_err(damaged(0))?,
            next: row.get(1)?,
            sent: row.get(2)?,
            dropped: row.get(3)?,
            attempts: row.get(4)?,
            next_at: time(row, 5)?,
            sent_at: time(row, 6)?,
            dropped_at: time(row, 7)?,
            failing_since: time(row, 8)?,
            why: row.get(9)?,
            entry_seq: row.get(10)?,
        })
    };
    Ok(statement.query_row([namespace.as_str()], read).optional()?)
}

/// The kinds of entries with which something ends.
const ENDINGS: [&str; 9] = [
    kind::ACTION_SETTLED,
    kind::ACTION_DECIDED,
    kind::ACTION_REFUSED,
    kind::RUN_ENDED,
    kind::RUN_REFUSED,
    kind::REVIEW_APPROVED,
    kind::REVIEW_REJECTED,
    kind::REVIEW_ENDED,
    kind::EFFECT_RESOLVED,
];

/// The entries before `end`, from `next` on, with which something ended: so many at most.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn endings(reader: &Reader<'_>, next: u64, end: u64, limit: usize) -> Result<Vec<EntryRow>, StoreError> {
    let kinds = ENDINGS.map(|kind| format!("'{kind}'")).join(", ");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    reader.entries(
        &format!("WHERE seq >= ?1 AND seq < ?2 AND kind IN ({kinds}) ORDER BY seq LIMIT ?3"),
        params![signed(next), signed(end), limit],
    )
}

/// The first entry of a kind about something.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn first(reader: &Reader<'_>, subject: &str, kind: &str) -> Result<Option<EntryRow>, StoreError> {
    let found = reader.entries("WHERE subject = ?1 AND kind = ?2 ORDER BY seq LIMIT 1", params![subject, kind])?;
    Ok(found.into_iter().next())
}

/// What happened in a run before it ended, so many entries at most.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn within(reader: &Reader<'_>, run: &str, end: u64, limit: usize) -> Result<Vec<EntryRow>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    reader.entries(
        "WHERE subject = ?1 AND seq < ?2 AND kind IN (?3, ?4, ?5, ?6, ?7) ORDER BY seq LIMIT ?8",
        params![
            run,
            signed(end),
            kind::RUN_PHASE,
            kind::RUN_AGENT_STARTED,
            kind::RUN_PLANNED,
            kind::RUN_ERROR,
            kind::RUN_LOOKED,
            limit
        ],
    )
}

/// Whether a decision about a review, or its end, is on record before an entry.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn is_decided_before(reader: &Reader<'_>, review: &str, before: u64) -> Result<bool, StoreError> {
    let found = reader.entries(
        "WHERE subject = ?1 AND seq < ?2 AND kind IN (?3, ?4, ?5) ORDER BY seq",
        params![review, signed(before), kind::REVIEW_APPROVED, kind::REVIEW_REJECTED, kind::REVIEW_ENDED],
    )?;
    for entry in found {
        let body = entry.read_body()?;
        let pending = body.as_ref().and_then(|body| body.detail.get("status")?.as_str()) == Some("pending");
        if !pending {
            return Ok(true);
        }
    }
    Ok(false)
}
