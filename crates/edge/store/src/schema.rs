//! The tables that the store itself keeps, and bringing all tables up to date.
//!
//! docs/store.md describes them for people who read them with `sqlite3`.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, params};
use steward_clock::{Timestamp, mishap};

use crate::{Options, error::StoreError, reader};

/// A step from one shape of the tables to the next. Forward only; never edited once released.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its name, unique for ever: `people-0001`.
    pub name: &'static str,
    /// What it does. A fact table has the column `entry_seq` and a primary key.
    pub sql: &'static str,
}

/// The shape of a store's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The steps that were taken, in the order of their names.
    pub applied: Vec<String>,
    /// The steps that are still to be taken, in the order in which they will be.
    pub pending: Vec<&'static str>,
}

/// `STWD`: says that a SQLite file is a store of ours.
const APPLICATION_ID: i64 = 0x5354_5744;

/// How long the writer waits for another program that holds the database.
pub(crate) const WRITER_WAITS: Duration = Duration::from_secs(3);

/// What the store itself keeps.
const OWN: &[Migration] = &[Migration {
    name: "store-0001",
    sql: "
CREATE TABLE ledger_entry (
    seq       INTEGER PRIMARY KEY,
    time      TEXT NOT NULL,
    kind      TEXT NOT NULL,
    namespace TEXT NOT NULL,
    actor     TEXT NOT NULL,
    subject   TEXT NOT NULL,
    action    TEXT,
    decision  TEXT,
    decision_id TEXT,
    trace     TEXT,
    leaf      BLOB NOT NULL,
    leaf_hash BLOB NOT NULL,
    salt      BLOB,
    body      TEXT
) STRICT;
CREATE INDEX ledger_entry_actor   ON ledger_entry (actor, seq);
CREATE INDEX ledger_entry_subject ON ledger_entry (subject, seq);
CREATE INDEX ledger_entry_action  ON ledger_entry (action, seq) WHERE action IS NOT NULL;
CREATE INDEX ledger_entry_trace   ON ledger_entry (trace) WHERE trace IS NOT NULL;
CREATE INDEX ledger_entry_denied  ON ledger_entry (seq) WHERE decision = 'deny';
CREATE TABLE ledger_tile (
    level  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    root   BLOB NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT;
CREATE TABLE ledger_head (
    id   INTEGER PRIMARY KEY CHECK (id = 0),
    note TEXT NOT NULL
) STRICT;
CREATE TABLE blob (
    digest TEXT PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
",
}];

/// Opens the writer's connection and brings the tables up to date. Returns the ledger's origin too.
pub(crate) fn open(path: &Path, options: &Options) -> Result<(Connection, String), StoreError> {
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(WRITER_WAITS)?;
    connection.set_prepared_statement_cache_capacity(128);
    let application: i64 = connection.query_row("PRAGMA application_id", [], |r| r.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    if application != APPLICATION_ID && (application != 0 || tables != 0) {
        return Err(StoreError::Unusable(format!("`{}` is another program's database", path.display())));
    }
    // Only now: another program's file keeps its mode too.
    owner_only(path)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    configure(&connection, options)?;
    migrate(&mut connection, &options.migrations, options.clock.now())?;
    let origin = reader::head_note(&connection)?.map(|note| reader::said(&note).0.to_owned());
    Ok((connection, origin.unwrap_or_else(|| options.new_origin.clone())))
}

fn configure(connection: &Connection, options: &Options) -> Result<(), StoreError> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unusable("its file system does not support SQLite's WAL".to_owned()));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // Erased bodies must be gone from the file, not just unlinked (LED-5).
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    // What a savepoint would put back is kept in memory: a few pages of one change, not a temporary file of the whole group.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // The log is folded back into the database by a thread of its own, off the writer's path.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    if let Some(pages) = max_pages(connection, options.max_bytes)? {
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(())
}

/// The most pages that the database may have.
pub(crate) fn max_pages(connection: &Connection, max_bytes: Option<u64>) -> Result<Option<u64>, StoreError> {
    let page: u64 = connection.query_row("PRAGMA page_size", [], |r| r.get(0))?;
    Ok(max_bytes.map(|bytes| (bytes / page).clamp(1, u64::from(u32::MAX - 1))))
}

/// The database and its log are readable by their owner alone (SEC-3).
pub(crate) fn owner_only(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// Which of `migrations` were applied, and which were not yet.
///
/// # Errors
/// It has some that are not known, or other ones under the same name.
pub(crate) fn look(connection: &Connection, migrations: &[Migration]) -> Result<Schema, StoreError> {
    let known: Vec<&Migration> = OWN.iter().chain(migrations).collect();
    let mut statement = connection.prepare("SELECT name, sql FROM migration ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut applied = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
        match known.iter().find(|m| m.name == name) {
            None => {
                return Err(StoreError::Unusable(format!(
                    "it was written by a newer version of this program, which applied `{name}`; use that version"
                )));
            }
            Some(m) if m.sql != sql => {
                return Err(StoreError::Damaged(format!("migration `{name}` is not the one that was applied")));
            }
            Some(_) => applied.push(name),
        }
    }
    let pending = known.iter().map(|m| m.name).filter(|name| !applied.iter().any(|a| a == name)).collect();
    Ok(Schema { applied, pending })
}

/// Takes the steps that were not taken yet, all of them or none.
pub(crate) fn migrate(connection: &mut Connection, migrations: &[Migration], now: Timestamp) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, sql TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT",
    )?;
    let pending = look(&transaction, migrations)?.pending;
    for migration in OWN.iter().chain(migrations).filter(|m| pending.contains(&m.name)) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migration (name, sql, applied_at) VALUES (?1, ?2, ?3)",
            params![migration.name, migration.sql, now.to_string()],
        )?;
        mishap::at("upgrade.step")?;
    }
    mishap::at("upgrade.before_commit")?;
    transaction.commit()?;
    mishap::at("upgrade.after_commit")?;
    Ok(())
}
