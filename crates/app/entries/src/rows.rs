//! Queries of the ledger, and its named views (LED-3).

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use steward_clock::Timestamp;
use steward_ledger::kind;
use steward_store::{EntryRow, Migration, Reader, StoreError};

/// The views, as they came to be. Readable as SQL too.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "entries-0001",
    sql: "
CREATE VIEW agent_actions AS
SELECT e.decision_id                                           AS id,
       e.time                                                  AS timestamp,
       e.actor                                                 AS agent_id,
       json_extract(e.body, '$.actor.version')                 AS agent_version,
       json_extract(e.body, '$.actor.tier')                    AS tier,
       e.action                                                AS action,
       e.decision                                              AS decision,
       json_extract(e.body, '$.confidence_bp') / 10000.0       AS confidence,
       CASE WHEN e.decision = 'deny' THEN 0
            WHEN f.status IS NOT NULL THEN CASE f.status WHEN 'succeeded' THEN 1 WHEN 'failed' THEN 0 END
            ELSE coalesce(json_extract(e.body, '$.outcome.success'), 1) END AS success,
       coalesce(f.error_code, json_extract(e.body, '$.outcome.error_type'), json_extract(e.body, '$.decision.code'))
                                                               AS error_type,
       coalesce(f.error_message, json_extract(e.body, '$.outcome.error_message')) AS error_message
FROM ledger_entry e LEFT JOIN effect f ON f.namespace = e.namespace AND f.id = e.decision_id
WHERE e.kind IN ('action.intended', 'action.refused', 'action.decided')
  AND json_extract(e.body, '$.actor.kind') = 'agent';

CREATE VIEW violations AS
SELECT e.decision_id                                           AS id,
       e.time                                                  AS timestamp,
       json_extract(e.body, '$.actor.kind')                    AS actor_kind,
       e.actor                                                 AS actor,
       e.action                                                AS action,
       json_extract(e.body, '$.decision.resource.id')          AS resource,
       json_extract(e.body, '$.decision.code')                 AS code,
       (SELECT group_concat(json_extract(p.value, '$.id'), ' ') FROM json_each(e.body, '$.decision.policies') p) AS policies
FROM ledger_entry e
WHERE e.decision = 'deny';
",
}];

/// The views that can be exported by name.
pub const VIEWS: &[&str] = &["agent_actions", "agent_metrics", "violations"];

/// The most entries that one search answers.
pub const MAX_LIMIT: u32 = 1000;

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose: a full name.
    pub actor: Option<String>,
    /// About what.
    pub subject: Option<String>,
    /// Which action.
    pub action: Option<String>,
    /// `allow` or `deny`.
    pub decision: Option<String>,
    /// Which kind of entry.
    pub kind: Option<String>,
    /// Which request.
    pub trace: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Entries before this one only.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// Entries, newest first.
///
/// # Errors
/// The store cannot be read.
pub fn search(reader: &Reader<'_>, filter: &Filter) -> Result<Vec<EntryRow>, StoreError> {
    let mut conditions = String::new();
    let mut values: Vec<Box<dyn rusqlite::ToSql>> = Vec::new();
    // Only what is asked for stands in the query, so that the index of what is asked for serves it.
    let mut condition = |sql: &str, value: Option<Box<dyn rusqlite::ToSql>>| {
        if let Some(value) = value {
            values.push(value);
            let word = if conditions.is_empty() { "WHERE" } else { " AND" };
            conditions.push_str(&format!("{word} {sql} ?{}", values.len()));
        }
    };
    let text = |value: &Option<String>| value.clone().map(|v| Box::new(v) as Box<dyn rusqlite::ToSql>);
    let time = |value: Option<Timestamp>| value.map(|v| Box::new(v.to_string()) as Box<dyn rusqlite::ToSql>);
    condition("actor =", text(&filter.actor));
    condition("subject =", text(&filter.subject));
    condition("action =", text(&filter.action));
    condition("decision =", text(&filter.decision));
    condition("kind =", text(&filter.kind));
    condition("trace =", text(&filter.trace));
    condition("time >=", time(filter.since));
    condition("time <", time(filter.until));
    let before = filter.before.map(|b| Box::new(i64::try_from(b).unwrap_or(i64::MAX)) as Box<dyn rusqlite::ToSql>);
    condition("seq <", before);
    let values: Vec<&dyn rusqlite::ToSql> = values.iter().map(AsRef::as_ref).collect();
    reader.entries(&format!("{conditions} ORDER BY seq DESC LIMIT {}", filter.limit.min(MAX_LIMIT)), &values)
}

