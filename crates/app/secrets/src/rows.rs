//! The tables `secret`, `secret_grant`, `secret_lease` and `secret_made`.

use std::str::FromStr;

use rusqlite::{OptionalExtension as _, params};
use steward_clock::Timestamp;
use steward_keeper::Kept;
use steward_naming::{Label, LeaseId, Name, Namespace, RunId};
use steward_store::{Guard, Key, Migration, Reader, Row, StoreError, key};

/// The tables, as they came to be.
pub const MIGRATIONS: &[Migration] = &[
Migration {
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
},
// A secret may have no value of its own: one is made for each lease. SQLite cannot change a CHECK: the table is made anew, its rows as they are.
Migration {
    name: "secrets-0002",
    sql: "
ALTER TABLE secret RENAME TO secret_before;
CREATE TABLE secret (
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('active', 'revoked')),
    leased_to  TEXT NOT NULL CHECK (leased_to IN ('any', 'granted')),
    generated  INTEGER,
    sealed     BLOB CHECK ((sealed IS NULL) = (status = 'revoked' OR made_by IS NOT NULL)),
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    reason     TEXT,
    made_by    TEXT,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
INSERT INTO secret SELECT namespace, name, version, status, leased_to, generated, sealed, created_at, created_by, changed_at, changed_by,
reason, NULL, entry_seq FROM secret_before;
DROP TABLE secret_before;
CREATE TABLE secret_made (
    namespace       TEXT NOT NULL,
    lease           TEXT NOT NULL,
    secret          TEXT NOT NULL,
    version         INTEGER NOT NULL,
    generator       TEXT NOT NULL,
    run             TEXT,
    agent           TEXT,
    state           TEXT NOT NULL CHECK (state IN ('making', 'made', 'ending')),
    maker_id        TEXT,
    made_at         TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    next_at         TEXT NOT NULL,
    uncertain_until TEXT,
    failing_since   TEXT,
    why             TEXT,
    entry_seq       INTEGER NOT NULL,
    PRIMARY KEY (namespace, lease)
) STRICT;
",
},
];

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
    /// The generator that makes a value for each lease, if it has none of its own.
    pub made_by: Option<Label>,
    /// Its value, sealed; none of one that was revoked, or has none of its own.
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

    /// Whether a value is made for each lease.
    pub fn is_made(&self) -> bool {
        self.made_by.is_some() && self.status == Status::Active
    }

    /// As the keeper takes it.
    pub fn kept(&self) -> Kept {
        Kept {
            name: self.name.to_string(),
            version: self.version,
            sealed: self.sealed.clone(),
            is_made: self.is_made(),
        }
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
            .optional_text("reason", self.reason.as_deref())
            .optional_text("made_by", self.made_by.as_ref().map(Label::as_str));
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
                      changed_by, reason, made_by, entry_seq FROM secret";

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
        made_by: perhaps(row, 12)?,
        entry_seq: row.get(13)?,
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
    let at: Option<Timestamp> = perhaps(row, 8)?;
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

/// How far a value is that is made for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeState {
    /// Its generator is told to make it, or was when its process died.
    Making,
    /// It was made.
    Made,
    /// It is over: its generator is told to end it until it did.
    Ending,
}

impl MadeState {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Made => "made",
            Self::Ending => "ending",
        }
    }
}

