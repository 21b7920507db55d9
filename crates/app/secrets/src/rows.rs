//! The tables `secret`, `secret_grant` and `secret_lease`.

use std::str::FromStr;

use rusqlite::{OptionalExtension as _, params};
use steward_clock::Timestamp;
use steward_keeper::Kept;
use steward_naming::{Label, LeaseId, Name, Namespace, RunId};
use steward_store::{Guard, Key, Migration, Reader, Row, StoreError, key};

/// The tables, as they came to be.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "secrets-0001",
    sql: "
CREATE TABLE secret (
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('active', 'revoked')),
    leased_to  TEXT NOT NULL CHECK (leased_to IN ('any', 'granted')),
    generated  INTEGER,
    sealed     BLOB CHECK ((sealed IS NULL) = (status = 'revoked')),
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    reason     TEXT,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
CREATE TABLE secret_grant (
    namespace  TEXT NOT NULL,
    secret     TEXT NOT NULL,
    agent      TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at TEXT NOT NULL,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, secret, agent)
) STRICT;
CREATE TABLE secret_lease (
    namespace  TEXT NOT NULL,
    id         TEXT NOT NULL,
    secret     TEXT NOT NULL,
    version    INTEGER NOT NULL,
    run        TEXT NOT NULL,
    agent      TEXT NOT NULL,
    issued_at  TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT,
    ended      TEXT CHECK (ended IN ('run', 'lapsed', 'replaced', 'secret', 'person')),
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX secret_lease_run ON secret_lease (run, secret, id);
CREATE INDEX secret_lease_open ON secret_lease (secret) WHERE revoked_at IS NULL;
",
}];

/// Whether a secret can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It can.
    Active,
    /// It cannot, and its value is gone.
    Revoked,
}

impl Status {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }
}

/// Whose runs may have a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeasedTo {
    /// Of every agent that policy lets use the tool or the model that needs it.
    Any,
    /// Of those that have a grant.
    Granted,
}

impl LeasedTo {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Granted => "granted",
        }
    }
}

/// A secret, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Label,
    /// The version of its value: one more with each.
    pub version: u64,
    /// Whether it can be used.
    pub status: Status,
    /// Whose runs may have it.
    pub leased_to: LeasedTo,
    /// Of how many random bytes its value was made, if it was.
    pub generated: Option<u64>,
    /// Its value, sealed; none of one that was revoked.
    pub sealed: Option<Vec<u8>>,
    /// When it was put first.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was changed last.
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: String,
    /// Why it was revoked.
    pub reason: Option<String>,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl SecretRow {
    /// The row's key.
    pub fn key(namespace: &Namespace, name: &Label) -> Key {
        key([("namespace", namespace.as_str()), ("name", name.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("secret", Self::key(&self.namespace, &self.name), self.entry_seq)
    }

    /// That it was still never put here.
    pub fn absent(namespace: &Namespace, name: &Label) -> Guard {
        Guard::absent("secret", Self::key(namespace, name))
    }

    /// As the keeper takes it.
    pub fn kept(&self) -> Kept {
        Kept { name: self.name.to_string(), version: self.version, sealed: self.sealed.clone() }
    }

    pub(crate) fn row(&self) -> Row {
        let row = Row::put("secret")
            .text("namespace", self.namespace.as_str())
            .text("name", self.name.as_str())
            .integer("version", self.version.cast_signed())
            .text("status", self.status.as_str())
            .text("leased_to", self.leased_to.as_str())
            .optional_integer("generated", self.generated.map(u64::cast_signed))
            .text("created_at", self.created_at.to_string())
            .text("created_by", self.created_by.as_str())
            .text("changed_at", self.changed_at.to_string())
            .text("changed_by", self.changed_by.as_str())
            .optional_text("reason", self.reason.as_deref());
        match &self.sealed {
            Some(sealed) => row.bytes("sealed", sealed.as_slice()),
            None => row,
        }
    }
}

/// That runs of an agent may have a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The secret.
    pub secret: Label,
    /// The agent.
    pub agent: Name,
    /// Who said so.
    pub granted_by: String,
    /// When.
    pub granted_at: Timestamp,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl GrantRow {
    fn key(&self) -> Key {
        let (secret, agent) = (self.secret.as_str(), self.agent.to_string());
        key([("namespace", self.namespace.as_str()), ("secret", secret), ("agent", &agent)])
    }

    pub(crate) fn guard(&self) -> Guard {
        match self.entry_seq {
            0 => Guard::absent("secret_grant", self.key()),
            seq => Guard::unchanged("secret_grant", self.key(), seq),
        }
    }

    pub(crate) fn row(&self) -> Row {
        Row::put("secret_grant")
            .text("namespace", self.namespace.as_str())
            .text("secret", self.secret.as_str())
            .text("agent", self.agent.to_string())
            .text("granted_by", self.granted_by.as_str())
            .text("granted_at", self.granted_at.to_string())
    }

    pub(crate) fn gone(&self) -> Row {
        Row::delete("secret_grant")
            .text("namespace", self.namespace.as_str())
            .text("secret", self.secret.as_str())
            .text("agent", self.agent.to_string())
    }
}

/// Why a lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its run ended.
    Run,
    /// It was not renewed in time, and another took its place.
    Lapsed,
    /// The secret has another value, and another lease took its place.
    Replaced,
    /// The secret was revoked.
    Secret,
    /// A person revoked it: its run gets no other.
    Person,
}

impl Ended {
    const ALL: [Self; 5] = [Self::Run, Self::Lapsed, Self::Replaced, Self::Secret, Self::Person];

    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Lapsed => "lapsed",
            Self::Replaced => "replaced",
            Self::Secret => "secret",
            Self::Person => "person",
        }
    }
}

