//! The tables `hook` and `hook_delivery`.

use rusqlite::{OptionalExtension as _, Row as SqlRow, params, types::Type};
use steward_clock::Timestamp;
use steward_ledger::kind;
use steward_naming::{Label, Namespace};
use steward_store::{Guard, Key, Migration, Reader, Row, StoreError, key};

/// Where each hook is, and what it is still to be told.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "hooks-0001",
    sql: "
CREATE TABLE hook (
    namespace     TEXT NOT NULL,
    name          TEXT NOT NULL,
    next          INTEGER NOT NULL,
    told          INTEGER NOT NULL,
    gave_up       INTEGER NOT NULL,
    told_at       TEXT,
    failing_since TEXT,
    gave_up_at    TEXT,
    why           TEXT,
    entry_seq     INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
CREATE TABLE hook_delivery (
    namespace TEXT NOT NULL,
    hook      TEXT NOT NULL,
    id        TEXT NOT NULL,
    about     INTEGER NOT NULL,
    event     TEXT NOT NULL,
    attempts  INTEGER NOT NULL,
    queued_at TEXT NOT NULL,
    next_at   TEXT NOT NULL,
    entry_seq INTEGER NOT NULL,
    PRIMARY KEY (namespace, hook, id)
) STRICT;
CREATE INDEX hook_delivery_due ON hook_delivery (hook, next_at);
",
}];

/// Where a hook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Label,
    /// The entry of the ledger that it reads next.
    pub next: u64,
    /// How often it was told something.
    pub told: u64,
    /// How often it was given up to tell it something.
    pub gave_up: u64,
    /// When it was told last.
    pub told_at: Option<Timestamp>,
    /// Since when it is not told, if it is not.
    pub failing_since: Option<Timestamp>,
    /// When something was given up last.
    pub gave_up_at: Option<Timestamp>,
    /// Why it was not told last.
    pub why: Option<String>,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl HookRow {
    fn key(namespace: &Namespace, name: &Label) -> Key {
        key([("namespace", namespace.as_str()), ("name", name.as_str())])
    }

    /// That it is as it was loaded, or not there yet.
    pub(crate) fn guard(&self) -> Guard {
        let key = Self::key(&self.namespace, &self.name);
        match self.entry_seq {
            0 => Guard::absent("hook", key),
            seq => Guard::unchanged("hook", key, seq),
        }
    }

    /// The row as it will be.
    pub(crate) fn row(&self) -> Row {
        let at = |at: &Option<Timestamp>| at.map(|at| at.to_string());
        Row::put("hook")
            .text("namespace", self.namespace.as_str())
            .text("name", self.name.as_str())
            .integer("next", signed(self.next))
            .integer("told", signed(self.told))
            .integer("gave_up", signed(self.gave_up))
            .optional_text("told_at", at(&self.told_at))
            .optional_text("failing_since", at(&self.failing_since))
            .optional_text("gave_up_at", at(&self.gave_up_at))
            .optional_text("why", self.why.as_deref())
    }
}

