//! The table `effect`, and actions as the ledger tells them.

use std::str::FromStr;

use rusqlite::{OptionalExtension as _, params};
use steward_clock::Timestamp;
use steward_naming::{ActionId, Name, Namespace, RunId, TraceId};
use steward_seal::Digest;
use steward_store::{EntryRow, Guard, Key, Migration, Reader, Row, StoreError, key};

/// The tables, as they came to be.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "actions-0001",
        sql: "
CREATE TABLE effect (
    namespace     TEXT NOT NULL,
    id            TEXT NOT NULL,
    agent         TEXT NOT NULL,
    action        TEXT NOT NULL,
    resource      TEXT NOT NULL,
    arguments     TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('intended', 'publishing', 'succeeded', 'failed', 'unknown')),
    intended_at   TEXT NOT NULL,
    settled_at    TEXT,
    error_code    TEXT,
    error_message TEXT,
    digest        TEXT,
    bytes         INTEGER,
    entry_seq     INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX effect_open ON effect (status) WHERE status IN ('intended', 'publishing', 'unknown');
",
    },
    Migration {
        name: "actions-0002",
        sql: "
ALTER TABLE effect ADD COLUMN run TEXT;
ALTER TABLE effect ADD COLUMN trace TEXT;
CREATE INDEX effect_run ON effect (run) WHERE run IS NOT NULL;
",
    },
];

/// Where an effect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// On record, and not begun where anybody could see it.
    Intended,
    /// On record that it happens now.
    Publishing,
    /// It happened.
    Succeeded,
    /// It did not happen.
    Failed,
    /// Nobody knows; a person must look.
    Unknown,
}

impl Status {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Publishing => "publishing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is on its way.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Intended | Self::Publishing)
    }
}

