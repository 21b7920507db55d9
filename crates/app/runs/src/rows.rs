//! The tables of runs.

use std::str::FromStr;

use rusqlite::{OptionalExtension as _, params};
use steward_clock::Timestamp;
use steward_governor::{Ending, Reason, Run};
use steward_naming::{CredentialId, HandoffId, Label, Name, Namespace, RevocationId, RunId, TraceId};
use steward_permit::Tier;
use steward_seal::Digest;
use steward_store::{Guard, Key, Migration, Reader, Row, StoreError, key};

/// The tables, as they came to be.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "runs-0001",
    sql: "
CREATE TABLE run (
    namespace     TEXT NOT NULL,
    id            TEXT NOT NULL,
    task          TEXT NOT NULL,
    agent         TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    tier          TEXT NOT NULL,
    phase         TEXT NOT NULL,
    ending        TEXT CHECK (ending IN ('completed', 'refused', 'failed', 'stopped', 'revoked')),
    code          TEXT,
    message       TEXT,
    compliant     INTEGER CHECK (compliant IN (0, 1)),
    packet        TEXT NOT NULL,
    plan          TEXT,
    package       TEXT,
    report        TEXT,
    handoff       TEXT,
    parent        TEXT,
    trace         TEXT NOT NULL,
    started_by    TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    ended_at      TEXT,
    fence         INTEGER NOT NULL,
    credential    TEXT,
    sandbox       TEXT,
    state         TEXT NOT NULL,
    entry_seq     INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX run_live ON run (id) WHERE ending IS NULL;
CREATE INDEX run_agent ON run (agent, id);
CREATE INDEX run_task ON run (task, id);

CREATE TABLE run_lock (
    namespace  TEXT NOT NULL,
    agent      TEXT NOT NULL,
    fence      INTEGER NOT NULL,
    run        TEXT,
    expires_at TEXT,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, agent)
) STRICT;

