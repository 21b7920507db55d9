//! The rows that say which policy is in force, whether the node is halted, and what waits for people.

use rusqlite::{OptionalExtension as _, params};
use steward_clock::Timestamp;
use steward_ledger::kind;
use steward_naming::{KeyId, Namespace, ReviewId, RunId};
use steward_permit::ReviewKind;
use steward_review::Status;
use steward_seal::Digest;
use steward_store::{Migration, Reader, StoreError};

use crate::{halt::Halt, reviews::ReviewRow};

/// The row names the policy's version; its files are a blob.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "node-0001",
        sql: "
CREATE TABLE policy (
    namespace TEXT NOT NULL PRIMARY KEY,
    version   TEXT NOT NULL,
    blob      TEXT NOT NULL,
    loaded_at TEXT NOT NULL,
    entry_seq INTEGER NOT NULL
) STRICT;
",
    },
    Migration {
        name: "node-0002",
        sql: "
CREATE TABLE halt (
    namespace TEXT NOT NULL PRIMARY KEY,
    halted    INTEGER NOT NULL CHECK (halted IN (0, 1)),
    by        TEXT NOT NULL,
    reason    TEXT NOT NULL,
    at        TEXT,
    entry_seq INTEGER NOT NULL
) STRICT;
",
    },
    Migration {
        name: "node-0003",
        sql: "
CREATE TABLE review (
    namespace  TEXT NOT NULL,
    id         TEXT NOT NULL,
    kind       TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'expired', 'voided', 'used')),
    asker      TEXT NOT NULL,
    agent      TEXT,
    run        TEXT,
    asked      TEXT NOT NULL,
    policy     TEXT NOT NULL,
    opened_at  TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    state      TEXT NOT NULL,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX review_open ON review (expires_at) WHERE status IN ('pending', 'approved');
CREATE INDEX review_asked ON review (asker, asked, id);
CREATE INDEX review_run ON review (run, id) WHERE run IS NOT NULL;
",
    },
];

/// Whether the node is halted.
///
/// # Errors
/// The store cannot be read.
pub fn halt(reader: &Reader<'_>, namespace: &Namespace) -> Result<Halt, StoreError> {
    let mut statement =
        reader.sql().prepare_cached("SELECT halted, by, reason, at, entry_seq FROM halt WHERE namespace = ?1")?;
    let found = statement
        .query_row([namespace.as_str()], |row| {
            let at: Option<String> = row.get(3)?;
            Ok(Halt {
                is_halted: row.get(0)?,
                by: row.get(1)?,
                reason: row.get(2)?,
                at: at.and_then(|text| text.parse().ok()),
                entry_seq: Some(row.get(4)?),
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

const REVIEW: &str = "SELECT namespace, state, entry_seq FROM review";

fn review_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ReviewRow> {
    let damaged = |column, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
    };
    Ok(ReviewRow {
        namespace: row.get::<_, String>(0)?.parse().map_err(|e: steward_naming::NameError| damaged(0, e.into()))?,
        review: serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|e| damaged(1, e.into()))?,
        entry_seq: row.get(2)?,
    })
}

/// A review.
///
/// # Errors
/// The store cannot be read.
pub fn review(reader: &Reader<'_>, namespace: &Namespace, id: &ReviewId) -> Result<Option<ReviewRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{REVIEW} WHERE namespace = ?1 AND id = ?2"))?;
    Ok(statement.query_row(params![namespace.as_str(), id.as_str()], review_row).optional()?)
}

/// The review that was opened last about exactly this, asked by this one.
///
/// # Errors
/// The store cannot be read.
pub fn review_of(reader: &Reader<'_>, asker: &str, digest: &Digest) -> Result<Option<ReviewRow>, StoreError> {
    let sql = format!("{REVIEW} WHERE asker = ?1 AND asked = ?2 ORDER BY id DESC LIMIT 1");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_row(params![asker, digest.to_string()], review_row).optional()?)
}

/// The most keys that it is gone back from one to the one before.
const MAX_KEYS_BACK: usize = 16;

/// How many reviews of one asker wait under a version of the policy.
///
/// # Errors
/// The store cannot be read.
pub fn waiting_of(reader: &Reader<'_>, asker: &str, policy: &Digest) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM review WHERE asker = ?1 AND status = 'pending' AND policy = ?2";
    Ok(reader.sql().prepare_cached(sql)?.query_row([asker, &policy.to_string()], |row| row.get(0))?)
}

/// The reviews that can still become something else and that somebody asked for, or approved: so many at most.
///
/// # Errors
/// The store cannot be read.
pub fn open_reviews_of_person(reader: &Reader<'_>, person: &str, limit: u32) -> Result<Vec<ReviewRow>, StoreError> {
    let sql = format!(
        "{REVIEW} WHERE status IN ('pending', 'approved')
         AND (EXISTS (SELECT 1 FROM json_each(state, '$.chain') WHERE value = ?1)
              OR EXISTS (SELECT 1 FROM json_each(state, '$.decisions') WHERE value ->> 'by' = ?1)) ORDER BY id LIMIT ?2"
    );
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map(params![person, limit], review_row)?.collect::<Result<_, _>>()?)
}

/// The reviews of a run that can still become something else.
///
/// # Errors
/// The store cannot be read.
pub fn open_reviews_of_run(reader: &Reader<'_>, run: &RunId) -> Result<Vec<ReviewRow>, StoreError> {
    let sql = format!("{REVIEW} WHERE run = ?1 AND status IN ('pending', 'approved') ORDER BY id");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map([run.as_str()], review_row)?.collect::<Result<_, _>>()?)
}