/// The word is not one of a status.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the status of an effect")]
pub struct UnknownStatus(String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        [Self::Intended, Self::Publishing, Self::Succeeded, Self::Failed, Self::Unknown]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// An effect, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The action's id.
    pub id: ActionId,
    /// The agent.
    pub agent: Name,
    /// The run that it belongs to, if it was asked in one.
    pub run: Option<RunId>,
    /// What joins all its entries, and those of its run.
    pub trace: Option<TraceId>,
    /// What is done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// The digest of the content, or of the tool's arguments.
    pub arguments: Digest,
    /// Where it stands.
    pub status: Status,
    /// When it was intended.
    pub intended_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// Why it failed: a stable code, and the same in words.
    pub error: Option<(String, String)>,
    /// The digest and size of what was written, or of what the tool said.
    pub written: Option<(Digest, u64)>,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

impl EffectRow {
    /// The row's key.
    pub fn key(namespace: &Namespace, id: &ActionId) -> Key {
        key([("namespace", namespace.as_str()), ("id", id.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("effect", Self::key(&self.namespace, &self.id), self.entry_seq)
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        Row::put("effect")
            .text("namespace", self.namespace.as_str())
            .text("id", self.id.as_str())
            .text("agent", self.agent.to_string())
            .text("action", self.action.as_str())
            .text("resource", self.resource.as_str())
            .text("arguments", self.arguments.to_string())
            .text("status", self.status.as_str())
            .text("intended_at", self.intended_at.to_string())
            .optional_text("settled_at", self.settled_at.map(|t| t.to_string()))
            .optional_text("error_code", self.error.as_ref().map(|(code, _)| code.as_str()))
            .optional_text("error_message", self.error.as_ref().map(|(_, message)| message.as_str()))
            .optional_text("digest", self.written.map(|(digest, _)| digest.to_string()))
            .optional_integer("bytes", self.written.and_then(|(_, bytes)| i64::try_from(bytes).ok()))
            .optional_text("run", self.run.as_ref().map(RunId::as_str))
            .optional_text("trace", self.trace.as_ref().map(TraceId::as_str))
    }
}

const EFFECT: &str = "SELECT namespace, id, agent, action, resource, arguments, status, intended_at, settled_at, error_code, \
                      error_message, digest, bytes, run, trace, entry_seq FROM effect";

fn effect_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<EffectRow> {
    let error: Option<(String, String)> = row.get::<_, Option<String>>(9)?.zip(row.get(10)?);
    let digest: Option<Digest> = row.get::<_, Option<String>>(11)?.map(|t| parse(11, &t)).transpose()?;
    Ok(EffectRow {
        namespace: parsed(row, 0)?,
        id: parsed(row, 1)?,
        agent: parsed(row, 2)?,
        action: row.get(3)?,
        resource: row.get(4)?,
        arguments: parsed(row, 5)?,
        status: parsed(row, 6)?,
        intended_at: parsed(row, 7)?,
        settled_at: row.get::<_, Option<String>>(8)?.map(|t| parse(8, &t)).transpose()?,
        error,
        written: digest.zip(row.get(12)?),
        run: row.get::<_, Option<String>>(13)?.map(|t| parse(13, &t)).transpose()?,
        trace: row.get::<_, Option<String>>(14)?.map(|t| parse(14, &t)).transpose()?,
        entry_seq: row.get(15)?,
    })
}

/// An effect.
///
/// # Errors
/// The store cannot be read.
pub fn effect(reader: &Reader<'_>, namespace: &Namespace, id: &ActionId) -> Result<Option<EffectRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{EFFECT} WHERE namespace = ?1 AND id = ?2"))?;
    Ok(statement.query_row(params![namespace.as_str(), id.as_str()], effect_row).optional()?)
}

/// Effects that are on their way, oldest first.
///
/// # Errors
/// The store cannot be read.
pub fn open_effects(reader: &Reader<'_>) -> Result<Vec<EffectRow>, StoreError> {
    let mut statement =
        reader.sql().prepare_cached(&format!("{EFFECT} WHERE status IN ('intended', 'publishing') ORDER BY id"))?;
    Ok(statement.query_map([], effect_row)?.collect::<Result<_, _>>()?)
}

/// The effects of a run, in order.
///
/// # Errors
/// The store cannot be read.
pub fn effects_of_run(reader: &Reader<'_>, run: &RunId) -> Result<Vec<EffectRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{EFFECT} WHERE run = ?1 ORDER BY id"))?;
    Ok(statement.query_map([run.as_str()], effect_row)?.collect::<Result<_, _>>()?)
}

/// Effects, newest first, at most `limit`: all, or those of a status.
///
/// # Errors
/// The store cannot be read.
pub fn effects(reader: &Reader<'_>, status: Option<Status>, limit: u32) -> Result<Vec<EffectRow>, StoreError> {
    let (condition, word) = match status {
        Some(status) => ("WHERE status = ?1", status.as_str()),
        None => ("WHERE ?1 = ''", ""),
    };
    let mut statement = reader.sql().prepare_cached(&format!("{EFFECT} {condition} ORDER BY id DESC LIMIT {limit}"))?;
    Ok(statement.query_map([word], effect_row)?.collect::<Result<_, _>>()?)
}

/// How many effects are on their way, and of how many nobody knows whether they happened.
///
/// # Errors
/// The store cannot be read.
pub fn unsettled(reader: &Reader<'_>) -> Result<(u64, u64), StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT count(*) FILTER (WHERE status IN ('intended', 'publishing')), count(*) FILTER (WHERE status = 'unknown')
         FROM effect WHERE status IN ('intended', 'publishing', 'unknown')",
    )?;
    Ok(statement.query_row([], |r| Ok((r.get(0)?, r.get(1)?)))?)
}

/// How many effects there are by where they stand.
///
/// # Errors
/// The store cannot be read.
pub fn effects_by_status(reader: &Reader<'_>) -> Result<Vec<(String, u64)>, StoreError> {
    let mut statement =
        reader.sql().prepare_cached("SELECT status, count(*) FROM effect GROUP BY status ORDER BY status")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// Since when the oldest effect is on its way, and since when nobody knows of the oldest unknown one whether it happened.
///
/// # Errors
/// The store cannot be read.
pub fn oldest_unsettled(reader: &Reader<'_>) -> Result<(Option<Timestamp>, Option<Timestamp>), StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT min(intended_at) FILTER (WHERE status IN ('intended', 'publishing')),
                min(coalesce(settled_at, intended_at)) FILTER (WHERE status = 'unknown')
         FROM effect WHERE status IN ('intended', 'publishing', 'unknown')",
    )?;
    let read = |row: &rusqlite::Row<'_>, column| {
        row.get::<_, Option<String>>(column)?.map(|text| parse(column, &text)).transpose()
    };
    Ok(statement.query_row([], |row| Ok((read(row, 0)?, read(row, 1)?)))?)
}

/// Which actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose: the agent's full name.
    pub agent: Option<String>,
    /// `allow` or `deny`.
    pub decision: Option<String>,
    /// Entries before this one only.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// The entries that decided actions, and those that refused anybody anything, newest first.
///
/// # Errors
/// The store cannot be read.
pub fn decisions(reader: &Reader<'_>, filter: &Filter) -> Result<Vec<EntryRow>, StoreError> {
    // Only what is asked for stands in the query, so that the index of what is asked for serves it.
    let mut conditions = "WHERE kind IN ('action.intended', 'action.refused', 'action.decided')".to_owned();
    let before = filter.before.map(|b| i64::try_from(b).unwrap_or(i64::MAX));
    let mut values: Vec<&dyn rusqlite::ToSql> = Vec::new();
    if let Some(agent) = &filter.agent {
        values.push(agent);
        conditions.push_str(&format!(" AND actor = ?{}", values.len()));
    }
    if let Some(decision) = &filter.decision {
        values.push(decision);
        conditions.push_str(&format!(" AND decision = ?{}", values.len()));
    }
    if let Some(before) = &before {
        values.push(before);
        conditions.push_str(&format!(" AND seq < ?{}", values.len()));
    }
    values.push(&filter.limit);
    conditions.push_str(&format!(" ORDER BY seq DESC LIMIT ?{}", values.len()));
    reader.entries(&conditions, &values)
}

/// Every entry about one action, in order.
///
/// # Errors
/// The store cannot be read.
pub fn entries_of(reader: &Reader<'_>, id: &ActionId) -> Result<Vec<EntryRow>, StoreError> {
    reader.entries("WHERE subject = ?1 ORDER BY seq", &[&id.as_str()])
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    parse(column, row.get_ref(column)?.as_str()?)
}

fn parse<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(column: usize, text: &str) -> rusqlite::Result<T> {
    text.parse().map_err(|e: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e))
    })
}

/// How many effects of a run succeeded.
///
/// # Errors
/// The store cannot be read.
pub fn succeeded_of_run(reader: &Reader<'_>, run: &RunId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM effect WHERE run = ?1 AND status = 'succeeded'";
    Ok(reader.sql().prepare_cached(sql)?.query_row([run.as_str()], |row| row.get(0))?)
}
