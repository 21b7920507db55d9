//! Bare peers: what the same work costs without us.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use axum::{Json, Router, routing::post};
use rusqlite::{Connection, params_from_iter, types::Value};
use steward_wire::{Decide, DecisionRecord, MatchedPolicy};

/// Rows of a table, as they were read.
#[derive(Clone)]
pub(crate) struct Rows {
    table: String,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Reads the rows of `table` that entries from `first` on wrote; `version` is the column that says which.
    pub(crate) fn read(connection: &Connection, table: &str, version: &str, first: u64) -> Result<Self> {
        let sql = format!("SELECT * FROM {table} WHERE {version} >= ?1 ORDER BY {version}, rowid");
        let mut statement = connection.prepare(&sql)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = Vec::new();
        let mut found = statement.query([first])?;
        while let Some(row) = found.next()? {
            rows.push((0..columns.len()).map(|n| row.get(n)).collect::<Result<_, _>>()?);
        }
        Ok(Self { table: table.to_owned(), columns, rows })
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The bytes of a column, on average.
    pub(crate) fn mean_bytes(&self, column: &str) -> f64 {
        let Some(n) = self.columns.iter().position(|c| c == column) else { return f64::NAN };
        let bytes = self.rows.iter().map(|row| match &row[n] {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            _ => 0,
        });
        bytes.sum::<usize>() as f64 / self.rows.len().max(1) as f64
    }

    fn insert(&self) -> String {
        let marks: Vec<String> = (1..=self.columns.len()).map(|n| format!("?{n}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.table, self.columns.join(", "), marks.join(", "))
    }
}

/// SQLite as anybody would set it up who must not lose anything: WAL, synchronous = FULL.
pub(crate) struct Bare {
    connection: Connection,
}

impl Bare {
    /// A database at `path` with the tables and indexes that `like` has for `tables`.
    pub(crate) fn new(path: &Path, like: &Connection, tables: &[&str]) -> Result<Self> {
        let connection = Connection::open(path)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
        anyhow::ensure!(mode == "wal", "this file system does not support SQLite's WAL");
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.set_prepared_statement_cache_capacity(64);
        for table in tables {
            let mut made = like.prepare(
                "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type = 'index'",
            )?;
            let made = made.query_map([table], |r| r.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
            anyhow::ensure!(!made.is_empty(), "there is no table `{table}`");
            made.iter().try_for_each(|sql| connection.execute_batch(sql))?;
        }
        Ok(Self { connection })
    }

    /// Inserts the rows, `group` operations in one transaction; each operation has one row of the first, and its share of the
    /// others.
    pub(crate) fn insert(&self, rows: &[Rows], group: usize) -> Result<()> {
        let operations = rows.first().map_or(0, Rows::len);
        let inserts: Vec<(String, &Rows, usize)> =
            rows.iter().map(|r| (r.insert(), r, r.len() / operations.max(1))).collect();
        let mut at = 0;
        while at < operations {
            let end = (at + group).min(operations);
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            for operation in at..end {
                for (sql, rows, share) in &inserts {
                    let mut statement = self.connection.prepare_cached(sql)?;
                    for row in &rows.rows[operation * share..(operation + 1) * share] {
                        statement.execute(params_from_iter(row))?;
                    }
                }
            }
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            at = end;
        }
        Ok(())
    }

    /// Commits one row at a time for as long as said. Tells what each took.
    pub(crate) fn commits(&self, rows: &Rows, at_most: Duration, times: &mut Vec<Duration>) -> Result<()> {
        let start = Instant::now();
        let sql = rows.insert();
        for row in &rows.rows {
            if start.elapsed() >= at_most {
                break;
            }
            let begin = Instant::now();
            self.connection.prepare_cached(&sql)?.execute(params_from_iter(row))?;
            times.push(begin.elapsed());
        }
        Ok(())
    }

    /// Takes every row of a table out again.
    pub(crate) fn clear(&self, table: &str) -> Result<()> {
        self.connection.execute(&format!("DELETE FROM {table}"), [])?;
        Ok(())
    }
}

/// Reads and writes the same JSON as the node does, and does nothing in between. Prints its address first.
pub(crate) fn serve_route() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        let router = Router::new().route("/v1/decisions", post(answer));
        axum::serve(listener, router).await.context("the bare route")
    })
}

async fn answer(Json(asked): Json<Decide>) -> Json<DecisionRecord> {
    let policy = MatchedPolicy {
        id: "T0/write-plans".to_owned(),
        file: "tiers/T0.cedar".to_owned(),
        description: Some("An agent may write plans: in its own folder, beneath /plans.".to_owned()),
    };
    Json(DecisionRecord {
        id: "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD".to_owned(),
        decision: "allow".to_owned(),
        code: None,
        reason: None,
        policies: vec![policy],
        policy_version: asked.resource,
        entry: Some(asked.action.len() as u64),
    })
}