/// That a generator made a value, or may have; gone when it said that it ended it. The value itself stands nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The lease that it was made for, or is to be; of the node's own use it has no row.
    pub lease: LeaseId,
    /// The secret.
    pub secret: Label,
    /// The version of the secret that it was made under.
    pub version: u64,
    /// Who makes it and ends it.
    pub generator: Label,
    /// The run; none of the node's own use.
    pub run: Option<RunId>,
    /// The run's agent.
    pub agent: Option<Name>,
    /// How far it is.
    pub state: MadeState,
    /// What its generator calls it.
    pub maker_id: Option<String>,
    /// When its generator was told to make it.
    pub made_at: Timestamp,
    /// Until when it is used.
    pub expires_at: Timestamp,
    /// How often its generator was told to end it, in vain.
    pub attempts: u32,
    /// When it is told next, if it is to be ended.
    pub next_at: Timestamp,
    /// Of one whose making did not end well: that it is ended is not believed before then, since its generator may be at work still.
    pub uncertain_until: Option<Timestamp>,
    /// Since when it cannot be ended.
    pub failing_since: Option<Timestamp>,
    /// Why not; or why it was not made.
    pub why: Option<String>,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl MadeRow {
    fn key(&self) -> Key {
        key([("namespace", self.namespace.as_str()), ("lease", self.lease.as_str())])
    }

    /// That it is still as it was loaded, or, of one that is not written yet, that it is not there.
    pub(crate) fn guard(&self) -> Guard {
        match self.entry_seq {
            0 => Guard::absent("secret_made", self.key()),
            seq => Guard::unchanged("secret_made", self.key(), seq),
        }
    }

    pub(crate) fn row(&self) -> Row {
        let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Row::put("secret_made")
            .text("namespace", self.namespace.as_str())
            .text("lease", self.lease.as_str())
            .text("secret", self.secret.as_str())
            .integer("version", self.version.cast_signed())
            .text("generator", self.generator.as_str())
            .optional_text("run", self.run.as_ref().map(RunId::as_str))
            .optional_text("agent", self.agent.as_ref().map(ToString::to_string))
            .text("state", self.state.as_str())
            .optional_text("maker_id", self.maker_id.as_deref())
            .text("made_at", self.made_at.to_string())
            .text("expires_at", self.expires_at.to_string())
            .integer("attempts", i64::from(self.attempts))
            .text("next_at", self.next_at.to_string())
            .optional_text("uncertain_until", at(self.uncertain_until))
            .optional_text("failing_since", at(self.failing_since))
            .optional_text("why", self.why.as_deref())
    }

    /// That it is no more.
    pub(crate) fn gone(&self) -> Row {
        Row::delete("secret_made").text("namespace", self.namespace.as_str()).text("lease", self.lease.as_str())
    }
}

/// A value that was made, and what became of what it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MadeFor {
    pub(crate) row: MadeRow,
    /// Whether its lease is not over; one of the node's own has none.
    pub(crate) is_leased: bool,
    /// Whether its secret is as it was when it was made.
    pub(crate) is_current: bool,
}

const MADE: &str = "SELECT m.namespace, m.lease, m.secret, m.version, m.generator, m.run, m.agent, m.state, m.maker_id, m.made_at, \
                    m.expires_at, m.attempts, m.next_at, m.uncertain_until, m.failing_since, m.why, m.entry_seq, \
                    m.run IS NULL OR l.id IS NOT NULL, s.name IS NOT NULL FROM secret_made m \
                    LEFT JOIN secret_lease l ON l.namespace = m.namespace AND l.id = m.lease AND l.revoked_at IS NULL \
                    LEFT JOIN secret s ON s.namespace = m.namespace AND s.name = m.secret AND s.version = m.version \
                    AND s.status = 'active' AND s.made_by = m.generator";

fn made_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<MadeFor> {
    let state = match row.get_ref(7)?.as_str()? {
        "making" => MadeState::Making,
        "made" => MadeState::Made,
        _ => MadeState::Ending,
    };
    let made = MadeRow {
        namespace: parsed(row, 0)?,
        lease: parsed(row, 1)?,
        secret: parsed(row, 2)?,
        version: row.get(3)?,
        generator: parsed(row, 4)?,
        run: perhaps(row, 5)?,
        agent: perhaps(row, 6)?,
        state,
        maker_id: row.get(8)?,
        made_at: parsed(row, 9)?,
        expires_at: parsed(row, 10)?,
        attempts: row.get(11)?,
        next_at: parsed(row, 12)?,
        uncertain_until: perhaps(row, 13)?,
        failing_since: perhaps(row, 14)?,
        why: row.get(15)?,
        entry_seq: row.get(16)?,
    };
    Ok(MadeFor { row: made, is_leased: row.get(17)?, is_current: row.get(18)? })
}

/// What was made, or may have been, and is not ended: the one that is to be ended first comes first.
pub(crate) fn made(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<MadeFor>, StoreError> {
    let sql = format!("{MADE} WHERE m.namespace = ?1 ORDER BY m.next_at, m.lease");
    let mut statement = reader.sql().prepare_cached(&sql)?;
    Ok(statement.query_map([namespace.as_str()], made_row)?.collect::<Result<_, _>>()?)
}

/// What was made, or may have been, and is not ended.
///
/// # Errors
/// The store cannot be read.
pub fn not_ended(reader: &Reader<'_>, namespace: &Namespace) -> Result<Vec<MadeRow>, StoreError> {
    Ok(made(reader, namespace)?.into_iter().map(|made| made.row).collect())
}

/// Whether a value was made for a lease, and is not ended.
pub(crate) fn is_made(reader: &Reader<'_>, lease: &LeaseRow) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM secret_made WHERE namespace = ?1 AND lease = ?2";
    Ok(reader.sql().prepare_cached(sql)?.exists([lease.namespace.as_str(), lease.id.as_str()])?)
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|e: T::Err| damaged(column, e))
}

fn perhaps<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|e: T::Err| damaged(column, e))).transpose()
}

fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