/// That a run may have a secret, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Its id.
    pub id: LeaseId,
    /// The secret.
    pub secret: Label,
    /// The version of its value; 0 of a secret that is a file.
    pub version: u64,
    /// The run.
    pub run: RunId,
    /// The run's agent.
    pub agent: Name,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Until when it holds, unless it is renewed.
    pub expires_at: Timestamp,
    /// When it ended, and why.
    pub over: Option<(Timestamp, Ended)>,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl LeaseRow {
    fn key(&self) -> Key {
        key([("namespace", self.namespace.as_str()), ("id", self.id.as_str())])
    }

    /// That it is still as it was loaded, or, of one that is not written yet, that it is not there.
    pub fn guard(&self) -> Guard {
        match self.entry_seq {
            0 => Guard::absent("secret_lease", self.key()),
            seq => Guard::unchanged("secret_lease", self.key(), seq),
        }
    }

    /// Whether it holds at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.over.is_none() && now < self.expires_at
    }

    pub(crate) fn row(&self) -> Row {
        Row::put("secret_lease")
            .text("namespace", self.namespace.as_str())
            .text("id", self.id.as_str())
            .text("secret", self.secret.as_str())
            .integer("version", self.version.cast_signed())
            .text("run", self.run.as_str())
            .text("agent", self.agent.to_string())
            .text("issued_at", self.issued_at.to_string())
            .text("expires_at", self.expires_at.to_string())
            .optional_text("revoked_at", self.over.map(|(at, _)| at.to_string()))
            .optional_text("ended", self.over.map(|(_, why)| why.as_str()))
    }
}

const SECRET: &str = "SELECT namespace, name, version, status, leased_to, generated, sealed, created_at, created_by, changed_at, \
                      changed_by, reason, entry_seq FROM secret";

fn secret_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<SecretRow> {
    Ok(SecretRow {
        namespace: parsed(row, 0)?,
        name: parsed(row, 1)?,
        version: row.get(2)?,
        status: if row.get_ref(3)?.as_str()? == "active" { Status::Active } else { Status::Revoked },
        leased_to: if row.get_ref(4)?.as_str()? == "any" { LeasedTo::Any } else { LeasedTo::Granted },
        generated: row.get(5)?,
        sealed: row.get(6)?,
        created_at: parsed(row, 7)?,
        created_by: row.get(8)?,
        changed_at: parsed(row, 9)?,
        changed_by: row.get(10)?,
        reason: row.get(11)?,
        entry_seq: row.get(12)?,
    })
}

/// A secret.
///
/// # Errors
/// The store cannot be read.
pub fn secret(reader: &Reader<'_>, namespace: &Namespace, name: &Label) -> Result<Option<SecretRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{SECRET} WHERE namespace = ?1 AND name = ?2"))?;
    Ok(statement.query_row([namespace.as_str(), name.as_str()], secret_row).optional()?)
}

/// Every secret of a namespace, by name.
///
/// # Errors
/// The store cannot be read.
pub fn secrets(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<SecretRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{SECRET} WHERE namespace = ?1 ORDER BY name"))?;
    Ok(statement.query_map([namespace.as_str()], secret_row)?.collect::<Result<_, _>>()?)
}

/// Whether nothing was ever sealed: no secret of any namespace is there, not even a revoked one.
///
/// # Errors
/// The store cannot be read.
pub fn is_new(reader: &Reader<'_>) -> Result<bool, StoreError> {
    Ok(reader.sql().query_row("SELECT NOT EXISTS (SELECT 1 FROM secret)", [], |row| row.get(0))?)
}

/// Whether there is such an agent: a grant to one that there is not would be a mistake.
pub(crate) fn has_agent(reader: &Reader<'_>, agent: &Name) -> Result<bool, StoreError> {
    let mut statement = reader.sql().prepare_cached("SELECT 1 FROM agent WHERE namespace = ?1 AND name = ?2")?;
    Ok(statement.exists([agent.namespace().as_str(), agent.label().as_str()])?)
}

/// The grants of a secret, by agent.
///
/// # Errors
/// The store cannot be read.
pub fn grants(reader: &Reader<'_>, namespace: &Namespace, secret: &Label) -> Result<Vec<GrantRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT namespace, secret, agent, granted_by, granted_at, entry_seq FROM secret_grant
         WHERE namespace = ?1 AND secret = ?2 ORDER BY agent",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(GrantRow {
            namespace: parsed(row, 0)?,
            secret: parsed(row, 1)?,
            agent: parsed(row, 2)?,
            granted_by: row.get(3)?,
            granted_at: parsed(row, 4)?,
            entry_seq: row.get(5)?,
        })
    };
    Ok(statement.query_map([namespace.as_str(), secret.as_str()], read)?.collect::<Result<_, _>>()?)
}