/// How many refusals are recorded, each with an entry of its own. Those that were only counted beside one are not among them.
///
/// # Errors
/// The store cannot be read.
pub fn denials(reader: &Reader<'_>) -> Result<u64, StoreError> {
    let mut statement = reader.sql().prepare_cached("SELECT count(*) FROM ledger_entry WHERE decision = 'deny'")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Refusals of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Denied {
    /// How many.
    pub count: u64,
    /// When the first of them was.
    pub first: Option<Timestamp>,
    /// The newest of them.
    pub last_seq: Option<u64>,
}

/// Refusals that are not older than `since`, among the newest `most`; of one code, if it is given.
///
/// # Errors
/// The store cannot be read.
pub fn denied_since(
    reader: &Reader<'_>,
    since: Timestamp,
    code: Option<&str>,
    most: u32,
) -> Result<Denied, StoreError> {
    // The index of refusals is by number: the newest are few, and the rest is not looked at.
    let condition = if code.is_some() { "json_extract(body, '$.decision.code') = ?3" } else { "?3 IS NULL" };
    let mut statement = reader.sql().prepare_cached(&format!(
        "SELECT count(*), min(time), max(seq)
         FROM (SELECT seq, time, body FROM ledger_entry WHERE decision = 'deny' ORDER BY seq DESC LIMIT ?1)
         WHERE time >= ?2 AND {condition}"
    ))?;
    Ok(statement.query_row(rusqlite::params![most, since.to_string(), code], |row| {
        let first: Option<String> = row.get(1)?;
        Ok(Denied { count: row.get(0)?, first: first.and_then(|text| text.parse().ok()), last_seq: row.get(2)? })
    })?)
}

/// The time of an entry.
///
/// # Errors
/// The store cannot be read.
pub fn time_of(reader: &Reader<'_>, seq: u64) -> Result<Option<Timestamp>, StoreError> {
    let found = reader.entries("WHERE seq = ?1", &[&seq])?;
    Ok(found.into_iter().next().map(|entry| entry.time))
}

/// The entry that says that this one's body was erased.
///
/// # Errors
/// The store cannot be read.
pub fn redaction(reader: &Reader<'_>, entry: u64) -> Result<Option<u64>, StoreError> {
    let subject = crate::redact::subject(entry);
    let found = reader.entries("WHERE subject = ?1 AND kind = ?2 LIMIT 1", &[&subject, &kind::LEDGER_REDACTED])?;
    if let Some(found) = found.first() {
        return Ok(Some(found.seq));
    }
    // A sweep names many, and is about their kind.
    let sql = "SELECT s.seq FROM ledger_entry e JOIN ledger_entry s ON s.subject = e.kind AND s.seq > e.seq AND s.kind = ?2
               WHERE e.seq = ?1 AND e.body IS NULL
               AND EXISTS (SELECT 1 FROM json_each(s.body, '$.detail.erased') one WHERE json_extract(one.value, '$.entry') = ?3) LIMIT 1";
    let mut statement = reader.sql().prepare_cached(sql)?;
    let mut found = statement.query(rusqlite::params![entry, kind::LEDGER_SWEPT, entry.to_string()])?;
    Ok(found.next()?.map(|row| row.get(0)).transpose()?)
}

/// An entry that is older than it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Old {
    /// The entry.
    pub seq: u64,
    /// Bytes of what it says.
    pub bytes: u64,
}