CREATE TABLE credential (
    namespace  TEXT NOT NULL,
    id         TEXT NOT NULL,
    run        TEXT NOT NULL,
    agent      TEXT NOT NULL,
    issued_at  TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT,
    entry_seq  INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;

CREATE TABLE revocation (
    namespace         TEXT NOT NULL,
    id                TEXT NOT NULL,
    agent             TEXT NOT NULL,
    reason            TEXT NOT NULL,
    details           TEXT NOT NULL,
    run               TEXT,
    task              TEXT,
    by                TEXT NOT NULL,
    at                TEXT NOT NULL,
    reinstated_by     TEXT,
    reinstated_reason TEXT,
    reinstated_at     TEXT,
    reinstated_tier   TEXT,
    entry_seq         INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX revocation_agent ON revocation (agent, id);
CREATE INDEX revocation_open ON revocation (agent) WHERE reinstated_at IS NULL;

CREATE TABLE handoff (
    namespace       TEXT NOT NULL,
    id              TEXT NOT NULL,
    task            TEXT NOT NULL,
    previous_agent  TEXT NOT NULL,
    run             TEXT NOT NULL,
    document        TEXT NOT NULL,
    written_at      TEXT NOT NULL,
    acknowledged_by TEXT,
    entry_seq       INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT;
CREATE INDEX handoff_task ON handoff (task, id);
CREATE INDEX handoff_run ON handoff (run);

CREATE VIEW agent_metrics AS
SELECT a.name || '.' || a.namespace AS agent_id,
       a.tier                       AS current_tier,
       count(r.id)                  AS total_runs,
       count(r.id) FILTER (WHERE r.compliant = 1) AS compliant_runs,
       count(r.id) FILTER (WHERE r.compliant = 1 AND r.id > coalesce((SELECT max(b.id) FROM run b
           WHERE b.agent = a.name || '.' || a.namespace AND b.compliant = 0), '')) AS consecutive_compliant,
       coalesce(max(r.ended_at), max(r.started_at)) AS last_active_at
FROM agent a LEFT JOIN run r ON r.agent = a.name || '.' || a.namespace
GROUP BY a.namespace, a.name;
",
}];

/// A run, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The namespace.
    pub namespace: Namespace,
    /// The machine's state: id, task, agent, tier, packet, phase, budget, ending.
    pub state: Run,
    /// The version of the agent's manifest.
    pub agent_version: String,
    /// Whether it counts as compliant (GOV-9): completed; none while it is live, and if it ended by no doing of the agent.
    pub compliant: Option<bool>,
    /// The digest of its evidence package, once there is one.
    pub package: Option<Digest>,
    /// The digest of its report, once there is one.
    pub report: Option<Digest>,
    /// What joins all its entries.
    pub trace: TraceId,
    /// Who started it: a full name.
    pub started_by: String,
    /// The number of its lock; 0 before it has one.
    pub fence: u64,
    /// Its credential, once it has one.
    pub credential: Option<CredentialId>,
    /// How its agent was kept in: grade and limits, in words.
    pub sandbox: Option<String>,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

impl RunRow {
    /// Its id.
    pub fn id(&self) -> &RunId {
        &self.state.id
    }

    /// The row's key.
    pub fn key(namespace: &Namespace, id: &RunId) -> Key {
        key([("namespace", namespace.as_str()), ("id", id.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("run", Self::key(&self.namespace, self.id()), self.entry_seq)
    }

    /// Whether it has not ended.
    pub fn is_live(&self) -> bool {
        self.state.ended.is_none()
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        let run = &self.state;
        let ended = run.ended.as_ref();
        Row::put("run")
            .text("namespace", self.namespace.as_str())
            .text("id", run.id.as_str())
            .text("task", run.task.as_str())
            .text("agent", run.agent.to_string())
            .text("agent_version", self.agent_version.as_str())
            .text("tier", run.tier.as_str())
            .text("phase", run.phase.as_str())
            .optional_text("ending", ended.map(|e| e.ending.as_str()))
            .optional_text("code", ended.map(|e| e.code.as_str()))
            .optional_text("message", ended.map(|e| e.message.as_str()))
            .optional_integer("compliant", self.compliant.map(i64::from))
            .text("packet", run.packet.digest().to_string())
            .optional_text("plan", run.plan.as_ref().map(|p| p.digest().to_string()))
            .optional_text("package", self.package.map(|d| d.to_string()))
            .optional_text("report", self.report.map(|d| d.to_string()))
            .optional_text("handoff", run.handoff.as_ref().map(HandoffId::as_str))
            .optional_text("parent", run.parent.as_ref().map(RunId::as_str))
            .text("trace", self.trace.as_str())
            .text("started_by", self.started_by.as_str())
            .text("started_at", run.started_at.to_string())
            .optional_text("ended_at", ended.map(|e| e.at.to_string()))
            .integer("fence", i64::try_from(self.fence).unwrap_or(i64::MAX))
            .optional_text("credential", self.credential.as_ref().map(CredentialId::as_str))
            .optional_text("sandbox", self.sandbox.as_deref())
            .text("state", serde_json::to_string(run).expect("a run is JSON"))
    }
}

const RUN: &str = "SELECT namespace, state, agent_version, compliant, package, report, trace, started_by, fence, credential, \
                   sandbox, entry_seq FROM run";

fn run_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        namespace: parsed(row, 0)?,
        state: serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|e| damaged(1, e))?,
        agent_version: row.get(2)?,
        compliant: row.get(3)?,
        package: optional(row, 4)?,
        report: optional(row, 5)?,
        trace: parsed(row, 6)?,
        started_by: row.get(7)?,
        fence: row.get(8)?,
        credential: optional(row, 9)?,
        sandbox: row.get(10)?,
        entry_seq: row.get(11)?,
    })
}

/// A run.
///
/// # Errors
/// The store cannot be read.
pub fn run(reader: &Reader<'_>, namespace: &Namespace, id: &RunId) -> Result<Option<RunRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{RUN} WHERE namespace = ?1 AND id = ?2"))?;
    Ok(statement.query_row(params![namespace.as_str(), id.as_str()], run_row).optional()?)
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Whose: an agent's full name.
    pub agent: Option<String>,
    /// On which task.
    pub task: Option<String>,
    /// Only those that have not ended.
    pub live: bool,
    /// At most so many.
    pub limit: u32,
}