const LEASE: &str = "SELECT l.namespace, l.id, l.secret, l.version, l.run, l.agent, l.issued_at, l.expires_at, l.revoked_at, l.ended, \
                     l.entry_seq FROM secret_lease l";

fn lease_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<LeaseRow> {
    let at: Option<String> = row.get(8)?;
    let at: Option<Timestamp> = at.map(|at| at.parse().map_err(|e| damaged(8, e))).transpose()?;
    let word: Option<String> = row.get(9)?;
    let why = Ended::ALL.into_iter().find(|why| word.as_deref() == Some(why.as_str()));
    Ok(LeaseRow {
        namespace: parsed(row, 0)?,
        id: parsed(row, 1)?,
        secret: parsed(row, 2)?,
        version: row.get(3)?,
        run: parsed(row, 4)?,
        agent: parsed(row, 5)?,
        issued_at: parsed(row, 6)?,
        expires_at: parsed(row, 7)?,
        over: at.map(|at| (at, why.unwrap_or(Ended::Run))),
        entry_seq: row.get(10)?,
    })
}

/// The lease of a secret that counts for a run: one that a person revoked, if there is one; else the one that is not over.
pub(crate) fn lease_of(reader: &Reader<'_>, run: &RunId, secret: &Label) -> Result<Option<LeaseRow>, StoreError> {
    let sql = format!(
        "{LEASE} WHERE l.run = ?1 AND l.secret = ?2 AND (l.revoked_at IS NULL OR l.ended = 'person') \
         ORDER BY l.revoked_at IS NULL LIMIT 1"
    );
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_row(params![run.as_str(), secret.as_str()], lease_row).optional()?)
}

/// A lease.
pub(crate) fn lease(reader: &Reader<'_>, namespace: &Namespace, id: &LeaseId) -> Result<Option<LeaseRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{LEASE} WHERE l.namespace = ?1 AND l.id = ?2"))?;
    Ok(statement.query_row(params![namespace.as_str(), id.as_str()], lease_row).optional()?)
}

/// The leases that a run has and that are not over.
///
/// # Errors
/// The store cannot be read.
pub fn open_leases(reader: &Reader<'_>, run: &RunId) -> Result<Vec<LeaseRow>, StoreError> {
    let sql = format!("{LEASE} WHERE l.run = ?1 AND l.revoked_at IS NULL ORDER BY l.id");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map([run.as_str()], lease_row)?.collect::<Result<_, _>>()?)
}

/// The leases of a secret that are not over.
pub(crate) fn open_leases_of(reader: &Reader<'_>, secret: &Label) -> Result<Vec<LeaseRow>, StoreError> {
    let sql = format!("{LEASE} WHERE l.secret = ?1 AND l.revoked_at IS NULL ORDER BY l.id");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map([secret.as_str()], lease_row)?.collect::<Result<_, _>>()?)
}

/// Leases that are not over though their runs are: there is none, unless something went wrong.
///
/// # Errors
/// The store cannot be read.
pub fn left_over(reader: &Reader<'_>) -> Result<Vec<LeaseRow>, StoreError> {
    // Those that are not over are few, and have an index; a run that is not there at all is over.
    let sql = format!(
        "{LEASE} WHERE l.revoked_at IS NULL AND NOT EXISTS (SELECT 1 FROM run r WHERE r.namespace = l.namespace AND r.id = l.run \
         AND r.ending IS NULL) ORDER BY l.id"
    );
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map([], lease_row)?.collect::<Result<_, _>>()?)
}

/// Which leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseFilter {
    /// Of this secret.
    pub secret: Option<String>,
    /// Of this run.
    pub run: Option<String>,
    /// Also those that are over.
    pub all: bool,
    /// At most so many.
    pub limit: u32,
}

/// Leases, newest first.
///
/// # Errors
/// The store cannot be read.
pub fn leases(reader: &Reader<'_>, filter: &LeaseFilter) -> Result<Vec<LeaseRow>, StoreError> {
    let mut conditions = Vec::new();
    let mut values: Vec<&dyn rusqlite::ToSql> = Vec::new();
    if let Some(secret) = &filter.secret {
        values.push(secret);
        conditions.push(format!("l.secret = ?{}", values.len()));
    }
    if let Some(run) = &filter.run {
        values.push(run);
        conditions.push(format!("l.run = ?{}", values.len()));
    }
    if !filter.all {
        conditions.push("l.revoked_at IS NULL".to_owned());
    }
    let condition = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let sql = format!("{LEASE} {condition} ORDER BY l.id DESC LIMIT {}", filter.limit);
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map(values.as_slice(), lease_row)?.collect::<Result<_, _>>()?)
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|e: T::Err| damaged(column, e))
}

fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
