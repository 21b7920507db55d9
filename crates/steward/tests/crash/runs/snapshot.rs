//! What a store says of runs, read by a stranger: also that of a node that just died.

use std::{collections::BTreeMap, fs, path::Path};

use rusqlite::{Connection, Row, types::FromSql};

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) agent: String,
    pub(crate) phase: String,
    /// How it ended and why.
    pub(crate) ended: Option<(String, String)>,
    pub(crate) parent: Option<String>,
    pub(crate) errors: u64,
}

impl Run {
    /// How it ended; empty while it has not.
    pub(crate) fn ending(&self) -> &str {
        self.ended.as_ref().map_or("", |(ending, _)| ending)
    }
}

/// An effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) agent: String,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    /// Of what was written, or said.
    pub(crate) digest: Option<String>,
    pub(crate) entry: u64,
}

impl Effect {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "intended" | "publishing")
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) runs: BTreeMap<String, Run>,
    pub(crate) effects: BTreeMap<String, Effect>,
    /// Agents and the runs that hold their locks.
    pub(crate) locks: Vec<(String, String)>,
    /// Runs whose credentials are good.
    pub(crate) credentials: Vec<String>,
    /// Agents that are revoked.
    pub(crate) revoked: Vec<String>,
    /// The same by the table of revocations.
    pub(crate) revocations: Vec<String>,
    /// The runs that were ended by a revocation.
    pub(crate) ended_by_revocations: Vec<String>,
    /// The runs that left handoffs.
    pub(crate) handoffs: Vec<String>,
    pub(crate) is_halted: bool,
}

impl Snapshot {
    /// Of a home in which no node runs. What is read is a copy: reading the store of a dead node would mend it.
    pub(crate) fn of(home: &Path) -> Self {
        let copy = tempfile::tempdir().expect("a temporary folder");
        for file in ["store.sqlite", "store.sqlite-wal"] {
            if home.join(file).exists() {
                fs::copy(home.join(file), copy.path().join(file)).expect("it can be copied");
            }
        }
        let store = Connection::open(copy.path().join("store.sqlite")).expect("there is a store");
        let runs = rows(&store, "SELECT id, agent, phase, ending, code, parent, state FROM run", |row| {
            let state: serde_json::Value = serde_json::from_str(&get::<String>(row, 6)).expect("a run is JSON");
            let ended = get::<Option<String>>(row, 3).zip(get(row, 4));
            let errors = state["spent"]["total"].as_u64().expect("a run says what it spent");
            (get(row, 0), Run { agent: get(row, 1), phase: get(row, 2), ended, parent: get(row, 5), errors })
        });
        let effects = "SELECT id, agent, action, resource, status, error_code, digest, entry_seq FROM effect";
        let effects = rows(&store, effects, |row| {
            let effect = Effect {
                agent: get(row, 1),
                action: get(row, 2),
                resource: get(row, 3),
                status: get(row, 4),
                error: get(row, 5),
                digest: get(row, 6),
                entry: get(row, 7),
            };
            (get(row, 0), effect)
        });
        let words = |sql: &str| rows(&store, sql, |row| get::<String>(row, 0));
        Self {
            runs: runs.into_iter().collect(),
            effects: effects.into_iter().collect(),
            locks: rows(&store, "SELECT agent, run FROM run_lock WHERE run IS NOT NULL", |r| (get(r, 0), get(r, 1))),
            credentials: words("SELECT run FROM credential WHERE revoked_at IS NULL"),
            revoked: words("SELECT name || '.' || namespace FROM agent WHERE status = 'revoked' ORDER BY 1"),
            revocations: words("SELECT agent FROM revocation WHERE reinstated_at IS NULL ORDER BY 1"),
            ended_by_revocations: words("SELECT run FROM revocation WHERE run IS NOT NULL"),
            handoffs: words("SELECT run FROM handoff"),
            is_halted: !rows(&store, "SELECT 1 FROM halt WHERE halted = 1", |_| ()).is_empty(),
        }
    }

    /// The runs that have not ended.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&String, &Run)> {
        self.runs.iter().filter(|(_, run)| run.ended.is_none())
    }
}

fn get<T: FromSql>(row: &Row<'_>, column: usize) -> T {
    row.get(column).expect("a column of the type that it has")
}

fn rows<T>(store: &Connection, sql: &str, read: impl Fn(&Row<'_>) -> T) -> Vec<T> {
    let mut statement = store.prepare(sql).expect("there is such a table");
    let found = statement.query_map([], |row| Ok(read(row))).expect("it can be read");
    found.collect::<Result<_, _>>().expect("it can be read")
}