/// Runs, newest first.
///
/// # Errors
/// The store cannot be read.
pub fn runs(reader: &Reader<'_>, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
    // Only what is asked for stands in the query, so that the index of what is asked for serves it.
    let mut conditions = Vec::new();
    let mut values: Vec<&dyn rusqlite::ToSql> = Vec::new();
    if let Some(agent) = &filter.agent {
        values.push(agent);
        conditions.push(format!("agent = ?{}", values.len()));
    }
    if let Some(task) = &filter.task {
        values.push(task);
        conditions.push(format!("task = ?{}", values.len()));
    }
    if filter.live {
        conditions.push("ending IS NULL".to_owned());
    }
    let condition = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let mut statement =
        reader.sql().prepare_cached(&format!("{RUN} {condition} ORDER BY id DESC LIMIT {}", filter.limit))?;
    Ok(statement.query_map(values.as_slice(), run_row)?.collect::<Result<_, _>>()?)
}

/// Runs that have not ended, oldest first.
///
/// # Errors
/// The store cannot be read.
pub fn live_runs(reader: &Reader<'_>) -> Result<Vec<RunRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{RUN} WHERE ending IS NULL ORDER BY id"))?;
    Ok(statement.query_map([], run_row)?.collect::<Result<_, _>>()?)
}