/// The open reviews about an agent that no run waits for.
///
/// # Errors
/// The store cannot be read.
pub fn open_reviews_of_agent(reader: &Reader<'_>, agent: &str) -> Result<Vec<ReviewRow>, StoreError> {
    let sql = format!("{REVIEW} WHERE agent = ?1 AND run IS NULL AND status IN ('pending', 'approved') ORDER BY id");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map([agent], review_row)?.collect::<Result<_, _>>()?)
}

/// The open reviews of a kind, about one thing.
///
/// # Errors
/// The store cannot be read.
pub fn open_reviews_about(reader: &Reader<'_>, kind: ReviewKind, resource: &str) -> Result<Vec<ReviewRow>, StoreError> {
    let sql = format!("{REVIEW} WHERE kind = ?1 AND status IN ('pending', 'approved') ORDER BY id");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    let rows: Vec<ReviewRow> = statement.query_map([kind.as_str()], review_row)?.collect::<Result<_, _>>()?;
    Ok(rows.into_iter().filter(|row| row.review.asked.resource == resource).collect())
}

/// The reviews whose time is over, of those that can still become something else.
///
/// # Errors
/// The store cannot be read.
pub fn reviews_over(reader: &Reader<'_>, now: Timestamp, limit: u32) -> Result<Vec<ReviewRow>, StoreError> {
    let sql =
        format!("{REVIEW} WHERE status IN ('pending', 'approved') AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map(params![now.to_string(), limit], review_row)?.collect::<Result<_, _>>()?)
}

/// Which reviews.
#[derive(Debug, Clone, Default)]
pub struct ReviewFilter {
    /// Of this status.
    pub status: Option<Status>,
    /// About this agent.
    pub agent: Option<String>,
    /// That this run waits for.
    pub run: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Newer than this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Reviews, newest first.
///
/// # Errors
/// The store cannot be read.
pub fn reviews(reader: &Reader<'_>, filter: &ReviewFilter) -> Result<Vec<ReviewRow>, StoreError> {
    let sql = format!(
        "{REVIEW} WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR agent = ?2) AND (?3 IS NULL OR run = ?3)
         AND (?4 IS NULL OR kind = ?4) AND (?5 IS NULL OR id > ?5) ORDER BY id DESC LIMIT ?6"
    );
    let mut statement = reader.sql().prepare_cached(&sql)?;
    let status = filter.status.map(Status::as_str);
    let rows = statement
        .query_map(params![status, filter.agent, filter.run, filter.kind, filter.after, filter.limit], review_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many reviews wait for people.
///
/// # Errors
/// The store cannot be read.
pub fn pending_reviews(reader: &Reader<'_>) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM review WHERE status = 'pending'";
    Ok(reader.sql().prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Who made a key, by full name, as the record says; none if what the entry says was erased.
///
/// # Errors
/// The store cannot be read.
pub fn maker_of(reader: &Reader<'_>, key: &KeyId) -> Result<Option<String>, StoreError> {
    let found = reader.entries("WHERE subject = ?1 AND kind = ?2 LIMIT 1", &[&key.as_str(), &kind::KEY_CREATED])?;
    let Some(entry) = found.first() else { return Ok(None) };
    Ok(entry.read_body()?.map(|body| body.actor.name))
}

/// Who made a person's key for them, or one that it came from, since a time: the person themselves is not among them. None: it cannot be
/// told, because it came from too many, or the record of one was erased.
///
/// # Errors
/// The store cannot be read.
pub fn makers_since(
    reader: &Reader<'_>,
    key: &KeyId,
    person: &str,
    since: Timestamp,
) -> Result<Option<Vec<String>>, StoreError> {
    let mut makers = Vec::new();
    let (mut at, mut came_since) = (key.clone(), false);
    for _ in 0..MAX_KEYS_BACK {
        let found = reader.entries(
            "WHERE subject = ?1 AND kind IN (?2, ?3) LIMIT 1",
            &[&at.as_str(), &kind::KEY_CREATED, &kind::KEY_EXCHANGED],
        )?;
        // Whoever logged in since came since, whenever they were let.
        let Some(entry) = found.first().filter(|entry| entry.time > since || came_since) else {
            return Ok(Some(makers));
        };
        came_since = entry.kind == kind::KEY_EXCHANGED;
        // Whose hand was erased since is nobody's to say.
        let Some(body) = entry.read_body()? else { return Ok(None) };
        if body.actor.name != person {
            makers.push(body.actor.name);
        }
        match body.key {
            Some(key) => at = key,
            None => return Ok(Some(makers)),
        }
    }
    Ok(None)
}