/// Something that a hook is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Who is told.
    pub hook: Label,
    /// `rvw_…_opened`: the same for every attempt.
    pub id: String,
    /// The entry that says what happened.
    pub about: u64,
    /// What happened.
    pub event: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Since when it waits.
    pub queued_at: Timestamp,
    /// When it is tried next.
    pub next_at: Timestamp,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl DeliveryRow {
    fn key(&self) -> Key {
        key([("namespace", self.namespace.as_str()), ("hook", self.hook.as_str()), ("id", &self.id)])
    }

    /// That it is as it was loaded, or not there yet.
    pub(crate) fn guard(&self) -> Guard {
        match self.entry_seq {
            0 => Guard::absent("hook_delivery", self.key()),
            seq => Guard::unchanged("hook_delivery", self.key(), seq),
        }
    }

    /// The row as it will be.
    pub(crate) fn row(&self) -> Row {
        Row::put("hook_delivery")
            .text("namespace", self.namespace.as_str())
            .text("hook", self.hook.as_str())
            .text("id", self.id.as_str())
            .integer("about", signed(self.about))
            .text("event", self.event.as_str())
            .integer("attempts", i64::from(self.attempts))
            .text("queued_at", self.queued_at.to_string())
            .text("next_at", self.next_at.to_string())
    }

    /// That it is no more.
    pub(crate) fn gone(&self) -> Row {
        Row::delete("hook_delivery")
            .text("namespace", self.namespace.as_str())
            .text("hook", self.hook.as_str())
            .text("id", self.id.as_str())
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

fn hook_row(row: &SqlRow<'_>) -> rusqlite::Result<HookRow> {
    Ok(HookRow {
        namespace: row.get::<_, String>(0)?.parse().map_err(damaged(0))?,
        name: row.get::<_, String>(1)?.parse().map_err(damaged(1))?,
        next: row.get(2)?,
        told: row.get(3)?,
        gave_up: row.get(4)?,
        told_at: time(row, 5)?,
        failing_since: time(row, 6)?,
        gave_up_at: time(row, 7)?,
        why: row.get(8)?,
        entry_seq: row.get(9)?,
    })
}

fn delivery_row(row: &SqlRow<'_>) -> rusqlite::Result<DeliveryRow> {
    let at = |column| time(row, column).map(|at| at.unwrap_or(Timestamp::from_unix_ms(0)));
    Ok(DeliveryRow {
        namespace: row.get::<_, String>(0)?.parse().map_err(damaged(0))?,
        hook: row.get::<_, String>(1)?.parse().map_err(damaged(1))?,
        id: row.get(2)?,
        about: row.get(3)?,
        event: row.get(4)?,
        attempts: row.get(5)?,
        queued_at: at(6)?,
        next_at: at(7)?,
        entry_seq: row.get(8)?,
    })
}

/// Where a hook is.
///
/// # Errors
/// The store cannot be read.
pub fn hook(reader: &Reader<'_>, namespace: &Namespace, name: &Label) -> Result<Option<HookRow>, StoreError> {
    let sql =
        "SELECT namespace, name, next, told, gave_up, told_at, failing_since, gave_up_at, why, entry_seq FROM hook
               WHERE namespace = ?1 AND name = ?2";
    let mut statement = reader.sql().prepare_cached(sql)?;
    Ok(statement.query_row(params![namespace.as_str(), name.as_str()], hook_row).optional()?)
}

const DELIVERY: &str =
    "SELECT namespace, hook, id, about, event, attempts, queued_at, next_at, entry_seq FROM hook_delivery";

/// What a hook is still to be told, the next first.
///
/// # Errors
/// The store cannot be read.
pub fn deliveries(
    reader: &Reader<'_>,
    namespace: &Namespace,
    name: &Label,
    limit: u32,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let sql = format!("{DELIVERY} WHERE namespace = ?1 AND hook = ?2 ORDER BY next_at, about, id LIMIT ?3");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    let rows = statement.query_map(params![namespace.as_str(), name.as_str(), limit], delivery_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a hook is still to be told: how much.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn waiting(reader: &Reader<'_>, namespace: &Namespace, name: &Label) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM hook_delivery WHERE namespace = ?1 AND hook = ?2";
    let mut statement = reader.sql().prepare_cached(sql)?;
    Ok(statement.query_row(params![namespace.as_str(), name.as_str()], |row| row.get(0))?)
}

/// The entries from `next` on that wrote a review, and up to where it was looked: the entry to look at then.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn touching_reviews(
    reader: &Reader<'_>,
    next: u64,
    most: u64,
    limit: u32,
) -> Result<(Vec<u64>, u64), StoreError> {
    let end = reader.size()?.min(next.saturating_add(most));
    // What of a body is looked for is how the ledger writes it: a test of news would find nothing if that changed.
    let sql = "SELECT seq FROM ledger_entry WHERE seq >= ?1 AND seq < ?2
               AND (kind IN (?3, ?4, ?5, ?6) OR instr(body, '\"table\":\"review\"') > 0) ORDER BY seq LIMIT ?7";
    let mut statement = reader.sql().prepare_cached(sql)?;
    let kinds = [kind::REVIEW_OPENED, kind::REVIEW_APPROVED, kind::REVIEW_REJECTED, kind::REVIEW_ENDED];
    let found: Vec<u64> = statement
        .query_map(params![signed(next), signed(end), kinds[0], kinds[1], kinds[2], kinds[3], limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let looked_to = match found.last() {
        Some(last) if found.len() >= limit as usize => last + 1,
        _ => end.max(next),
    };
    Ok((found, looked_to))
}