/// Whether nothing under way needs what an entry `e` says: a run that is not over, an effect that is not settled, a lease that holds, a review that
/// waits.
const IS_FREE: &str = "
    NOT EXISTS (SELECT 1 FROM run r WHERE r.ending IS NULL AND (r.trace = e.trace OR r.id = e.subject))
    AND NOT EXISTS (SELECT 1 FROM effect f WHERE f.status IN ('intended', 'publishing', 'unknown') AND f.id = e.decision_id)
    AND NOT EXISTS (SELECT 1 FROM secret_lease l WHERE l.revoked_at IS NULL AND l.id = e.subject)
    AND NOT EXISTS (SELECT 1 FROM review w WHERE w.status IN ('pending', 'approved') AND w.id = e.subject)";

/// Entries of a kind that are from before a time, have what they say, and are needed by nothing under way: the oldest, at most so many.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn old(reader: &Reader<'_>, kind: &str, before: Timestamp, most: usize) -> Result<Vec<Old>, StoreError> {
    let sql = format!(
        "SELECT e.seq, length(CAST(e.body AS BLOB)) FROM ledger_entry e
         WHERE e.kind = ?1 AND e.time < ?2 AND e.body IS NOT NULL AND {IS_FREE} ORDER BY e.seq LIMIT ?3"
    );
    let mut statement = reader.sql().prepare_cached(&sql)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let read = |row: &rusqlite::Row<'_>| Ok(Old { seq: row.get(0)?, bytes: row.get(1)? });
    Ok(statement.query_map(rusqlite::params![kind, before.to_string(), most], read)?.collect::<Result<_, _>>()?)
}

/// How many such entries there are; and how many more, which something under way needs.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn count_old(reader: &Reader<'_>, kind: &str, before: Timestamp) -> Result<(u64, u64), StoreError> {
    let sql = format!(
        "SELECT coalesce(sum({IS_FREE}), 0), count(*) FROM ledger_entry e
         WHERE e.kind = ?1 AND e.time < ?2 AND e.body IS NOT NULL"
    );
    let mut statement = reader.sql().prepare_cached(&sql)?;
    let (free, all): (u64, u64) =
        statement.query_row(rusqlite::params![kind, before.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((free, all - free))
}

/// Of each kind, how many entries have what they say, and how many have it no more.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn counts(reader: &Reader<'_>) -> Result<BTreeMap<String, (u64, u64)>, StoreError> {
    let sql = "SELECT kind, count(body), count(*) - count(body) FROM ledger_entry GROUP BY kind";
    let mut statement = reader.sql().prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)));
    Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
}

/// Calls `each` with every entry from the first on, until it says that nobody listens.
///
/// # Errors
/// The store cannot be read.
pub fn each_entry(reader: &Reader<'_>, mut each: impl FnMut(EntryRow) -> bool) -> Result<(), StoreError> {
    let mut next = 0_u64;
    loop {
        let from = i64::try_from(next).unwrap_or(i64::MAX);
        let page = reader.entries("WHERE seq >= ?1 ORDER BY seq LIMIT 500", &[&from])?;
        let Some(last) = page.last() else { return Ok(()) };
        next = last.seq + 1;
        for entry in page {
            if !each(entry) {
                return Ok(());
            }
        }
    }
}

/// Calls `each` with every row of a view, columns in their order.
///
/// # Errors
/// The store cannot be read. The view must be one of [`VIEWS`].
pub fn each_row(
    reader: &Reader<'_>,
    view: &'static str,
    mut each: impl FnMut(&[String], Map<String, Value>) -> bool,
) -> Result<Vec<String>, StoreError> {
    debug_assert!(VIEWS.contains(&view), "a view's name stands in the query");
    let mut statement = reader.sql().prepare(&format!("SELECT * FROM {view}"))?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut record = Map::new();
        for (n, column) in columns.iter().enumerate() {
            let value = match row.get_ref(n)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(i) => i.into(),
                ValueRef::Real(f) => f.into(),
                ValueRef::Text(t) | ValueRef::Blob(t) => String::from_utf8_lossy(t).into_owned().into(),
            };
            record.insert(column.clone(), value);
        }
        if !each(&columns, record) {
            break;
        }
    }
    Ok(columns)
}
