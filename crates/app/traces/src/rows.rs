//! The table `trace_export`, and the entries that spans are made of.

use rusqlite::{OptionalExtension as _, Row as SqlRow, params, types::Type};
use steward_clock::Timestamp;
use steward_ledger::kind;
use steward_naming::Namespace;
use steward_seal::Digest;
use steward_store::{EntryRow, Guard, Key, Migration, Reader, Row, StoreError, key};

/// Where the receiver of traces is.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "traces-0001",
    sql: "
CREATE TABLE trace_export (
    namespace     TEXT NOT NULL,
    receiver      TEXT NOT NULL,
    next          INTEGER NOT NULL,
    width         INTEGER NOT NULL,
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
    /// The digest of its address.
    pub receiver: Digest,
    /// The entry of the ledger that is read next.
    pub next: u64,
    /// Of how many entries spans are sent at once: fewer after each failure, more again after each success.
    pub width: u64,
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
            .text("receiver", self.receiver.to_string())
            .integer("next", signed(self.next))
            .integer("width", signed(self.width))
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
        "SELECT namespace, receiver, next, width, sent, dropped, attempts, next_at, sent_at, dropped_at, failing_since, why, entry_seq
               FROM trace_export WHERE namespace = ?1";
    let mut statement = reader.sql().prepare_cached(sql)?;
    let read = |row: &SqlRow<'_>| {
        Ok(ExportRow {
            namespace: row.get::<_, String>(0)?.parse().map_err(damaged(0))?,
            receiver: row.get::<_, String>(1)?.parse().map_err(damaged(1))?,
            next: row.get(2)?,
            width: row.get(3)?,
            sent: row.get(4)?,
            dropped: row.get(5)?,
            attempts: row.get(6)?,
            next_at: time(row, 7)?,
            sent_at: time(row, 8)?,
            dropped_at: time(row, 9)?,
            failing_since: time(row, 10)?,
            why: row.get(11)?,
            entry_seq: row.get(12)?,
        })
    };
    Ok(statement.query_row([namespace.as_str()], read).optional()?)
}

/// The kinds of entries with which something ends.
const ENDINGS: [&str; 5] =
    [kind::ACTION_SETTLED, kind::ACTION_DECIDED, kind::ACTION_REFUSED, kind::RUN_ENDED, kind::RUN_REFUSED];

/// The entries before `end`, from `next` on, with which something ended, or a review changed: so many at most.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn endings(reader: &Reader<'_>, next: u64, end: u64, limit: usize) -> Result<Vec<EntryRow>, StoreError> {
    let kinds = ENDINGS.map(|kind| format!("'{kind}'")).join(", ");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // Reviews end with much else. What of a body is looked for is how the ledger writes it: a test of reviews would find none if that changed.
    let review = "instr(body, '\"table\":\"review\"') > 0";
    reader.entries(
        &format!("WHERE seq >= ?1 AND seq < ?2 AND (kind IN ({kinds}) OR {review}) ORDER BY seq LIMIT ?3"),
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

/// What happened in a run before it ended: so many entries from its beginning, as many from its end, and how many there are between.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn within(
    reader: &Reader<'_>,
    run: &str,
    end: u64,
    half: usize,
) -> Result<(Vec<EntryRow>, u64), StoreError> {
    let kinds = [kind::RUN_PHASE, kind::RUN_AGENT_STARTED, kind::RUN_PLANNED, kind::RUN_ERROR, kind::RUN_LOOKED];
    let kinds = kinds.map(|kind| format!("'{kind}'")).join(", ");
    let is_within = format!("WHERE subject = ?1 AND seq < ?2 AND kind IN ({kinds})");
    let half = i64::try_from(half).unwrap_or(i64::MAX);
    let first = reader.entries(&format!("{is_within} ORDER BY seq LIMIT ?3"), params![run, signed(end), half])?;
    let after = first.last().map_or(-1, |entry| signed(entry.seq));
    let beyond = format!("{is_within} AND seq > ?3");
    let mut last =
        reader.entries(&format!("{beyond} ORDER BY seq DESC LIMIT ?4"), params![run, signed(end), after, half])?;
    last.reverse();
    let sql = format!("SELECT count(*) FROM ledger_entry {beyond}");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    let count: u64 = statement.query_row(params![run, signed(end), after], |row| row.get(0))?;
    let between = count.saturating_sub(last.len() as u64);
    Ok((first.into_iter().chain(last).collect(), between))
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
    Ok(found.iter().any(|entry| {
        let body = entry.read_body().ok().flatten();
        body.as_ref().and_then(|body| body.detail.get("status")?.as_str()) != Some("pending")
    }))
}