/// How many runs there are by how they ended; of live ones the ending is empty.
///
/// # Errors
/// The store cannot be read.
pub fn runs_by_ending(reader: &Reader<'_>) -> Result<Vec<(String, u64)>, StoreError> {
    let mut statement = reader
        .sql()
        .prepare_cached("SELECT coalesce(ending, ''), count(*) FROM run GROUP BY ending ORDER BY ending")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// The runs of a task, oldest first.
///
/// # Errors
/// The store cannot be read.
pub fn runs_of_task(reader: &Reader<'_>, task: &Label) -> Result<Vec<RunRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{RUN} WHERE task = ?1 ORDER BY id"))?;
    Ok(statement.query_map([task.as_str()], run_row)?.collect::<Result<_, _>>()?)
}

/// An agent's execution lock. The row stays when it is released, so that its number only grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRow {
    /// Whose.
    pub agent: Name,
    /// Its number: one more each time that it is taken.
    pub fence: u64,
    /// The run that holds it.
    pub run: Option<RunId>,
    /// Until when, without a sign of life.
    pub expires_at: Option<Timestamp>,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

impl LockRow {
    fn key(agent: &Name) -> Key {
        key([("namespace", agent.namespace().as_str()), ("agent", agent.label().as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        match self.entry_seq {
            0 => Guard::absent("run_lock", Self::key(&self.agent)),
            seq => Guard::unchanged("run_lock", Self::key(&self.agent), seq),
        }
    }

    /// Whether `run` holds it under this number.
    pub fn is_held_by(&self, run: &RunId, fence: u64) -> bool {
        self.run.as_ref() == Some(run) && self.fence == fence
    }

    /// Whether somebody holds it at `now`.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.run.is_some() && self.expires_at.is_some_and(|until| now < until)
    }

    pub(crate) fn row(&self) -> Row {
        Row::put("run_lock")
            .text("namespace", self.agent.namespace().as_str())
            .text("agent", self.agent.label().as_str())
            .integer("fence", i64::try_from(self.fence).unwrap_or(i64::MAX))
            .optional_text("run", self.run.as_ref().map(RunId::as_str))
            .optional_text("expires_at", self.expires_at.map(|t| t.to_string()))
    }
}

const LOCK: &str = "SELECT agent || '.' || namespace, fence, run, expires_at, entry_seq FROM run_lock";

fn lock_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<LockRow> {
    Ok(LockRow {
        agent: parsed(row, 0)?,
        fence: row.get(1)?,
        run: optional(row, 2)?,
        expires_at: optional(row, 3)?,
        entry_seq: row.get(4)?,
    })
}

/// An agent's lock; one that was never taken has the number 0.
///
/// # Errors
/// The store cannot be read.
pub fn lock(reader: &Reader<'_>, agent: &Name) -> Result<LockRow, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{LOCK} WHERE namespace = ?1 AND agent = ?2"))?;
    let found =
        statement.query_row(params![agent.namespace().as_str(), agent.label().as_str()], lock_row).optional()?;
    let never = LockRow { agent: agent.clone(), fence: 0, run: None, expires_at: None, entry_seq: 0 };
    Ok(found.unwrap_or(never))
}

/// Locks that somebody holds beyond their time.
///
/// # Errors
/// The store cannot be read.
pub fn locks_that_lapsed(reader: &Reader<'_>, now: Timestamp) -> Result<Vec<LockRow>, StoreError> {
    let mut statement =
        reader.sql().prepare_cached(&format!("{LOCK} WHERE run IS NOT NULL AND expires_at <= ?1 ORDER BY agent"))?;
    Ok(statement.query_map([now.to_string()], lock_row)?.collect::<Result<_, _>>()?)
}

/// The short-lived credential of a run. Everything that its agent asks for is committed under it, so that nothing is once it is
/// revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Its id.
    pub id: CredentialId,
    /// The run.
    pub run: RunId,
    /// The agent.
    pub agent: Name,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Until when, unless it is renewed.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

impl CredentialRow {
    fn key(namespace: &Namespace, id: &CredentialId) -> Key {
        key([("namespace", namespace.as_str()), ("id", id.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("credential", Self::key(&self.namespace, &self.id), self.entry_seq)
    }

    /// That there is no such credential yet.
    pub(crate) fn absent(&self) -> Guard {
        Guard::absent("credential", Self::key(&self.namespace, &self.id))
    }

    /// Whether it is good at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    pub(crate) fn row(&self) -> Row {
        Row::put("credential")
            .text("namespace", self.namespace.as_str())
            .text("id", self.id.as_str())
            .text("run", self.run.as_str())
            .text("agent", self.agent.to_string())
            .text("issued_at", self.issued_at.to_string())
            .text("expires_at", self.expires_at.to_string())
            .optional_text("revoked_at", self.revoked_at.map(|t| t.to_string()))
    }
}

/// A credential.
///
/// # Errors
/// The store cannot be read.
pub fn credential(
    reader: &Reader<'_>,
    namespace: &Namespace,
    id: &CredentialId,
) -> Result<Option<CredentialRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT namespace, id, run, agent, issued_at, expires_at, revoked_at, entry_seq FROM credential
         WHERE namespace = ?1 AND id = ?2",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(CredentialRow {
            namespace: parsed(row, 0)?,
            id: parsed(row, 1)?,
            run: parsed(row, 2)?,
            agent: parsed(row, 3)?,
            issued_at: parsed(row, 4)?,
            expires_at: parsed(row, 5)?,
            revoked_at: optional(row, 6)?,
            entry_seq: row.get(7)?,
        })
    };
    Ok(statement.query_row(params![namespace.as_str(), id.as_str()], read).optional()?)
}

/// The revocation of an agent, and its reinstatement if there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationRow {
    /// Its id.
    pub id: RevocationId,
    /// Whose.
    pub agent: Name,
    /// Why: one of GOV-4's reasons.
    pub reason: Reason,
    /// The same in words.
    pub details: String,
    /// The run that it ended.
    pub run: Option<RunId>,
    /// The task of that run.
    pub task: Option<Label>,
    /// Who: a person's full name, or the node's namespace.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Who reinstated the agent, why and when, and the tier that it came back with.
    pub reinstated: Option<Reinstated>,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

/// A reinstatement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reinstated {
    /// Who: a person's full name.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The tier that the agent came back with.
    pub tier: Tier,
}

impl RevocationRow {
    fn key(&self) -> Key {
        key([("namespace", self.agent.namespace().as_str()), ("id", self.id.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("revocation", self.key(), self.entry_seq)
    }

    /// That there is no such revocation yet.
    pub fn absent(&self) -> Guard {
        Guard::absent("revocation", self.key())
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        let back = self.reinstated.as_ref();
        Row::put("revocation")
            .text("namespace", self.agent.namespace().as_str())
            .text("id", self.id.as_str())
            .text("agent", self.agent.to_string())
            .text("reason", self.reason.as_str())
            .text("details", self.details.as_str())
            .optional_text("run", self.run.as_ref().map(RunId::as_str))
            .optional_text("task", self.task.as_ref().map(Label::as_str))
            .text("by", self.by.as_str())
            .text("at", self.at.to_string())
            .optional_text("reinstated_by", back.map(|b| b.by.as_str()))
            .optional_text("reinstated_reason", back.map(|b| b.reason.as_str()))
            .optional_text("reinstated_at", back.map(|b| b.at.to_string()))
            .optional_text("reinstated_tier", back.map(|b| b.tier.as_str()))
    }
}

const REVOCATION: &str = "SELECT id, agent, reason, details, run, task, by, at, reinstated_by, reinstated_reason, reinstated_at, \
                          reinstated_tier, entry_seq FROM revocation";

fn revocation_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RevocationRow> {
    let by: Option<String> = row.get(8)?;
    let reinstated = match by {
        None => None,
        Some(by) => Some(Reinstated { by, reason: row.get(9)?, at: parsed(row, 10)?, tier: parsed(row, 11)? }),
    };
    Ok(RevocationRow {
        id: parsed(row, 0)?,
        agent: parsed(row, 1)?,
        reason: parsed(row, 2)?,
        details: row.get(3)?,
        run: optional(row, 4)?,
        task: optional(row, 5)?,
        by: row.get(6)?,
        at: parsed(row, 7)?,
        reinstated,
        entry_seq: row.get(12)?,
    })
}

/// A revocation.
///
/// # Errors
/// The store cannot be read.
pub fn revocation(reader: &Reader<'_>, id: &RevocationId) -> Result<Option<RevocationRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{REVOCATION} WHERE id = ?1"))?;
    Ok(statement.query_row([id.as_str()], revocation_row).optional()?)
}

/// The revocation of an agent that no person has taken back, however long ago it was.
///
/// # Errors
/// The store cannot be read.
pub fn open_revocation(reader: &Reader<'_>, agent: &Name) -> Result<Option<RevocationRow>, StoreError> {
    let mut statement = reader
        .sql()
        .prepare_cached(&format!("{REVOCATION} WHERE agent = ?1 AND reinstated_at IS NULL ORDER BY id DESC LIMIT 1"))?;
    Ok(statement.query_row([agent.to_string()], revocation_row).optional()?)
}

/// Revocations, newest first, at most `limit`.
///
/// # Errors
/// The store cannot be read.
pub fn revocations(reader: &Reader<'_>, limit: u32) -> Result<Vec<RevocationRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{REVOCATION} ORDER BY id DESC LIMIT {limit}"))?;
    Ok(statement.query_map([], revocation_row)?.collect::<Result<_, _>>()?)
}

/// What a revoked agent left to its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoffRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Its id.
    pub id: HandoffId,
    /// The task.
    pub task: Label,
    /// Whose run was revoked.
    pub previous_agent: Name,
    /// That run.
    pub run: RunId,
    /// The digest of the document, which is a blob.
    pub document: Digest,
    /// When it was written.
    pub written_at: Timestamp,
    /// The run that acknowledged it.
    pub acknowledged_by: Option<RunId>,
    /// The entry that wrote this; 0 for a row that is not written yet.
    pub entry_seq: u64,
}

impl HandoffRow {
    fn key(&self) -> Key {
        key([("namespace", self.namespace.as_str()), ("id", self.id.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("handoff", self.key(), self.entry_seq)
    }

    /// That there is no such handoff yet.
    pub fn absent(&self) -> Guard {
        Guard::absent("handoff", self.key())
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        Row::put("handoff")
            .text("namespace", self.namespace.as_str())
            .text("id", self.id.as_str())
            .text("task", self.task.as_str())
            .text("previous_agent", self.previous_agent.to_string())
            .text("run", self.run.as_str())
            .text("document", self.document.to_string())
            .text("written_at", self.written_at.to_string())
            .optional_text("acknowledged_by", self.acknowledged_by.as_ref().map(RunId::as_str))
    }
}

const HANDOFF: &str =
    "SELECT namespace, id, task, previous_agent, run, document, written_at, acknowledged_by, entry_seq FROM handoff";

fn handoff_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<HandoffRow> {
    Ok(HandoffRow {
        namespace: parsed(row, 0)?,
        id: parsed(row, 1)?,
        task: parsed(row, 2)?,
        previous_agent: parsed(row, 3)?,
        run: parsed(row, 4)?,
        document: parsed(row, 5)?,
        written_at: parsed(row, 6)?,
        acknowledged_by: optional(row, 7)?,
        entry_seq: row.get(8)?,
    })
}

/// A handoff.
///
/// # Errors
/// The store cannot be read.
pub fn handoff(reader: &Reader<'_>, id: &HandoffId) -> Result<Option<HandoffRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{HANDOFF} WHERE id = ?1"))?;
    Ok(statement.query_row([id.as_str()], handoff_row).optional()?)
}

/// The handoff that a run left.
///
/// # Errors
/// The store cannot be read.
pub fn handoff_of(reader: &Reader<'_>, run: &RunId) -> Result<Option<HandoffRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{HANDOFF} WHERE run = ?1"))?;
    Ok(statement.query_row([run.as_str()], handoff_row).optional()?)
}

/// The newest handoff of a task.
///
/// # Errors
/// The store cannot be read.
pub fn latest_handoff(reader: &Reader<'_>, task: &Label) -> Result<Option<HandoffRow>, StoreError> {
    let mut statement = reader.sql().prepare_cached(&format!("{HANDOFF} WHERE task = ?1 ORDER BY id DESC LIMIT 1"))?;
    Ok(statement.query_row([task.as_str()], handoff_row).optional()?)
}

/// Locks that are held, and credentials that are good, of runs that are over: there are none, or something is broken.
///
/// # Errors
/// The store cannot be read.
pub fn left_over(reader: &Reader<'_>) -> Result<Vec<String>, StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT 'lock of ' || l.agent FROM run_lock l JOIN run r ON r.id = l.run WHERE r.ending IS NOT NULL
         UNION ALL SELECT 'credential ' || c.id FROM credential c JOIN run r ON r.id = c.run
         WHERE r.ending IS NOT NULL AND c.revoked_at IS NULL
         UNION ALL SELECT 'revocation of ' || v.agent || ' without its agent' FROM revocation v
         JOIN agent a ON a.name || '.' || a.namespace = v.agent WHERE v.reinstated_at IS NULL AND a.status = 'active'",
    )?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// What the record says of an agent's runs (GOV-9): all, compliant ones, and compliant ones since the last that was not.
///
/// # Errors
/// The store cannot be read.
pub fn metrics(reader: &Reader<'_>, agent: &Name) -> Result<(u64, u64, u64), StoreError> {
    let mut statement = reader.sql().prepare_cached(
        "SELECT total_runs, compliant_runs, consecutive_compliant FROM agent_metrics WHERE agent_id = ?1",
    )?;
    let found = statement.query_row([agent.to_string()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()?;
    Ok(found.unwrap_or_default())
}

/// Whether a run that ended so counts as compliant; one that ended by no doing of the agent counts neither way.
pub(crate) fn compliance(ending: Ending, is_the_agents: bool) -> Option<bool> {
    match ending {
        Ending::Completed => Some(true),
        Ending::Stopped => None,
        Ending::Refused | Ending::Failed | Ending::Revoked => is_the_agents.then_some(false),
    }
}

fn optional<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|e: T::Err| damaged(column, e))).transpose()
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|e: T::Err| damaged(column, e))
}

fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
